"""The held-out subject decides nothing: other pixels and labels of its, and the same training."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import call, make_smic, write_views
from safetensors.torch import load_file

from data.drawn_motion import draw_motion
from data.index import read_index
from data.motion_domains import HELD_OUT
from data.views import claim_views, view_folder
from loso.experiment import run_experiment
from loso.records import read_records
from loso.settings import Settings

SUBJECT = "smic_02"
LITE = {"trunk": "efficientnet_lite0", "weights": "package", "image_size": 97, "epochs": 2}
FROZEN = LITE | {"freeze": "trunk", "augment": "flip"}  # its features are computed once
LEAN = {"streams": "motion", "motion_net": "lean", "epochs": 2}
WAYS = {
    "2d": LITE | {"augment": "crop", "epochs": 1},
    "2d, features": FROZEN,
    "2d, features computed anew": FROZEN | {"augment": "full", "epochs": 1},
    "baseline": LITE | {"network": "baseline", "freeze": "early", "epochs": 1},
    "3d": LITE | {"streams": "3d", "freeze": "early", "augment": "full", "epochs": 1},
    "3d of 14, features": FROZEN | {"streams": "3d", "views": 14},
    "dual": LITE | {"streams": "dual", "freeze": "early", "augment": "full", "epochs": 1},
    "dual, features": FROZEN | {"streams": "dual"},
    "dual and motion, features": FROZEN | {"streams": "dual+motion"},
    "2d and motion": LITE | {"streams": "2d+motion", "freeze": "early", "epochs": 1},
    "motion, linear": {"streams": "motion", "weights": "none"},
    "motion, linear tuned": {"streams": "motion", "epochs": 2},
    "motion, lean from nothing": LEAN | {"weights": "none"},
    "motion, lean tuned": LEAN,
    "motion, lean's head": LEAN | {"adapt": "head"},
}


@pytest.fixture(scope="module")
def worlds(tmp_path_factory) -> tuple[Path, Path]:
    """A corpus of three subjects with views and motion maps; the same with another SUBJECT."""
    ours = tmp_path_factory.mktemp("world") / "ours"
    annotation = make_smic(ours, subjects=3, clips=3)
    done = call("prepare_data.py", "smic", "--root", ours, "--annotation", annotation,
                "--out", ours / "index")  # fmt: skip
    assert done.returncode == 0, done.stderr
    claim_views(ours / "views", "anny")
    for clip in read_index(ours / "index/smic_four_frames.csv", companion=True).to_dict("records"):
        write_views(view_folder(ours / "views", clip), clip["label"])
    index = pd.read_csv(ours / "index/smic_apex.csv", dtype=str)
    for number, clip in enumerate(read_index(ours / "index/smic_apex.csv").to_dict("records")):
        write_views(view_folder(ours / "views", clip), clip["label"])
        index.loc[number, "motion_path"] = f"maps/{number}.npy"
    (ours / "maps").mkdir()
    for number, one in enumerate(draw_motion(len(index), 5, HELD_OUT).maps):
        np.save(ours / f"maps/{number}.npy", one)
    index.to_csv(ours / "index/smic_apex.csv", index=False)
    theirs = ours.with_name("theirs")
    shutil.copytree(ours, theirs)
    _change_subject(theirs)
    return ours, theirs


def _change_subject(root: Path) -> None:
    """Other pixels, views, maps and labels of SUBJECT's clips."""
    index = pd.read_csv(root / "index/smic_apex.csv", dtype=str)
    for map_path in index["motion_path"][index["data_sub"] == SUBJECT]:
        np.save(root / map_path, np.load(root / map_path)[:, ::-1, ::-1] * 3 + 1)
    subject = SUBJECT.removeprefix("smic_")
    pictures = [
        *root.glob(f"SMIC/HS/s{subject}/*/*"),
        *root.glob(f"views/smic/*{subject}/**/*.jpg"),
    ]
    assert len(pictures) == 3 * 5 + 3 * 5 * 13
    for path in pictures:
        assert cv2.imwrite(str(path), 255 - cv2.imread(str(path)))
    for name in ("smic_apex", "smic_four_frames"):
        table = pd.read_csv(root / f"index/{name}.csv", dtype=str)
        changed = table["data_sub"] == SUBJECT
        other = (table["label"].astype(int) + 1) % 3
        table["label"] = table["label"].where(~changed, other.astype(str))
        table.to_csv(root / f"index/{name}.csv", index=False)


@pytest.mark.parametrize("way", WAYS)
def test_the_held_out_subjects_pixels_and_labels_decide_nothing(way, worlds, tmp_path):
    left = []
    for root in worlds:
        settings = Settings(
            index=root / "index/smic_apex.csv", root=root, root3d=root / "views", device="cpu",
            result=tmp_path / root.name, subjects=(SUBJECT,), save_weights=True, batch_size=16,
            **WAYS[way],
        )  # fmt: skip
        run_experiment(settings)
        (record,) = read_records(settings.folder)
        state = load_file(settings.folder / f"weights/{SUBJECT}.safetensors")
        left.append((record["epochs"], state))
    (one, ours), (other, theirs) = left
    assert [epoch["train_loss"] for epoch in one] == [epoch["train_loss"] for epoch in other]
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []
    assert one[-1]["scores"] != other[-1]["scores"]  # the pictures are others
    assert one[-1]["test_loss"] != other[-1]["test_loss"]
