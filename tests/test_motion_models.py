"""The motion networks, their committed weights, and what the protocol does with them."""

import numpy as np
import pandas as pd
import pytest
import skimage.data
import torch
from conftest import call, classify, run
from hypothesis import given
from hypothesis import strategies as st
from moved_faces import moved
from safetensors.torch import load_file, save_file
from sklearn.linear_model import LogisticRegression

from common.errors import UserError
from data.faces import load_face_finder
from loso.at_once import FOLD_C, linear_epochs
from loso.folds import make_folds
from loso.metrics import scores
from loso.motion import motion_epochs, predict_maps
from loso.predict import Classifier, ClipFrames
from loso.records import FORMAT, read_records, record_path, write_json
from loso.settings import Settings
from loso.synthetic_weights import SYNTHETIC_WEIGHTS, load_synthetic, synthetic_facts
from models.motion import UNITS, flip, standardise, vary
from models.registry import Plan, make_network
from synthetic.motion.domains import HELD_OUT, TRAINING
from synthetic.motion.pairs import make_motion

KINDS = ("directed", "linear", "lean")


@pytest.fixture(scope="module")
def unseen():
    """Small drawn sets of a seed that nothing was made with: own domains, and the held-out."""
    return {"own": make_motion(480, 777), "held out": make_motion(480, 777, HELD_OUT)}


@given(st.floats(1e-4, 1e4), st.floats(-1e3, 1e3))
def test_scale_and_offset_of_a_channel_do_not_matter(scale, offset):
    maps = torch.from_numpy(np.random.default_rng(0).normal(0, 1, (2, 3, 8, 8))).float()
    other = (maps.double() * scale + offset * scale).float()
    assert torch.allclose(standardise(maps), standardise(other), atol=2e-2)


def test_standardised_maps():
    maps = torch.rand(2, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    maps[1, 2] = 0.7  # no strain at all
    out = standardise(maps)
    assert out.flatten(2).median(2).values.abs().max() < 0.01
    assert out[0].square().mean((1, 2)).sqrt() == pytest.approx(torch.ones(3), abs=1e-3)
    assert torch.all(out[1, 2] == 0)
    for shape in ((2, 2, 28, 28), (3, 28, 28), (1, 1, 28, 28)):
        with pytest.raises(ValueError, match=r"motion maps are \(B, 3, S, S\)"):
            standardise(torch.zeros(shape))


def test_flip_twice_is_nothing_and_turns_u():
    maps = torch.rand(2, 3, 8, 8)
    assert torch.equal(flip(flip(maps)), maps)
    assert torch.equal(flip(maps)[:, 0], -maps[:, 0].flip(-1))
    assert torch.equal(flip(maps)[:, 1], maps[:, 1].flip(-1))


def test_variation_follows_from_its_generator():
    maps = torch.randn(8, 3, 28, 28)
    first, second = (vary(maps, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, vary(maps, torch.Generator().manual_seed(2)))


@pytest.mark.parametrize("kind", KINDS)
def test_shapes_at_other_sizes_and_lean_is_lean(kind):
    net = make_network(kind, Plan(streams="motion", classes=5)).eval()
    for size in (20, 28, 64):
        classes, units = net(torch.rand(2, 3, size, size))
        assert classes.shape == (2, 5)
        assert units.shape == (2, len(UNITS))
    if kind == "lean":
        assert sum(p.numel() for p in net.parameters()) < 20_000
        assert make_network(kind, Plan(motion_size=56))(torch.rand(2, 3, 56, 56))[0].shape == (2, 3)


def test_committed_weights_say_what_made_them():
    assert SYNTHETIC_WEIGHTS.stat().st_size < 2e6
    facts = synthetic_facts()
    command = (
        f"python -m tools.pretrain_motion --samples {facts['samples']} --seed {facts['seed']} "
    )
    assert facts["command"] == command + f"--epochs {facts['epochs']}"
    assert facts["seed"] == 9
    assert facts["domains"] == [domain.name for domain in TRAINING]
    assert facts["units"] == list(UNITS)
    assert "no real face" in facts["data"]
    assert set(facts["held_out_uf1"]) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_committed_weights_read_fresh_drawn_faces(kind, unseen):
    net = load_synthetic(kind)
    for name, least in (("own", 0.75), ("held out", 0.75)):
        drawn = unseen[name]
        probabilities, units = predict_maps(net, drawn.maps)
        assert probabilities.sum(1) == pytest.approx(np.ones(len(drawn.maps)), abs=1e-5)
        assert scores(drawn.labels, probabilities.argmax(1), 3).uf1 > least
        # A unit that is shown scores higher than where it is not, for the common ones.
        for number in (1, 2, 4, 12):
            column = UNITS.index(number)
            shown = drawn.units[:, column]
            assert units[shown, column].mean() > units[~shown, column].mean() + 0.2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("places", "shifts", "label", "unit"),
    [
        ((48, 54), ((-4, -4), (4, -4)), 1, 12),  # lip corners out and up
        ((19, 20, 23, 24), ((0, -3),) * 4, 2, 2),  # brows up
        ((20, 21, 22, 23), ((1, 3), (1, 3), (-1, 3), (-1, 3)), 0, 4),  # brows down and together
    ],
)
def test_a_real_face_is_read_without_having_seen_one(kind, places, shifts, label, unit):
    face = np.ascontiguousarray(skimage.data.astronaut()[20:260, 100:340])
    found = load_face_finder("dlib").find(face, "face")
    points = found.landmarks
    apex = moved(face, points[list(places)], shifts, sigma=9)
    classifier = Classifier([load_synthetic(kind)], Settings(streams="motion", motion_net=kind))
    other = load_face_finder("dlib").again(apex, found)
    read = classify(classifier, ClipFrames(apex, other, 1, face, found, 0))
    assert read.label == ("negative", "positive", "surprise")[label]
    assert read.units[unit] > 0.5
    assert set(read.units) == set(UNITS)
    with pytest.raises(UserError, match="there is no motion"):
        classify(classifier, ClipFrames(face, found, 0, face, found, 0))


def test_wrong_weights_are_one_line(tmp_path):
    with pytest.raises(UserError, match=r"gone\.safetensors: .*tools\.pretrain_motion makes it"):
        load_synthetic("lean", tmp_path / "gone.safetensors")
    (tmp_path / "text.safetensors").write_text("no weights")
    with pytest.raises(UserError, match=r"tools\.pretrain_motion makes it"):
        load_synthetic("lean", tmp_path / "text.safetensors")
    save_file({"lean.other": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match="holds no 'lean' network of this version"):
        load_synthetic("lean", tmp_path / "other.safetensors")


@pytest.fixture(scope="module")
def corpus():
    """Synthetic maps as a corpus of six subjects, its labels and folds."""
    drawn = make_motion(120, 31, HELD_OUT)
    index = pd.DataFrame({
        "data": "smic", "subject": [f"{i % 6:02d}" for i in range(120)], "label": drawn.labels,
        "clip": [f"c{i}" for i in range(120)],
    })  # fmt: skip
    index["subject"] = index["subject"].to_numpy()[np.random.default_rng(0).permutation(120)]
    index["data_sub"] = "smic_" + index["subject"]
    return drawn.maps, drawn.labels, index, make_folds(index, 3)


def adapting(adapt):
    return Settings(streams="motion", motion_net="lean", adapt=adapt, epochs=3)


def every_way(corpus, fold, labels):
    maps = corpus[0]
    yield "linear", linear_epochs("linear", maps, labels, fold)
    for adapt in ("none", "head", "all"):
        yield adapt, motion_epochs(load_synthetic("lean"), maps, labels, fold, adapting(adapt))


def test_the_held_out_subject_decides_nothing(corpus):
    fold = corpus[3][2]
    other = corpus[1].copy()
    other[fold.test] = (other[fold.test] + 1) % 3
    for (name, (first, _)), (_, (second, _)) in zip(
        every_way(corpus, fold, corpus[1]), every_way(corpus, fold, other)
    ):
        assert [e["scores"] for e in first] == [e["scores"] for e in second], name
        assert first[-1]["test_loss"] != second[-1]["test_loss"]


def test_folds_are_ordinary_records(corpus, tmp_path):
    _, labels, index, folds = corpus
    fold = folds[0]
    for name, (epochs, net) in every_way(corpus, fold, labels):
        assert np.allclose(predict_maps(net, corpus[0][fold.test])[0], epochs[-1]["scores"],
                           atol=1e-5)  # fmt: skip
        assert len(epochs) == (3 if name == "all" else 1)
        assert (epochs[0]["train_loss"] is None) == (name == "none")
        clips = index.iloc[fold.test][["data", "subject", "clip", "label"]].to_dict("records")
        record = {
            "format": FORMAT, "experiment": name, "data_sub": fold.data_sub,
            "classes": ["negative", "positive", "surprise"], "clips": clips, "epochs": epochs,
            "seconds": 1.0,
        }  # fmt: skip
        write_json(record_path(tmp_path / name, fold.data_sub), record)
        assert read_records(tmp_path / name)[0]["epochs"] == epochs


def test_adapting_leaves_the_network_as_it_was_and_tuning_learns(corpus):
    maps, labels, _, folds = corpus
    net = load_synthetic("lean")
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    epochs, tuned = motion_epochs(net, maps, labels, folds[0], adapting("all"))
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    assert epochs[-1]["train_loss"] < epochs[0]["train_loss"]
    assert not torch.equal(tuned.classes.weight, net.classes.weight)
    assert epochs == motion_epochs(net, maps, labels, folds[0], adapting("all"))[0]


def test_linear_is_logistic_regression_of_standardised_maps(corpus):
    maps, labels, _, folds = corpus
    x = standardise(torch.from_numpy(maps)).flatten(1).numpy()
    model = LogisticRegression(C=FOLD_C, class_weight="balanced", max_iter=1000)
    model.fit(x[folds[1].train], labels[folds[1].train])
    expected = model.predict_proba(x[folds[1].test])
    found = linear_epochs("linear", maps, labels, folds[1])[0][0]["scores"]
    assert np.allclose(found, expected, atol=2e-3)


def test_script_makes_the_same_weights_again(tmp_path):
    files = [tmp_path / f"{i}.safetensors" for i in range(2)]
    for workers, file in enumerate(files, start=1):
        done = (call if workers == 1 else run)(
            "tools.pretrain_motion", "--samples", 240, "--epochs", 1, "--out", file,
            "--workers", workers,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert files[0].read_bytes() == files[1].read_bytes()
    assert set(load_file(files[0])) == set(load_file(SYNTHETIC_WEIGHTS))
    assert synthetic_facts(files[0])["samples"] == 240
    for arguments, fault in (
        (("--out", tmp_path / "w.pth"), "w.pth: weights are written as .safetensors"),
        (("--samples", 3), "--samples 3, --epochs 8: at least 240 and 1"),
    ):
        done = call("tools.pretrain_motion", *arguments)
        assert done.returncode == 2
        assert fault in done.stderr
        assert done.stderr.count("\n") == 1
