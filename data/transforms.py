"""Augmentation of whole batches on the device, each image with its own random sample.

torchvision's v2 transforms sample once for a batch; what is here samples for each image and
agrees with torchvision.transforms.v2.functional for each of them (tests/test_transforms.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2.functional import rgb_to_grayscale

from common.errors import warn

from .augmentation import Augment
from .views import VIEWS_SHOW, ViewsShow

Pictures = TypeVar("Pictures", Tensor, np.ndarray)

DEGREES = 8.0
JITTER = 0.2
STILL = torch.tensor([128.0, 128.0, 0.0]) / 255  # a motion view's pixel where nothing moves
OPPOSITE = torch.tensor([3.0, 5.0, 1.0])  # hues of red, green and blue, turned by a half: sixths
SAME_COLOUR = (1.0, 1.0, 1.0, 0.0)  # brightness, contrast, saturation, hue


@dataclass(frozen=True)
class Augmentation:
    """Random numbers for B images, on the CPU, so that they are the same for every device."""

    flip: Tensor  # bool (B,)
    angle: Tensor  # degrees, counter-clockwise, (B,)
    shift: Tensor  # (B, 2) x, y of the crop, in [-1, 1] of the margin
    colour: Tensor  # (B, 4) brightness, contrast, saturation factors; hue shift in turns
    order: list[int]  # of the four colour operations

    def repeat(self, times: int) -> "Augmentation":
        """The same sample for `times` pictures in a row of each image."""
        return self._each(lambda values: values.repeat_interleave(times, 0))

    def part(self, i: int) -> "Augmentation":
        """The sample of image i alone."""
        return self._each(lambda values: values[i : i + 1])

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Augmentation":
        flip, angle, shift, colour = map(change, (self.flip, self.angle, self.shift, self.colour))
        return Augmentation(flip, angle, shift, colour, self.order)

    @property
    def turns(self) -> bool:
        """Whether any image is more than flipped."""
        return bool(self.angle.any() or self.shift.any())

    @property
    def jitters(self) -> bool:
        """Whether any image's colours change."""
        return bool((self.colour != torch.tensor(SAME_COLOUR)).any())


def sample_augmentation(size: int, kind: Augment, generator: torch.Generator) -> Augmentation:
    """One sample for each of `size` images.

    none: as they are. flip: horizontal flip. full: flip, rotation within 8 degrees, colour
    jitter 0.2. crop: full, and a random crop out of an image with a margin (stored_size).
    """
    uniform = torch.rand((size, 8), generator=generator)
    order = torch.randperm(4, generator=generator).tolist()
    full = kind in ("full", "crop")
    signed = 2 * uniform - 1
    colour = torch.tensor(SAME_COLOUR) + JITTER * signed[:, 4:] * full
    return Augmentation(
        flip=(uniform[:, 0] < 0.5) & (kind != "none"),
        angle=DEGREES * signed[:, 1] * full,
        shift=signed[:, 2:4] * (kind == "crop"),
        colour=colour,
        order=order,
    )


def send(values: Tensor, device: torch.device) -> Tensor:
    """A small tensor on a device: out of pinned memory to CUDA, so that the host does not wait."""
    if device.type == "cuda" and values.device.type == "cpu":
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)


def to_float(pictures: Tensor) -> Tensor:
    """uint8 pictures -> float32 in [0, 1]."""
    return pictures.float().div_(255)


def centre_crop(pictures: Pictures, size: int) -> Pictures:
    """(…, H, W) -> (…, size, size), what evaluation sees; of an array as of a tensor."""
    top, left = (pictures.shape[-2] - size) // 2, (pictures.shape[-1] - size) // 2
    return pictures[..., top : top + size, left : left + size]


def augment(
    pictures: Tensor,
    sample: Augmentation,
    size: int,
    layout: torch.memory_format = torch.contiguous_format,
    views: ViewsShow | None = None,
) -> Tensor:
    """Stored uint8 RGB (B, 3, H, W), or views (B, V x channels, H, W) -> floats of `size`.

    views: what they show, if they are views; of motion no colour is jittered.
    """
    geometry = partial(apply_geometry_to_views, shown=views) if views else apply_geometry
    if not sample.turns and not sample.jitters:  # flips and the layout are cheaper on bytes
        return to_float(geometry(pictures, sample, size).contiguous(memory_format=layout))
    if pictures.device.type != "cpu":
        return augment_at_once(pictures, sample, size, views)
    if not views and pictures.shape[1] == 3 and (fast := _compiled()):
        return fast(pictures, sample, size).contiguous(memory_format=layout)
    # Image by image, each step finds the image in the processor's cache; for work as short as
    # that, a second thread costs more than it does.
    out = torch.empty((*pictures.shape[:2], size, size), memory_format=layout)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for i in range(len(pictures)):
            out[i] = augment_at_once(pictures[i : i + 1], sample.part(i), size, views)[0]
    finally:
        torch.set_num_threads(threads)
    return out


@cache
def _compiled() -> Callable[[Tensor, Augmentation, int], Tensor] | None:
    """What augments frames on a CPU in one pass; None, with a warning, without Numba."""
    try:
        from .augment_cpu import augment_frames  # half a second that not every command needs
    except ImportError:
        warn("Numba is not installed: full augmentation of frames takes four times as long")
        return None

    def fast(pictures: Tensor, sample: Augmentation, size: int) -> Tensor:
        stored = pictures.movedim(1, -1).contiguous().numpy()
        matrices = _pixel_matrices(sample, size, pictures.shape[-2:]).float().numpy()
        colour = sample.colour.float().contiguous().numpy()
        out = augment_frames(stored, matrices, np.array(sample.order), colour, size)
        return torch.from_numpy(out).movedim(-1, 1)

    return fast


def augment_at_once(
    pictures: Tensor, sample: Augmentation, size: int, views: ViewsShow | None = None
) -> Tensor:
    """The same in one pass over the batch, as other devices than the CPU have it."""
    images = to_float(pictures)
    if not views:
        return _jitter_(apply_geometry(images, sample, size), sample)
    images = apply_geometry_to_views(images, sample, size, views)
    if views != "motion":
        each = images.unflatten(1, (-1, VIEWS_SHOW[views][1]))  # (B, V, channels, size, size)
        # Flat it may be a copy: what is jittered is what goes on.
        flat = _jitter_(each.flatten(0, 1), sample.repeat(each.shape[1]))
        images = flat.unflatten(0, each.shape[:2]).flatten(1, 2)
    return images


def apply_geometry(images: Tensor, sample: Augmentation, size: int) -> Tensor:
    """Rotate, flip and crop float images (B, C, H, W) to (B, C, size, size), bilinear, once.

    What comes from outside the image is black. Where nothing turns or shifts, of any dtype.
    """
    height, width = images.shape[-2:]
    if not sample.turns:
        return _flip(centre_crop(images, size), sample, lambda x: x.flip(-1))
    rotation, shift = _turned(sample, size, (height, width))
    scale = torch.tensor([2 / width, 2 / height]).view(1, 2, 1)
    theta = (
        scale * rotation @ torch.cat([torch.eye(2).expand(len(shift), 2, 2) * size / 2, shift], -1)
    )
    return F.grid_sample(
        images,
        _grid(send(theta.to(images.dtype), images.device), size),
        mode="bilinear",
        align_corners=False,
    )


def _turned(sample: Augmentation, size: int, stored: Sequence[int]) -> tuple[Tensor, Tensor]:
    """R F (B, 2, 2) and shift (B, 2, 1): pixel p of the output -> R F (p + shift) of the input.

    Both seen from their centres, x before y; F is the flip. stored: height and width of the input.
    """
    margin = torch.tensor([(stored[1] - size) / 2, (stored[0] - size) / 2])
    radians = torch.deg2rad(sample.angle)
    cos, sin = radians.cos(), radians.sin()
    mirror = 1.0 - 2.0 * sample.flip
    rotation = torch.stack([cos * mirror, -sin, sin * mirror, cos], -1).view(-1, 2, 2)
    return rotation, (margin * sample.shift).unsqueeze(-1)


def _pixel_matrices(sample: Augmentation, size: int, stored: Sequence[int]) -> Tensor:
    """The same (B, 2, 3) between pixels counted from the corner."""
    rotation, shift = (part.double() for part in _turned(sample, size, stored))
    centre = torch.tensor([[stored[1] - 1.0], [stored[0] - 1.0]], dtype=torch.float64) / 2
    return torch.cat([rotation, rotation @ (shift - (size - 1) / 2) + centre], -1)


def _grid(theta: Tensor, size: int) -> Tensor:
    """F.affine_grid for square images (align_corners=False): its matrix product takes longer."""
    across = (2 * torch.arange(size, device=theta.device) + 1) / size - 1
    a, b, c = theta[:, :, None, None].unbind(-1)  # each (B, 2, 1, 1)
    both = (a * across) + (b * across + c).mT  # (B, 2, size, size): x, y
    return both.movedim(1, -1)


def take(pictures: Tensor, rows: Tensor) -> Tensor:
    """pictures[rows] (B, C, H, W), channels last where they are: indexing is many times slower."""
    return pictures.movedim(1, -1).index_select(0, rows).movedim(-1, 1)


def _flip(images: Tensor, sample: Augmentation, change: Callable[[Tensor], Tensor]) -> Tensor:
    """Change the images (B, C, H, W) whose sample says that they are flipped."""
    rows = send(sample.flip.nonzero()[:, 0], images.device)
    flipped = change(take(images, rows))
    return images.movedim(1, -1).index_copy(0, rows, flipped.movedim(1, -1)).movedim(-1, 1)


def apply_geometry_to_views(
    views: Tensor, sample: Augmentation, size: int, shown: ViewsShow = "shape"
) -> Tensor:
    """apply_geometry for views (B, V x channels, H, W) in order of the yaw: a flip reverses it.

    Beyond the picture motion views have no motion, others are black.
    """
    channels = VIEWS_SHOW[shown][1]
    if shown == "motion" and sample.turns:
        still = (
            send(STILL.to(views.dtype), views.device)
            .repeat(views.shape[1] // channels)
            .view(1, -1, 1, 1)
        )
        moved = apply_geometry(views - still, sample, size) + still
    else:
        moved = apply_geometry(views, sample, size)
    return _flip(moved, sample, lambda x: x.unflatten(1, (-1, channels)).flip(1).flatten(1, 2))


def apply_colour(images: Tensor, sample: Augmentation) -> Tensor:
    """Jitter brightness, contrast, saturation and hue of images (B, 3, H, W) RGB in [0, 1].

    Grey images (B, 1, H, W) have no saturation and no hue.
    """
    return _jitter_(images.clone(), sample)


def _jitter_(images: Tensor, sample: Augmentation) -> Tensor:
    colour = send(sample.colour.to(images.dtype), images.device)
    factors = colour.view(-1, 4, 1, 1, 1).unbind(1)  # four of (B, 1, 1, 1)
    operations = (_brightness_, _contrast_, _saturation_, _hue_)
    order = sample.order if images.shape[1] == 3 else [which for which in sample.order if which < 2]
    for which in order:
        operations[which](images, factors[which])
    return images


def _brightness_(images: Tensor, factor: Tensor) -> None:
    images.mul_(factor).clamp_(0, 1)


def _contrast_(images: Tensor, factor: Tensor) -> None:
    mean = rgb_to_grayscale(images).mean((1, 2, 3), keepdim=True)
    images.mul_(factor).add_(mean.mul_(1 - factor)).clamp_(0, 1)


def _saturation_(images: Tensor, factor: Tensor) -> None:
    grey = rgb_to_grayscale(images)
    images.mul_(factor).add_(grey.mul_(1 - factor)).clamp_(0, 1)


def _hue_(images: Tensor, turns: Tensor) -> None:
    """Turn the hue of the HSV hexcone (Smith 1978) by a fraction of the circle."""
    r, g, b = images.split(1, dim=1)
    value = torch.maximum(torch.maximum(r, g), b)
    chroma = value - torch.minimum(torch.minimum(r, g), b)
    scale = chroma.clamp(min=1e-12).reciprocal_()  # grey has no hue: its chroma of 0 undoes any
    is_r, is_g = (torch.eq(value, x, out=torch.empty_like(x)) for x in (r, g))
    hue = ((r - g).mul_(scale).add_(4)).lerp_((b - r).mul_(scale).add_(2), is_g)
    hue.lerp_((g - b).mul_(scale), is_r).add_(6 * turns)  # with weights of 0 and 1 a choice
    hue.sub_((hue / 6).floor_().mul_(6))  # sixths of the circle, in [0, 6)
    # A channel is value - chroma x fall; fall is 1 within a sixth of the channel's opposite hue,
    # 0 beyond two sixths, linear between: clamp(| |hue - opposite| - 3 | - 1, 0, 1).
    opposite = send(OPPOSITE.to(images.dtype), images.device)
    fall = hue - opposite.view(1, 3, 1, 1)
    fall.abs_().sub_(3).abs_().sub_(1).clamp_(0, 1)
    torch.sub(value, fall.mul_(chroma), out=images)
