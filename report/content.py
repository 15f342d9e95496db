"""What the results page shows, as JSON: made from records, log and summary alone."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from loso.records import only_class, protocols_of, read_json, record_predictions
from loso.results import Experiment
from loso.settings import FREE
from loso.terminal import BEST_NOTE, notes

from .confusion import confusion
from .history import History, read_history
from .pictures import clip_pictures


def page_content(
    result: Path,
    log: pd.DataFrame,
    summary: pd.DataFrame,
    groups: pd.DataFrame,
    facts: dict[str, Experiment],
    thumbnails: bool = False,
) -> dict:
    """Everything that the page shows; see write_page. Pictures are kept once, by number."""
    pictures: dict = {}
    experiments = [
        _experiment(result / str(name), clips, facts[str(name)], thumbnails, pictures)
        for name, clips in log.groupby("experiment")
    ]
    return {
        "note": BEST_NOTE,
        "notes": notes(log["protocol"]),
        "summary": _plain(summary.to_dict("list")),
        "groups": _plain(groups.to_dict("list")),
        "experiments": experiments,
        "pictures": [
            {"title": p.title, "src": p.uri, "width": p.width, "height": p.height} for p in pictures
        ],
    }


def _experiment(
    folder: Path, log: pd.DataFrame, facts: Experiment, thumbnails: bool, pictures: dict
) -> dict:
    config = read_json(folder / "config.json")
    history = read_history(folder)
    settings = config.get("settings", {})
    shown = clip_pictures(folder, settings, thumbnails)
    done = {record["data_sub"] for record in history.records}
    clips = _clips(history)
    keys = zip(clips["data"], clips["subject"], clips["clip"])
    clips["pictures"] = [
        [pictures.setdefault(picture, len(pictures)) for picture in shown.get(key, [])]
        for key in keys
    ]
    return {
        "name": folder.name,
        "classes": history.classes,
        "expected": facts.expected,
        "folds_expected": len(config.get("subjects", {})),
        "split": facts.split,
        "seeds": list(facts.seeds),
        "missing": sorted(set(config.get("subjects", {})) - done),
        "only_class": only_class(history.records),
        "settings": {
            key: value
            for key, value in settings.items()
            if key not in FREE and value not in (None, [])
        },
        "made": {
            "device": config.get("device"),
            "commit": config.get("git_commit"),
            "versions": config.get("versions", {}),
            "seconds": _plain(sum(record.get("seconds") or 0 for record in history.records)),
        },
        "confusion": _confusion(log, len(history.classes)),
        "curves": {
            "epochs": _plain(history.epochs),
            "train_loss": _plain(history.mean_train_loss),
            "test_loss": _plain(history.mean_test_loss),
            "uf1": _plain(history.pooled_uf1),
            "best_uf1": _plain(history.best_uf1),
        },
        "folds": [
            {
                "name": record["data_sub"],
                "data": record["clips"][0]["data"],
                "train_loss": _plain(history.train_loss[i]),
                "test_loss": _plain(history.test_loss[i]),
                "uf1": _plain(history.fold_uf1[i]),
                "best": int(history.best[i]),
            }
            for i, record in enumerate(history.records)
        ],
        "attention": _attention(folder / "attention.csv"),
        "clips": clips,
    }


def _attention(path: Path) -> list[dict]:
    """What `visualize.py cam` measured, the mean of an experiment's clips: one entry a stream."""
    if not path.is_file():
        return []
    table = pd.read_csv(path).groupby("stream")[["heat_in_cells", "cells_of_face"]].mean()
    return _plain(table.dropna().reset_index().to_dict("records"))


def _clips(history: History) -> dict[str, list]:
    """One entry a held-out clip in every list; scores are thousandths, (epoch, class)."""
    protocols = protocols_of(history.records)
    columns: dict[str, list] = {
        key: [] for key in ("data", "subject", "clip", "label", *protocols, "fold", "scores")
    }
    for fold, record in enumerate(history.records):
        scores = np.array([epoch["scores"] for epoch in record["epochs"]])  # (E, N, C)
        told = {protocol: record_predictions(record, protocol) for protocol in protocols}
        for i, clip in enumerate(record["clips"]):
            for key in ("data", "subject", "clip", "label"):
                columns[key].append(clip[key])
            for protocol in protocols:
                columns[protocol].append(int(told[protocol][i]))
            columns["fold"].append(fold)
            columns["scores"].append((1000 * scores[:, i]).round().astype(int).tolist())
    return columns


def _confusion(log: pd.DataFrame, classes: int) -> dict:
    """Counts [true][predicted] by data ('full' first) and protocol."""
    groups = [("full", log), *log.groupby("data")]
    return {
        data: {
            protocol: confusion(clips[clips["protocol"] == protocol], classes).tolist()
            for protocol in log["protocol"].unique()
        }
        for data, clips in groups
    }


def _plain(value: object) -> Any:
    """Numbers as JSON has them: four digits, null for NaN."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 4)
    return value
