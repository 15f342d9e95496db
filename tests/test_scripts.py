"""Each training script through its command line, on the tiny corpus."""

import json
import re
from typing import get_type_hints

import pandas as pd
import pytest
import tyro
from conftest import FAST, call, run

from common.version import VERSION
from loso.settings import Settings

SCRIPTS = {
    "train_me_loso.py": ("smic", "smic"),
    "train_me_loso_casme.py": ("casme2", "casme2"),
    "train_me_loso_samm.py": ("samm", "samm"),
    "train_me_loso_baseline.py": ("baseline_smic", "smic"),
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_states_every_flag(script):
    # The others start as a user would in test_script_trains_one_fold and test_loso.
    done = (run if script == "train_me_loso_samm.py" else call)(script, "--help")
    assert done.returncode == 0
    for name, hint in get_type_hints(Settings, include_extras=True).items():
        shown = re.search(rf"--{name.replace('_', '-')}\b", done.stdout) is not None
        assert shown != (tyro.conf.Suppress in getattr(hint, "__metadata__", ())), name
    assert f"(default: {SCRIPTS[script][1]})" in " ".join(done.stdout.replace("│", " ").split())


@pytest.mark.parametrize("script", ["train_me_loso_casme.py", "train_me_loso_baseline.py"])
def test_script_trains_one_fold(script, tiny, tmp_path):
    done = run(
        script, "--index", tiny / "index/smic_apex.csv", "--root", tiny, "--result", tmp_path,
        *FAST, "--epochs", 1, "--subjects", 1,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    name = SCRIPTS[script][0]
    assert (tmp_path / name / "fold_smic_01.json").is_file()
    config = json.loads((tmp_path / name / "config.json").read_text())
    assert config["versions"]["dsnca"] == VERSION
    assert config["settings"]["network"] == ("baseline" if "baseline" in name else "capsule")


def test_five_classes_composite_and_glasses_are_flags(tiny, tmp_path):
    table = pd.read_csv(tiny / "index/smic_apex.csv", dtype=str).drop(columns="task")
    table["data"] = "casme2"
    table["data_sub"] = ""
    table["label"] = [str(i % 5) for i in range(len(table))]
    five = tmp_path / "casme2_5_apex.csv"
    table.to_csv(five, index=False)
    common = ("--root", tiny, "--result", tmp_path, *FAST, "--epochs", 1, "--subjects", 1)
    done = call("train_me_loso.py", "--dataset", "casme2", "--classes", 5, "--index", five, *common)
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "casme2_5/fold_casme2_sub01.json").read_text())
    assert record["classes"] == ["disgust", "happiness", "repression", "surprise", "others"]
    assert len(record["epochs"][0]["scores"][0]) == 5
    done = call(
        "train_me_loso.py", "--dataset", "composite", "--glasses-only", "--index",
        tiny / "index/smic_apex.csv", *common,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "12 clips, 2 subjects" in done.stdout
    assert (tmp_path / "composite_glasses/fold_smic_01.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("--index", "nowhere.csv"), "nowhere.csv: no such index"),
        (("--root", "nowhere"), "nowhere: no such folder"),
        (("--weights", "nowhere.pth", "--trunk", "resnet18"), "nowhere.pth: no such file"),
        (("--image-size", "64", "--freeze", "none"), "64 px are too small: 97 at least"),
        (("--dataset", "smic", "--classes", "5"), "--classes 5 goes with"),
        (("--device", "cuda:9"), "--device cuda:9: not to be had here"),
    ],
)
def test_wrong_settings_are_one_line(tiny, tmp_path, arguments, fault):
    base = {"--index": tiny / "index/smic_apex.csv", "--root": tiny, "--result": tmp_path}
    base |= dict(zip(FAST[::2], FAST[1::2]))
    base |= dict(zip(arguments[::2], arguments[1::2]))
    done = call("train_me_loso.py", *[word for pair in base.items() for word in pair])
    assert done.returncode == 2
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert fault in last
    assert not list(tmp_path.iterdir())
