"""Full augmentation of frames on a CPU: one pass a picture, compiled by Numba when first called.

Numba brings its own compiler. Loops are short and over whole rows, so that LLVM makes them vector
instructions; only reading four neighbours of a point is done one by one. A picture of 224 px takes
a quarter of the time of torch's operations (docs/speed.md), with the same results but for the last
bits: data.transforms.augment_at_once, which other devices and views go by.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from common.errors import warn

F = np.float32
RED, GREEN, BLUE = F(0.2989), F(0.587), F(0.114)  # of grey, as torchvision has it
OPPOSITE = (F(3), F(5), F(1))  # of data.transforms
# No order of sums is kept, which vectors need; numbers stay finite.
_FAST = {"fastmath": {"contract", "reassoc", "nsz", "arcp"}, "error_model": "numpy", "nogil": True}


def _compiled(function: Callable) -> Any:
    """A function that is compiled when it is first called, and kept for other processes."""
    compiled: Any = numba.njit
    try:
        return compiled(cache=True, **_FAST)(function)
    except RuntimeError:  # no folder to keep it in
        warn("augmentation is compiled anew by every process: set NUMBA_CACHE_DIR to a folder")
        return compiled(**_FAST)(function)


@_compiled
def augment_frames(
    pictures: np.ndarray, matrices: np.ndarray, order: np.ndarray, colour: np.ndarray, side: int
) -> np.ndarray:
    """Turn, then jitter, uint8 pictures (B, H, W, 3) -> float32 (B, side, side, 3) in [0, 1].

    matrices (B, 2, 3) float32: from a pixel (x, y) of the result to one of the picture. order: of
    brightness 0, contrast 1, saturation 2, hue 3. colour (B, 4) float32: their factors, and the
    hue's shift in turns.
    """
    count, height, width = pictures.shape[:3]
    framed = np.zeros((height + 3, width + 3), np.int32)  # black around
    planes = np.empty((3, side, side), np.float32)
    out = np.empty((count, side, side, 3), np.float32)
    for i in range(count):
        _pack(pictures[i], framed)
        _turn(framed, matrices[i], planes)
        r, g, b = planes[0], planes[1], planes[2]
        for which in order:
            factor = colour[i, which]
            for y in range(side):
                if which == 0:
                    _brightness(r[y], g[y], b[y], factor)
                elif which == 2:
                    _saturation(r[y], g[y], b[y], factor)
                elif which == 3:
                    _hue(r[y], g[y], b[y], factor)
            if which == 1:
                _contrast(r, g, b, factor)
        _unpack(planes, out[i])
    return out


@_compiled
def _pack(picture: np.ndarray, framed: np.ndarray) -> None:
    """(H, W, 3) bytes -> one number a pixel, inside of a frame of zeros."""
    for y in range(picture.shape[0]):
        for x in range(picture.shape[1]):
            r, g, b = picture[y, x, 0], picture[y, x, 1], picture[y, x, 2]
            framed[y + 1, x + 1] = np.int32(r) | (np.int32(g) << 8) | (np.int32(b) << 16)


@_compiled
def _unpack(planes: np.ndarray, out: np.ndarray) -> None:
    """(3, S, S) -> (S, S, 3)."""
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            out[y, x, 0] = planes[0, y, x]
            out[y, x, 1] = planes[1, y, x]
            out[y, x, 2] = planes[2, y, x]


@_compiled
def _turn(framed: np.ndarray, matrix: np.ndarray, planes: np.ndarray) -> None:
    """Bilinear: framed (H + 3, W + 3) -> planes (3, S, S) in [0, 1]."""
    side = planes.shape[1]
    across = np.arange(side).astype(np.float32)
    place, corners = np.empty(side, np.int32), np.empty((4, side), np.int32)
    far = np.empty((2, side), np.float32)
    flat = framed.reshape(-1)
    for y in range(side):
        _find(matrix, F(y), framed.shape, across, place, far)
        _read(flat, place, framed.shape[1], corners)
        _mix(corners, far, planes, y)


@_compiled
def _find(
    matrix: np.ndarray, y: F, shape: tuple, across: np.ndarray, place: np.ndarray, far: np.ndarray
) -> None:
    """Of a row's points: where the pixel above and left of each lies, and how far it is from it."""
    dx, x0 = matrix[0, 0], matrix[0, 1] * y + matrix[0, 2]
    dy, y0 = matrix[1, 0], matrix[1, 1] * y + matrix[1, 2]
    lowest, width, row = F(shape[0] - 3), F(shape[1] - 3), np.int32(shape[1])
    right, down = far[0], far[1]
    for x in range(len(across)):
        # Beyond the frame of zeros all is black.
        u = min(max(dx * across[x] + x0, F(-1)), width) + F(1)
        v = min(max(dy * across[x] + y0, F(-1)), lowest) + F(1)
        column, line = np.int32(u), np.int32(v)
        right[x], down[x] = u - F(column), v - F(line)
        place[x] = line * row + column


@_compiled
def _read(flat: np.ndarray, place: np.ndarray, row: int, corners: np.ndarray) -> None:
    one, line = np.uint64(1), np.uint64(row)  # unsigned: no index counts from the end
    for x in range(len(place)):
        at = np.uint64(place[x])
        corners[0, x], corners[1, x] = flat[at], flat[at + one]
        corners[2, x], corners[3, x] = flat[at + line], flat[at + line + one]


@_compiled
def _mix(corners: np.ndarray, far: np.ndarray, planes: np.ndarray, y: int) -> None:
    """Four pixels by their weights, for a row of each plane."""
    byte, unit = np.int32(255), F(1 / 255)
    p, q, s, t = corners[0], corners[1], corners[2], corners[3]
    r, g, b = planes[0, y], planes[1, y], planes[2, y]  # whose numbers lie side by side
    right, down = far[0], far[1]
    for x in range(len(right)):
        wt = right[x] * down[x] * unit
        wq, ws = right[x] * unit - wt, down[x] * unit - wt
        wp = unit - right[x] * unit - ws
        r[x] = F(p[x] & byte) * wp + F(q[x] & byte) * wq + F(s[x] & byte) * ws + F(t[x] & byte) * wt
        g[x] = (
            F((p[x] >> 8) & byte) * wp
            + F((q[x] >> 8) & byte) * wq
            + F((s[x] >> 8) & byte) * ws
            + F((t[x] >> 8) & byte) * wt
        )
        b[x] = F(p[x] >> 16) * wp + F(q[x] >> 16) * wq + F(s[x] >> 16) * ws + F(t[x] >> 16) * wt


@_compiled
def _unit(x: F) -> F:
    return min(max(x, F(0)), F(1))


@_compiled
def _brightness(r: np.ndarray, g: np.ndarray, b: np.ndarray, factor: F) -> None:
    for x in range(len(r)):
        r[x], g[x], b[x] = _unit(r[x] * factor), _unit(g[x] * factor), _unit(b[x] * factor)


@_compiled
def _contrast(r: np.ndarray, g: np.ndarray, b: np.ndarray, factor: F) -> None:
    """Of whole planes (S, S): their mean grey stays."""
    total = np.float64(0)
    for y in range(len(r)):
        row, red, green, blue = F(0), r[y], g[y], b[y]
        for x in range(len(red)):
            row += RED * red[x] + GREEN * green[x] + BLUE * blue[x]
        total += row
    grey = F(total / r.size) * (F(1) - factor)
    for y in range(len(r)):
        red, green, blue = r[y], g[y], b[y]
        for x in range(len(red)):
            red[x] = _unit(red[x] * factor + grey)
            green[x] = _unit(green[x] * factor + grey)
            blue[x] = _unit(blue[x] * factor + grey)


@_compiled
def _saturation(r: np.ndarray, g: np.ndarray, b: np.ndarray, factor: F) -> None:
    for x in range(len(r)):
        grey = (RED * r[x] + GREEN * g[x] + BLUE * b[x]) * (F(1) - factor)
        r[x] = _unit(r[x] * factor + grey)
        g[x] = _unit(g[x] * factor + grey)
        b[x] = _unit(b[x] * factor + grey)


@_compiled
def _fall(hue: F, opposite: F) -> F:
    return _unit(abs(abs(hue - opposite) - F(3)) - F(1))


@_compiled
def _hue(r: np.ndarray, g: np.ndarray, b: np.ndarray, turns: F) -> None:
    """As data.transforms._hue_, sixths of the circle."""
    shift = F(6) * turns + F(12)
    for x in range(len(r)):
        red, green, blue = r[x], g[x], b[x]
        value = max(max(red, green), blue)
        chroma = value - min(min(red, green), blue)
        scale = F(1) / max(chroma, F(1e-12))
        hue = (red - green) * scale + F(4)
        hue = (blue - red) * scale + F(2) if value == green else hue
        hue = (green - blue) * scale if value == red else hue
        hue += shift
        hue -= F(6) * np.floor(hue * F(1 / 6))
        r[x] = value - chroma * _fall(hue, OPPOSITE[0])
        g[x] = value - chroma * _fall(hue, OPPOSITE[1])
        b[x] = value - chroma * _fall(hue, OPPOSITE[2])
