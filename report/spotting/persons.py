"""The person of a spotted video, where that is wanted: frames cut to the face, the own head."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from common.errors import UserError
from common.progress import progress_bar
from data.faces import FaceFinder, NoFaceError

from .head import render_moved
from .record import Spotting

ENDS = ("onset", "apex", "offset")
MARGIN = 0.35  # around the face's boxes, in their sides
TALLEST = 480  # pixels of what is kept of a frame
LEAST_MOTION = 0.001  # metres: what moves less does not get the whole colour
TOGETHER = 32  # heads that are fitted at once


@dataclass(frozen=True)
class OwnHead:
    """A person's head, uint8 (S, 2 S, 4) RGBA, and how far its surface moved at most, in mm."""

    picture: np.ndarray
    millimetres: float


def cut_faces(spotted: Spotting) -> list[list[np.ndarray]]:
    """Onset, apex and offset of each interval, uint8 (h, w, 3) RGB, cut alike around the face.

    UserError where the video is gone or lacks a frame that the record names.
    """
    wanted: dict[int, list[tuple[int, int]]] = {}
    for i, interval in enumerate(spotted.intervals):
        for k, name in enumerate(ENDS):
            wanted.setdefault(interval[name], []).append((i, k))
    found: dict[tuple[int, int], np.ndarray] = {}
    if not wanted:
        return []
    first, last = spotted.facts.get("first") or 0, max(wanted)
    regions = [_region(spotted, interval) for interval in spotted.intervals]
    with progress_bar("thumbnails, frames", last + 1 - first) as bar:
        for number, _, image in spotted.pictures():
            for i, k in wanted.get(number, ()):
                found[i, k] = _cut(image, regions[i])
            bar.advance()
            if number >= last:
                break
    lacking = [number for number, places in wanted.items() if places[0] not in found]
    if lacking:
        raise UserError(f"{spotted.video()}: has no frame {min(lacking)}, which the record names")
    return [[found[i, k] for k in range(len(ENDS))] for i in range(len(spotted.intervals))]


def _region(spotted: Spotting, interval: dict) -> np.ndarray | None:
    """What to cut out of an interval's frames: left, top, right, bottom; None for all."""
    boxes = spotted.curves[["x0", "y0", "x1", "y1"]].to_numpy(float)
    rows = [row for name in ENDS if (row := spotted.row(interval[name])) is not None]
    known = boxes[rows][np.isfinite(boxes[rows]).all(1)]
    if not len(known):
        return None
    low, high = known[:, :2].min(0), known[:, 2:].max(0)
    reach = MARGIN * (high - low).max()
    return np.concatenate([np.maximum(np.floor(low - reach), 0), np.ceil(high + reach)]).astype(int)


def _cut(image: np.ndarray, region: np.ndarray | None) -> np.ndarray:
    if region is not None:
        left, top, right, bottom = region
        cut = image[top:bottom, left:right]
        image = cut if cut.size else image
    return shrink(image, TALLEST)


def shrink(image: np.ndarray, height: int) -> np.ndarray:
    """A picture at most `height` pixels tall."""
    scale = min(1.0, height / image.shape[0])
    size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def own_heads(cuts: Sequence[Sequence[np.ndarray]], faces: FaceFinder) -> list[OwnHead | None]:
    """The person's head at each interval's apex, orange where it moved since the onset.

    cuts: as from cut_faces. Fitted by the free head's backend (deca/anny), one identity for what
    is fitted together. None where no face is found in onset and apex.
    """
    batches = (cuts[i : i + TOGETHER] for i in range(0, len(cuts), TOGETHER))
    return [head for some in batches for head in _fit(some, faces)]


def _fit(cuts: Sequence[Sequence[np.ndarray]], faces: FaceFinder) -> list[OwnHead | None]:
    from deca.anny.backend import AnnyBackend
    from deca.reconstruction import Face

    shown: dict[int, Face] = {}
    for i, (onset, apex, _) in enumerate(cuts):
        try:
            second = faces.pair(onset, apex, f"interval {i + 1}")[1]
        except NoFaceError:  # cut so that the detector does not see it, or lost by the spotter
            continue
        if second is not None:
            shown[i] = Face(apex, second.landmarks, "person", onset, second.found_by)
    if not shown:
        return [None] * len(cuts)
    fitted = dict(zip(shown, AnnyBackend().reconstruct(list(shown.values())), strict=True))
    heads: list[OwnHead | None] = []
    for i in range(len(cuts)):
        head = fitted.get(i)
        if head is None or head.motion is None:
            heads.append(None)
            continue
        most = float(head.motion.norm(dim=1).max())
        moved = head.frontal[None], head.motion, head.topology.faces, head.framing
        picture = render_moved(*moved, full=max(most, LEAST_MOTION))
        heads.append(OwnHead(picture, 1000 * most))
    return heads
