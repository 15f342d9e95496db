"""Experiments on the tiny corpus: settings that train in seconds, and what they leave."""

import json

from loso.presets import PRESETS
from loso.settings import Settings

# Settings that train in seconds.
FROZEN = PRESETS["demo"] | {"image_size": 97, "epochs": 2}  # its features are computed once
LITE = FROZEN | {"freeze": "none", "augment": "full"}
LEAN = {"streams": "motion", "motion_net": "lean", "epochs": 2}


def settings_of(tiny, result, **changes):
    """Settings of a run on the corpus below `tiny`; `changes` go over FROZEN."""
    places = {"index": tiny / "index/smic_apex.csv", "root": tiny, "result": result}
    return Settings(**(places | FROZEN | {"device": "cpu"} | changes))


def records_of(folder):
    """Fold records without what the clock wrote."""
    return {
        path.name: json.loads(path.read_text()) | {"seconds": None}
        for path in sorted(folder.glob("fold_*.json"))
    }
