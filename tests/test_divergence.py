"""Runs that say nothing: losses and scores that are no numbers, predictions all of one class."""

import json

import numpy as np
import pytest
import torch
from conftest import call
from experiments import FROZEN, LEAN
from made_records import SUBJECTS, content_of, make_page, write_run
from safetensors.torch import load_file, save_file

from common.errors import UserError
from loso.experiment import run_experiment
from loso.folds import Fold
from loso.motion import motion_epochs
from loso.records import epoch_record, only_class, read_records, write_json
from loso.settings import Settings
from loso.synthetic_weights import load_synthetic
from models.mecapsulenet import CapsuleHead
from models.motion import MotionNet

WAYS = {
    "2d": FROZEN | {"lr": 1e30},
    "motion, lean tuned": LEAN | {"lr": 1e30, "epochs": 9},
    "motion, lean from nothing": LEAN | {"lr": 1e30, "weights": "none", "epochs": 9},
    "motion, linear tuned": {"streams": "motion", "motion_net": "linear", "lr": 1e37, "epochs": 9},
    "2d and motion": FROZEN | {"streams": "2d+motion", "lr": 1e30},
}


def settings_in(root, result, **changes):
    return Settings(
        index=root / "index/smic_apex.csv", root=root, device="cpu", result=result, **changes
    )


@pytest.mark.parametrize("way", WAYS)
def test_a_run_that_diverges_is_refused_with_fold_and_epoch(way, worlds, tmp_path):
    settings = settings_in(worlds[0], tmp_path, **WAYS[way])
    with pytest.raises(UserError, match=r"^fold smic_01, epoch \d+: the .* lower --lr$"):
        run_experiment(settings)
    assert not list(settings.folder.glob("fold_*"))


@pytest.mark.parametrize("network", [CapsuleHead, MotionNet])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_refused(network, value, worlds, tmp_path, monkeypatch):
    """Training's loss may still be a number when the scores no longer are."""
    scores = staticmethod(lambda output: torch.full((len(output), 3), value))
    monkeypatch.setattr(network, "scores", scores)
    way = FROZEN if network is CapsuleHead else LEAN
    if network is MotionNet:
        monkeypatch.setattr(
            network, "scores", lambda self, out: torch.full((len(out[0]), 3), value)
        )
    with pytest.raises(UserError, match=r"fold smic_01, epoch 1: the (scores|held-out loss) "):
        run_experiment(settings_in(worlds[0], tmp_path, **way))
    assert not list(tmp_path.rglob("fold_*"))


@pytest.mark.parametrize("adapt", ["none", "head", "all"])
def test_weights_that_diverged_start_nothing(adapt, worlds, tmp_path):
    state = load_synthetic("lean").state_dict()
    state["classes.bias"] = torch.tensor([0.0, np.nan, 0.0])
    save_file(state, tmp_path / "w.safetensors")
    way = LEAN | {"adapt": adapt, "weights": str(tmp_path / "w.safetensors")}
    with pytest.raises(UserError, match=r"'classes\.bias' holds numbers that are not finite"):
        run_experiment(settings_in(worlds[0], tmp_path / "r", **way))
    assert not (tmp_path / "r").exists()
    assert load_file(tmp_path / "w.safetensors")  # the file itself is sound


@pytest.mark.parametrize("adapt", ["none", "head"])
def test_features_that_overflow_are_refused_where_nothing_is_tuned(adapt):
    net = load_synthetic("lean")
    with torch.no_grad():
        for parameter in net.body.parameters():
            parameter.fill_(3e38)
    maps = np.random.default_rng(0).normal(size=(9, 3, 28, 28)).astype(np.float32)
    fold = Fold("smic_07", np.arange(6), np.arange(6, 9))
    settings = Settings(streams="motion", motion_net="lean", adapt=adapt)
    with pytest.raises(UserError, match=r"fold smic_07, epoch 1: the .*; take other --weights"):
        motion_epochs(net, maps, np.arange(9) % 3, fold, settings)


def test_records_are_json_whatever_is_in_them(tmp_path):
    for value in (np.nan, np.inf, -np.inf):
        with pytest.raises(ValueError, match="JSON"):
            write_json(tmp_path / "x.json", {"loss": value})
        with pytest.raises(UserError, match="fold a, epoch 3: the loss is"):
            epoch_record("a", 3, value, 0.5, np.eye(3))
        with pytest.raises(UserError, match="fold a, epoch 3: the scores are"):
            epoch_record("a", 3, 0.5, 0.5, np.full((2, 3), value))
    assert list(tmp_path.iterdir()) == []
    assert epoch_record("a", 1, None, 0.5, np.eye(3))["train_loss"] is None


@pytest.mark.parametrize("wrong", ["NaN", "Infinity", "-Infinity", "1e999", '"high"', "null"])
@pytest.mark.parametrize("where", ["scores", "test_loss"])
def test_a_record_of_a_run_that_diverged_is_named(tmp_path, wrong, where):
    folder = write_run(tmp_path, "e", SUBJECTS)
    path = folder / "fold_smic_01.json"
    record = json.loads(path.read_text())
    if where == "scores":
        record["epochs"][2]["scores"][1][0] = "HERE"
    else:
        record["epochs"][2]["test_loss"] = "HERE"
    path.write_text(json.dumps(record).replace('"HERE"', wrong))
    if (where, wrong) == ("test_loss", "null"):  # as older records have it
        read_records(folder)
        return
    with pytest.raises(UserError, match=r"fold_smic_01\.json: epoch 3 has .*diverged") as caught:
        read_records(folder)
    assert "\n" not in str(caught.value)
    done = call("get_result_log.py", "--result", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")


def all_one(folder, chosen, final=True):
    """Make every prediction of the last (or the first) epoch one class."""
    for path in folder.glob("fold_*.json"):
        record = json.loads(path.read_text())
        epoch = record["epochs"][-1 if final else 0]
        epoch["scores"] = [np.eye(3)[chosen].tolist()] * len(record["clips"])
        path.write_text(json.dumps(record))


def test_predictions_of_one_class_are_said_on_terminal_and_page(tmp_path):
    for name in ("flat", "sound", "flat_at_first"):
        write_run(tmp_path, name, SUBJECTS)
    all_one(tmp_path / "flat", 1)
    all_one(tmp_path / "flat_at_first", 1, final=False)  # `last` is what counts
    done = call("get_result_log.py", "--result", tmp_path)
    assert done.returncode == 0
    line = "warning: flat: every clip is predicted positive: the network tells nothing apart\n"
    assert done.stderr == line
    content = content_of(make_page(tmp_path))
    said = {one["name"]: one["only_class"] for one in content["experiments"]}
    assert said == {"flat": "positive", "sound": None, "flat_at_first": None}


def test_one_subject_of_one_class_may_rightly_be_all_one(tmp_path):
    folder = write_run(tmp_path, "e", ["smic_01"], clips=2)
    all_one(folder, 0)
    record = json.loads((folder / "fold_smic_01.json").read_text())
    for labels, said in (([0, 0], None), ([0, 2], "negative"), ([1, 1], None)):
        for clip, label in zip(record["clips"], labels):
            clip["label"] = label
        assert only_class([record]) == said
    assert only_class([]) is None


def test_the_end_of_training_says_it_too(worlds, tmp_path, monkeypatch, capsys):
    flat = staticmethod(lambda output: torch.eye(3)[[2] * len(output)])
    monkeypatch.setattr(CapsuleHead, "scores", flat)
    run_experiment(settings_in(worlds[0], tmp_path, **FROZEN))
    printed = capsys.readouterr()
    assert "smic: every clip is predicted surprise: the network tells nothing" in printed.err
