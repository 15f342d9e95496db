"""get_result_log.py: the log, the summary with intervals, confusion matrices, missing folds."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest
from conftest import call, run

from loso.metrics import scores
from loso.records import chosen_epoch
from loso.results import LOG_COLUMNS, SUMMARY_COLUMNS

CLASSES = ["negative", "positive", "surprise"]


def write_experiment(result, name, subjects, seed=0, epochs=3):
    """Records of a made-up experiment whose scores get better from epoch to epoch."""
    rng = np.random.default_rng(seed)
    folder = result / name
    folder.mkdir(parents=True)
    for data_sub in subjects:
        data, subject = data_sub.split("_")
        labels = rng.integers(0, 3, 7)
        record = {
            "format": 1,
            "experiment": name,
            "data_sub": data_sub,
            "classes": CLASSES,
            "clips": [
                {"data": data, "subject": subject, "clip": f"c{i}", "label": int(label)}
                for i, label in enumerate(labels)
            ],
            "epochs": [
                {
                    "epoch": e + 1,
                    "train_loss": 0.5,
                    "test_loss": 0.6,
                    "scores": (rng.random((7, 3)) + 0.3 * e * np.eye(3)[labels]).tolist(),
                }
                for e in range(epochs)
            ],
            "seconds": 1.0,
        }
        (folder / f"fold_{data_sub}.json").write_text(json.dumps(record))
    config = {"subjects": dict.fromkeys(subjects, 7)}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture
def result(tmp_path):
    write_experiment(tmp_path, "composite", ["smic_01", "smic_02", "samm_006", "casme2_sub01"])
    write_experiment(tmp_path, "another", ["smic_01", "smic_03"], seed=1)
    return tmp_path


def test_tables_of_two_experiments(result):
    done = run("get_result_log.py", "--result", result)
    assert done.returncode == 0, done.stderr
    log = pd.read_csv(result / "result_log.csv", dtype={"subject": str})
    assert list(log) == LOG_COLUMNS
    assert len(log) == 2 * 7 * (4 + 2)
    assert log.equals(log.sort_values(LOG_COLUMNS[:5], ignore_index=True))
    assert "006" in set(log["subject"])
    summary = pd.read_csv(result / "summary.csv")
    assert list(summary) == SUMMARY_COLUMNS
    composite = summary[summary["experiment"] == "composite"]
    assert composite["data"].tolist() == ["full", "casme2", "samm", "smic"] * 2
    assert composite["protocol"].tolist() == ["last"] * 4 + ["best"] * 4
    full = composite.iloc[0]
    clips = log[(log["experiment"] == "composite") & (log["protocol"] == "last")]
    expected = scores(clips["label"].to_numpy(), clips["prediction"].to_numpy(), 3)
    got = (full["uf1"], full["uar"], full["accuracy"])
    assert got == pytest.approx((expected.uf1, expected.uar, expected.accuracy), abs=1e-4)
    assert full["uf1_low"] <= full["uf1"] <= full["uf1_high"]
    assert (full["clips"], full["subjects"]) == (28, 4)
    for experiment in ("composite", "another"):
        for protocol in ("last", "best"):
            assert cv2.imread(str(result / experiment / f"confusion_{protocol}.png")) is not None
    assert "best *" in done.stdout
    assert "optimistic" in done.stdout


def test_best_takes_each_folds_best_epoch_and_the_later_of_equals(tmp_path):
    folder = write_experiment(tmp_path, "one", ["samm_006"])
    path = folder / "fold_samm_006.json"
    record = json.loads(path.read_text())
    for clip, label in zip(record["clips"], (0, 0, 1, 1, 2, 2, 2)):
        clip["label"] = label
    predictions = ((0, 0, 1, 1, 2, 2, 2), (0, 0, 1, 1, 2, 2, 2), (0, 0, 0, 0, 0, 0, 0))
    for number, (epoch, predicted) in enumerate(zip(record["epochs"], predictions)):
        # The two right epochs are told apart by how sure they are.
        epoch["scores"] = ((number + 1) * np.eye(3)[list(predicted)]).tolist()
    path.write_text(json.dumps(record))
    assert chosen_epoch(record, "best") == 1
    call("get_result_log.py", "--result", tmp_path)
    uf1 = pd.read_csv(tmp_path / "summary.csv").query("data == 'full'").set_index("protocol")["uf1"]
    assert uf1["best"] == 1
    assert uf1["last"] == pytest.approx(2 * 2 / (2 * 2 + 5) / 3, abs=1e-4)  # one class of three


def test_missing_folds_are_named_and_counted(result):
    (result / "composite/fold_smic_02.json").unlink()
    done = call("get_result_log.py", "--result", result)
    assert done.returncode == 0
    assert "composite: 1 of 4 folds (7 clips) are missing: smic_02" in done.stderr
    assert "3 of 4" in done.stdout
    summary = pd.read_csv(result / "summary.csv")
    assert summary[summary["experiment"] == "composite"]["subjects"].iloc[0] == 3


def test_nothing_to_tabulate(tmp_path):
    done = call("get_result_log.py", "--result", tmp_path)
    assert done.returncode == 2
    assert "run a train_me_loso script first" in done.stderr


def test_glasses_and_the_rest_side_by_side(result):
    done = call("get_result_log.py", "--result", result)
    log = pd.read_csv(result / "result_log.csv", dtype={"subject": str})
    groups = pd.read_csv(result / "groups.csv").set_index(["experiment", "protocol", "group"])
    # smic 01 wears glasses, by the list of the spec; the other subjects of both wear none.
    for group, wearers in (("glasses", True), ("no glasses", False)):
        chosen = (log["experiment"] == "composite") & (log["protocol"] == "last")
        chosen &= ((log["data"] == "smic") & (log["subject"] == "01")) == wearers
        clips = log[chosen]
        expected = scores(clips["label"].to_numpy(), clips["prediction"].to_numpy(), 3)
        row = groups.loc[("composite", "last", group)]
        assert row["uf1"] == pytest.approx(expected.uf1, abs=1e-4)
        assert row["clips"] == len(clips)
    line = next(r for r in done.stdout.splitlines() if "21 clips, 3 subjects" in r)
    assert "composite" in line and "7 clips, 1 subjects" in line


def test_a_run_of_one_epoch_has_no_best(tmp_path):
    write_experiment(tmp_path, "zero_shot", ["smic_02", "smic_03"], epochs=1)
    done = call("get_result_log.py", "--result", tmp_path)
    assert not [r for r in done.stdout.splitlines() if "zero_shot" in r and "best" in r]
    summary = pd.read_csv(tmp_path / "summary.csv")
    assert set(summary["protocol"]) == {"last", "best"}
