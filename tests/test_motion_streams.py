"""Motion in the training scripts: alone, as a further stream, and in what a run keeps."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import call
from safetensors.torch import load_file, save_file

from common.errors import UserError
from loso.checkpoints import read_network
from loso.experiment import run_experiment
from loso.networks import build_network, read_weights
from loso.presets import PRESETS
from loso.records import read_records, record_labels, record_predictions
from loso.settings import Settings
from loso.synthetic_weights import SYNTHETIC_WEIGHTS, load_synthetic
from synthetic.motion.domains import HELD_OUT
from synthetic.motion.pairs import make_motion


@pytest.fixture(scope="module")
def moving(tiny, tmp_path_factory):
    """The tiny corpus with synthetic motion of its classes beside the frames: an index."""
    folder = tmp_path_factory.mktemp("moving")
    index = pd.read_csv(tiny / "index/smic_apex.csv", dtype=str)
    drawn = make_motion(len(index) * 3, 5, HELD_OUT)
    unused = {label: list(np.flatnonzero(drawn.labels == label)) for label in range(3)}
    paths = []
    for number, label in enumerate(index["label"].astype(int)):
        paths.append(str(folder / f"{number}.npy"))  # absolute: wherever --root is
        np.save(paths[-1], drawn.maps[unused[label].pop()])
    index["motion_path"], index["motion_frame"] = paths, "own"
    index.to_csv(folder / "smic_apex.csv", index=False)
    companion = (tiny / "index/smic_four_frames.csv").read_text()
    (folder / "smic_four_frames.csv").write_text(companion)
    return folder / "smic_apex.csv"


@pytest.fixture
def train(moving, tiny, tmp_path):
    """Runs an experiment on `moving`; returns its folder."""

    def run_it(**changes):
        plain = {
            "index": moving, "root": tiny, "result": tmp_path, "device": "cpu",
            "streams": "motion", "motion_net": "lean", "epochs": 2,
        }  # fmt: skip
        settings = Settings(**plain | changes)
        run_experiment(settings)
        return settings.folder

    return run_it


@pytest.mark.parametrize(
    ("more", "name", "epochs"),
    [
        ({"adapt": "none"}, "smic_motion_lean_zero_shot", 1),
        ({"adapt": "head"}, "smic_motion_lean_head", 1),
        ({"motion_net": "linear"}, "smic_motion_linear_tuned", 2),
        ({"motion_net": "directed"}, "smic_motion_tuned", 1),
        ({"weights": "none", "motion_net": "linear"}, "smic_motion_linear", 1),
        ({"weights": "none"}, "smic_motion_lean", 2),
    ],
)
def test_motion_alone(train, more, name, epochs):
    folder = train(**more)
    assert folder.name == name
    records = read_records(folder)
    assert len(records) == 4
    assert all(len(record["epochs"]) == epochs for record in records)
    trained = records[0]["epochs"][-1]["train_loss"] is not None
    assert trained == (more != {"adapt": "none"})
    config = json.loads((folder / "config.json").read_text())
    assert config["maps_by"] == "motion_path"
    assert config["settings"]["weights"] == more.get("weights", "synthetic")
    if more.get("weights") != "none":  # 18 clips are few to learn from nothing
        right = np.concatenate([record_labels(r) == record_predictions(r, "last") for r in records])
        assert right.mean() > 0.6  # chance is a third


def test_through_the_script_zero_shot_says_that_nothing_was_trained(moving, tiny, tmp_path):
    done = call(
        "train_me_loso.py", "--index", moving, "--root", tiny, "--result", tmp_path, "--streams",
        "motion", "--adapt", "none", "--save-weights",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "loss -" in done.stdout
    saved = read_network(tmp_path / "smic_motion_zero_shot/weights/smic_01.safetensors")
    assert saved.trained_on == ()
    assert saved.held_out == "smic_01"
    done = call("get_result_log.py", "--result", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "smic_motion_zero_shot" in done.stdout


@pytest.mark.parametrize(
    ("streams", "adapt", "name"),
    [
        ("2d+motion", "head", "smic_motion"),
        ("3d+motion", "all", "smic_3d_motion"),
        ("dual+motion", "all", "smic_dual_3d_motion"),
    ],
)
def test_motion_as_a_further_stream(train, root3d, streams, adapt, name):
    folder = train(
        **PRESETS["demo"] | {"image_size": 97, "epochs": 1}, streams=streams, adapt=adapt,
        root3d=root3d, subjects=("1",), save_weights=True,
    )  # fmt: skip
    assert folder.name == name
    assert len(read_records(folder)[0]["clips"]) == 6
    saved, drawn = load_file(folder / "weights/smic_01.safetensors"), load_file(SYNTHETIC_WEIGHTS)
    body = [n for n in drawn if n.startswith("lean.body") and n.endswith("weight")]
    same = [np.array_equal(saved[n.replace("lean", "motion", 1)], drawn[n]) for n in body]
    assert all(same) == (adapt == "head")


def test_a_clip_without_a_map_is_named_and_left_out(train, moving, tmp_path, capsys):
    index = pd.read_csv(moving, dtype=str)
    index.loc[2, "motion_path"] = str(tmp_path / "gone.npy")
    index.to_csv(tmp_path / "smic_apex.csv", index=False)
    folder = train(index=tmp_path / "smic_apex.csv", adapt="none")
    assert f"skipped smic_01 {index.at[2, 'clip']}" in capsys.readouterr().err
    assert sum(len(r["clips"]) for r in read_records(folder)) == len(index) - 1


def test_own_weights_start_networks_on_other_subjects_alone(train, moving, tmp_path):
    folder = train(save_weights=True, subjects=("1",))
    start = str(folder / "weights/smic_01.safetensors")
    again = {"weights": start, "result": tmp_path / "again"}
    with pytest.raises(UserError, match="smic_02 and 2 more, which this experiment would hold out"):
        train(**again)
    with pytest.raises(UserError, match="trained with --motion-net lean, here --motion-net linear"):
        train(**again, motion_net="linear")
    others = pd.read_csv(moving, dtype=str)
    others["subject"] = others["subject"].str.replace("0", "1")
    others["data_sub"] = "smic_" + others["subject"]
    others.to_csv(tmp_path / "others_apex.csv", index=False)
    train(**again, index=tmp_path / "others_apex.csv", subjects=("1",))
    save_file({"x": load_file(start)["classes.bias"]}, tmp_path / "x.safetensors")
    with pytest.raises(UserError, match="is no 'lean' motion network of 28 px and 3 classes"):
        train(**again | {"weights": str(tmp_path / "x.safetensors"), "experiment": "x"})


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"streams": "motion", "weights": "imagenet"}, "has no trunk"),
        ({"streams": "motion", "weights": "none", "adapt": "none"}, "needs pretrained"),
        ({"streams": "motion", "motion_size": 56}, "the synthetic weights read 28 px"),
        ({"streams": "motion", "adapt": "head"}, "take --motion-net lean"),
        ({"streams": "2d+motion", "adapt": "none"}, "capsules must learn"),
        ({"weights": "drawn"}, "--streams motion"),
        (
            {"streams": "motion", "adapt": "none", "classes": 5, "dataset": "casme2"},
            "know three classes",
        ),
    ],
)
def test_settings_of_motion_that_contradict(settings, fault):
    with pytest.raises(UserError, match=fault):
        Settings(**settings)


def test_larger_maps(train):
    folder = train(weights="none", motion_net="linear", motion_size=40, save_weights=True)
    state = load_file(folder / "weights/smic_01.safetensors")
    assert state["classes.weight"].shape == (3, 3 * 40 * 40)


def test_five_classes_take_a_new_head():
    settings = Settings(
        streams="motion", classes=5, dataset="casme2", adapt="head", motion_net="lean"
    )
    assert settings.name == "casme2_5_motion_lean_head"
    net, drawn = build_network(settings, read_weights(settings)), load_synthetic("lean")
    assert net.classes.out_features == 5
    assert torch.equal(net.units.weight, drawn.units.weight)
