"""Which augmentations there are, and at what size pictures are kept for them."""

from typing import Literal

# none, flip, full (flip, rotation, colour jitter), crop (full, out of an image with a margin)
Augment = Literal["none", "flip", "full", "crop"]
CROP_MARGIN = (234 / 224, 240 / 224)  # of CapsuleNet: 234 x 240, then a 224 crop


def stored_size(image_size: int, augment: Augment) -> tuple[int, int]:
    """Height and width at which pictures are kept for images of this size."""
    if augment != "crop":
        return image_size, image_size
    return round(image_size * CROP_MARGIN[0]), round(image_size * CROP_MARGIN[1])
