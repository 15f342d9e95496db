"""An encoded picture -> uint8 pixels, one way for every file type, depth and orientation."""

import io

import cv2
import numpy as np
from PIL import Image, ImageOps

from common.errors import UserError

_TIFF = (b"II*\0", b"MM\0*")
_IMAGES = (b"\xff\xd8", b"\x89PNG", b"BM", b"RIFF", b"P5", b"P6", b"\0\0\0\x0cjP", *_TIFF)
# Every fault of a file becomes one line of ours; OpenCV would print its own beside it.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


class UnreadableImageError(UserError):
    """A file that is no picture or video, is cut off, or lacks the frame asked for."""


def decode_image(data: bytes, grey: bool, where: str) -> np.ndarray:
    """Decode a file's bytes to uint8 (H, W, 3) RGB, or with `grey` to uint8 (H, W).

    Orientation tags are applied, alpha is dropped, grey becomes three equal channels. Deeper
    pictures become 8 bits: see to_8_bit. UnreadableImageError, which names `where`, if the
    data are empty, cut off or no picture; bytes after a picture's end do not matter.
    """
    try:
        image = _decode(data, grey) if data else None
    except (cv2.error, OSError, Image.DecompressionBombError) as error:
        line = " ".join(str(error).split())
        raise UnreadableImageError(f"{where}: the image is not readable ({line})") from error
    if image is None and data.startswith(_IMAGES):
        raise UnreadableImageError(f"{where}: the image is cut off or damaged; copy it anew")
    if image is None:
        raise UnreadableImageError(f"{where}: empty or not an image")
    image = to_8_bit(image, where)
    if grey:
        return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if image.ndim == 3 else image
    return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB if image.ndim == 2 else cv2.COLOR_BGR2RGB)


def to_8_bit(image: np.ndarray, where: str) -> np.ndarray:
    """Bring pixels of any type to uint8.

    16 bits keep their eight high ones. Other types have no scale of their own: they reach up to
    1 (floating point), 255, 65535 or all 32 bits, the first of them that holds the brightest
    pixel. UnreadableImageError for pixels below 0, above all scales, or that are no number.
    """
    if image.dtype == np.uint8:
        return image
    if image.dtype == np.uint16:
        return (image >> 8).astype(np.uint8)
    low, high = float(image.min()), float(image.max())
    floating = np.issubdtype(image.dtype, np.floating)
    # A nan is in no interval.
    if not (low >= 0 and high < (2**16 if floating else 2**32)):
        raise UnreadableImageError(f"{where}: pixels from {low:g} to {high:g} are no picture's")
    if floating and high < 2:  # resizing overshoots a little: 1.02 is white, not nearly black
        image = image * 255
    elif high >= 2**8:
        image = image // (2**8 if high < 2**16 else 2**24)
    return np.rint(image).clip(0, 255).astype(np.uint8)


def _decode(data: bytes, grey: bool) -> np.ndarray | None:
    """(H, W) or (H, W, 3) BGR, of any depth; None where OpenCV cannot read it."""
    coded = np.frombuffer(data, np.uint8)
    if not data.startswith(_TIFF):
        # IMREAD_UNCHANGED would keep alpha and leave pictures turned.
        colour = cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_ANYCOLOR
        return cv2.imdecode(coded, colour | cv2.IMREAD_ANYDEPTH)
    # Deep TIFFs have no grey mode; orientation is applied in this one.
    image = cv2.imdecode(coded, cv2.IMREAD_UNCHANGED)
    if image is None or image.ndim == 2 or image.shape[2] == 3:
        return image
    if image.dtype == np.uint8:  # OpenCV has multiplied the colours with alpha
        with Image.open(io.BytesIO(data)) as opened:
            return np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))[:, :, ::-1]
    return image[:, :, :3]
