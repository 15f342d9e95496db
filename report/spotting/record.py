"""What the spotter leaves of a video, spotting.json and frames.csv, read and checked."""

import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from common.errors import UserError, warn
from data.apex.spotting import all_frames
from data.disk.frames import read_image
from data.disk.video_file import timed_frames

FORMAT = 1
FULL = 5.0  # the toolkits' intensity of a full unit
MOTION_MAP = (3, 28, 28)
_FACTS = ("video", "fps", "frames", "intervals", "curves")
_INTERVAL = ("onset", "apex", "offset", "kind")


@dataclass(frozen=True)
class Spotting:
    """A video's intervals and curves.

    facts: what spotting.json holds. curves: one row a frame that the spotter looked at, in order:
    `frame`, `timestamp` in seconds, `motion` (what it compares with `threshold`), `threshold`, the
    face's box `x0`, `y0`, `x1`, `y1` in pixels, and units from 0 to 1 under their names (AU12).
    Motion and box are not a number where there is no face.
    """

    folder: Path
    facts: dict[str, Any]
    curves: pd.DataFrame

    @property
    def intervals(self) -> list[dict]:
        """The intervals, by onset."""
        return self.facts["intervals"]

    @property
    def units(self) -> list[str]:
        """The columns of `curves` that are units: AU01, AU02 …"""
        return sorted(name for name in map(str, self.curves) if name.startswith("AU"))

    def video(self) -> Path:
        """The video or folder of frames; UserError where it is not any more."""
        named = Path(self.facts["video"])
        for path in (named, self.folder / named):
            if path.exists():
                return path
        raise UserError(f"{self.folder}: its video {named} is not there any more")

    def pictures(self) -> Iterator[tuple[int, float | None, np.ndarray]]:
        """The video's frames: number, time in seconds, uint8 (H, W, 3) RGB, one at a time.

        Numbers are the record's, which may count a video file's from another one than 0. Times are
        the file's own where the spotter took these, else those of `at`. An image that cannot be
        read is left out with a warning, as the spotter does. UserError where the video is gone or
        none of it can be read.
        """
        source = all_frames(self.video())
        if isinstance(source, Path):
            first = self.facts.get("first") or 0
            for number, (time, image) in enumerate(timed_frames(source), first):
                yield number, time if self.facts.get("timed") else self.at(number), image
            return
        count = 0
        for number, path in source.items():
            try:
                image = read_image(path)
            except UserError as error:
                warn(f"{error}; the frame is left out")
                continue
            count += 1
            yield number, self.at(number), image
        if not count:
            raise UserError(f"{self.video()}: no frame can be read")

    @functools.cached_property
    def _rows(self) -> tuple[np.ndarray, np.ndarray, float]:
        """The rows' frame numbers, their times, and how many frames they are apart: the most
        where the rate varies, and with it how many are passed over."""
        numbers = self.curves["frame"].to_numpy()
        usual = np.max if self.facts.get("varies") else np.median
        apart = float(usual(np.diff(numbers))) if len(numbers) > 1 else 1.0
        return numbers, self.curves["timestamp"].to_numpy(float), apart

    def row(self, number: int) -> int | None:
        """The row of a frame, or of the last one before it that was looked at; None for none."""
        numbers, _, apart = self._rows
        i = int(np.searchsorted(numbers, number, "right")) - 1
        return i if i >= 0 and number - numbers[i] < max(apart, 1) else None

    def at(self, number: int) -> float | None:
        """The time of a frame in seconds, None where neither a timestamp nor a rate tells it."""
        numbers, times, _ = self._rows
        if not np.isfinite(times).all():
            return None
        beyond = max(number - numbers[-1], 0) / (self.facts["fps"] or np.inf)
        return float(np.interp(number, numbers, times) + beyond)

    def flow(self, interval: dict) -> np.ndarray | None:
        """An interval's motion map, float32 (3, 28, 28), None where it has none."""
        if not interval.get("flow"):
            return None
        path = self.folder / interval["flow"]
        try:
            with np.load(path, allow_pickle=False) as content:
                found = content["map"].astype(np.float32)
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f"{path}: not a motion map of the spotter ({error})") from error
        if found.shape != MOTION_MAP or not np.isfinite(found).all():
            raise UserError(f"{path}: {found.shape}; a motion map is {MOTION_MAP}, finite numbers")
        return found


def read_spotting(folder: Path) -> Spotting:
    """Read a video's folder of the spotter's output; UserError says what is wrong with it."""
    path = folder / "spotting.json"
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not readable as a record of spotting ({error})") from error
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise UserError(f"{path}: no record of spotting of format {FORMAT}; spot the video again")
    missing = [name for name in _FACTS if name not in facts]
    if missing:
        raise UserError(f"{path}: lacks {missing[0]}; spot the video again")
    for number, interval in enumerate(facts["intervals"]):
        lacking = [name for name in _INTERVAL if interval.get(name) is None]
        if lacking or not interval["onset"] <= interval["apex"] <= interval["offset"]:
            fault = f"lacks {lacking[0]}" if lacking else "has its frames out of order"
            raise UserError(f"{path}: interval {number} {fault}")
    facts["intervals"].sort(key=lambda interval: (interval["onset"], interval["offset"]))
    names = facts.get("columns", {})
    return Spotting(folder, facts, _read_curves(folder / facts["curves"], names, facts["fps"]))


def find_spotted(folder: Path) -> list[Path]:
    """The folders of videos that were spotted into one folder: itself, or those in it.

    UserError where there is none.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    found = [path.parent for path in sorted(folder.glob("*/spotting.json"))]  # not the index
    if not found and (folder / "spotting.json").is_file():
        found = [folder]
    if not found:
        raise UserError(f"{folder}: nothing was spotted into it (no spotting.json)")
    return found


def _read_curves(path: Path, names: dict[str, str], fps: float | None) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, skipinitialspace=True, usecols=_is_read)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not readable as a table ({error})") from error
    for name, own in names.items():
        if own in table:
            table[name] = table[own]
    if "frame" not in table or not len(table) or not table["frame"].is_monotonic_increasing:
        raise UserError(f"{path}: no column of rising frame numbers")
    for name in ("timestamp", "motion", "threshold", "x0", "y0", "x1", "y1"):
        if name not in table:
            table[name] = np.nan
    if table["timestamp"].isna().all() and fps:
        table["timestamp"] = (table["frame"] - table["frame"].iloc[0]) / fps
    box = ["x0", "y0", "x1", "y1"]
    lost = (table["x1"] <= table["x0"]) | (table["success"] == 0 if "success" in table else False)
    table[["motion", *box]] = table[["motion", *box]].astype(float).mask(lost)
    for name in map(str, list(table)):
        if name.startswith("AU"):
            table[name.removesuffix("_r")] = (table.pop(name) / FULL).clip(0, 1)
    return table


def _is_read(column: str) -> bool:
    """Of units the intensity alone: whether they show, and their sides, are most of a table."""
    return not column.strip().startswith("AU") or column.strip().endswith("_r")
