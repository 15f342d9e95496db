"""Records of made-up runs, and their page: no network, no corpus, scores that grow."""

import json
import re
import shutil
from pathlib import Path

import numpy as np

from loso.groups import summarise_groups
from loso.results import collect, first_seed, summarise
from report.page import write_page

THREE = ("negative", "positive", "surprise")
SUBJECTS = ["smic_01", "smic_02", "samm_006", "casme2_sub01"]
EVIL = "<img src=x onerror=document.title='hacked'>"
CLOSING = "</script><script>document.title='hacked'</script>"
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


def write_composite(result: Path, name: str, seed: int = 0) -> None:
    """A whole composite: 442 clips of 68 subjects, 30 epochs."""
    subjects = [f"smic_{i:02d}" for i in range(1, 17)]
    subjects += [f"casme2_sub{i:02d}" for i in range(1, 25)]
    subjects += [f"samm_{i:03d}" for i in range(6, 34)]
    folder = write_run(result, name, subjects[:34], clips=6, epochs=30, seed=seed)
    rest = write_run(result, f".{name}", subjects[34:], clips=7, epochs=30, seed=seed + 100)
    configs = [json.loads((part / "config.json").read_text()) for part in (folder, rest)]
    configs[0]["subjects"] |= configs[1]["subjects"]
    (folder / "config.json").write_text(json.dumps(configs[0]))
    for path in rest.glob("fold_*"):
        path.rename(folder / path.name)
    shutil.rmtree(rest)


def mark_as_demo(root: Path) -> None:
    """Leave the demo set's mark."""
    (root / "demo.json").write_text(json.dumps({"demo set": 1, "seed": 0}))


def make_page(result: Path, thumbnails: bool = False) -> Path:
    """The page of a result folder, as get_result_log.py makes it."""
    log, experiments = collect(result)
    summary, groups = summarise(log, experiments), summarise_groups(log, experiments)
    drawn = first_seed(log, experiments)
    return write_page(result, drawn, summary, groups, experiments, thumbnails)


def content_of(page: Path) -> dict:
    """The JSON on a page."""
    text = page.read_text(encoding="utf-8")
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
