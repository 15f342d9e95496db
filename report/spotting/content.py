"""What report.html shows of a spotted video, as JSON: made from the spotter's files alone."""

import base64
import functools
import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from data.face_shape import face_shape
from data.faces import load_face_finder
from data.landmarks import choose_finder
from data.motion.flow import face_frame
from synthetic.motion.actions import UNITS

from .head import enlargement, render_units
from .overlay import unit_name
from .persons import ENDS, OwnHead, cut_faces, own_heads, shrink
from .record import Spotting

MOST = 100_000  # points of the curve on the page; a longer one is told by lows and highs of bins
MOST_OF_UNITS = 20_000
LEAST_UNIT = 0.05  # a unit that never gets as strong has no lane
FACE_HEIGHT = 200  # pixels of a thumbnail
EVEN = 0.002  # seconds: as times in a table are rounded
NONE = "none"  # the label where nothing tells which expression it is
NOTHING = 65_535  # in the curves: not known
# Landmarks that a blank face's lines join: jaw, brows, nose, eyes, lips.
LINES = (
    range(17), range(17, 22), range(22, 27), range(27, 31), range(31, 36), (*range(36, 42), 36),
    (*range(42, 48), 42), (*range(48, 60), 48), (*range(60, 68), 60),
)  # fmt: skip


def report_content(spotted: Spotting, thumbnails: bool = False) -> dict:
    """Everything that the page shows.

    thumbnails: with the video's frames, cut to the face, and the person's own head.
    """
    facts = spotted.facts
    times = spotted.curves["timestamp"].to_numpy(float)
    timed = bool(np.isfinite(times).all())
    x = times if timed else spotted.curves["frame"].to_numpy(float)
    cuts: list[list[np.ndarray]] = [[] for _ in spotted.intervals]
    heads: list[OwnHead | None] = [None] * len(cuts)
    if thumbnails and cuts:
        cuts = cut_faces(spotted)
        heads = own_heads(cuts, load_face_finder(choose_finder()))
    return {
        "video": str(facts["video"]).replace("\\", "/").rstrip("/").rpartition("/")[2],
        "facts": {
            name: facts.get(name)
            for name in ("fps", "analysed_fps", "varies", "frames", "width", "height")
        },
        "curve": (facts.get("columns") or {}).get("motion", "motion"),
        "timed": timed,
        "thumbnails": thumbnails,
        "missed": [one | {"x": _where(spotted, x, one)} for one in facts.get("missed") or []],
        "curves": _curves(spotted, x),
        "face": _blank_face(),
        "intervals": [
            _interval(spotted, *one) for one in zip(spotted.intervals, cuts, heads, strict=True)
        ],
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


def _interval(
    spotted: Spotting, interval: dict, cuts: Sequence[np.ndarray], own: OwnHead | None
) -> dict:
    units = sorted(interval.get("units") or [], key=lambda unit: -unit["strength"])
    classes = interval.get("classes") or {}
    found = {name: interval[name] for name in (*ENDS, "kind")}
    for name in ENDS:
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
        "head": _head(units, own),
        "pictures": [_thumbnail(cut) for cut in cuts],
    }


def _head(units: list[dict], own: OwnHead | None) -> dict:
    """The person's own head where there is one; else the generic one with the units.

    times: how many times enlarged they are; unshown: the units that it cannot show.
    """
    if own is not None:
        return {"src": _webp(own.picture), "millimetres": round(own.millimetres, 1)}
    return {
        "src": _webp(render_units(units)),
        "times": round(enlargement(units), 1),
        "unshown": [unit_name(unit) for unit in units if unit["unit"] not in UNITS],
    }


def _webp(image: np.ndarray) -> str:
    image = cv2.cvtColor(image, cv2.COLOR_RGBA2BGRA)
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


def _thumbnail(cut: np.ndarray) -> str:
    image = shrink(cut, FACE_HEIGHT)[..., ::-1]
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
