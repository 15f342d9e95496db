"""The apex of one clip: the frame between onset and offset where the expression is strongest."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Literal

import numpy as np

from common.errors import UserError, warn
from common.progress import progress_bar
from data.disk.clip_frames import ClipSource, read_frames
from data.disk.frames import list_frames, nearest_frame, no_frame, no_images, number_frames
from data.face_search import FoundFace
from data.faces import FaceFinder, NoFaceError
from data.landmarks import FinderName

from .cells import cells_curve, face_cells
from .pattern import pattern_curve, shrink, shrink_cells

Method = Literal["pattern", "cells"]
MARGIN = 0.5  # of a cell's width, kept around the cells
LONG, MOST = 600, 5000  # frames: twice half a second at 500 a second; what memory is planned for
RISE = 0.15  # share of the curve's height that is still its foot
SMALLEST = 16  # pixels: the side of a region in which something can be measured
# A frame that correlates less with the face than this is looked at for a face of its own.
ALIKE = 0.7
PATIENCE, STRIDE = 50, 10  # frames without a face before only each tenth is looked at


@dataclass(frozen=True)
class ApexSettings:
    """How apexes are looked for; the same settings and frames give the same apexes."""

    landmarks: FinderName
    method: Method = "pattern"
    landmarks_every: int = 0  # frames; 0: once a clip, at its onset
    face: int | None = None  # which one where there are several, from the left; the largest if None

    def __post_init__(self) -> None:
        if self.landmarks_every < 0:
            raise UserError(f"--landmarks-every {self.landmarks_every}: a number of frames, or 0")


@dataclass(frozen=True)
class Apex:
    """What was found in a clip: the curve over its frames, and its peak."""

    frame: int
    numbers: tuple[int, ...]  # of the frames that show the face, onset to offset
    curve: tuple[float, ...]
    found_by: str  # how the face was found: FoundFace.found_by

    @property
    def onset(self) -> int:
        """Where the movement to the apex begins: the last frame before it near the curve's foot."""
        peak = self.numbers.index(self.frame)
        foot = min(self.curve[: peak + 1])
        level = foot + RISE * (self.curve[peak] - foot)
        return self.numbers[max(i for i in range(peak + 1) if self.curve[i] <= level or i == 0)]


def find_apex(source: ClipSource, faces: FaceFinder, settings: ApexSettings, clip: str) -> Apex:
    """Find the apex of a clip whose frames run from onset to offset.

    The clip's face is found once and followed; frames before it is there, and frames that do
    not show it, are left out. `clip` names the clip in messages. UserError if no frame shows a
    face, if fewer than three do or more than MOST, if frames differ in size or cannot be read.
    """
    if not isinstance(source, Path):
        _check_count(len(source), clip)
    first, face = first_face(source, faces, clip)
    points = face.landmarks[None]
    if settings.landmarks_every:
        points = _points_every(source, first, face, faces, settings.landmarks_every)
    frames = _frames_from(source, first, grey=True)
    opening = next(frames)
    cells = np.stack([face_cells(one) for one in points])
    box = _box_around(cells, opening[1].shape, clip)
    cells = cells - (*box[:2], *box[:2])
    numbers: list[int] = []
    small: list[np.ndarray] = []
    for number, region, shrunk in _face_regions(chain([opening], frames), face, box, faces, clip):
        numbers.append(number)
        last = region
        if settings.method == "pattern":
            small.append(shrunk)
    _check_count(len(numbers), clip)
    if settings.method == "cells":
        kept = set(numbers)
        again = _frames_from(source, first, grey=True)
        regions = (_cut(image, box) for number, image in again if number in kept)
        curve = cells_curve(regions, cells[0] if len(cells) == 1 else cells, last)
        best = int(np.argmax(curve))
    else:
        mean = np.rint(cells.mean(0)).astype(int)
        curve = pattern_curve(np.stack(small), shrink_cells(mean, last.shape[1]))
        best = 1 + int(np.argmax(curve[1:-1]))
    return Apex(numbers[best], tuple(numbers), tuple(map(float, curve)), face.found_by)


def first_face(source: ClipSource, faces: FaceFinder, clip: str) -> tuple[int, FoundFace]:
    """The number of the first frame that shows the clip's face, and the face there.

    NoFaceError if none does.
    """
    before: deque[tuple[int, np.ndarray]] = deque(maxlen=STRIDE)
    count = 0
    for number, image in read_frames(source):
        count += 1
        face = None
        if count <= PATIENCE or count % STRIDE == 0:
            face = faces.find(image, f"{clip}, frame {number}")
        if face is None:
            before.append((number, image))
            continue
        for earlier, picture in reversed(before):  # a detector can miss what can be followed
            same = faces.again(picture, face)
            if same is None:
                break
            number, face = earlier, same
        return number, face
    raise NoFaceError(f"{clip}: no face found by {faces.name} in {count} frames")


def frames_between(
    folder: Path, onset: int, offset: int, clip: str, first: int | None = None
) -> dict[int, Path]:
    """The image files of a clip from onset to offset, by number.

    An onset or offset that is missing falls back to the nearest frame within two, gaps are
    left out; a warning says so. first: the number of a video's first frame. UserError for onset
    after offset, or where nothing is near.
    """
    if onset > offset:
        raise UserError(f"{clip}: onset {onset} comes after offset {offset}")
    frames = number_frames(folder, onset, offset, first)
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


Region = tuple[int, int, int, int]  # left, top, right, bottom in a picture


def _frames_from(
    source: ClipSource, first: int, grey: bool = False
) -> Iterator[tuple[int, np.ndarray]]:
    return ((number, image) for number, image in read_frames(source, grey) if number >= first)


def _cut(image: np.ndarray, box: Region) -> np.ndarray:
    left, top, right, bottom = box
    return image[top:bottom, left:right]


def _box_around(cells: np.ndarray, shape: tuple[int, ...], clip: str) -> Region:
    """The part of a picture that holds cells (N, 10, 4) and a margin; UserError if it is tiny."""
    height, width = shape
    rects = cells.reshape(-1, 4)
    margin = MARGIN * (rects[:, 2] - rects[:, 0]).max()
    left, top = np.maximum(rects[:, :2].min(0) - margin, 0).astype(int)
    right, bottom = np.minimum(rects[:, 2:].max(0) + margin, (width, height)).astype(int)
    if margin <= 0 or right - left < SMALLEST or bottom - top < SMALLEST:
        raise UserError(f"{clip}: the face is too small, or for the most part outside the picture")
    return left, top, right, bottom


def _points_every(
    source: ClipSource, first: int, face: FoundFace, faces: FaceFinder, every: int
) -> np.ndarray:
    """Landmarks (T, 68, 2) of the frames from `first` on: each Nth one's, straight lines between.

    A frame where the face cannot be followed takes the nearest one's.
    """
    found, count, known = {}, 0, face
    for _, image in _frames_from(source, first):
        if count % every == 0:
            same = faces.again(image, known)
            if same is not None:
                found[count], known = same.landmarks, same
        count += 1
    times = np.array(list(found))
    looked_at = np.arange(0, count, every)
    nearest = np.abs(looked_at[:, None] - times).argmin(1)
    flat = np.stack(list(found.values()))[nearest].reshape(len(looked_at), -1)
    lines = [np.interp(np.arange(count), looked_at, column) for column in flat.T]
    return np.stack(lines, 1).reshape(count, 68, 2)


def _face_regions(
    frames: Iterator[tuple[int, np.ndarray]],
    face: FoundFace,
    box: Region,
    faces: FaceFinder,
    clip: str,
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """(number, region, the same shrunk) of each grey frame that shows the face.

    A warning counts the others.
    """
    reference, shape, gone, seen = None, None, [], 0
    for number, image in _with_progress(frames, clip):
        seen += 1
        if shape is None:
            shape = image.shape
        elif image.shape != shape:
            raise UserError(
                f"{clip}: frame {number} is {image.shape[1]} x {image.shape[0]}, the onset "
                f"{shape[1]} x {shape[0]}: frames of different sizes"
            )
        region = _cut(image, box)
        shrunk = shrink(region)
        look = _standardised(shrunk)
        if reference is None:
            reference = look
        if np.mean(look * reference) < ALIKE:
            same = faces.again(np.dstack([image] * 3), face)
            if same is None:
                gone.append(number)
                continue
        yield number, region, shrunk
    if gone:
        warn(
            f"{clip}: the face is not in {len(gone)} of {seen} frames, the first {gone[0]}; they "
            "are left out"
        )


def _with_progress(
    frames: Iterator[tuple[int, np.ndarray]], clip: str
) -> Iterator[tuple[int, np.ndarray]]:
    """The frames; of a long clip with a warning, progress, and an end at MOST."""
    yield from islice(frames, LONG)
    following = next(frames, None)
    if following is None:
        return
    warn(
        f"{clip}: more than {LONG} frames; a micro-expression lasts half a second, so an apex is "
        "looked for between onset and offset: cut the clip, or name them"
    )
    yield following
    with progress_bar(f"frames of {Path(clip).name}", MOST, LONG + 1) as bar:
        for count, frame in enumerate(frames, LONG + 2):
            if count > MOST:
                raise UserError(
                    f"{clip}: more than {MOST} frames; cut the clip from onset to offset, or give "
                    "--onset and --apex"
                )
            yield frame
            bar.advance()


def _standardised(picture: np.ndarray) -> np.ndarray:
    centred = picture - picture.mean(dtype=np.float32)
    return centred / max(float(centred.std()), 1e-3)
