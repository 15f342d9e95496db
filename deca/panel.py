"""Pictures beside each other, each with its name above it."""

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .crop import crop, face_square
from .reconstruction import Face, Reconstruction
from .render_views import render_frontal, render_in_image

CAPTION = 22  # pixels


def side_by_side(pictures: Mapping[str, np.ndarray]) -> np.ndarray:
    """Pictures of one height, uint8 (H, W, 3), by what is written above them."""
    return np.hstack(
        [np.vstack([caption(text, image.shape[1]), image]) for text, image in pictures.items()]
    )


def caption(text: str, width: int) -> np.ndarray:
    """A line of text in the middle of a strip, uint8 (CAPTION, width, 3), black on white."""
    strip = Image.new("RGB", (width, CAPTION), "white")
    ImageDraw.Draw(strip).text(
        (width / 2, CAPTION / 2), text, "black", ImageFont.load_default(14), anchor="mm"
    )
    return np.asarray(strip)


def panel(head: Reconstruction, face: Face) -> dict[str, np.ndarray]:
    """Input, reconstruction and frontal view, each uint8 (224, 224, 3), by their captions.

    The reconstruction lies as in the input. `frontal` is the shape alone, as the views are: what
    the head does not have, glasses above all, is gone. `its colours` shows what the photograph
    shows, glasses included.
    """
    square = face_square(face.landmarks)
    seen = (crop(face.image, square) * 255).round().byte().permute(1, 2, 0).numpy()
    frontal, textured = render_frontal(head)
    return {
        "input": seen,
        "reconstruction": render_in_image(head, square),
        "frontal": frontal,
        "its colours": textured,
    }
