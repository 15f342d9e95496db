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
    """Around 68 landmarks (68, 2): the mean side of their box, times 1.1 times 1.25."""
    low, high = landmarks.min(0), landmarks.max(0)
    x, y = (low + high) / 2
    return Square(float(x), float(y), float((high - low).mean() * 1.1 * 1.25))


def crop(image: np.ndarray, square: Square, size: int = SIZE) -> Tensor:
    """Cut a square out of an image, uint8 (H, W, 3) -> (3, size, size) in [0, 1], black beyond.

    A large square is first reduced by areas, so that fine texture does not turn to noise.
    """
    matrix = square.to_crop(size)
    shrink = int(1 / matrix[0, 0] / 2)
    if shrink >= 1:
        height, width = (max(1, n // (2 * shrink)) for n in image.shape[:2])
        factors = np.array([width / image.shape[1], height / image.shape[0]])
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        # pixel p of the image lies at (p + 0.5) * factor - 0.5 of the reduced one
        matrix = np.hstack(
            [
                matrix[:, :2] / factors,
                (matrix[:, 2] + matrix[0, 0] * (0.5 / factors - 0.5))[:, None],
            ]
        )
    warped = cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR)
    return torch.from_numpy(warped).permute(2, 0, 1).float() / 255
