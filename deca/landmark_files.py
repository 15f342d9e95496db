"""68 landmarks that a user has, in place of those of a finder: files beside pictures."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from common.checkpoints import one_line
from common.errors import UserError
from data.disk.file_kinds import video_frame


def landmarks_beside(picture: Path) -> Path:
    """The landmark file of a picture: its name with another suffix, in the order of READERS.

    Of a video's frame clip.avi#46 it is clip_46.txt (.npy, …). UserError where there is none.
    """
    frame = video_frame(picture)
    stem = f"{frame[0].stem}_{frame[1]}" if frame else picture.stem
    tried = [picture.with_name(stem + suffix) for suffix in READERS]
    for path in tried:
        if path.is_file():
            return path
    names = ", ".join(path.name for path in tried)
    raise UserError(f"{picture}: no landmarks beside it; one of {names} should hold them")


def read_landmarks(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Read 68 landmarks (iBUG order) of a picture of `shape` (H, W, …) -> float32 (68, 2) pixels.

    x to the right and y down, from the centre of the first pixel on. A third column is left.
    UserError, one line, for a file of another form or landmarks that do not lie in the picture.
    """
    read = READERS.get(path.suffix.lower())
    if read is None:
        raise UserError(f"{path}: landmarks are read from {', '.join(READERS)}")
    try:
        points = np.asarray(read(path), float)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from error
    except (ValueError, TypeError, KeyError, EOFError, NotImplementedError) as error:
        raise UserError(f"{path}: no landmarks ({one_line(error)}); 68 lines of x y") from error
    if points.ndim != 2 or points.shape[0] != 68 or points.shape[1] not in (2, 3):
        raise UserError(f"{path}: {points.shape}, not 68 landmarks of x and y")
    points = points[:, :2]
    if not np.isfinite(points).all():
        raise UserError(f"{path}: landmarks that are no numbers")
    inside = ((points >= 0) & (points < shape[1::-1])).all(1).mean()
    if inside < 0.5 or np.ptp(points, axis=0).min() < 2:
        low, high = points.min(0), points.max(0)
        raise UserError(
            f"{path}: landmarks from ({low[0]:.6g}, {low[1]:.6g}) to ({high[0]:.6g}, "
            f"{high[1]:.6g}) are no face in a picture of {shape[1]} x {shape[0]} pixels"
        )
    return points.astype(np.float32)


def _text(path: Path) -> np.ndarray:
    lines = path.read_text(encoding="utf-8-sig").replace(",", " ").splitlines()
    return np.array([[float(n) for n in line.split()] for line in lines if line.strip()])


def _pts(path: Path) -> np.ndarray:
    """iBUG's format: points between braces, counted from 1."""
    _, _, rest = path.read_text(encoding="utf-8-sig").partition("{")
    lines = rest.partition("}")[0].splitlines()
    return np.array([[float(n) for n in line.split()] for line in lines if line.strip()]) - 1


def _numpy(path: Path) -> np.ndarray:
    return np.load(path, allow_pickle=False)


def _matlab(path: Path) -> np.ndarray:
    """300W-LP's format: pt3d_68 (3, 68), or pt2d (2, 68)."""
    from scipy.io import loadmat

    content = loadmat(path)
    return np.asarray(content["pt3d_68" if "pt3d_68" in content else "pt2d"]).T


READERS: dict[str, Callable[[Path], np.ndarray]] = {
    ".txt": _text,
    ".npy": _numpy,
    ".pts": _pts,
    ".mat": _matlab,
}
