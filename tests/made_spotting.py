"""What the spotter leaves of a video, made up: a record, curves, maps and a small video."""

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

UNITS = (1, 2, 4, 6, 12, 25)


def bump(size: int, centre: float, width: float) -> np.ndarray:
    return np.exp(-0.5 * ((np.arange(size) - centre) / width) ** 2)


def write_video(path: Path, frames: int, fps: float, size: tuple[int, int] = (96, 72)) -> None:
    """A grey square that moves over a darker ground."""
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, size)
    assert video.isOpened()
    for t in range(frames):
        image = np.full((size[1], size[0], 3), 60, np.uint8)
        image[20:50, 20 + t % 30 : 50 + t % 30] = 190
        video.write(image)
    video.release()


def write_spotting(
    folder: Path, video: Path | str, frames: int = 90, fps: float | None = 30.0, first: int = 0,
    count: int = 2, seed: int = 0, name: str | None = None, step: int = 1,
) -> Path:  # fmt: skip
    """A video's folder as the spotter writes it; `count` intervals, evenly spread.

    step: every how many frames one is looked at.
    """
    rng = np.random.default_rng(seed)
    (folder / "intervals").mkdir(parents=True, exist_ok=True)
    numbers = np.arange(first, first + frames)
    motion = 0.002 + 0.0004 * rng.random(frames)
    units = dict.fromkeys(UNITS, np.zeros(frames))
    intervals = []
    for i in range(count):
        apex = round((i + 0.5) * frames / count)
        reach = (4, 6) if i % 2 == 0 else (8, 10)
        onset, offset = max(apex - reach[0], 0), min(apex + reach[1], frames - 1)
        motion += 0.01 * bump(frames, apex, reach[0] / 2)
        shown = [(12, "", 0.4), (6, "L", 0.2)] if i % 2 == 0 else [(1, "", 0.5), (2, "R", 0.3)]
        for unit, _, strength in shown:
            units[unit] = units[unit] + 5 * strength * bump(frames, apex, reach[0] / 2)
        scores = rng.dirichlet((1, 1, 1)).round(4).tolist()
        classes = dict(zip(("negative", "positive", "surprise"), scores))
        flow = f"intervals/{first + apex:06d}.npz"
        y, x = np.mgrid[:28, :28] / 28
        push = np.exp(-((x - 0.3) ** 2 + (y - 0.75) ** 2) / 0.01)
        push += np.exp(-((x - 0.7) ** 2 + (y - 0.75) ** 2) / 0.01)
        np.savez(folder / flow, map=np.stack([0 * push, -0.02 * push, 0.2 * push]).astype("f2"))
        named = dict(zip(("onset", "apex", "offset"), (onset, apex, offset)))
        intervals.append(
            {key: first + value for key, value in named.items()}
            | {f"{key}_s": fps and round(value / fps, 4) for key, value in named.items()}
            | {
                "kind": "micro" if i % 2 == 0 else "macro",
                "label": max(classes, key=classes.__getitem__),
                "classes": classes,
                "confidence": round(float(rng.random()), 3),
                "units": [{"unit": u, "side": side, "strength": s} for u, side, s in shown],
                "box": [20, 20, 50, 50],
                "flow": flow,
            }
        )
    table = pd.DataFrame({"frame": numbers, "timestamp": (numbers - first) / (fps or np.nan)})
    table = table.assign(confidence=0.9, success=1, x0=20, y0=20, x1=50, y1=50)
    lost = slice(5, min(10, frames // 4))
    table.loc[numbers[lost] - first, ["x0", "y0", "x1", "y1", "success"]] = 0
    motion[lost] = 0
    table = table.assign(motion=100 * motion, score=motion, threshold=0.006)
    for unit, values in units.items():
        table[f"AU{unit:02d}_r"] = values.clip(0, 5).round(3)
        table[f"AU{unit:02d}_c"] = (values > 1).astype(int)
        for side in ("left", "right"):
            table[f"AU{unit:02d}_{side}"] = values.clip(0, 5).round(3)
    table[::step].to_csv(folder / "frames.csv", index=False)
    record = {
        "format": 1, "video": name or str(video), "fps": fps, "frames": frames, "first": first,
        "width": 96, "height": 72, "analysed_fps": fps, "thresholds": {"motion": 0.006},
        "intervals": intervals, "missed": [{"from": first + 5, "to": first + 9, "why": "no face"}],
        "curves": "frames.csv", "columns": {"motion": "score", "threshold": "threshold"},
    }  # fmt: skip
    (folder / "spotting.json").write_text(json.dumps(record))
    return folder
