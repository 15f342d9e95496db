"""Clips whose apex shows no face: no views, no motion, no training on them; named and counted."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest
from apex_clips import draw_clip
from conftest import EMOTIONS, FAST, call

CLIPS = 3  # a subject


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Nine clips of three subjects, an onset and an apex each; the apex of one is noise."""
    root = tmp_path_factory.mktemp("corpus")
    rows = []
    for subject in ("01", "02", "03"):
        for number in range(CLIPS):
            name = f"s{subject}_{number}"
            onset, *_, apex = draw_clip(pixels=2.5, seed=10 * int(subject) + number)[:7]
            if name == "s02_1":
                apex = np.random.default_rng(0).integers(0, 255, apex.shape).astype(np.uint8)
            for frame, image in ((100, onset), (106, apex)):
                (root / name).mkdir(exist_ok=True)
                cv2.imwrite(str(root / name / f"image{frame}.png"), image[..., ::-1])
            rows.append({
                "data": "smic", "subject": subject, "clip": name, "label": number,
                "emotion": EMOTIONS[number], "onset_frame": 100, "apex_frame": 106,
                "onset_frame_path": f"{name}/image100.png",
                "apex_frame_path": f"{name}/image106.png",
            })  # fmt: skip
    pd.DataFrame(rows).to_csv(root / "smic_apex.csv", index=False)
    return root


@pytest.fixture(scope="module")
def views(corpus):
    done = call(
        "reconstruct_3d.py", "--index", corpus / "smic_apex.csv", "--root", corpus, "--out",
        corpus / "views", "--backend", "anny", "--landmarks", "dlib", "--workers", 1, "--strict",
    )  # fmt: skip
    assert done.returncode == 1  # --strict: one was skipped
    assert "skipped smic_02 s02_1: " in done.stderr
    assert "not the face of the onset" in done.stderr
    assert "1 of 9 frames skipped:" in done.stderr
    assert "faces found: 8 by detector" in done.stdout
    return corpus / "views"


def train(corpus, result, *arguments):
    return call(
        "train_me_loso.py", "--index", corpus / "smic_apex.csv", "--root", corpus, "--root3d",
        corpus / "views", "--result", result, "--neighbour-views", "apex", *FAST, "--epochs", 1,
        "--subjects", 1, *arguments,
    )  # fmt: skip


def test_views_know_which_frames_show_no_face(views):
    record = json.loads((views / "views.json").read_text())
    assert record["faceless"] == ["smic/02/s02_1/106"]
    assert not (views / "smic/02/s02_1").exists()
    codes = np.load(views / "smic/01/s01_0/106/codes.npz")
    assert codes["found_by"] == "detector"


@pytest.mark.parametrize("streams", ["3d", "dual"])
def test_training_leaves_the_clip_out(corpus, views, tmp_path, streams):
    done = train(corpus, tmp_path, "--streams", streams, "--experiment", "x")
    assert done.returncode == 0, done.stderr
    assert "skipped smic_02 s02_1: no face was found in the apex frame" in done.stderr
    assert "1 of 9 clips are left out: no face was found in them" in done.stderr
    config = json.loads((tmp_path / "x/config.json").read_text())
    assert config["left_out"] == ["smic_02 s02_1"]
    assert config["subjects"] == {"smic_01": 3, "smic_02": 2, "smic_03": 3}
    done = train(corpus, tmp_path, "--streams", streams, "--experiment", "y", "--strict")
    assert done.returncode == 2
    assert "smic_02 s02_1: no face was found in the apex frame" in done.stderr
    assert not (tmp_path / "y").exists()


def test_motion_leaves_the_clip_out(corpus, tmp_path):
    flags = ("--streams", "motion", "--adapt", "none", "--experiment", "x")
    done = train(corpus, tmp_path, *flags)
    assert done.returncode == 0, done.stderr
    assert "skipped smic_02 s02_1: " in done.stderr
    assert "1 of 9 clips have no motion map" in done.stderr


def test_a_face_that_appears_later_is_taken_in(corpus, tmp_path):
    """The frame is replaced by one with a face: the next run makes its views and forgets it."""
    import shutil

    root = tmp_path / "corpus"
    shutil.copytree(corpus, root)
    shutil.rmtree(root / "views")
    table = pd.read_csv(root / "smic_apex.csv", dtype=str)
    table[table["subject"] == "02"].to_csv(root / "one.csv", index=False)
    flags = (
        "--index", root / "one.csv", "--root", root, "--out", root / "views", "--backend", "anny",
        "--landmarks", "dlib", "--workers", 1,
    )  # fmt: skip
    assert call("reconstruct_3d.py", *flags).returncode == 0
    shutil.copy(root / "s02_0/image106.png", root / "s02_1/image106.png")
    assert call("reconstruct_3d.py", *flags).returncode == 0
    assert json.loads((root / "views/views.json").read_text())["faceless"] == []
    assert (root / "views/smic/02/s02_1/106/0.jpg").is_file()
