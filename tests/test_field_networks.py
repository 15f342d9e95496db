"""The field's networks and kernel machines on motion maps: the papers' facts, and what they do."""

import dataclasses
import functools
import json

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import call
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from sklearn.kernel_ridge import KernelRidge
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import SVC
from torch import nn

from common.cli import flag
from common.errors import UserError
from data.motion.maps import read_map
from loso.at_once import AT_ONCE, class_scores
from loso.experiment import run_experiment
from loso.folds import Fold
from loso.motion import motion_epochs
from loso.networks import build_network
from loso.predict import load_classifier, predict
from loso.records import read_records
from loso.settings import Settings
from models.htnet import AREAS, DEPTHS, HEADS, HierarchicalTransformer, Layer, Level, four_areas
from models.kernel import KernelMachine
from models.motion import ClassNet, flip, standardise, stretch
from models.registry import NETWORKS, Learning, MotionEntry, MotionLearning, Plan, make_network
from report.cam import heat_maps

FIELD = ("off_apexnet", "ststnet", "rcn_a", "sssnet")
KERNELS = ("kernel_ridge", "svm")
NAMES_OF_FLAGS = {flag(part.name) for part in dataclasses.fields(Learning)}
FROM_NOTHING = (*KERNELS, *FIELD, "htnet")


def plan(size=28, classes=3):
    return Plan(streams="motion", motion_size=size, classes=classes)


def small_htnet(size=28, classes=3):
    """HTNet's layers, few and narrow."""
    body = HierarchicalTransformer(size, width=16, heads=2, depths=(1, 1, 2))
    return ClassNet(body, nn.Linear(64, classes), size)


def made(name, size=28, classes=3):
    torch.manual_seed(0)
    return (
        small_htnet(size, classes) if name == "htnet" else make_network(name, plan(size, classes))
    )


@pytest.fixture(scope="module")
def easy():
    """90 maps, each class with a motion of its own in some noise: maps, labels, a fold."""
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    maps = rng.normal(0, 0.3, (90, 3, 28, 28)).astype(np.float32)
    for label, (rows, columns) in enumerate(((8, 8), (8, 20), (20, 14))):
        maps[labels == label, :, rows - 4 : rows + 4, columns - 4 : columns + 4] += 2
    return maps, labels, Fold("smic_01", np.arange(36), np.arange(72, 90))


def train(name, easy):
    """A network's records and itself, after two epochs."""
    maps, labels, fold = easy
    if name in KERNELS:
        return AT_ONCE[name](maps, labels, fold)
    how = Settings(streams="motion", motion_net=name, epochs=2, lr=1e-3, batch_size=12)
    return motion_epochs(made(name), maps, labels, fold, how)


@pytest.fixture(scope="module")
def trained(easy):
    """Each network, trained once."""
    return functools.cache(lambda name: train(name, easy))


# What the papers give.


@pytest.mark.parametrize(
    ("name", "size", "parameters"),
    [
        # 2 streams, each 1 -> 6 -> 16 of 5 x 5; 1568 -> 1024 -> 1024 -> 3: "2.66 M"
        ("off_apexnet", 28, 2 * (25 * 6 + 6 + 25 * 6 * 16 + 16) + 1569 * 1024 + 1025 * 1024 + 3075),
        # filters of 3 x 3 x 3, batch norm, 400 -> 3
        ("ststnet", 28, 16 * (27 + 1) + 2 * 16 + 401 * 3),
        # 5 x 5 x 3, 1 x 1, 3 x 3 of 64 with batch norm each, 5 x 5 x 64 -> 3
        ("rcn_a", 60, 64 * (76 + 65 + 577) + 3 * 128 + 1601 * 3),
        ("rcn_a", 28, 51_139),
        # 32 of 5 x 5 x 3, 64 of 3 x 3 x 32 with batch norm each, 9 x 9 x 64 -> 256 -> 3
        ("sssnet", 64, 32 * 76 + 64 + 64 * 289 + 128 + 5185 * 256 + 257 * 3),
    ],
)
def test_parameters_are_those_of_the_layers_tables(name, size, parameters):
    net = make_network(name, plan(size))
    assert sum(p.numel() for p in net.parameters()) == parameters


def shapes(net, layers, size=28):
    """Shapes (without the batch) of what modules of one kind put out, in their order."""
    seen = []
    for module in net.modules():
        if isinstance(module, layers):
            module.register_forward_hook(lambda _, __, out: seen.append(tuple(out.shape[1:])))
    with torch.no_grad():
        net.eval()(torch.rand(1, 3, size, size))
    return seen


def test_ststnets_streams():
    net = make_network("ststnet", plan())
    pooled = [(3, 10, 10), (5, 10, 10), (8, 10, 10)]
    assert shapes(net, nn.MaxPool2d) == pooled
    assert net.features(torch.rand(2, 3, 28, 28))[0].shape == (2, 400)
    assert shapes(net, nn.AdaptiveAvgPool2d)[-1] == (16, 5, 5)


def test_off_apexnets_streams_read_u_and_v_alone():
    net = make_network("off_apexnet", plan()).eval()
    maps = torch.rand(2, 3, 28, 28)
    other = maps.clone()
    other[:, 2] = torch.rand(2, 28, 28)
    assert torch.equal(net(maps)[0], net(other)[0])
    for channel in (0, 1):
        other = maps.clone()
        other[:, channel] = torch.rand(2, 28, 28)
        assert not torch.equal(net(maps)[0], net(other)[0])
    assert shapes(net, nn.MaxPool2d) == 2 * [(6, 14, 14), (16, 7, 7)]


def test_rcn_a_repeats_one_convolution_and_attends_with_its_last_layer():
    net = make_network("rcn_a", plan(60)).eval()
    # the first layer's 56 px pooled to 28; 1 x 1 once, 3 x 3 twice
    assert shapes(net, nn.Conv2d, 60) == [(64, 56, 56), *3 * [(64, 28, 28)]]
    maps = torch.rand(2, 3, 60, 60)
    first, recurrent = net.features(maps)
    assert first.shape == recurrent.shape == (2, 64 * 25)
    with torch.no_grad():
        net.classes.bias.fill_(0.5)
        net.classes.weight.zero_()  # no evidence anywhere: nothing passes
    assert torch.allclose(net(maps)[0], torch.full((2, 3), 0.5))


def test_sssnets_maps():
    assert shapes(make_network("sssnet", plan(64)), nn.MaxPool2d, 64) == [(32, 20, 20), (64, 9, 9)]
    assert shapes(make_network("sssnet", plan()), nn.MaxPool2d) == [(32, 8, 8), (64, 3, 3)]


def test_htnets_hierarchy():
    with torch.device("meta"):  # the authors' width takes seconds to draw
        body = HierarchicalTransformer(28, 256, HEADS, DEPTHS)
        published = ClassNet(body, nn.Linear(1024, 3), 28)
    assert sum(p.numel() for p in published.parameters()) == 139_582_982
    levels = [module for module in published.modules() if isinstance(module, Level)]
    assert [level.blocks for level in levels] == [4, 2, 1]
    assert [len(level.layers) for level in levels] == [2, 2, 10]
    assert [level.layers[0].attend[1].heads for level in levels] == [3, 6, 12]
    assert [level.layers[0].mix[1].in_features for level in levels] == [256, 512, 1024]
    assert shapes(small_htnet(), Level) == [(16, 4, 4), (32, 2, 2), (64, 1, 1)]
    assert shapes(small_htnet(56), Level, 56) == [(16, 8, 8), (32, 4, 4), (64, 2, 2)]


def test_htnets_blocks_attend_within_themselves():
    torch.manual_seed(0)
    level = Level(16, 2, depth=1, blocks=2, tokens=4).eval()
    maps = torch.randn(1, 16, 4, 4)
    other = maps.clone()
    other[..., 0, 0] += 1
    changed = (level(maps) != level(other)).any(1)[0]
    assert changed[:2, :2].all()
    assert not changed[2:].any() and not changed[:, 2:].any()


def test_a_token_alone_attends_to_itself():
    torch.manual_seed(0)
    layer = Layer(16, 2).eval()
    token = torch.randn(3, 1, 16)
    assert torch.allclose(layer(token), layer(token.repeat(1, 5, 1))[:, :1], atol=1e-6)


@pytest.mark.parametrize("size", [28, 56])
def test_htnets_areas_lie_around_eyes_and_lip_corners(size):
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    places = torch.stack([columns, rows])[None].float() + 0.5  # x and y of each pixel
    half = size // 2
    areas = four_areas(places)
    assert areas.shape == (1, 2, size, size)
    for i, row in enumerate(AREAS):
        for j, centre in enumerate(row):
            area = areas[0, :, i * half : (i + 1) * half, j * half : (j + 1) * half]
            middle = area.mean((1, 2)) / size
            assert middle.tolist() == pytest.approx(centre, abs=0.5 / 28 + 0.05 * (i == 1))


def test_htnets_areas_of_a_mirrored_face_are_mirrored():
    maps = torch.randn(2, 3, 28, 28)
    assert torch.equal(four_areas(flip(maps)), flip(four_areas(maps)))


# What every one of them does.


@given(st.floats(1e-4, 1e4), st.floats(-1e3, 1e3))
def test_stretched_maps_are_the_same_at_any_scale_and_offset(scale, offset):
    maps = torch.from_numpy(np.random.default_rng(0).normal(0, 1, (2, 3, 8, 8)))
    out = stretch(maps)
    assert torch.allclose(out, stretch(maps * scale + offset * scale), atol=1e-3)
    assert torch.all(out.amin((2, 3)) == 0) and torch.allclose(
        out.amax((2, 3)), out.new_tensor(255)
    )


def test_stretched_maps_without_motion_and_of_other_channels():
    assert torch.equal(stretch(torch.full((1, 3, 4, 4), 7.0)), torch.zeros(1, 3, 4, 4))
    with pytest.raises(ValueError, match=r"motion maps are \(B, 3, S, S\)"):
        stretch(torch.zeros(1, 2, 4, 4))


@pytest.mark.parametrize("name", FROM_NOTHING)
def test_maps_of_other_sizes_and_still_ones(name):
    net = made(name, classes=5).eval()
    for size in (20, 28, 40):
        output = net(torch.rand(2, 3, size, size))
        assert output[0].shape == (2, 5)
        assert len(output) == 1  # no action units
    still = net.scores(net(torch.zeros(1, 3, 28, 28)))
    assert torch.isfinite(still).all()


@pytest.mark.parametrize("name", FROM_NOTHING)
def test_learning_lowers_the_loss_and_repeats(name, easy, trained):
    epochs, net = trained(name)
    again, other = train(name, easy)
    assert epochs == again
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(),
                                                 other.state_dict().values()))  # fmt: skip
    if name in KERNELS:
        right = np.argmax(epochs[0]["scores"], 1) == easy[1][easy[2].test]
        assert right.mean() > 0.9
    else:
        assert epochs[1]["train_loss"] < epochs[0]["train_loss"]
    scores = np.array(epochs[-1]["scores"])
    assert scores.min() >= 0 and scores.max() <= 1
    assert scores.sum(1) == pytest.approx(np.ones(len(scores)), abs=1e-5)


@pytest.mark.parametrize("name", FROM_NOTHING)
def test_evaluation_does_not_depend_on_the_batch(name, easy, trained):
    net = trained(name)[1]
    maps = easy[0][:12]
    one_by_one = np.concatenate([class_scores(net, maps[i : i + 1]) for i in range(12)])
    assert np.allclose(class_scores(net, maps), one_by_one, atol=1e-5)


@pytest.mark.parametrize("name", FROM_NOTHING)
def test_heat_maps_show_where_a_class_comes_from(name, easy, trained):
    net = trained(name)[1]
    batch = (torch.from_numpy(easy[0][:1]),)
    (heat,) = heat_maps(net, batch, 0, Settings(streams="motion"))
    assert heat.map.shape == (28, 28)
    assert np.isfinite(heat.map).all() and heat.map.max() > 0


@pytest.mark.parametrize("name", ["off_apexnet", "rcn_a", "sssnet", "htnet"])
def test_maps_too_small_for_a_network_are_one_line(name):
    with pytest.raises(UserError, match=rf"--motion-size: 3 px.*{name}"):
        build_network(Settings(streams="motion", motion_net=name, motion_size=3))


# Recipes.


def test_each_learns_by_its_own_recipe_unless_the_command_line_says_otherwise():
    for name in FROM_NOTHING:
        own = NETWORKS[name].learning
        settings = Settings(streams="motion", motion_net=name)
        assert settings.learning == own
        assert settings.first_weights == "none"
        facts = settings.facts()
        assert (facts["epochs"], facts["batch_size"], facts["lr"]) == (
            own.epochs, own.batch_size, own.lr,
        )  # fmt: skip
        assert NAMES_OF_FLAGS.issuperset(own.published.split()[::2])
        given = Settings(streams="motion", motion_net=name, epochs=7, batch_size=5, lr=0.5)
        assert (given.learning.epochs, given.learning.batch_size, given.learning.lr) == (7, 5, 0.5)
        assert given.passes == (1 if name in KERNELS else 7)
        assert json.loads(json.dumps(given.facts()))["epochs"] == 7
    plain = Settings().facts()
    assert (plain["epochs"], plain["batch_size"], plain["lr"]) == (30, 32, 1e-4)
    assert Settings(streams="motion", motion_net="lean").facts()["lr"] == 1e-3


@pytest.mark.parametrize("value", [0, -1])
@pytest.mark.parametrize("name", ["epochs", "batch_size"])
def test_no_epochs_or_batch_of_nothing(name, value):
    with pytest.raises(UserError, match=f"{value}: at least 1"):
        Settings(**{name: value})


def test_the_recipe_decides_the_training(easy):
    """Optimiser, rate and its halving, class weights and variation each change the record."""
    maps, labels, fold = easy
    labels = np.where(np.arange(90) % 10 > 6, labels, 0)  # classes of unequal size

    def record(patch, **changes):
        learning = MotionLearning(epochs=2, batch_size=16, optimiser="adam", weight_decay=0.0,
                                  varied=False, balanced=False)  # fmt: skip
        entry = MotionEntry("models.field:build_ststnet", learning=learning)
        for key, value in changes.items():
            object.__setattr__(learning, key, value)
        patch.setitem(NETWORKS, "ststnet", entry)
        settings = Settings(streams="motion", motion_net="ststnet")
        return motion_epochs(made("ststnet"), maps, labels, fold, settings)[0]

    with pytest.MonkeyPatch.context() as patch:
        plain = record(patch)
        for changes in (
            {"optimiser": "sgd"}, {"weight_decay": 0.1}, {"varied": True}, {"balanced": True},
            {"lr": 1e-2},
        ):  # fmt: skip
            assert record(patch, **changes)[0] != plain[0], changes
        halved = record(patch, halved=1)
        assert halved[0] == plain[0]
        assert halved[1] != plain[1]


@pytest.mark.parametrize("name", FROM_NOTHING)
@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"weights": "synthetic"}, "--weights synthetic: {} learns from nothing; leave it out"),
        ({"weights": "w.safetensors"}, "--weights w.safetensors: {} learns from nothing"),
        ({"adapt": "none"}, "--adapt none: {} has no pretrained weights to keep"),
        ({"adapt": "head"}, "--adapt head: {} has no pretrained weights to keep"),
    ],
)
def test_what_starts_from_nothing_takes_no_weights(name, given, fault):
    with pytest.raises(UserError, match=fault.format(name)):
        Settings(streams="motion", motion_net=name, **given)


# Kernel machines.


def test_kernel_ridge_is_scikit_learns(easy):
    maps, labels, fold = easy
    x = standardise(torch.from_numpy(maps)).flatten(1).double().numpy()
    train = labels[fold.train]
    weight = len(train) / 3 / np.bincount(train)[train]
    model = KernelRidge(alpha=1, kernel="rbf", gamma=1 / x.shape[1])
    model.fit(x[fold.train], np.eye(3)[train], sample_weight=weight)
    epochs, net = AT_ONCE["kernel_ridge"](maps, labels, fold)
    found = net(torch.from_numpy(maps[fold.test]))[0]
    expected = torch.from_numpy(model.predict(x[fold.test]))
    assert torch.allclose(found.double(), expected, atol=1e-5)
    assert np.allclose(epochs[0]["scores"], expected.softmax(1), atol=1e-5)


def test_svm_is_scikit_learns(easy):
    maps, labels, fold = easy
    maps = maps + np.random.default_rng(1).normal(0, 2, maps.shape).astype(np.float32)
    x = standardise(torch.from_numpy(maps)).flatten(1).double().numpy()
    one = SVC(C=1, gamma=1 / x.shape[1], class_weight="balanced")
    model = OneVsRestClassifier(one).fit(x[fold.train], labels[fold.train])
    epochs, net = AT_ONCE["svm"](maps, labels, fold)
    found = net(torch.from_numpy(maps[fold.test]))[0]
    expected = torch.from_numpy(model.decision_function(x[fold.test]))
    assert torch.allclose(found.double(), expected, atol=1e-5)
    assert np.array_equal(np.argmax(epochs[0]["scores"], 1), model.predict(x[fold.test]))


def test_rare_classes_weigh_as_much(easy):
    """With thirteen negatives to one of each other class, the others are found all the same."""
    maps, labels, _ = easy
    rng = np.random.default_rng(3)
    maps = maps + rng.normal(0, 0.6, maps.shape).astype(np.float32)
    rare = np.concatenate([np.flatnonzero(labels == 0)[:27], [1, 2, 4, 5]])
    fold = Fold("smic_01", rare, np.setdiff1d(np.flatnonzero(labels > 0), rare))
    for name in KERNELS:
        scores = AT_ONCE[name](maps, labels, fold)[0][0]["scores"]
        assert (np.argmax(scores, 1) == labels[fold.test]).mean() > 0.9, name


def test_a_kernel_machine_keeps_what_it_was_fitted_with(easy, trained, tmp_path):
    net = trained("svm")[1]
    kept = len(net.classes.support)
    assert 0 < kept <= 36
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    other = made("svm").eval()
    other.load_state_dict(load_file(tmp_path / "net.safetensors"))
    maps = torch.from_numpy(easy[0][:5])
    assert torch.equal(net(maps)[0], other(maps)[0])
    wrong = net.state_dict() | {"classes.weight": torch.zeros(kept + 1, 3)}
    with pytest.raises(RuntimeError, match="size mismatch"):
        made("svm").load_state_dict(wrong)
    with pytest.raises(RuntimeError, match="size mismatch"):
        KernelMachine(10, 3).load_state_dict(net.classes.state_dict())


def test_maps_that_are_no_numbers_are_one_line(easy):
    maps, labels, fold = easy
    broken = maps.copy()
    broken[3, 0, 5, 5] = np.nan
    for name in KERNELS:
        with pytest.raises(UserError, match="fold smic_01, epoch 1: the maps are nan"):
            AT_ONCE[name](broken, labels, fold)


# From an index to the tables.


@pytest.fixture(scope="module")
def ready(easy, tmp_path_factory):
    """An index of ready maps: three subjects, five of each class each."""
    root = tmp_path_factory.mktemp("ready")
    rows = []
    for number, (one, label) in enumerate(zip(easy[0][:45], easy[1][:45])):
        np.save(root / f"{number}.npy", one)
        rows.append(
            ("smic", f"{number // 15 + 1:02d}", f"c{number}", label, f"{number}.npy", "own")
        )
    columns = ["data", "subject", "clip", "label", "motion_path", "motion_frame"]
    pd.DataFrame(rows, columns=columns).to_csv(root / "ready_apex.csv", index=False)
    return root


@pytest.mark.parametrize("name", [*KERNELS, *FIELD, "htnet"])
def test_an_experiment_and_its_networks_in_use(name, ready, tmp_path, monkeypatch):
    monkeypatch.setattr("models.htnet.WIDTH", 12)
    monkeypatch.setattr("models.htnet.DEPTHS", (1, 1, 1))
    settings = Settings(
        index=ready / "ready_apex.csv", root=ready, result=tmp_path, streams="motion",
        motion_net=name, epochs=2, device="cpu", workers=1, save_weights=True,
        subjects=("1",),
    )  # fmt: skip
    run_experiment(settings)
    assert settings.folder.name == f"smic_motion_{name}"
    (record,) = read_records(settings.folder)
    assert len(record["epochs"]) == (1 if name in KERNELS else 2)
    classifier = load_classifier(settings.folder / "weights/smic_01.safetensors")
    clip, scores = record["clips"][0]["clip"], record["epochs"][-1]["scores"][0]
    maps = torch.from_numpy(read_map(ready / f"{clip[1:]}.npy", is_own=True))[None]
    found = predict(classifier, (maps,), torch.device("cpu"))
    assert list(found.classes.values()) == pytest.approx(scores, abs=1e-5)
    assert found.units == {}


def test_through_the_script(ready, tmp_path):
    common = ("--index", ready / "ready_apex.csv", "--root", ready, "--result", tmp_path,
              "--streams", "motion", "--motion-net", "svm")  # fmt: skip
    done = call("train_me_loso.py", *common)
    assert done.returncode == 0, done.stderr
    done = call("get_result_log.py", "--result", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "smic_motion_svm" in done.stdout
    done = call("train_me_loso.py", *common, "--weights", "synthetic")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
