"""Apex spotting against the truth of the demo set, for all three corpora, over three seeds."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import run

from data.apex.batch import spot_clips
from data.apex.spotting import ApexSettings
from data.disk.frames import ClipFolders
from synthetic.demo.corpora import make_demo
from synthetic.demo.plan import Size

SEEDS = 21, 22, 23
SIZES = {data: Size(subjects=1, clips=1) for data in ("smic", "casme2", "samm")}


@pytest.fixture(scope="module")
def demos(tmp_path_factory) -> list[Path]:
    root = tmp_path_factory.mktemp("demo")
    for seed in SEEDS:
        make_demo(root / str(seed), seed, workers=1, sizes=SIZES)
    return [root / str(seed) for seed in SEEDS]


def read_truth(root: Path) -> pd.DataFrame:
    truth = pd.read_csv(root / "truth.csv", dtype={"subject": str})
    return truth.assign(data_sub=truth["data"] + "_" + truth["subject"])


def test_apexes_of_all_corpora_are_close_to_the_truth(demos):
    errors = []
    for root in demos:
        truth = read_truth(root)
        # Only onset and offset are given: the column with the apex is hidden.
        hidden = truth.assign(apex_frame=0)
        spotted = spot_clips(hidden, ClipFolders(root), ApexSettings("dlib"))
        found = spotted.clips
        assert not spotted.unspotted and not spotted.faceless
        assert set(found["data"]) == set(SIZES)
        errors += (found["apex_frame"] - truth["apex_frame"]).abs().tolist()
    assert len(errors) == 9
    assert np.mean(errors) <= 1.0 and np.mean(np.array(errors) <= 2) >= 0.9


def test_script_finds_the_apexes_of_the_demo_smic(demos, tmp_path):
    truth = read_truth(demos[0])
    done = run(
        "smic_processing.py", "--root", demos[0], "--out", tmp_path / "smic_apex.csv",
        "--annotation", demos[0] / "SMIC/SMIC-HS-E_annotation.xlsx", "--plots", tmp_path / "plots",
        "--landmarks", "dlib",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    index = pd.read_csv(tmp_path / "smic_apex.csv", dtype={"subject": str})
    both = index.merge(truth[truth["data"] == "smic"], on=["subject", "clip"])
    assert len(both) == len(index) == 1
    assert (both["apex_frame_x"] - both["apex_frame_y"]).abs().max() <= 2
    assert all((demos[0] / path).is_file() for path in index["apex_frame_path"])
    assert len(list((tmp_path / "plots").iterdir())) == 1
