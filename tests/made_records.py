"""Records of made-up runs: no network, no corpus, scores that grow towards the truth."""

import json
from pathlib import Path

import numpy as np

THREE = ("negative", "positive", "surprise")
FIVE = ("disgust", "happiness", "repression", "surprise", "others")


def write_run(
    result: Path, name: str, subjects: list[str], *, classes: tuple[str, ...] = THREE,
    clips: int = 6, epochs: int = 5, trained: bool = True, missing: tuple[str, ...] = (),
    settings: dict | None = None, names: list[str] | None = None, seed: int = 0,
) -> Path:  # fmt: skip
    """An experiment's folder: config.json and a record a subject that is not missing.

    names: what a subject's clips are called, clip00 … if not given. trained=False leaves the
    training loss out, as zero-shot runs do.
    """
    rng = np.random.default_rng(seed)
    folder = result / name
    folder.mkdir(parents=True)
    names = names or [f"clip{i:02d}" for i in range(clips)]
    config = {"settings": settings or {}, "subjects": dict.fromkeys(subjects, len(names))}
    (folder / "config.json").write_text(json.dumps(config))
    for data_sub in subjects:
        data, subject = data_sub.split("_")
        labels = rng.integers(0, len(classes), len(names))
        record = {
            "format": 1, "experiment": name, "data_sub": data_sub, "classes": list(classes),
            "clips": [
                {"data": data, "subject": subject, "clip": clip, "label": int(label)}
                for clip, label in zip(names, labels)
            ],
            "epochs": [
                {
                    "epoch": e + 1,
                    "train_loss": float(0.5 * 0.8**e + 0.02 * rng.random()) if trained else None,
                    "test_loss": float(0.3 + 0.2 * 0.9**e + 0.1 * rng.random()),
                    "scores": _scores(rng, labels, len(classes), (e + 1) / epochs),
                }
                for e in range(epochs)
            ],
            "seconds": 1.5,
        }  # fmt: skip
        if data_sub not in missing:
            (folder / f"fold_{data_sub}.json").write_text(json.dumps(record))
    return folder


def _scores(rng: np.random.Generator, labels: np.ndarray, classes: int, grown: float) -> list:
    scores = 0.7 * rng.random((len(labels), classes)) + 0.3 * grown * np.eye(classes)[labels]
    return scores.round(6).tolist()
