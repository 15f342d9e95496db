"""A head where it lies in its picture: drawn over it, and how near each pixel is."""

from dataclasses import replace

import numpy as np
import torch

from .crop import Square
from .rasterizer import Fragments
from .reconstruction import Reconstruction
from .render_views import grey, see_in_image
from .texture import photograph

MIDDLE, STEPS = 32768, 100_000  # of depth maps: the value of 0, values a metre


@torch.no_grad()
def overlay(head: Reconstruction, image: np.ndarray) -> np.ndarray:
    """The grey head over its picture, uint8 (H, W, 3) RGB.

    Pictures of more than texture.LARGEST pixels come out reduced to that.
    """
    shown, seen = _in_picture(head, image)
    colours, kept = grey(head, seen, head.rotation)
    shown = (shown * 255).round().byte().permute(1, 2, 0).contiguous()
    height, width = shown.shape[:2]
    row, column = seen.pixel // seen.size, seen.pixel % seen.size
    inside = kept & (row < height) & (column < width)
    shown[row[inside], column[inside]] = (colours[inside] * 255).round().byte()
    return shown.cpu().numpy()


@torch.no_grad()
def depth_map(head: Reconstruction, image: np.ndarray) -> np.ndarray:
    """How near the head is at each pixel of `overlay`'s picture, uint16 (H, W); 0: no head.

    Metres towards the viewer, from the origin of the head's coordinates on, are
    (value - MIDDLE) / STEPS; greater is nearer.
    """
    shown, seen = _in_picture(head, image)
    height, width = shown.shape[1:]
    near = seen.interpolate(head.vertices[:, 2:], head.topology.faces)
    values = (MIDDLE + near * STEPS).round().clamp(1, 65535)
    return seen.image(values)[0, :height, :width].cpu().numpy().astype(np.uint16)


def _in_picture(head: Reconstruction, image: np.ndarray) -> tuple[torch.Tensor, Fragments]:
    """A picture (3, H, W) and what each pixel of the square around it sees of its head."""
    shown, camera = photograph(image, head.camera)
    size = max(2, *shown.shape[1:])
    square = Square((size - 1) / 2, (size - 1) / 2, size - 1)
    return shown, see_in_image(replace(head, camera=camera), square, size)
