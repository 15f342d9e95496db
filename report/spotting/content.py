"""What report.html shows of a spotted video, as JSON: made from the spotter's files alone."""

import base64
import functools
import math
from typing import Any

import cv2
import numpy as np

from common.errors import UserError
from common.progress import progress_bar
from data.face_shape import face_shape
from data.motion.flow import face_frame
from synthetic.motion.actions import UNITS

from .head import enlargement, render_units
from .overlay import unit_name
from .record import Spotting

MOST = 100_000  # points of the curve on the page; a longer one is told by lows and highs of bins
MOST_OF_UNITS = 20_000
LEAST_UNIT = 0.05  # a unit that never gets as strong has no lane
FACE_HEIGHT = 200  # pixels of a thumbnail
MARGIN = 0.35  # around the face's box, in its sides
EVEN = 0.002  # seconds: as times in a table are rounded
NONE = "none"  # the label where nothing tells which expression it is
NOTHING = 65_535  # in the curves: not known
# Landmarks that a blank face's lines join: jaw, brows, nose, eyes, lips.
LINES = (
    range(17), range(17, 22), range(22, 27), range(27, 31), range(31, 36), (*range(36, 42), 36),
    (*range(42, 48), 42), (*range(48, 60), 48), (*range(60, 68), 60),
)  # fmt: skip
_ENDS = ("onset", "apex", "offset")


def report_content(spotted: Spotting, thumbnails: bool = False) -> dict:
    """Everything that the page shows; with `thumbnails` frames of the video, cut to the face."""
    facts = spotted.facts
    times = spotted.curves["timestamp"].to_numpy(float)
    timed = bool(np.isfinite(times).all())
    x = times if timed else spotted.curves["frame"].to_numpy(float)
    pictures = _thumbnails(spotted) if thumbnails else {}
    return {
        "video": str(facts["video"]).replace("\\", "/").rstrip("/").rpartition("/")[2],
        "facts": {
            name: facts.get(name) for name in ("fps", "analysed_fps", "frames", "width", "height")
        },
        "curve": (facts.get("columns") or {}).get("motion", "motion"),
        "timed": timed,
        "thumbnails": thumbnails,
        "missed": [one | {"x": _where(spotted, x, one)} for one in facts.get("missed") or []],
        "curves": _curves(spotted, x),
        "face": _blank_face(),
        "intervals": [_interval(spotted, one, pictures) for one in spotted.intervals],
    }


def _where(spotted: Spotting, x: np.ndarray, stretch: dict) -> list[float]:
    """From where to where a stretch of frames lies on the timeline."""
    rows = np.searchsorted(spotted.curves["frame"], (stretch["from"], stretch["to"]))
    return _plain(x[np.minimum(rows, len(x) - 1)].tolist())


def _curves(spotted: Spotting, x: np.ndarray) -> dict:
    """The curves in base64: little-endian shares of `top` and bytes of units, a bin of frames each.

    x (T,): where the frames lie, seconds or frame numbers.
    """
    table = spotted.curves
    frames = table["frame"].to_numpy()
    step = math.ceil(len(table) / MOST)
    motion, threshold = (table[name].to_numpy(float) for name in ("motion", "threshold"))
    known = np.concatenate([motion, threshold])
    known = known[np.isfinite(known)]
    top = float(known.max()) if len(known) and known.max() > 0 else 1.0
    found: dict[str, Any] = {
        "top": _plain(top),
        "step": step,
        "count": len(x[::step]),
        "x": _even(x[::step], EVEN) or _base64(x[::step], "<f8"),
        "frames": _even(frames[::step], 0.5) or _base64(frames[::step], "<i4"),
        "low": _shares(_binned(motion, step, np.fmin), top),
        "high": _shares(_binned(motion, step, np.fmax), top) if step > 1 else None,
        "threshold": _shares(_binned(threshold, step, np.fmax), top),
        "end": _plain(float(x[-1])),
    }
    lane_step = math.ceil(len(table) / MOST_OF_UNITS)
    lanes = {}
    for name in spotted.units:
        values = np.nan_to_num(table[name].to_numpy(float))
        if values.max() >= LEAST_UNIT:
            lanes[name] = _base64(_binned(values, lane_step, np.fmax) * 255, "u1")
    return found | {"lane_step": lane_step, "lanes": lanes}


def _even(values: np.ndarray, off: float) -> list[float] | None:
    """Start and step of values that rise evenly, each at most `off` beside; else None."""
    by = (values[-1] - values[0]) / max(len(values) - 1, 1)
    line = values[0] + by * np.arange(len(values))
    return [float(values[0]), float(by)] if np.abs(values - line).max() < off else None


def _binned(values: np.ndarray, step: int, by: np.ufunc) -> np.ndarray:
    """Each `step` values as one, by fmin or fmax; not a number where all of them are none."""
    return values if step == 1 else by.reduceat(values, np.arange(0, len(values), step))


def _shares(values: np.ndarray, top: float) -> str:
    shares = np.where(np.isfinite(values), np.clip(values / top, 0, 1) * (NOTHING - 1), NOTHING)
    return _base64(shares, "<u2")


def _base64(values: np.ndarray, kind: str) -> str:
    whole = values if kind.startswith("<f") else np.rint(values)
    return base64.b64encode(whole.astype(kind).tobytes()).decode()


def _interval(spotted: Spotting, interval: dict, pictures: dict[int, str]) -> dict:
    units = sorted(interval.get("units") or [], key=lambda unit: -unit["strength"])
    classes = interval.get("classes") or {}
    found = {name: interval[name] for name in (*_ENDS, "kind")}
    for name in _ENDS:
        time = interval.get(f"{name}_s")
        found[f"{name}_s"] = _plain(spotted.at(interval[name]) if time is None else float(time))
    return found | {
        "label": None if interval.get("label") == NONE else interval.get("label"),
        "classes": _plain(dict(sorted(classes.items(), key=lambda item: -item[1]))),
        "confidence": _plain(interval.get("confidence")),
        "units": [
            {"unit": unit_name(unit), "number": unit["unit"], "strength": _plain(unit["strength"])}
            for unit in units
        ],
        "flow": _field(spotted.flow(interval)),
        "head": _head(units),
        "pictures": [pictures.get(interval[name]) for name in _ENDS],
    }


def _head(units: list[dict]) -> dict:
    """The generic head, how many times enlarged, and the units that it cannot show."""
    return {
        "src": _webp(units),
        "times": round(enlargement(units), 1),
        "unshown": [unit_name(unit) for unit in units if unit["unit"] not in UNITS],
    }


def _webp(units: list[dict]) -> str:
    image = cv2.cvtColor(render_units(units), cv2.COLOR_RGBA2BGRA)
    return "data:image/webp;base64," + _encoded(".webp", image, cv2.IMWRITE_WEBP_QUALITY, 82)


def _encoded(suffix: str, image: np.ndarray, flag: int, quality: int) -> str:
    done, coded = cv2.imencode(suffix, image, [flag, quality])
    if not done:
        raise RuntimeError(f"OpenCV could not encode a picture of shape {image.shape} as {suffix}")
    return base64.b64encode(coded.tobytes()).decode()


def _field(flow: np.ndarray | None) -> dict | None:
    """A motion map (3, 28, 28) as bytes: u and v as shares of `most` face widths, strain."""
    if flow is None:
        return None
    most = max(float(np.abs(flow[:2]).max()), 1e-6)
    strain = flow[2].clip(0)
    strongest = max(float(strain.max()), 1e-6)
    return {
        "most": _plain(most),
        "u": _base64(flow[0] / most * 127, "i1"),
        "v": _base64(flow[1] / most * 127, "i1"),
        "strain": _base64(strain / strongest * 255, "u1"),
    }


@functools.cache
def _blank_face() -> dict:
    """The mean face's lines in the frame of motion maps, shares of its sides, and its aspect."""
    points = face_shape().mean
    frame, aspect = face_frame(points * (200 / np.ptp(points[:, 0])))
    frame[:2] /= 200 / np.ptp(points[:, 0])
    inside = (np.c_[points, np.ones(68)] @ np.linalg.inv(frame).T)[:, :2].round(3)
    return {"aspect": round(aspect, 3), "lines": [inside[list(line)].tolist() for line in LINES]}


def _thumbnails(spotted: Spotting) -> dict[int, str]:
    """Onsets', apexes' and offsets' frames by number, as JPEG data URIs of the face."""
    wanted = {interval[name] for interval in spotted.intervals for name in _ENDS}
    boxes = spotted.curves[["x0", "y0", "x1", "y1"]].to_numpy(float)
    found: dict[int, str] = {}
    if not wanted:
        return found
    with progress_bar(
        "thumbnails, frames", max(wanted) + 1 - (spotted.facts.get("first") or 0)
    ) as bar:
        for number, image in spotted.pictures():
            if number in wanted:
                row = spotted.row(number)
                found[number] = _thumbnail(image, boxes[row] if row is not None else None)
            bar.advance()
            if number >= max(wanted):
                break
    if len(found) < len(wanted):
        lacking = min(wanted - set(found))
        raise UserError(f"{spotted.video()}: has no frame {lacking}, which the record names")
    return found


def _thumbnail(image: np.ndarray, box: np.ndarray | None) -> str:
    """A frame as a JPEG data URI, cut to the face where its box is known."""
    if box is not None and np.isfinite(box).all():
        reach = MARGIN * max(box[2] - box[0], box[3] - box[1])
        left, top = np.maximum(np.floor(box[:2] - reach), 0).astype(int)
        right, bottom = np.ceil(box[2:] + reach).astype(int)
        if (cut := image[top:bottom, left:right]).size:
            image = cut
    scale = min(1.0, FACE_HEIGHT / image.shape[0])
    size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)[..., ::-1]
    return "data:image/jpeg;base64," + _encoded(".jpg", image, cv2.IMWRITE_JPEG_QUALITY, 85)


def _plain(value: Any) -> Any:
    """Numbers as JSON has them: five significant digits, null for what is not a number."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return value
