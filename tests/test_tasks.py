"""Tasks and protocols from an index on: classes by name, action units, lists, groups, corpora."""

import json

import numpy as np
import pandas as pd
import pytest
from apex_clips import draw_clip, write_frames
from conftest import call
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import f1_score

from common.errors import UserError
from data.corpora.units import CD6ME
from data.index import read_index
from data.index_task import class_names
from loso.folds import plan_folds
from loso.metrics import unit_f1
from loso.settings import Settings
from loso.unit_results import collect_units

MOTION = ("--streams", "motion", "--device", "cpu", "--workers", 1)


@pytest.fixture(scope="module")
def maps(tmp_path_factory):
    """Ready maps of three corpora's people with units: 4 lowers the brows, 12 lifts the mouth."""
    root = tmp_path_factory.mktemp("unit maps")
    rng, rows = np.random.default_rng(0), []
    y, x = np.mgrid[:28, :28]
    brows, mouth = (np.exp(-((x - 14) ** 2 / 60 + (y - at) ** 2 / 8)) for at in (7, 21))
    for data in ("casme2", "samm", "casme3"):
        for person in range(1, 4):
            for clip in range(6):
                units = [(), (4,), (12,), (4, 12), (1, 2), (4, 7)][clip]
                flow = rng.normal(0, 0.02, (3, 28, 28))
                flow[1] += 0.1 * brows * ((4 in units) - (1 in units)) - 0.1 * mouth * (12 in units)
                name = f"{data}_{person}_{clip}.npy"
                np.save(root / name, flow.astype(np.float32))
                rows.append({
                    "data": data, "subject": person, "clip": f"c{clip}", "label": 0,
                    "emotion": "x", "motion_path": name, "task": "au",
                    "units": "+".join(map(str, units)), "onset_frame": 1,
                })  # fmt: skip
    pd.DataFrame(rows).to_csv(root / "au.csv", index=False)
    return root


def places(maps, result):
    return ("--index", maps / "au.csv", "--root", maps, "--result", result, "--map-frame", "own")


@pytest.mark.parametrize(
    ("further", "protocol"),
    [
        ((), "last"),
        (("--adapt", "none"), "last"),
        (("--protocol", "lodo"), "last"),
        (("--motion-net", "lean", "--epochs", 2), "best"),
        (("--motion-net", "ststnet", "--epochs", 2, "--protocol", "lodo"), "last"),
    ],
)
def test_units_are_trained_scored_and_tabulated(maps, tmp_path, further, protocol):
    done = call("train_me_loso.py", "--task", "au", *MOTION, *places(maps, tmp_path), *further,
                "--experiment", "units")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "F1 of units" in done.stdout
    record = json.loads(next((tmp_path / "units").glob("fold_*.json")).read_text())
    assert record["classes"] == [f"AU{number}" for number in CD6ME]
    assert len(record["clips"][0]["units"]) == len(record["epochs"][0]["scores"][0]) == 12
    assert "nested" not in record
    done = call("get_result_log.py", "--result", tmp_path)
    assert done.returncode == 0 and "action units: F1" in done.stdout, done.stderr
    table = pd.read_csv(tmp_path / "units.csv")
    assert not (tmp_path / "result_log.csv").exists()
    full = table[(table["data"] == "full") & (table["protocol"] == protocol)].set_index("unit")
    assert list(full.index) == [*(f"AU{number}" for number in CD6ME), "mean"]
    assert full.loc["AU4", "shown"] == 27 and full.loc["AU4", "clips"] == 54
    assert full.loc["mean", "f1"] == pytest.approx(full["f1"][:-1].mean(), abs=1e-4)
    if not further:
        assert full.loc["AU4", "f1"] > 0.85 and full.loc["AU12", "f1"] > 0.85
    assert collect_units(tmp_path).equals(table)


def test_a_kept_network_tells_units_of_a_clip(maps, tmp_path):
    done = call("train_me_loso.py", "--task", "au", *MOTION, *places(maps, tmp_path),
                "--subjects", 1, "--save-weights", "--experiment", "units")  # fmt: skip
    assert done.returncode == 0, done.stderr
    write_frames(tmp_path / "clip", draw_clip())
    weights = tmp_path / "units/weights/casme2_sub01.safetensors"
    done = call("predict.py", "--clip", tmp_path / "clip", "--weights", weights, "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["classes"] == {} and set(facts["action_units"]) == set(map(str, CD6ME))
    done = call("predict.py", "--clips", tmp_path / "clip", "--weights", weights, "--out",
                tmp_path / "many")  # fmt: skip
    assert done.returncode == 0, done.stderr
    for words in (("cam", "--result", tmp_path, "--experiment", "units"),
                  ("curves", "--result", tmp_path, "--experiment", "units")):  # fmt: skip
        done = call("visualize.py", *words)
        assert done.returncode == 2 and "tells action units" in done.stderr


def test_units_of_pictures(tiny, tmp_path):
    index = pd.read_csv(tiny / "index/smic_apex.csv", dtype=str)
    index["units"] = index["label"].map({"0": "4", "1": "12", "2": "1+2"})
    index.to_csv(tmp_path / "u_apex.csv", index=False)
    done = call(
        "train_me_loso.py", "--task", "au", "--preset", "demo", "--image-size", 97, "--epochs", 2,
        "--device", "cpu", "--index", tmp_path / "u_apex.csv", "--root", tiny,
        "--result", tmp_path, "--subjects", 1,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("smic_au/fold_*.json")
    record = json.loads(path.read_text())
    assert np.array(record["epochs"][-1]["scores"]).shape == (6, 12)
    assert sum(record["train_labels"]) == 6 + 6 + 2 * 6


@pytest.mark.parametrize(
    ("further", "fault"),
    [
        (("--inner", 2), "--inner goes with classes"),
        (("--motion-net", "svm"), "--motion-net svm goes with classes"),
        (("--dataset", "smic", "--task", "7"), "--task 7: smic has 3"),
        (("--folds", 1), "--folds 1: at least 2"),
        (("--dataset", "nope", "--task", "auto"), "there is no data/nope_apex.csv"),
        (("--folds", 3, "--protocol", "lodo"), "goes with --protocol loso alone"),
        (("--folds", 99), "--folds 99: the index has 9 subjects"),
        (("--protocol", "lists"), "it has no lists"),
        (("--protocol", "cde"), "has casme2, casme3, samm with task au"),
    ],
)
def test_what_does_not_go_together_is_one_line(maps, tmp_path, further, fault):
    done = call("train_me_loso.py", "--task", "au", *MOTION, *places(maps, tmp_path), *further)
    if "--task" in further:
        done = call("train_me_loso.py", *further)
    assert done.returncode == 2 and fault in done.stderr, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@given(arrays(bool, (9, 4)), arrays(bool, (9, 4)))
def test_unit_f1_is_scikit_learns(truth, said):
    ours = [f1_score(truth[:, u], said[:, u], zero_division=0) for u in range(4)]
    assert unit_f1(truth, said) == pytest.approx(ours)


def index_of(
    people: dict[str, int], classes: int = 2, task: str = "own", **columns
) -> pd.DataFrame:
    rows = [
        {"data": data, "data_sub": f"{data}_{person}", "subject": str(person), "label": label,
         "emotion": "abcdefg"[label], "task": task}
        for data, count in people.items() for person in range(count) for label in range(classes)
    ]  # fmt: skip
    return pd.DataFrame(rows).assign(**columns)


@given(st.integers(4, 12), st.integers(2, 4))
def test_groups_hold_out_every_subject_once(subjects, groups):
    index = index_of({"own": subjects})
    folds = plan_folds(index, Settings(dataset="own", folds=groups, classes=2, task="own"))
    assert [fold.data_sub for fold in folds] == [f"group_{n + 1:02d}" for n in range(groups)]
    assert sorted(np.concatenate([fold.test for fold in folds])) == list(range(len(index)))
    for fold in folds:
        names = index["data_sub"]
        assert not set(names.iloc[fold.train]) & set(names.iloc[fold.test])


def test_a_corpuss_lists_are_held_out_and_share_nobody():
    index = index_of({"dfme": 6}, 7, "7", list=["train"] * 28 + ["testA"] * 7 + ["testB"] * 7)
    folds = plan_folds(index, Settings(dataset="dfme", task="7", protocol="lists"))
    assert [fold.data_sub for fold in folds] == ["testA", "testB"]
    assert [len(fold.train) for fold in folds] == [28, 28]
    index.loc[41, "data_sub"] = "dfme_0"
    with pytest.raises(UserError, match="dfme_0 is in train and in testB"):
        plan_folds(index, Settings(dataset="dfme", task="7", protocol="lists"))


def test_megc_2018_is_two_corpora_and_five_classes():
    index = index_of({"casme2": 3, "samm": 3}, 5, "objective")
    base = {"dataset": "casme2_samm", "task": "objective", "classes": 5}
    composite = plan_folds(index, Settings(**base, protocol="cde"))
    lacking = index[(index["data"] != "samm") | (index["label"] != 4)]
    with pytest.raises(UserError, match=r"no clip of class .* to train on; samm has none; --proto"):
        plan_folds(lacking, Settings(**base, protocol="hde"))
    held_out = plan_folds(index, Settings(**base, protocol="hde"))
    assert len(composite) == 6
    assert [fold.data_sub for fold in held_out] == ["casme2", "samm"]
    with pytest.raises(UserError, match="is of CASME II and SAMM with objective classes"):
        plan_folds(index[index["data"] == "samm"], Settings(**base, protocol="cde"))


def test_tasks_of_an_index(tmp_path):
    row = "data,subject,clip,label,emotion,apex_frame_path,task\n"

    def read(*lines: str):
        (tmp_path / "i.csv").write_text(row + "\n".join(lines))
        return read_index(tmp_path / "i.csv")

    assert class_names(read("casme2,1,a,4,others,x.jpg,5"))[4] == "others"
    assert class_names(read("lab,anna,a,0,up,x.jpg,own", "lab,anna,b,1,down,y.jpg,own")) == (
        "up", "down",
    )  # fmt: skip
    (tmp_path / "old.csv").write_text(
        "data,subject,clip,emotion,apex_frame_path\nmmew,1,a,happy,x\n"
    )
    with pytest.raises(UserError, match=r"old\.csv: names no task"):
        read_index(tmp_path / "old.csv", classes=4)
    for lines, fault in (
        (["casme2,1,a,5,x,x.jpg,5"], "label 5 is outside the classes"),
        (["casme2,1,a,0,x,x.jpg,9"], "task '9' is none of casme2"),
        (["lab,1,a,0,x,x.jpg,"], "data 'lab' is not one of"),
        (["casme2,1,a,0,x,x.jpg,5", "casme2,1,b,0,x,x.jpg,3"], "several tasks"),
        (["casme2,1,a,0,x,x.jpg,5", "samm,1,b,0,x,x.jpg,5"], "have other classes in task 5"),
        (["lab,1,a,0,up,x.jpg,own", "lab,1,b,0,down,x.jpg,own"], "do not go together"),
        (["lab,1,a,2,up,x.jpg,own"], "do not go together"),
    ):
        with pytest.raises(UserError, match=fault):
            read(*lines)


def test_settings_that_contradict_an_index(tmp_path):
    text = "data,subject,clip,label,emotion,apex_frame_path,task\n"
    (tmp_path / "i.csv").write_text(text + "casme3,1,a,0,negative,x.jpg,4\n")
    done = call("train_me_loso.py", "--dataset", "casme3", "--task", "7", "--index",
                tmp_path / "i.csv", "--root", tmp_path)  # fmt: skip
    assert done.returncode == 2
    assert "is of task 4 (negative, positive, surprise, others)" in done.stderr
