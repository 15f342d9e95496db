"""The held-out subject decides nothing: other pixels and labels of its, and the same training."""

import pytest
import torch
from conftest import CHANGED
from experiments import FROZEN, LEAN, LITE
from safetensors.torch import load_file

from loso.experiment import run_experiment
from loso.records import read_records
from loso.settings import Settings

WAYS = {
    "2d": LITE | {"augment": "crop", "epochs": 1},
    "2d, features": FROZEN,
    "2d, features computed anew": FROZEN | {"augment": "full", "epochs": 1},
    "baseline": LITE | {"network": "baseline", "freeze": "early", "epochs": 1},
    "3d": LITE | {"streams": "3d", "freeze": "early", "augment": "full", "epochs": 1},
    "3d of 14, features": FROZEN | {"streams": "3d", "views": 14},
    "dual": LITE | {"streams": "dual", "freeze": "early", "augment": "full", "epochs": 1},
    "dual, features": FROZEN | {"streams": "dual"},
    "dual and motion, features": FROZEN | {"streams": "dual+motion"},
    "2d and motion": LITE | {"streams": "2d+motion", "freeze": "early", "epochs": 1},
    "motion, linear": {"streams": "motion", "weights": "none"},
    "motion, linear tuned": {"streams": "motion", "epochs": 2},
    "motion, lean from nothing": LEAN | {"weights": "none"},
    "motion, lean tuned": LEAN,
    "motion, support vectors": {"streams": "motion", "motion_net": "svm"},
    "motion, STSTNet": {"streams": "motion", "motion_net": "ststnet", "epochs": 2},
    "motion, lean's head": LEAN | {"adapt": "head"},
}


@pytest.mark.parametrize("way", WAYS)
def test_the_held_out_subjects_pixels_and_labels_decide_nothing(way, worlds, tmp_path):
    left = []
    for root in worlds:
        settings = Settings(
            index=root / "index/smic_apex.csv", root=root, root3d=root / "views", device="cpu",
            result=tmp_path / root.name, subjects=(CHANGED,), save_weights=True, batch_size=16,
            **WAYS[way],
        )  # fmt: skip
        run_experiment(settings)
        (record,) = read_records(settings.folder)
        state = load_file(settings.folder / f"weights/{CHANGED}.safetensors")
        left.append((record["epochs"], state))
    (one, ours), (other, theirs) = left
    assert [epoch["train_loss"] for epoch in one] == [epoch["train_loss"] for epoch in other]
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []
    assert one[-1]["scores"] != other[-1]["scores"]  # the pictures are others
    assert one[-1]["test_loss"] != other[-1]["test_loss"]
