"""The protocol: folds, records, both protocols, determinism, resuming, broken records."""

import json
import signal
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import FAST, GOLDEN, ROOT, call, run, start
from experiments import records_of, settings_of
from hypothesis import given
from hypothesis import strategies as st

from common.errors import UserError
from data.clip_set import load_clips
from data.index import read_index
from loso.batches import Features, Images
from loso.device import resolve_device
from loso.experiment import run_experiment
from loso.folds import by_glasses, choose_folds, make_folds
from loso.metrics import bootstrap, scores
from loso.networks import build_network, read_weights
from loso.records import read_record, read_records, record_predictions
from loso.settings import Settings


@pytest.fixture(scope="module")
def trained(tiny, tmp_path_factory):
    """A finished run through the command line: (result folder, what it printed)."""
    result = tmp_path_factory.mktemp("result")
    done = run(
        "train_me_loso.py", "--index", tiny / "index/smic_apex.csv", "--root", tiny,
        "--result", result, *FAST,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return result, done.stdout


def test_a_run_leaves_records_of_the_specified_form(trained, tiny):
    result, printed = trained
    record = read_record(result / "smic/fold_smic_02.json")
    assert record["format"] == 1
    assert record["experiment"] == "smic"
    assert record["classes"] == ["negative", "positive", "surprise"]
    first = {"data": "smic", "subject": "02", "clip": "s02_ne_00", "label": 0}
    assert record["clips"][0] == first
    assert [epoch["epoch"] for epoch in record["epochs"]] == [1, 2]
    assert np.shape(record["epochs"][0]["scores"]) == (6, 3)
    assert len(records_of(result / "smic")) == 4
    config = json.loads((result / "smic/config.json").read_text())
    assert config["settings"]["seed"] == 9
    assert config["versions"]["torch"] == torch.__version__.split("+")[0]
    assert len(config["git_commit"].rstrip("+")) == 40
    assert "fold 4/4 smic_04  6 clips" in printed
    assert "running UF1" in printed


def test_the_same_settings_give_the_same_records_bit_by_bit(trained, tiny, tmp_path):
    run_experiment(settings_of(tiny, tmp_path, subjects=("smic_03", "smic_01")))
    run_experiment(settings_of(tiny, tmp_path))  # goes on with the other two
    assert records_of(tmp_path / "smic") == records_of(trained[0] / "smic")


def test_another_seed_gives_other_records(trained, tiny, tmp_path):
    run_experiment(settings_of(tiny, tmp_path, subjects=("1",), seed=10))
    name = "fold_smic_01.json"
    assert records_of(tmp_path / "smic")[name] != records_of(trained[0] / "smic")[name]


def test_interrupted_by_ctrl_c_it_goes_on_to_the_same_records(trained, tiny, tmp_path):
    command = [
        sys.executable, str(ROOT / "train_me_loso.py"), "--index",
        str(tiny / "index/smic_apex.csv"), "--root", str(tiny), "--result", str(tmp_path), *FAST,
    ]  # fmt: skip
    process = start(command)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("smic/fold_*.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    done = len(records_of(tmp_path / "smic"))
    assert process.returncode == 130
    assert f"{done} whole folds are in" in errors
    assert "Traceback" not in errors
    again = call("train_me_loso.py", *command[2:])
    assert again.returncode == 0, again.stderr
    assert f"{done} of them done before" in again.stdout
    assert records_of(tmp_path / "smic") == records_of(trained[0] / "smic")


def test_cached_features_equal_the_whole_network(tiny):
    settings = settings_of(tiny, tiny)
    index = read_index(settings.index)
    clips = load_clips(index, None, tiny, (97, 97))
    network = build_network(settings, read_weights(settings))
    assert Features.fit(clips, network, settings)
    images = Images(clips, settings, torch.device("cpu"))
    cached = Features(images, network)
    rows = torch.tensor([3, 1, 7])
    network.eval()
    with torch.no_grad():
        expected = network(*images.test(rows))
        assert torch.allclose(cached.run(network, cached.test(rows)), expected, atol=1e-5)
    assert not Features.fit(clips, network, settings_of(tiny, tiny, augment="full"))
    assert not Features.fit(clips, network, settings_of(tiny, tiny, freeze="early"))


def test_unfrozen_training_with_full_augmentation_learns(tiny, tmp_path):
    run_experiment(
        settings_of(
            tiny, tmp_path, freeze="none", augment="crop", epochs=3, lr=1e-3, subjects=("1",)
        )
    )
    (record,) = read_records(tmp_path / "smic")
    losses = [epoch["train_loss"] for epoch in record["epochs"]]
    assert losses[-1] < 0.8 * losses[0]


def test_a_loss_that_explodes_is_an_error_not_a_record(tiny, tmp_path):
    with pytest.raises(UserError, match=r"fold smic_01, epoch .*lower --lr"):
        run_experiment(settings_of(tiny, tmp_path, lr=1e30, epochs=4))
    assert not list(tmp_path.glob("smic/fold_*"))


def test_other_settings_are_refused_by_name_unless_overwritten(trained, tiny, tmp_path):
    run_experiment(settings_of(tiny, tmp_path, subjects=("1",)))
    with pytest.raises(UserError, match=r"--epochs was 2, now 3.*--overwrite"):
        run_experiment(settings_of(tiny, tmp_path, epochs=3))
    run_experiment(settings_of(tiny, tmp_path, epochs=1, subjects=("smic_02",), overwrite=True))
    assert list(records_of(tmp_path / "smic")) == ["fold_smic_02.json"]


def test_another_index_is_refused(tiny, tmp_path):
    run_experiment(settings_of(tiny, tmp_path, subjects=("1",), epochs=1))
    smaller = tmp_path / "fewer_apex.csv"
    pd.read_csv(tiny / "index/smic_apex.csv", dtype=str).iloc[:-1].to_csv(smaller, index=False)
    with pytest.raises(UserError, match="the index has changed"):
        run_experiment(settings_of(tiny, tmp_path, index=smaller, epochs=1))


@pytest.mark.parametrize(
    ("break_it", "fault"),
    [
        (lambda text: text[: len(text) // 2], "cut off or not JSON"),
        (lambda text: text.replace('"format": 1', '"format": 2'), "format 2, this version reads 1"),
        (lambda text: "[]", "not a JSON object"),
        (lambda text: text.replace('"epochs"', '"epoch_list"'), "no 'epochs' in it"),
        (lambda text: text.replace('"scores": [[', '"scores": [[0.5], ['), "has no 6 x 3 scores"),
    ],
)
def test_a_broken_record_is_named(trained, tmp_path, break_it, fault):
    path = tmp_path / "x/fold_smic_01.json"
    path.parent.mkdir()
    path.write_text(break_it((trained[0] / "smic/fold_smic_01.json").read_text()))
    (tmp_path / "x/config.json").write_text('{"subjects": {"smic_01": 6}}')
    with pytest.raises(UserError, match=fault):
        read_records(tmp_path / "x")
    done = call("get_result_log.py", "--result", tmp_path)
    assert done.returncode == 2
    assert str(path) in done.stderr
    assert not (tmp_path / "result_log.csv").exists()


def test_a_full_disk_leaves_no_record(tiny, tmp_path, monkeypatch):
    from pathlib import Path

    write = Path.write_text

    def full(path, text, *args, **kwargs):
        if "fold_" in path.name:
            write(path, text[:100])
            raise OSError(28, "No space left on device")
        return write(path, text, *args, **kwargs)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(UserError, match=r"cannot write .*fold_smic_01.json: No space left"):
        run_experiment(settings_of(tiny, tmp_path, epochs=1))
    assert [path.name for path in (tmp_path / "smic").iterdir()] == ["config.json"]


def test_folds_hold_out_each_subject_once(tiny):
    index = read_index(tiny / "index/smic_apex.csv")
    folds = make_folds(index, 3)
    assert sorted(np.concatenate([fold.test for fold in folds])) == list(range(len(index)))
    for fold in folds:
        assert not set(fold.train) & set(fold.test)
        assert set(index["data_sub"].iloc[fold.test]) == {fold.data_sub}
        assert fold.data_sub not in set(index["data_sub"].iloc[fold.train])
    assert len({fold.seed(9) for fold in folds}) == 4


def test_folds_that_cannot_be(tiny):
    index = read_index(tiny / "index/smic_apex.csv")
    with pytest.raises(UserError, match="only one subject"):
        make_folds(index[index["subject"] == "01"], 3)
    only = index[(index["label"] < 2) | (index["subject"] == "03")]
    with pytest.raises(UserError, match="fold smic_03: no clip of class surprise"):
        make_folds(only.reset_index(drop=True), 3)
    with pytest.raises(UserError, match="--subjects smic_99: no such fold"):
        choose_folds(make_folds(index, 3), ("smic_99",))


def test_subjects_with_glasses_and_the_rest(tiny):
    index = read_index(tiny / "index/smic_apex.csv")
    assert set(by_glasses(index, True)["subject"]) == {"01", "04"}
    assert set(by_glasses(index, False)["subject"]) == {"02", "03"}
    with pytest.raises(UserError, match="--glasses-only: no subject of this index wears glasses"):
        by_glasses(index[index["subject"] == "02"], True)
    with pytest.raises(UserError, match="--without-glasses: every subject of this index wears"):
        by_glasses(index[index["subject"] == "01"], False)


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ({"epochs": 0}, "--epochs 0: at least 1"),
        ({"classes": 5}, "--classes 5 goes with --dataset casme2"),
        ({"weights": "package"}, "--weights package goes with"),
        ({"softmax_twice": True}, "--softmax-twice goes with"),
        ({"experiment": "../x"}, "--experiment ../x: letters"),
        ({"glasses_only": True, "without_glasses": True}, "leave nobody"),
        ({"freeze": "trunk", "weights": "none"}, "would never train the trunk"),
    ],
)
def test_settings_that_contradict(wrong, fault):
    with pytest.raises(UserError, match=fault):
        Settings(**wrong)


def test_names_say_what_an_experiment_is():
    assert Settings().name == "smic"
    assert Settings(network="baseline", dataset="samm").name == "baseline_samm"
    assert Settings(dataset="casme2", classes=5).name == "casme2_5"
    assert Settings(dataset="composite", glasses_only=True).name == "composite_glasses"
    assert Settings(dataset="samm", without_glasses=True).name == "samm_no_glasses"
    assert str(Settings(dataset="casme2", classes=5).index_file) == "data/casme2_5_apex.csv"


def test_a_device_that_is_not_there():
    assert resolve_device("cpu").type == "cpu"
    with pytest.raises(UserError, match="--device tpu: not to be had here"):
        resolve_device("tpu")


PUBLISHED = {"smic": (0.5820, 0.5877), "casme2": (0.7068, 0.7018), "samm": (0.6209, 0.5989)}


def expand(matrix):
    true, predicted = np.indices((3, 3)).reshape(2, -1)
    return np.repeat(true, np.ravel(matrix)), np.repeat(predicted, np.ravel(matrix))


def test_metrics_give_the_published_figures():
    """CapsuleNet's published log of 435 clips (tests/golden/capsulenet_confusion.json)."""
    matrices = json.loads((GOLDEN / "capsulenet_confusion.json").read_text())
    for data, (uf1, uar) in PUBLISHED.items():
        got = scores(*expand(matrices[data]), 3)
        # SAMM's UAR is 0.59898, given as 0.5989.
        assert (got.uf1, got.uar) == pytest.approx((uf1, uar), abs=1e-4)
    pooled = np.sum([matrices[data] for data in PUBLISHED], axis=0)
    assert pooled.sum() == 435
    got = scores(*expand(pooled), 3)
    assert (got.uf1, got.uar) == pytest.approx((0.6520, 0.6506), abs=1e-4)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=30))
def test_scores_follow_their_formulas(pairs):
    labels, predictions = np.array(pairs).T
    f1, recall = [], []
    for c in range(3):
        tp = ((labels == c) & (predictions == c)).sum()
        both = (labels == c).sum() + (predictions == c).sum()  # 2TP + FP + FN
        f1.append(2 * tp / both if both else 0)
        recall.append(tp / (labels == c).sum() if (labels == c).any() else 0)
    got = scores(labels, predictions, 3)
    assert got.uf1 == pytest.approx(np.mean(f1))
    assert got.uar == pytest.approx(np.mean(recall))


def test_bootstrap_resamples_subjects():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 200)
    predictions = np.where(rng.random(200) < 0.7, labels, 0)
    many = np.arange(200) // 5
    point = scores(labels, predictions, 3)
    low, high = bootstrap(labels, predictions, many, 3)["uf1"]
    assert low < point.uf1 < high
    assert 0.05 < high - low < 0.3
    one = bootstrap(labels, predictions, np.zeros(200), 3)["uf1"]  # nothing to resample
    assert one == pytest.approx((point.uf1, point.uf1))


def record_with(labels, epochs):
    return {
        "classes": ["a", "b", "c"],
        "clips": [{"label": label} for label in labels],
        "epochs": [{"scores": np.eye(3)[list(p)].tolist()} for p in epochs],
    }


def test_protocols_choose_their_epoch():
    record = record_with([0, 1], [(0, 1), (2, 1), (0, 1), (0, 0)])
    assert record_predictions(record, "last").tolist() == [0, 0]
    assert record_predictions(record, "best").tolist() == [0, 1]
    ties = record_with([0, 1], [(0, 2), (2, 1)])  # the same UF1: the later epoch counts
    assert record_predictions(ties, "best").tolist() == [2, 1]
