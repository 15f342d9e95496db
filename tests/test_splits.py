"""What a fold holds out: a subject, a corpus, corpora by name; and runs of several seeds."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from conftest import call
from made_records import SUBJECTS, content_of, write_run

from common.errors import UserError
from data.index import read_index
from loso.checkpoints import read_network
from loso.config import made_files
from loso.experiment import run_experiment
from loso.folds import plan_folds
from loso.metrics import resampled, scores
from loso.records import read_records
from loso.results import collect, score_clips, summarise
from loso.settings import Settings

CORPORA = {"smic": ("01", "02"), "samm": ("006", "007"), "casme2": ("sub01", "sub02")}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Six subjects of three corpora with a map of noise for each of their clips."""
    root = tmp_path_factory.mktemp("corpora")
    rng = np.random.default_rng(0)
    rows = []
    for data, subjects in CORPORA.items():
        for subject in subjects:
            for label in (0, 1, 2):
                clip, path = f"c{len(rows)}", f"{len(rows)}.npy"
                np.save(root / path, rng.normal(0, 0.02, (3, 28, 28)).astype(np.float32))
                rows.append((data, subject, clip, label, "", path, f"{data}_{subject}"))
    names = ["data", "subject", "clip", "label", "apex_frame_path", "motion_path", "data_sub"]
    pd.DataFrame(rows, columns=names).to_csv(root / "index.csv", index=False)
    return root


def settings_in(world, result, **changes):
    fixed = {"dataset": "composite", "streams": "motion", "weights": "none", "device": "cpu"}
    places = {"index": world / "index.csv", "root": world, "result": result, "workers": 1}
    return Settings(**fixed | places | changes)


@pytest.fixture
def index(world):
    return read_index(world / "index.csv", 3)


def test_leaving_one_corpus_out(world, index, tmp_path):
    settings = settings_in(world, tmp_path, protocol="lodo")
    folds = plan_folds(index, settings)
    assert [fold.data_sub for fold in folds] == ["casme2", "samm", "smic"]
    for fold in folds:
        assert set(index["data"].iloc[fold.test]) == {fold.data_sub}
        assert sorted([*fold.train, *fold.test]) == list(range(len(index)))
    run_experiment(settings)
    assert settings.name == "composite_motion_directed_lodo"
    assert [record["trained_on"] for record in read_records(settings.folder)] == [
        ["samm", "smic"], ["casme2", "smic"], ["casme2", "samm"],
    ]  # fmt: skip
    done = call("get_result_log.py", "--result", tmp_path, "--html")
    assert "missing" not in done.stderr
    assert "lodo" in done.stdout
    summary = pd.read_csv(tmp_path / "summary.csv")
    assert set(summary["split"]) == {"lodo"}
    assert summary["data"].unique().tolist() == ["full", "casme2", "samm", "smic"]
    assert summary["subjects"].tolist()[:4] == [6, 2, 2, 2]
    (experiment,) = content_of(tmp_path / "index.html")["experiments"]
    assert (experiment["split"], experiment["expected"]) == ("lodo", 6)
    assert experiment["folds_expected"] == 3


def test_a_missing_corpus_is_named(world, tmp_path):
    settings = settings_in(world, tmp_path, protocol="lodo", subjects=("samm", "smic"))
    run_experiment(settings)
    done = call("get_result_log.py", "--result", tmp_path)
    assert "1 of 3 folds (6 clips) are missing: casme2" in done.stderr
    assert "4 of 6" in done.stdout


def test_one_corpus_cannot_be_left_out(world, index, tmp_path):
    settings = settings_in(world, tmp_path, protocol="lodo")
    with pytest.raises(UserError, match="--protocol lodo: samm is the only corpus in the index"):
        plan_folds(index[index["data"] == "samm"].reset_index(drop=True), settings)


def test_training_on_corpora_by_name(world, index, tmp_path):
    settings = settings_in(
        world, tmp_path, train_on=("smic", "casme2"), test_on=("samm",), save_weights=True
    )
    assert settings.name == "composite_motion_directed_smic_casme2_to_samm"
    run_experiment(settings)
    (record,) = read_records(settings.folder)
    assert record["data_sub"] == "samm"
    assert record["trained_on"] == ["casme2", "smic"]
    assert {clip["data"] for clip in record["clips"]} == {"samm"}
    assert record["train_labels"] == [4, 4, 4]
    network = read_network(settings.folder / "weights/samm.safetensors")
    assert set(network.trained_on) == {"smic_01", "smic_02", "casme2_sub01", "casme2_sub02"}
    call("get_result_log.py", "--result", tmp_path)
    assert set(pd.read_csv(tmp_path / "summary.csv")["split"]) == {"smic+casme2 to samm"}
    assert settings.folder / "weights/samm.safetensors" in made_files(settings.folder)
    two = settings_in(world, tmp_path, train_on=("smic",), test_on=("samm", "casme2"))
    (fold,) = plan_folds(index, two)
    assert fold.data_sub == "casme2+samm"
    assert set(index["data"].iloc[fold.train]) == {"smic"}


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ({"train_on": ("smic",)}, "--train-on goes with --test-on"),
        ({"test_on": ("smic",)}, "--test-on goes with --train-on"),
        ({"train_on": ("smic", "samm"), "test_on": ("samm",)}, "share samm"),
        ({"train_on": ("a",), "test_on": ("b",), "protocol": "lodo"}, "has no --train-on"),
        ({"experiment": "x/seed_10", "seed": 9}, "is the folder of one seed, --seed 10"),
        ({"experiment": "x/other"}, "letters, digits"),
        ({"seeds": 0}, "--seeds 0: at least 1"),
    ],
)
def test_splits_that_contradict(wrong, fault):
    with pytest.raises(UserError, match=fault):
        Settings(**wrong)


def test_corpora_that_are_not_in_the_index(world, tmp_path):
    settings = settings_in(world, tmp_path, train_on=("smic",), test_on=("mmew",))
    with pytest.raises(UserError, match="--test-on mmew: no such corpus in the index; there are "):
        run_experiment(settings)
    assert not settings.folder.exists()


def test_weights_that_have_seen_a_subject_of_a_held_out_corpus_are_refused(world, tmp_path):
    first = settings_in(world, tmp_path, train_on=("smic",), test_on=("samm",), save_weights=True)
    run_experiment(first)
    start = str(first.folder / "weights/samm.safetensors")
    more = {"weights": start, "epochs": 1}
    with pytest.raises(UserError, match="was trained on smic_01 and 1 more"):
        run_experiment(settings_in(world, tmp_path, protocol="lodo", **more))
    unseen = settings_in(world, tmp_path, train_on=("samm",), test_on=("casme2",), **more)
    run_experiment(unseen)
    assert len(read_records(unseen.folder)) == 1


# Seeds


@pytest.fixture(scope="module")
def seeded(world, tmp_path_factory):
    """A run of three seeds through the command line: the result folder, and its words."""
    result = tmp_path_factory.mktemp("seeds")
    words = [
        "train_me_loso.py", "--dataset", "composite", "--index", world / "index.csv", "--root",
        world, "--result", result, "--streams", "motion", "--motion-net", "lean", "--weights",
        "none", "--epochs", "2", "--device", "cpu", "--workers", "1", "--experiment", "e",
        "--seeds", "3",
    ]  # fmt: skip
    done = call(*words)
    assert done.returncode == 0, done.stderr
    return result, words


def test_each_seed_is_the_run_that_it_would_be_alone(seeded, world, tmp_path):
    result, _ = seeded
    alone = settings_in(
        world, tmp_path, motion_net="lean", epochs=2, seed=11, experiment="e", subjects=("2",)
    )
    run_experiment(alone)
    ours = read_records(result / "e/seed_11")
    assert [record["epochs"] for record in read_records(alone.folder)] == [
        record["epochs"] for record in ours[:2]
    ]
    assert len(ours) == len(read_records(result / "e")) == 6
    assert sorted(path.name for path in (result / "e").iterdir() if path.is_dir()) == [
        "seed_10", "seed_11",
    ]  # fmt: skip


def test_scores_are_means_over_seeds_with_their_spread(seeded):
    result, _ = seeded
    done = call("get_result_log.py", "--result", result, "--html")
    assert done.returncode == 0, done.stderr
    log = pd.read_csv(result / "result_log.csv", dtype={"subject": str})
    assert list(log)[-1] == "seed"
    assert set(log["seed"]) == {9, 10, 11}
    row = pd.read_csv(result / "summary.csv").query("data == 'full' and protocol == 'last'").iloc[0]
    last = log[log["protocol"] == "last"]
    by_seed = [
        scores(run["label"].to_numpy(), run["prediction"].to_numpy(), 3)
        for _, run in last.groupby("seed")
    ]
    for name in ("uf1", "uar", "accuracy"):
        values = [getattr(one, name) for one in by_seed]
        assert row[name] == pytest.approx(np.mean(values), abs=1e-4)
        assert row[f"{name}_sd"] == pytest.approx(np.std(values, ddof=1), abs=1e-4)
        assert row[f"{name}_low"] <= row[name] <= row[f"{name}_high"]
    assert (row["seeds"], row["clips"], row["subjects"]) == (3, 18, 6)
    assert "UF1 sd" in done.stdout
    (experiment,) = content_of(result / "index.html")["experiments"]
    assert experiment["seeds"] == [9, 10, 11]
    assert sum(map(sum, experiment["confusion"]["full"]["last"])) == 18


def test_a_seed_that_is_unfinished_is_left_out_and_goes_on(seeded, tmp_path):
    result, words = seeded
    shutil.copytree(result / "e", tmp_path / "e")
    words = [tmp_path if word == result else word for word in words]
    (tmp_path / "e/seed_10/fold_samm_006.json").unlink()
    done = call("get_result_log.py", "--result", tmp_path)
    assert "seed_10: left out of the tables: it has other folds" in done.stderr
    assert set(pd.read_csv(tmp_path / "summary.csv")["seeds"]) == {2}
    again = call(*words)
    assert again.returncode == 0, again.stderr
    assert "5 of them done before" in again.stdout
    assert set(summarise(*collect(tmp_path))["seeds"]) == {3}
    other = json.loads((tmp_path / "e/seed_11/config.json").read_text())
    other["settings"]["lr"] = 0.5
    (tmp_path / "e/seed_11/config.json").write_text(json.dumps(other))
    done = call("get_result_log.py", "--result", tmp_path)
    assert "seed_11: left out of the tables: its lr is 0.5, not 0.001" in done.stderr
    refused = call(*words)
    assert refused.returncode == 2
    assert "--lr was 0.5, now 0.001" in refused.stderr


def test_a_further_seed_alone_is_named(world, tmp_path):
    write_run(tmp_path, "other", SUBJECTS)
    run_experiment(settings_in(world, tmp_path, experiment="e/seed_10", seed=10))
    done = call("get_result_log.py", "--result", tmp_path)
    assert "e/seed_10: left out of the tables: run its experiment's first seed too" in done.stderr
    assert set(pd.read_csv(tmp_path / "summary.csv")["experiment"]) == {"other"}


def test_overwriting_takes_further_seeds_too(seeded, tmp_path):
    result, words = seeded
    shutil.copytree(result / "e", tmp_path / "e")
    (tmp_path / "e/seed_10/mine.txt").write_text("kept")
    words = [tmp_path if word == result else word for word in words[:-2]]
    done = call(*words, "--overwrite", "--subjects", "1")
    assert done.returncode == 0, done.stderr
    left = [path.relative_to(tmp_path / "e").as_posix() for path in (tmp_path / "e").rglob("*")]
    files = sorted(name for name in left if "." in name)
    assert files == ["config.json", "fold_casme2_sub01.json", "seed_10/mine.txt"]


def test_one_seed_has_no_spread(tmp_path):
    write_run(tmp_path, "one", SUBJECTS)
    summary = summarise(*collect(tmp_path))
    assert set(summary["seeds"]) == {1}
    assert summary["uf1_sd"].isna().all()


# Averages: hand-counted


def log_of(subjects):
    """Rows of the log: (seed, subject, labels, predictions) as strings of digits."""
    rows = [
        ("smic", subject, seed, int(label), int(told))
        for seed, subject, labels, predictions in subjects
        for label, told in zip(labels, predictions)
    ]
    return pd.DataFrame(rows, columns=["data", "subject", "seed", "label", "prediction"])


def test_scores_are_pooled_over_folds_and_unweighted_over_classes():
    """Class 0: TP 3, FP 1, FN 1; class 1: TP 1, FP 1, FN 1; class 2 has no clip, no prediction."""
    row = score_clips(log_of([(9, "01", "0000", "0001"), (9, "02", "11", "10")]), 3)
    f1 = (2 * 3 / (2 * 3 + 1 + 1), 2 * 1 / (2 * 1 + 1 + 1), 0)
    assert row["uf1"] == pytest.approx(sum(f1) / 3, abs=1e-4)
    assert row["uar"] == pytest.approx((3 / 4 + 1 / 2 + 0) / 3, abs=1e-4)
    assert row["accuracy"] == pytest.approx(4 / 6, abs=1e-4)
    # Neither the mean of the folds' UF1 (6/7/3 and 2/3/3), nor weighted by clips.
    assert row["uf1"] != pytest.approx((6 / 7 / 3 + 2 / 3 / 3) / 2, abs=0.01)
    assert row["uf1"] != pytest.approx((4 * f1[0] + 2 * f1[1]) / 6, abs=0.01)


def test_a_class_that_is_told_but_has_no_clip_counts_as_0():
    row = score_clips(log_of([(9, "01", "0011", "0012")]), 3)
    assert row["uf1"] == pytest.approx((1 + 2 / 3 + 0) / 3, abs=1e-4)
    assert row["uar"] == pytest.approx((1 + 1 / 2 + 0) / 3, abs=1e-4)
    assert row["accuracy"] == 0.75


def test_seeds_are_averaged_and_not_pooled():
    """UF1 1 and 1/3 over two classes: 2/3, where the counts of both together give 0.733."""
    row = score_clips(log_of([(9, "01", "0011", "0011"), (10, "01", "0011", "0000")]), 2)
    assert row["uf1"] == pytest.approx((1 + 1 / 3) / 2, abs=1e-4)
    assert row["uf1_sd"] == pytest.approx(np.std([1, 1 / 3], ddof=1), abs=1e-4)
    assert (row["clips"], row["subjects"], row["seeds"]) == (4, 1, 2)


def test_resampled_scores_are_of_the_samples():
    """One subject alone: every sample is the whole."""
    labels, told = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0])
    expected = scores(labels, told, 3)
    sampled = resampled(labels, told, np.zeros(4), 3)
    for name in ("uf1", "uar", "accuracy"):
        assert sampled[name] == pytest.approx(np.full(2000, getattr(expected, name)))
