"""A head's colours without what covers it, and its pictures with them."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from data.views import SIZE, YAWS
from deca.rasterizer import Fragments
from deca.reconstruction import Face, Reconstruction
from deca.render_views import Looks, look, sample_uv

from .chart import REACH, SIDE, Chart, lay_out
from .cover import brows, find_cover
from .fill import clear_lenses, fill, lift_shadows, shared
from .skin import Fitted, SkinModel, fit, skin_model, to_log

FILLED, CLEARED = 255, 128  # in the mask: not of the photograph; of it, reflections taken off
FEATHER = 1.0  # texels
ASIDE, BELOW = (112, 126), (100, 112)  # mm where the paint ends: behind the ears, under the chin
DOUBT = 0.3  # weight of skin around lenses in the fit: shadows and reflections are there
OWN_BROWS = 3.0  # weight of brows in it: what shows of them tells of what is covered
LENDERS = 24  # of a subject's frames, at most, lend the others what they show


@dataclass(frozen=True)
class Paint:
    """What is laid over a head's own texture, S = SIDE texels of the chart a side."""

    colour: Tensor  # (3, S, S) RGB in [0, 1]
    share: Tensor  # (1, S, S) in [0, 1]: how much it covers
    filled: Tensor  # (1, S, S) in [0, 1]: FILLED / 255, CLEARED / 255, or 0 as photographed
    place: Tensor  # (V, 2): the mesh's vertices on the chart, for grid_sample


@dataclass(frozen=True)
class _Reading:
    chart: Chart
    fitted: Fitted
    left: np.ndarray  # (S, S, 3) differences from the model, reflections and shadows taken off
    known: np.ndarray  # (S, S) bool: the photograph shows the face
    cleared: np.ndarray  # (S, S) bool: through a lens


def clean(heads: Sequence[Reconstruction], faces: Sequence[Face]) -> list[Paint]:
    """The paint of each head. Heads of one (named) subject lend each other what they show."""
    model = skin_model()
    readings = [_read(model, head, face) for head, face in zip(heads, faces, strict=True)]
    lent: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for subject in {face.subject for face in faces} - {""}:
        same = [r for r, face in zip(readings, faces, strict=True) if face.subject == subject]
        if len(same) > 1:
            same = same[:: -(-len(same) // LENDERS)]
            lent[subject] = shared([r.left for r in same], [r.known for r in same])
    return [
        _paint(reading, lent.get(face.subject))
        for reading, face in zip(readings, faces, strict=True)
    ]


def _read(model: SkinModel, head: Reconstruction, face: Face) -> _Reading:
    chart = lay_out(head, face.image, model.landmarks)
    # The second look is at what the first one takes for the face.
    cover = find_cover(model, chart, fit(model, chart))
    trust = np.where(cover.shaded, DOUBT, 1)
    trust[brows(model)] = OWN_BROWS
    fitted = fit(model, chart, trust * ~cover.covered)
    cover = find_cover(model, chart, fitted)
    colour, hidden = clear_lenses(chart.colour, fitted, cover)
    known = ~(cover.covered | cover.unseen | hidden)
    left = lift_shadows(to_log(colour) - fitted.expected, fitted, cover, known)
    cleared = np.any([np.zeros_like(known), *cover.lenses], 0) & known
    return _Reading(chart, fitted, left, known, cleared)


def _paint(reading: _Reading, lent: tuple[np.ndarray, np.ndarray] | None) -> Paint:
    colour = fill(reading.fitted, reading.left, reading.known, lent)
    filled = (~reading.known).astype(np.float32)
    filled[reading.cleared] = CLEARED / FILLED
    touched = cv2.dilate((filled > 0).astype(np.float32), np.ones((3, 3), np.uint8))
    share = cv2.GaussianBlur(touched, (0, 0), FEATHER) * _extent() * reading.chart.on_head
    return Paint(
        torch.from_numpy(colour).permute(2, 0, 1),
        torch.from_numpy(share.astype(np.float32))[None],
        torch.from_numpy(filled)[None],
        reading.chart.place,
    )


def _extent() -> np.ndarray:
    """(S, S) in [0, 1]: the part of the chart that is painted, faded out at its border."""
    at = (np.arange(SIDE) + 0.5) * 2 * REACH / SIDE - REACH

    def fade(value: np.ndarray, limits: tuple[int, int]) -> np.ndarray:
        return np.clip((limits[1] - value) / (limits[1] - limits[0]), 0, 1)

    return (fade(np.abs(at), ASIDE)[None] * fade(at, BELOW)[:, None]).astype(np.float32)


@torch.no_grad()
def render_clean(
    head: Reconstruction,
    paint: Paint,
    yaws: Sequence[int] = YAWS,
    size: int = SIZE,
    looks: Looks | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The painted head from each yaw, as render_views draws it: uint8 (N, size, size, 3).

    With masks, uint8 (N, size, size): FILLED, CLEARED or 0 where the photograph shows the face;
    in between at the borders.
    """
    pictures, masks = [], []
    for seen, _turn in looks or look(head, yaws, size):
        colours, filled = _painted(head, paint, seen)
        pictures.append(_image(seen, colours).permute(1, 2, 0))
        masks.append(_image(seen, filled)[0])
    return torch.stack(pictures).cpu().numpy(), torch.stack(masks).cpu().numpy()


def _image(seen: Fragments, values: Tensor) -> Tensor:
    return seen.image((values.clamp(0, 1) * 255).round().byte())


def _painted(head: Reconstruction, paint: Paint, seen: Fragments) -> tuple[Tensor, Tensor]:
    """Colours (P, 3) and what of them is filled in (P, 1), at the pixels that see the head."""
    texture = sample_uv(head.texture, head, seen)
    at = seen.interpolate(paint.place.to(texture.device), head.topology.faces)
    layers = torch.cat([paint.colour, paint.share, paint.filled]).to(texture.device)
    values = F.grid_sample(layers[None], at[None, None], align_corners=False)[0, :, 0].T
    share = values[:, 3:4]
    return texture + share * (values[:, :3] - texture), values[:, 4:] * share
