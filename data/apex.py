"""The apex of one clip: the frame between onset and offset where the expression is strongest."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from .cells import cells_curve, face_cells
from .errors import UserError, warn
from .files import write_whole
from .frames import list_frames, nearest_frame, no_frame, no_images, number_frames
from .landmarks import FinderName, LandmarkFinder, load_landmark_finder, whole_image
from .pattern import pattern_curve
from .video import ClipSource, read_frames

Method = Literal["pattern", "cells"]
MARGIN = 0.5  # of a cell's width, kept around the cells


@dataclass(frozen=True)
class ApexSettings:
    """How apexes are looked for; the same settings and frames give the same apexes."""

    landmarks: FinderName
    method: Method = "pattern"
    landmarks_every: int = 0  # frames; 0: once a clip, at its onset

    def __post_init__(self) -> None:
        if self.landmarks_every < 0:
            raise UserError(f"--landmarks-every {self.landmarks_every}: a number of frames, or 0")


@dataclass(frozen=True)
class Apex:
    """What was found in a clip: the curve over its frames, and its peak."""

    frame: int
    numbers: tuple[int, ...]  # of the frames, onset to offset
    curve: tuple[float, ...]


def find_apex(
    source: ClipSource, finder: LandmarkFinder, settings: ApexSettings, clip: str
) -> Apex:
    """Find the apex of a clip whose frames run from onset to offset.

    `clip` names it in warnings and errors. UserError if it has fewer than three frames, frames
    of different sizes, or one that cannot be read.
    """
    if not isinstance(source, Path):
        _check_count(len(source), clip)
    landmarks = _clip_landmarks(read_frames(source), finder, settings.landmarks_every, clip)
    cells = np.stack([face_cells(points) for points in landmarks])
    numbers, frames, (left, top) = _read_region(source, cells, clip)
    _check_count(len(frames), clip)
    cells = cells - (left, top, left, top)
    if settings.method == "cells":
        curve = cells_curve(frames, cells if len(cells) > 1 else cells[0])
        best = int(np.argmax(curve))
    else:
        curve = pattern_curve(frames, np.rint(cells.mean(0)).astype(int))
        best = 1 + int(np.argmax(curve[1:-1]))
    return Apex(numbers[best], tuple(numbers), tuple(map(float, curve)))


def frames_between(folder: Path, onset: int, offset: int, clip: str) -> dict[int, Path]:
    """The image files of a clip from onset to offset, by number.

    An onset or offset that is missing falls back to the nearest frame within two, gaps are
    left out; a warning says so. UserError for onset after offset, or where nothing is near.
    """
    if onset > offset:
        raise UserError(f"{clip}: onset {onset} comes after offset {offset}")
    frames = number_frames(folder, onset, offset)
    ends = []
    for name, number in (("onset", onset), ("offset", offset)):
        found = nearest_frame(frames, number)
        if found is None:
            raise UserError(f"{clip}: {no_frame(frames, number, f'{name} frame')}")
        if found != number:
            warn(f"{clip}: no {name} frame {number}; the nearest, {found}, stands in")
        ends.append(found)
    between = {n: path for n, path in frames.items() if ends[0] <= n <= ends[1]}
    _warn_of_gaps(between, clip)
    return between


def all_frames(path: Path) -> ClipSource:
    """The frames of a folder of images, or of a video file, as one clip."""
    if path.is_dir():
        frames = list_frames(path)
        if not frames:
            raise no_images(path)
        _warn_of_gaps(frames, str(path))
        return frames
    if not path.is_file():
        raise UserError(f"{path}: no such folder of frames or video file")
    return path


def process_clip(path: Path, settings: ApexSettings, plots: Path | None) -> None:
    """Print the apex of a folder of frames or a video file, and write its plot."""
    apex = find_apex(
        all_frames(path), load_landmark_finder(settings.landmarks), settings, str(path)
    )
    print(f"{path}: apex {apex.frame}, of frames {apex.numbers[0]} to {apex.numbers[-1]}")
    if plots:
        plot = plots / f"{path.stem}.png"
        plot_apex(apex, path.name, plot)
        print(f"curve: {plot}")


def plot_apex(apex: Apex, title: str, path: Path) -> None:
    """Write a picture of the curve with its peak."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 2.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot(apex.numbers, apex.curve, color="0.4", marker=".")
    axes.axvline(apex.frame, color="tab:red", linewidth=1)
    axes.annotate(
        f" apex {apex.frame}",
        (apex.frame, 0.02),
        xycoords=("data", "axes fraction"),
        color="tab:red",
    )
    axes.set(title=title, xlabel="frame", ylabel="change")
    axes.spines[["top", "right"]].set_visible(False)
    with write_whole(path) as part:
        figure.savefig(part, dpi=100)


def _check_count(count: int, clip: str) -> None:
    if count < 3:
        raise UserError(
            f"{clip}: {count} frame{'s' if count != 1 else ''}; an apex lies between onset and "
            "offset, so it takes three"
        )


def _warn_of_gaps(frames: dict[int, Path], clip: str) -> None:
    numbers = list(frames)
    missing = numbers[-1] - numbers[0] + 1 - len(numbers)
    if missing:
        gap = next(n for n in range(numbers[0], numbers[-1]) if n not in frames)
        warn(
            f"{clip}: {missing} frame numbers missing between {numbers[0]} and {numbers[-1]}, "
            f"the first {gap}; the curve goes on without them"
        )


def _clip_landmarks(
    images: Iterable[tuple[int, np.ndarray]], finder: LandmarkFinder, every: int, clip: str
) -> np.ndarray:
    """Landmarks of a clip: (1, 68, 2) for all its frames, or (T, 68, 2).

    every = 0: from the onset or the first frame with a face. every = N: from each Nth frame,
    straight lines between; a frame with no face takes the nearest one's.
    """
    found, count, first = {}, 0, None
    for t, (_, image) in enumerate(images):
        first = image if first is None else first
        count += 1
        if every == 0 or t % every == 0:
            points = finder(image)
            if points is not None:
                found[t] = points
                if every == 0:
                    break
    if not found:
        warn(f"{clip}: no face found in {count} frames; taking the whole image as the face's box")
        return finder.in_box(first, whole_image(first))[None]
    times = np.array(list(found))
    points = np.stack(list(found.values()))
    if every == 0:
        return points
    looked_at = np.arange(0, count, every)
    nearest = np.abs(looked_at[:, None] - times).argmin(1)
    flat = points[nearest].reshape(len(looked_at), -1)
    lines = [np.interp(np.arange(count), looked_at, column) for column in flat.T]
    return np.stack(lines, 1).reshape(count, 68, 2)


def _read_region(
    source: ClipSource, cells: np.ndarray, clip: str
) -> tuple[list[int], np.ndarray, tuple[int, int]]:
    """Frame numbers, the region around all cells in every frame (T, H, W), and its left top."""
    numbers, regions, shape = [], [], None
    for number, image in read_frames(source, grey=True):
        if shape is None:
            shape = image.shape
            left, top, right, bottom = _region(cells, shape, clip)
        elif image.shape != shape:
            raise UserError(
                f"{clip}: frame {number} is {image.shape[1]} x {image.shape[0]}, the onset "
                f"{shape[1]} x {shape[0]}: frames of different sizes"
            )
        numbers.append(number)
        regions.append(image[top:bottom, left:right].copy())
    return numbers, np.stack(regions), (left, top)


def _region(cells: np.ndarray, shape: tuple[int, int], clip: str) -> tuple[int, int, int, int]:
    rects = cells.reshape(-1, 4)
    margin = MARGIN * (rects[:, 2] - rects[:, 0]).max()
    left, top = np.maximum(rects[:, :2].min(0) - margin, 0).astype(int)
    right, bottom = np.minimum(rects[:, 2:].max(0) + margin, shape[::-1]).astype(int)
    if margin <= 0 or left >= right or top >= bottom:
        raise UserError(f"{clip}: the landmarks lie outside the image or show no mouth's width")
    return left, top, right, bottom
