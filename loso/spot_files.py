"""What spot.py leaves on disk: a table of intervals, one of frames a video, and JSON."""

import csv
import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.files import write_whole
from data.spotting.actions import UNITS, unit_levels
from data.spotting.curves import RATE
from data.spotting.reader import Film
from data.spotting.track import Track

from .spotting import THRESHOLDS, Interval, Scores

FORMAT = 1
INTERVALS, INDEX, FRAMES = "intervals.csv", "spotting.json", "frames.csv"
AT_REST = 6.0  # seconds to both sides within which a face is taken to rest at times
SELDOM = 20  # per cent: how often it does
FULL = 5.0  # OpenFace's intensity of a full unit
NONE = "none"  # the label where nothing tells which expression it is
UNEVEN = 0.5  # of a frame: further apart than the rate says, and the rate varies
WRONG = 0.005  # share by which a header's rate is wrong
ROWS = 1800  # of frames.csv that are made together
HEADER = (
    "video", "path", "onset", "apex", "offset", "onset_s", "apex_s", "offset_s", "kind", "label",
    "negative", "positive", "surprise", "confidence", "units",
)  # fmt: skip


@dataclass(frozen=True)
class Spotted:
    """One film, looked through."""

    name: str
    film: Film
    track: Track
    scores: Scores
    intervals: list[Interval]


def write_spotted(out: Path, spotted: Spotted) -> dict:
    """Write <out>/<name>/frames.csv, the motion maps and spotting.json -> what the latter says."""
    folder = out / spotted.name
    rows = np.interp(spotted.track.times, np.arange(spotted.scores.scores.shape[1]) / RATE,
                     spotted.scores.scores.max(0))  # fmt: skip
    _write_frames(folder / FRAMES, spotted.track, rows)
    shown = []
    for old in (folder / "intervals").glob("*.npz"):  # of an earlier run
        old.unlink()
    for one in spotted.intervals:
        path = ""
        if one.map is not None:
            path = f"intervals/{spotted.track.numbers[one.apex]:06d}.npz"
            with write_whole(folder / path) as part:
                np.savez_compressed(part, map=one.map.astype(np.float16))
        shown.append(_interval(spotted, one, path))
    film = spotted.film
    facts = {
        "format": FORMAT, "video": str(film.path), "name": spotted.name,
        **_rates(film, spotted.track), "first": film.first,
        "width": film.width, "height": film.height,
        "thresholds": THRESHOLDS, "intervals": shown, "missed": _missed(spotted.track),
        "curves": FRAMES, "columns": {"motion": "score", "threshold": "threshold"},
    }  # fmt: skip
    with write_whole(folder / INDEX) as part:
        part.write_text(json.dumps(facts, indent=1) + "\n")
    return facts


def write_tables(out: Path, videos: list[dict], failed: dict[str, str]) -> None:
    """Write <out>/intervals.csv of all videos, and <out>/spotting.json, an index of them."""
    with write_whole(out / INTERVALS) as part, part.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(HEADER)
        for video in videos:
            for one in video["intervals"]:
                table.writerow(_row(video, one))
    index = {
        "format": FORMAT,
        "videos": [
            {"name": v["name"], "video": v["video"], "spotting": f"{v['name']}/{INDEX}",
             "intervals": len(v["intervals"])}
            for v in videos
        ],
        "failed": failed,
    }  # fmt: skip
    with write_whole(out / INDEX) as part:
        part.write_text(json.dumps(index, indent=1) + "\n")


def _interval(spotted: Spotted, one: Interval, flow: str) -> dict:
    track = spotted.track
    facts: dict = {}
    for name, row in (("onset", one.onset), ("apex", one.apex), ("offset", one.offset)):
        facts[name] = int(track.numbers[row])
        facts[f"{name}_s"] = round(float(track.times[row]), 3)
    label = max(one.classes, key=one.classes.__getitem__) if one.classes else NONE
    return facts | {
        "kind": one.kind,
        "label": label,
        "classes": {name: round(score, 4) for name, score in one.classes.items()},
        "confidence": round(one.score, 4),
        "units": [
            {"unit": unit, "side": side, "strength": round(strength, 3)}
            for unit, side, strength in one.units
        ],
        "box": [round(float(side), 1) for side in boxes(track.frames[one.apex][None])[0]],
        "flow": flow,
    }


def _rates(film: Film, track: Track) -> dict:
    """How many frames there are, how many a second, and for how long they go on.

    varies: whether frames are unevenly spaced; fps and analysed_fps are means then, and where the
    header's rate is not that of the frames' times. seconds: to the end of the last frame.
    """
    frames, last = int(track.numbers[-1]) - film.first + 1, float(track.times[-1])
    fps, analysed = film.fps, film.analysed_fps
    late = np.diff(track.times) * fps - np.diff(track.numbers)  # frames
    varies = bool(film.timed and np.abs(late).max(initial=0) > UNEVEN)
    if varies or (last and abs((frames - 1) / last / fps - 1) > WRONG):
        fps, analysed = (frames - 1) / last, (len(track.times) - 1) / last
    return {
        "fps": fps, "frames": frames, "seconds": round(last + 1 / fps, 3), "analysed_fps": analysed,
        "timed": film.timed, "varies": varies,
    }  # fmt: skip


def _row(video: dict, one: dict) -> list:
    units = "; ".join(
        f"AU{unit['unit']}{unit['side'] and ' ' + unit['side']} {unit['strength']:.2f}"
        for unit in one["units"]
    )
    times = [one[name] for name in HEADER[2:8]]
    scores = [one["classes"].get(name, "") for name in ("negative", "positive", "surprise")]
    return [video["name"], video["video"], *times, one["kind"], one["label"], *scores,
            one["confidence"], units]  # fmt: skip


def _missed(track: Track) -> list[dict]:
    """The stretches without a face."""
    missed = []
    lost = np.concatenate([[False], ~track.found, [False]]).astype(int)
    starts, ends = np.flatnonzero(np.diff(lost) == 1), np.flatnonzero(np.diff(lost) == -1) - 1
    for first, last in zip(starts, ends):
        missed.append(
            {"from": int(track.numbers[first]), "to": int(track.numbers[last]), "why": "no face"}
        )
    return missed


def boxes(frames: np.ndarray) -> np.ndarray:
    """Frames (N, 2, 3) from [0, 1]² to pixels -> the boxes (N, 4) around them: x0, y0, x1, y1."""
    corners = np.array([[0, 0, 1], [1, 0, 1], [0, 1, 1], [1, 1, 1]], float)
    points = np.einsum("nij,kj->nki", frames, corners)
    return np.concatenate([points.min(1), points.max(1)], 1)


def _write_frames(path: Path, track: Track, scores: np.ndarray) -> None:
    names = [f"AU{unit:02d}" for unit in UNITS]
    header = ["frame", "timestamp", "confidence", "success", "x0", "y0", "x1", "y1", "motion",
              "score", "threshold", *(f"{name}_r" for name in names),
              *(f"{name}_c" for name in names)]  # fmt: skip
    header += [f"{name}_{side}" for name in names for side in ("left", "right")]
    least = min(THRESHOLDS.values())
    with write_whole(path) as part, part.open("w") as file:
        file.write(",".join(header) + "\n")
        for rows, levels, tremble in _unit_windows(track):
            found = track.found[rows]
            box = np.where(found[:, None], boxes(track.frames[rows]), 0)
            both = np.clip(levels, 0, 1).max(2)  # (N, U)
            shown = both > np.maximum(0.1, 4 * tremble)
            columns = [
                np.where(found, np.clip(track.alike[rows], 0, 1), 0), found, *box.T,
                both.max(1), scores[rows], np.full(len(found), least), *(FULL * both).T, *shown.T,
                *(FULL * np.clip(levels, 0, 1)).reshape(len(found), -1).T,
            ]  # fmt: skip
            table = np.nan_to_num(np.stack(columns, 1).astype(float))
            form = ["%d", "%.4f", "%.3f", "%d", *["%.1f"] * 4, "%.3f", "%.3f", "%.3f"]
            form += ["%.2f"] * len(names) + ["%d"] * len(names) + ["%.2f"] * 2 * len(names)
            head = np.stack([track.numbers[rows], track.times[rows]], 1)
            np.savetxt(file, np.concatenate([head, table], 1), fmt=form, delimiter=",")


def _unit_windows(track: Track) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Rows, the units' levels (N, U, 2) over what they are at rest, and their noise (U,)."""
    step = float(np.median(np.diff(track.times))) if len(track.times) > 1 else 1 / RATE
    beside = int(AT_REST / step)
    for first in range(0, len(track.times), ROWS):
        last = min(first + ROWS, len(track.times))
        low, high = max(first - beside, 0), min(last + beside, len(track.times))
        levels = unit_levels(track.values[low:high])
        rest = _resting(levels, beside)
        levels = (levels - rest)[first - low : last - low]
        second = np.abs(np.diff(levels, 2, axis=0)) if len(levels) > 2 else levels * 0
        with warnings.catch_warnings():  # a stretch without a face has no level
            warnings.simplefilter("ignore", RuntimeWarning)
            tremble = np.nan_to_num(np.nanmedian(second, 0).max(-1) / 1.65)
        yield np.s_[first:last], levels, tremble


def _resting(levels: np.ndarray, beside: int) -> np.ndarray:
    """What levels (N, U, 2) are not above SELDOM per cent of the time around."""
    stride = max(beside // 18, 1)
    few = levels[::stride]
    reach = beside // stride
    padded = np.pad(few, ((reach, reach), (0, 0), (0, 0)), constant_values=np.nan)
    views = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=0)
    with warnings.catch_warnings():  # as above
        warnings.simplefilter("ignore", RuntimeWarning)
        rest = np.nanpercentile(views, SELDOM, axis=-1)
    at = np.arange(len(levels)) / stride
    low = np.minimum(at.astype(int), len(rest) - 1)
    high = np.minimum(low + 1, len(rest) - 1)
    share = (at - low)[:, None, None]
    return rest[low] * (1 - share) + rest[high] * share
