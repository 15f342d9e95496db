"""Augmentation of whole batches on the device, each image with its own random draw.

torchvision's v2 transforms make one draw for a batch; what is here takes one draw an image and
agrees with torchvision.transforms.v2.functional for each of them (tests/test_transforms.py).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2.functional import rgb_to_grayscale

AUGMENT = ("none", "flip", "full", "crop")
DEGREES = 8.0
JITTER = 0.2
CROP_MARGIN = (234 / 224, 240 / 224)  # of CapsuleNet: 234 x 240, then a 224 crop


@dataclass(frozen=True)
class Draw:
    """Random numbers for B images, on the CPU, so that they are the same for every device."""

    flip: Tensor  # bool (B,)
    angle: Tensor  # degrees, counter-clockwise, (B,)
    shift: Tensor  # (B, 2) x, y of the crop, in [-1, 1] of the margin
    colour: Tensor  # (B, 4) brightness, contrast, saturation factors; hue shift in turns
    order: list[int]  # of the four colour operations

    def repeat(self, times: int) -> "Draw":
        """The same draw for `times` pictures in a row of each image."""
        parts = (self.flip, self.angle, self.shift, self.colour)
        return Draw(*(part.repeat_interleave(times, 0) for part in parts), self.order)


def draw(size: int, augment: str, generator: torch.Generator) -> Draw:
    """One draw for each of `size` images.

    none: as they are. flip: horizontal flip. full: flip, rotation within 8 degrees, colour
    jitter 0.2. crop: full, and a random crop out of an image with a margin (CROP_MARGIN).
    """
    uniform = torch.rand((size, 8), generator=generator)
    order = torch.randperm(4, generator=generator).tolist()
    full = augment in ("full", "crop")
    signed = 2 * uniform - 1
    colour = torch.tensor([1.0, 1.0, 1.0, 0.0]) + JITTER * signed[:, 4:] * full
    return Draw(
        flip=(uniform[:, 0] < 0.5) & (augment != "none"),
        angle=DEGREES * signed[:, 1] * full,
        shift=signed[:, 2:4] * (augment == "crop"),
        colour=colour,
        order=order,
    )


def stored_size(image_size: int, augment: str) -> tuple[int, int]:
    """Height and width at which pictures are kept for images of this size."""
    if augment != "crop":
        return image_size, image_size
    return round(image_size * CROP_MARGIN[0]), round(image_size * CROP_MARGIN[1])


def to_float(pictures: Tensor) -> Tensor:
    """uint8 pictures -> float32 in [0, 1]."""
    return pictures.float() / 255


def centre_crop(pictures: Tensor, size: int) -> Tensor:
    """(B, C, H, W) -> (B, C, size, size), what evaluation sees."""
    top, left = (pictures.shape[-2] - size) // 2, (pictures.shape[-1] - size) // 2
    return pictures[..., top : top + size, left : left + size]


def apply_geometry(images: Tensor, draw: Draw, size: int) -> Tensor:
    """Rotate, flip and crop float images (B, C, H, W) to (B, C, size, size), bilinear, once.

    What comes from outside the image is black.
    """
    height, width = images.shape[-2:]
    if not draw.angle.any() and not draw.shift.any():
        images = centre_crop(images, size)
        flipped = draw.flip.to(images.device).view(-1, 1, 1, 1)
        return torch.where(flipped, images.flip(-1), images) if draw.flip.any() else images
    # Output pixel p, seen from the centre -> input pixel R F (p + shift), F the flip.
    margin = torch.tensor([(width - size) / 2, (height - size) / 2])
    radians = torch.deg2rad(draw.angle)
    cos, sin = radians.cos(), radians.sin()
    mirror = 1.0 - 2.0 * draw.flip
    rotation = torch.stack([cos * mirror, -sin, sin * mirror, cos], -1).view(-1, 2, 2)
    scale = torch.tensor([2 / width, 2 / height]).view(1, 2, 1)
    shift = (margin * draw.shift).unsqueeze(-1)
    theta = (
        scale * rotation @ torch.cat([torch.eye(2).expand(len(shift), 2, 2) * size / 2, shift], -1)
    )
    grid = F.affine_grid(theta.to(images), (len(images), 1, size, size), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", align_corners=False)


def apply_geometry_to_views(views: Tensor, draw: Draw, size: int) -> Tensor:
    """apply_geometry for views (B, V, H, W) in order of the yaw: a flip reverses that order."""
    views = apply_geometry(views, draw, size)
    flipped = draw.flip.to(views.device).view(-1, 1, 1, 1)
    return torch.where(flipped, views.flip(1), views)


def apply_colour(images: Tensor, draw: Draw) -> Tensor:
    """Jitter brightness, contrast, saturation and hue of images (B, 3, H, W) RGB in [0, 1].

    Grey images (B, 1, H, W) have no saturation and no hue.
    """
    factors = draw.colour.to(images).view(-1, 4, 1, 1, 1).unbind(1)  # four of (B, 1, 1, 1)
    operations = (_brightness, _contrast, _saturation, _hue)
    order = draw.order if images.shape[1] == 3 else [which for which in draw.order if which < 2]
    for which in order:
        images = operations[which](images, factors[which])
    return images


def _brightness(images: Tensor, factor: Tensor) -> Tensor:
    return (images * factor).clamp(0, 1)


def _contrast(images: Tensor, factor: Tensor) -> Tensor:
    mean = rgb_to_grayscale(images).mean((1, 2, 3), keepdim=True)
    return (mean + factor * (images - mean)).clamp(0, 1)


def _saturation(images: Tensor, factor: Tensor) -> Tensor:
    grey = rgb_to_grayscale(images)
    return (grey + factor * (images - grey)).clamp(0, 1)


def _hue(images: Tensor, turns: Tensor) -> Tensor:
    """Turn the hue of the HSV hexcone (Smith 1978) by a fraction of the circle."""
    value, top = images.max(1, keepdim=True)
    chroma = value - images.min(1, keepdim=True).values
    r, g, b = images.split(1, dim=1)
    safe = torch.where(chroma > 0, chroma, 1)
    sixths = torch.stack([(g - b) / safe, (b - r) / safe + 2, (r - g) / safe + 4])
    hue = sixths.gather(0, top.unsqueeze(0)).squeeze(0) + 6 * turns
    # Channel n of (5, 3, 1): value - chroma * clamp(min(k, 4 - k), 0, 1), k = (n + hue) mod 6.
    k = (hue + torch.tensor([5.0, 3.0, 1.0]).to(images).view(1, 3, 1, 1)) % 6
    return value - chroma * torch.minimum(k, 4 - k).clamp(0, 1)
