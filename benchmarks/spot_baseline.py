"""The published training-free way of spotting, on long videos: optical flow, peaks, no learning.

Written from the description of He (ACM MM 2021, doi 10.1145/3474085.3479225) and of Zhao, Tong,
Zhu, Sheng et al. (ACM MM 2022, doi 10.1145/3503161.3551602); the constants are theirs. What the
description leaves open is decided here: of overlapping peaks the highest stands for all; one that
a window's end cuts is left to the next window; the check of envelopes by empirical mode
decomposition is left out. The published band-pass of 1 to 5 Hz takes slow expressions apart: what
is found without its lower end is written and scored too. Intervals are numbered as the
annotation's frames.

python -m benchmarks.spot_baseline --annotation demo_far/truth_long.csv --root demo_far
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from rich.progress import track
from scipy.signal import butter, find_peaks, sosfiltfilt

from common.cli import run_script
from common.files import write_whole
from common.parallel import cores, worker_pool
from data.corpora.long_names import kind_of
from data.corpora.long_videos import NoOffset, find_videos, read_long_annotation
from data.disk.clip_frames import read_frames
from data.disk.file_kinds import is_video
from data.disk.frames import list_frames
from data.faces import load_face_finder
from loso.spot_causes import false_alarms
from loso.spot_score import print_score, score_files

RATE = 30  # frames a second that are looked at
WINDOW, STEP = 200, 100  # frames
SIDE = 256  # of the face's picture
ABOVE, BELOW, BESIDE = 3, 5, 4  # of the crop, in half distances of the inner eye corners
FARNEBACK = (0.5, 3, 15, 5, 7, 1.5, 0)  # scale, levels, window, iterations, poly n, sigma, flags
NEAR = 10  # pixels around a point whose flow is read
STRONGEST = 0.25  # share of the vectors there
NOSE = 30  # the landmark at its tip
# Points whose flow is read, by part of the face (iBUG numbers): alone and together.
PARTS = {
    "brows": ((18, 19, 20), (23, 24, 25)),
    "mouth": ((48, 51, 54, 57, 62),),
    "nose": ((31, 35),),
}
LEAST = {"brows": 1.8, "mouth": 1.85, "nose": 2.1}  # pixels above the lowest within a second
OVER_WINDOW = 1.4  # pixels above the window's lowest
BAND = (1.0, 5.0)  # Hz; without the lower end slow expressions stay whole
FOOT = 0.33  # share of a peak's height at which it begins and ends
SPLIT = 0.7  # pixels: least depth of a valley that parts two
SHARED = 0.34  # overlap of the shorter from which peaks of several points are one
SHORTEST, LONGEST = 12, 200  # frames of an interval


Peak = tuple[int, int, float]  # first and last position, height in pixels


@dataclass(frozen=True)
class Seen:
    """Frames of a window, grey, with their numbers; those between are left out."""

    numbers: list[int]
    images: list[np.ndarray]


def main(
    annotation: Path,
    root: Path,
    out: Path = Path("result/spot_baseline"),
    no_offset: NoOffset = "apex",
    workers: int = cores(),
) -> None:
    """Spot in every video of an annotation, write what was found, score it.

    Args:
        annotation: truth_long.csv of drawn long videos, or a corpus's table.
        root: the folder that holds the videos.
        out: folder of the intervals: published.csv and slow.csv.
        no_offset: what CAS(ME)²'s offset 0 stands for: apex, mirror or leave.
        workers: processes that look, one a video.
    """
    read = read_long_annotation(annotation, no_offset=no_offset)
    paths = find_videos(root, read)
    rates = dict(zip(read.expressions["video"], read.expressions["fps"]))
    usual = float(read.expressions["fps"].mode()[0])
    fps = {video: rates.get(video, usual) for video in paths}
    with worker_pool(min(workers, len(paths)), cv2.setNumThreads, 1) as pool:
        done = pool.map(spot_video, map(str, paths.values()), fps.values())
        found = list(track(done, "spotting", total=len(paths), transient=True))
    for way in ("published", "slow"):
        rows = [
            {"video": video, "onset": a, "offset": b, "kind": kind_of(a, b, fps[video])}
            for video, by_way in zip(paths, found)
            for a, b in by_way[way]
        ]
        path = out / f"{way}.csv"
        with write_whole(path) as part:
            table = pd.DataFrame(rows, columns=["video", "onset", "offset", "kind"])
            table.to_csv(part, index=False)
        print_score(score_files(path, annotation, no_offset=no_offset))
        if read.corpus == "drawn":
            causes = false_alarms(path, annotation)
            told = ", ".join(f"{cause} {rate:.1f}" for cause, rate in causes.items())
            print(f"false alarms a minute by what happens then: {told}")
        print(f"wrote {path}: {len(rows)} intervals in {len(paths)} videos")


def spot_video(path: str, fps: float) -> dict[str, list[tuple[int, int]]]:
    """Onset and offset of what moves in a video, by its frames' numbers: published, slow."""
    every = max(1, round(fps / RATE))
    found: dict[str, list[Peak]] = {"published": [], "slow": []}
    for window, last in _windows(Path(path), every):
        curves = _curves(window)
        if curves is None:
            continue
        for way, kept in found.items():
            pieces = [
                peak
                for part, curve in curves
                for peak in _peaks(curve, part, fps / every, way == "slow")
            ]
            for start, end, height in _strongest(pieces):
                cut = end >= len(window.numbers) - 2 and not last
                if SHORTEST <= end - start + 1 <= LONGEST and not cut:
                    kept.append((window.numbers[start], window.numbers[end], height))
    return {
        way: sorted((start, end) for start, end, _ in _strongest(kept))
        for way, kept in found.items()
    }


def _windows(path: Path, every: int) -> Iterator[tuple[Seen, bool]]:
    """Windows of a video, each STEP further, with whether it is the last."""
    source = path if is_video(path) else list_frames(path)
    first = 1 if is_video(path) else 0  # a video's frames count from 0, the annotation's from 1
    frames = itertools.islice(read_frames(source, grey=True), 0, None, every)
    numbers: list[int] = []
    images: list[np.ndarray] = []
    for number, image in frames:
        numbers.append(number + first)
        images.append(image)
        if len(images) > WINDOW:
            yield Seen(numbers[:WINDOW], images[:WINDOW]), False
            del numbers[:STEP], images[:STEP]
    if len(images) > RATE:
        yield Seen(numbers, images), True


def _curves(window: Seen) -> list[tuple[str, np.ndarray]] | None:
    """How far each part of the face has gone in each frame, in pixels of the crop: (T,) each."""
    finder = load_face_finder("dlib")
    face = finder.find(np.repeat(window.images[0][:, :, None], 3, 2), "")
    if face is None:
        return None
    points = face.landmarks
    inner = (points[39] + points[42]) / 2
    half = np.linalg.norm(points[42] - points[39]) / 2
    corner = inner - (BESIDE * half, ABOVE * half)
    scale = np.array([SIDE / (2 * BESIDE * half), SIDE / ((ABOVE + BELOW) * half)])
    placed = (points - corner) * scale
    first = _crop(window.images[0], corner, scale)
    moved: dict[tuple[str, int], list[np.ndarray]] = {}
    shift = np.zeros(2)
    for image in window.images:
        rest = np.zeros(2)
        for _ in range(4):  # the crop follows the nose
            now = _crop(image, corner + shift, scale)
            rest = _nose_flow(first, now, placed[NOSE])
            if np.linalg.norm(rest) < 1:
                break
            shift = shift + rest / scale
        now = _crop(image, corner + shift, scale)
        flow = cv2.calcOpticalFlowFarneback(first, now, None, *FARNEBACK)
        nose = _mean_flow(flow, placed[NOSE])
        for part, sets in PARTS.items():
            at = 0
            for group in sets:
                ways = [_mean_flow(flow, placed[n]) - nose for n in group]
                for way in (*ways, np.mean(ways, axis=0)):
                    moved.setdefault((part, at), []).append(way)
                    at += 1
    return [(part, np.linalg.norm(np.array(ways), axis=1)) for (part, _), ways in moved.items()]


def _crop(image: np.ndarray, corner: np.ndarray, scale: np.ndarray) -> np.ndarray:
    matrix = np.array([[scale[0], 0, -corner[0] * scale[0]], [0, scale[1], -corner[1] * scale[1]]])
    return cv2.warpAffine(image, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)


def _nose_flow(first: np.ndarray, now: np.ndarray, nose: np.ndarray) -> np.ndarray:
    """The mean flow of a patch around the nose's tip."""
    x, y = np.clip(nose.astype(int), 30, SIDE - 30)
    patch = np.s_[y - 30 : y + 30, x - 30 : x + 30]
    flow = cv2.calcOpticalFlowFarneback(first[patch], now[patch], None, *FARNEBACK)
    return flow[15:-15, 15:-15].mean((0, 1))


def _mean_flow(flow: np.ndarray, point: np.ndarray) -> np.ndarray:
    """The mean of the strongest vectors around a point."""
    x, y = np.clip(point.astype(int), NEAR, SIDE - NEAR - 1)
    near = flow[y - NEAR : y + NEAR + 1, x - NEAR : x + NEAR + 1].reshape(-1, 2)
    strong = np.argsort((near**2).sum(1))[-int(STRONGEST * len(near)) :]
    return near[strong].mean(0)


def _peaks(curve: np.ndarray, part: str, rate: float, slow: bool = False) -> list[tuple[int, int]]:
    """First and last position of each peak that is high enough."""
    if len(curve) < RATE:
        return []
    low, high = BAND[0], min(BAND[1], 0.45 * rate)
    kind, ends = ("lowpass", high) if slow else ("bandpass", [low, high])
    curve = sosfiltfilt(butter(2, ends, kind, fs=rate, output="sos"), curve)
    second = round(rate)
    found = []
    for peak in find_peaks(curve)[0]:
        around = curve[max(peak - second, 0) : peak + second + 1]
        height = curve[peak] - around.min()
        if curve[peak] - curve.min() >= OVER_WINDOW and height >= LEAST[part]:
            ends = _foot(curve, peak, -1, height), _foot(curve, peak, 1, height)
            found.append((*ends, float(height)))
    return found


def _foot(curve: np.ndarray, peak: int, way: int, height: float) -> int:
    """Where a peak begins (way -1) or ends (1): at a third of its height, or a deep valley."""
    lowest, at = curve[peak], peak
    i = int(peak)
    while 0 <= i + way < len(curve):
        i += way
        if curve[i] < lowest:
            lowest, at = curve[i], i
        if curve[i] <= curve[peak] - (1 - FOOT) * height:
            return i
        if curve[i] - lowest >= max(SPLIT, FOOT * height):
            return at
    return i


def _strongest(pieces: list[Peak]) -> list[Peak]:
    """Of peaks that share more than a third of the shorter one, the highest."""
    kept: list[Peak] = []
    for start, end, height in sorted(pieces, key=lambda piece: -piece[2]):
        for first, last, _ in kept:
            shared = min(end, last) - max(start, first) + 1
            if shared > SHARED * min(end - start + 1, last - first + 1):
                break
        else:
            kept.append((start, end, height))
    return kept


if __name__ == "__main__":
    run_script(main)
