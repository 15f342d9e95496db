"""Clips whose apex shows no face: no views, no motion, no training on them; named and counted."""

import json
import shutil

import cv2
import numpy as np
import pandas as pd
import pytest
from apex_clips import draw_clip
from conftest import EMOTIONS, FAST, call, write_views

from data.index import read_index
from data.views import claim_views, note_faceless, read_faceless, view_folder

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
    """Made-up views of all but the clip without a face, which is noted."""
    root = corpus / "views"
    claim_views(root, "anny")
    clips = read_index(corpus / "smic_apex.csv").to_dict("records")
    folders = {clip["clip"]: view_folder(root, clip) for clip in clips}
    for clip in clips:
        if clip["clip"] != "s02_1":
            write_views(folders[clip["clip"]], clip["label"])
    note_faceless(root, folders.values(), [folders["s02_1"]])
    return root


def train(corpus, result, *arguments):
    return call(
        "train_me_loso.py", "--index", corpus / "smic_apex.csv", "--root", corpus, "--root3d",
        corpus / "views", "--result", result, "--neighbour-views", "apex", "--subjects", 1,
        *arguments,
    )  # fmt: skip


@pytest.mark.parametrize("streams", ["3d", "dual"])
def test_training_leaves_the_clip_out(corpus, views, tmp_path, streams):
    done = train(corpus, tmp_path, *FAST, "--epochs", 1, "--streams", streams, "--experiment", "x")
    assert done.returncode == 0, done.stderr
    assert "skipped smic_02 s02_1: no face was found in the apex frame" in done.stderr
    assert "1 of 9 clips are left out: no face was found in them" in done.stderr
    config = json.loads((tmp_path / "x/config.json").read_text())
    assert config["left_out"] == ["smic_02 s02_1"]
    assert config["subjects"] == {"smic_01": 3, "smic_02": 2, "smic_03": 3}
    done = train(corpus, tmp_path, *FAST, "--streams", streams, "--experiment", "y", "--strict")
    assert done.returncode == 2
    assert "smic_02 s02_1: no face was found in the apex frame" in done.stderr
    assert not (tmp_path / "y").exists()


def test_motion_leaves_the_clip_out(corpus, tmp_path):
    flags = ("--streams", "motion", "--adapt", "none", "--experiment", "x")
    done = train(corpus, tmp_path, *flags)
    assert done.returncode == 0, done.stderr
    assert "skipped smic_02 s02_1: " in done.stderr
    assert "1 of 9 clips are left out: they have no motion map" in done.stderr


def test_views_know_which_frames_show_no_face(corpus, tmp_path):
    """Then the frame is replaced by one with a face: the next run makes its views."""
    root = tmp_path / "corpus"
    shutil.copytree(corpus, root)
    shutil.rmtree(root / "views", ignore_errors=True)
    table = pd.read_csv(root / "smic_apex.csv", dtype=str)
    table[table["clip"].isin(["s02_0", "s02_1"])].to_csv(root / "two.csv", index=False)
    flags = (
        "--index", root / "two.csv", "--root", root, "--out", root / "views", "--backend", "anny",
        "--landmarks", "dlib", "--workers", 1, "--strict",
    )  # fmt: skip
    done = call("reconstruct_3d.py", *flags)
    assert done.returncode == 1  # --strict: one was skipped
    assert "skipped smic_02 s02_1: " in done.stderr
    assert "not the face of the onset" in done.stderr
    assert "1 of 2 frames skipped:" in done.stderr
    assert "faces found: 1 by detector" in done.stdout
    assert read_faceless(root / "views") == {root / "views/smic/02/s02_1/106"}
    assert not (root / "views/smic/02/s02_1").exists()
    assert np.load(root / "views/smic/02/s02_0/106/codes.npz")["found_by"] == "detector"
    shutil.copy(root / "s02_0/image106.png", root / "s02_1/image106.png")
    assert call("reconstruct_3d.py", *flags).returncode == 0
    assert read_faceless(root / "views") == set()
    assert (root / "views/smic/02/s02_1/106/0.jpg").is_file()
