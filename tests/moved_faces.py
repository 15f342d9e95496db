"""Faces whose parts are moved by known distances."""

import cv2
import numpy as np


def moved(image, places, shifts, sigma=12.0, head=None):
    """The image with (x, y) places shifted by (dx, dy) pixels, then the whole head moved."""
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32)
    source_x, source_y = columns.copy(), rows.copy()
    for (x, y), (dx, dy) in zip(places, shifts):
        bump = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
        source_x -= np.float32(dx) * bump
        source_y -= np.float32(dy) * bump
    image = cv2.remap(image, source_x, source_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    if head is None:
        return image
    return cv2.warpAffine(image, head, image.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
