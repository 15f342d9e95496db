"""The square of an image that DECA sees, and the way back to the image's pixels."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

SIZE = 224


@dataclass(frozen=True)
class Square:
    """An upright square of an image, in its pixels; it may reach beyond the image."""

    x: float  # centre
    y: float
    side: float

    def to_crop(self, size: int = SIZE) -> np.ndarray:
        """The similarity transform (2, 3) from the image's pixels to those of its crop."""
        scale = (size - 1) / self.side  # corners fall on the centres of corner pixels
        middle = (size - 1) / 2
        return np.array([[scale, 0, middle - scale * self.x], [0, scale, middle - scale * self.y]])

    def to_image(self, size: int = SIZE) -> np.ndarray:
        """The inverse (2, 3): from the crop's pixels to the image's."""
        return cv2.invertAffineTransform(self.to_crop(size))


def face_square(landmarks: np.ndarray) -> Square:
    """Around 68 landmarks (68, 2): the mean side of their box, times 1.1 times 1.25.

    The side is cut to whole pixels, at least one, as DECA's published code cuts it.
    """
    low, high = landmarks.min(0).astype(float), landmarks.max(0).astype(float)
    x, y = (low + high) / 2
    return Square(float(x), float(y), max(1, int((high - low).mean() * 1.1 * 1.25)))


def crop(image: np.ndarray, square: Square, size: int = SIZE) -> Tensor:
    """Cut a square out of an image, uint8 (H, W, 3) -> (3, size, size) in [0, 1], black beyond.

    Bilinear between the four nearest pixels, whatever the scale, in double precision: what DECA's
    networks were trained on. A large face is not smoothed first, although its fine texture aliases.
    """
    (step, _, left), (_, _, top) = square.to_image(size)
    rows = _between(image, top + step * np.arange(size), 0)
    return (
        torch.from_numpy(_between(rows, left + step * np.arange(size), 1) / 255)
        .permute(2, 0, 1)
        .float()
    )


def _between(image: np.ndarray, at: np.ndarray, axis: int) -> np.ndarray:
    """An image along one axis at places between its pixels (N,), 0 beyond it."""
    first = np.floor(at).astype(int)
    parts = []
    for index, weight in ((first, first + 1 - at), (first + 1, at - first)):
        weight = weight * ((index >= 0) & (index < image.shape[axis]))
        taken = image.take(index.clip(0, image.shape[axis] - 1), axis)
        parts.append(taken * np.expand_dims(weight, tuple({0, 1, 2} - {axis})))
    return parts[0] + parts[1]
