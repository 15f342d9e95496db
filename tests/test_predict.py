"""predict.py: clips as folders, videos and images; own weights, all folds together, the drawn."""

import json

import cv2
import numpy as np
import pytest
from apex_clips import draw_clip, face, write_frames
from conftest import call, classify, run, write_frame
from experiments import settings_of
from safetensors.torch import load_file, save_file

from common.errors import UserError
from data.disk.frames import read_image
from data.faces import FaceFinder
from data.index import read_index
from data.landmarks import DlibFinder
from data.view_pictures import read_views
from data.views import view_folder
from loso.experiment import run_experiment
from loso.predict import ClipFrames, load_classifier, pick_frames
from loso.records import read_record
from predict import main


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """15 frames of a real face whose brows and mouth corners go up until frame 106."""
    folder = tmp_path_factory.mktemp("clip") / "clip"
    write_frames(folder, draw_clip(pixels=2.5, seed=3))
    return folder


@pytest.fixture(scope="module")
def trained(tiny, root3d, tmp_path_factory):
    """Networks kept by a run: their folder, by what the run was of."""
    result = tmp_path_factory.mktemp("result")
    folders = {}
    for name, changes in (("2d", {}), ("dual", {"streams": "dual"}), ("crop", {"augment": "crop"})):
        settings = settings_of(
            tiny, result, root3d=root3d, epochs=1, subjects=("2",), save_weights=True,
            experiment=name, **changes,
        )  # fmt: skip
        run_experiment(settings)
        folders[name] = settings.folder
    return folders


def test_out_of_the_box(clip):
    done = run("predict.py", "--clip", clip, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["onset"] == 100
    assert abs(found["apex"] - 106) <= 1
    assert set(found["classes"]) == {"negative", "positive", "surprise"}
    assert sum(found["classes"].values()) == pytest.approx(1, abs=1e-3)
    assert found["action_units"]["12"] > 0.5  # lip corners up
    assert found["action_units"]["4"] < 0.5
    done = call("predict.py", "--clip", clip, "--apex", 107, "--onset", 101)
    assert "onset 101, apex 107" in done.stdout
    assert "AU 12" in done.stdout


@pytest.mark.parametrize("kind", ["2d", "dual", "crop"])
def test_scores_are_those_of_evaluation(trained, tiny, root3d, kind):
    """For each clip of the held-out subject, as the record has them."""
    clips = read_index(tiny / "index/smic_apex.csv")
    clips = clips[clips["data_sub"] == "smic_01"].to_dict("records")
    record = read_record(trained[kind] / "fold_smic_01.json")
    classifier = load_classifier(trained[kind] / "weights/smic_01.safetensors")
    scores = record["epochs"][-1]["scores"]
    assert len(clips) == len(scores) == 6
    for clip, expected in zip(clips, scores):
        picked = ClipFrames(read_image(tiny / clip["apex_frame_path"]), None)
        folder = view_folder(root3d, clip)
        found = classify(
            classifier, picked, lambda apex, face, onset, size, at=folder: read_views(at, size)
        )
        assert list(found.classes.values()) == pytest.approx(expected, abs=1e-5)
        assert found.units == {}


def test_a_folder_of_folds_is_their_mean(trained, clip, finder):
    picked = pick_frames(clip, None, 106, finder)
    folder = trained["2d"] / "weights"
    one, two = (
        classify(load_classifier(path), picked) for path in sorted(folder.glob("*.safetensors"))
    )
    both = classify(load_classifier(folder), picked)
    for name, score in both.classes.items():
        assert score == pytest.approx((one.classes[name] + two.classes[name]) / 2, abs=1e-6)


def test_dual_reconstructs_what_it_reads(trained, clip):
    weights = trained["dual"] / "weights/smic_01.safetensors"
    done = call("predict.py", "--clip", clip / "image106.png", "--weights", weights, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["apex"] is None
    assert found["networks"] == 1
    assert all(0 <= score < 1 for score in found["classes"].values())


def test_a_video_counts_from_zero(clip, tmp_path, finder):
    path = tmp_path / "clip.avi"
    frames = [cv2.imread(str(p)) for p in sorted(clip.glob("*.png"))]
    height, width = frames[0].shape[:2]
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 100, (width, height))
    for frame in frames:
        video.write(frame)
    video.release()
    picked = pick_frames(path, None, None, finder)
    assert picked.onset_number == 0
    assert abs(picked.apex_number - 6) <= 1
    with pytest.raises(UserError, match="--onset of a video needs --apex"):
        pick_frames(path, 2, None, finder)
    assert pick_frames(path, 2, 6, finder).onset_number == 2


def test_faults_are_one_line(trained, clip, tmp_path):
    dual = trained["dual"] / "weights/smic_01.safetensors"
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    for name, streams in (("a", "2d"), ("b", "dual")):
        source = trained[streams] / "weights/smic_01.safetensors"
        (mixed / f"{name}.safetensors").write_bytes(source.read_bytes())
    bare = tmp_path / "bare.safetensors"
    save_file(load_file(dual), bare)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(dual.read_bytes()[:5000])
    write_frame(tmp_path / "few" / "image1.jpg")
    image = clip / "image106.png"
    (tmp_path / "empty").mkdir()
    for arguments, fault in (
        ((image,), "one image has no motion; these weights need a clip"),
        ((image, None, None, 3), "a single image has no frames"),
        ((clip, None, None, 999), r"no frame 999 \(--apex\)"),
        ((clip, None, None, 100), "first frame with a face is 100"),
        ((clip, None, 108, 104), "--onset 108 does not come before --apex 104"),
        ((clip, None, 104, 104), "--onset 104 does not come before --apex 104"),
        ((tmp_path / "few",), "three"),
        ((clip, mixed), "trained with --streams dual, a.safetensors with"),
        ((clip, bare), "does not say of which settings"),
        ((clip, cut), "not readable as weights"),
        ((clip, tmp_path / "empty"), "no .safetensors in this folder"),
    ):
        with pytest.raises(UserError, match=fault):
            main(*arguments)
    for arguments, fault in (
        (("--clip", tmp_path / "gone"), "no such folder or file"),
        (("--clip", clip, "--weights", tmp_path / "gone"), "no such file or folder"),
    ):
        done = call("predict.py", *arguments)
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
        assert fault in done.stderr
        assert done.stderr.count("\n") == 1


def test_networks_in_training_refuse_files_of_other_settings(trained, tiny, tmp_path):
    done = call(
        "train_me_loso.py", "--index", tiny / "index/smic_apex.csv", "--root", tiny, "--result",
        tmp_path, "--weights", trained["dual"] / "weights/smic_01.safetensors", "--trunk",
        "efficientnet_lite0", "--image-size", 97,
    )  # fmt: skip
    assert done.returncode == 2
    assert "trained with --streams dual, here --streams 2d" in done.stderr
    assert not (tmp_path / "smic").exists()


def test_a_clip_is_looked_at_once_and_its_face_followed(tmp_path, monkeypatch):
    """30 frames of 640x480 from files to scores: what costs time is counted, not the time."""
    image, _ = face()
    assert image.shape == (250, 280, 3)
    frames = draw_clip(frames=30, apex=12, pixels=2.5)
    wide = np.stack([cv2.resize(f, (538, 480)) for f in frames])
    write_frames(tmp_path / "clip", np.pad(wide, ((0, 0), (0, 0), (51, 51), (0, 0)), mode="edge"))
    classifier = load_classifier(None)
    faces = FaceFinder(DlibFinder())
    detected, read = [], []
    boxes = faces.finder.boxes
    monkeypatch.setattr(faces.finder, "boxes", lambda image: detected.append(1) or boxes(image))
    monkeypatch.setattr(
        "data.disk.clip_frames.read_image",
        lambda path, *grey: read.append(path) or read_image(path, *grey),
    )
    picked = pick_frames(tmp_path / "clip", None, None, faces)
    classify(classifier, picked)
    assert picked.apex.shape == (480, 640, 3)
    assert abs(picked.apex_number - 112) <= 2
    print(len(detected), len(read))
    assert len(detected) <= 2  # the onset's face, and the apex's
    assert len(read) <= 2 * 30 + 4


def test_predict_takes_a_prior(clip):
    even, stated = (
        call("predict.py", "--clip", clip, "--json", *more)
        for more in ((), ("--prior", "0.6", "0.3", "0.1"))
    )
    assert even.returncode == stated.returncode == 0, stated.stderr
    assert '"prior": "even"' in even.stdout
    assert '"prior": [0.6, 0.3, 0.1]' in stated.stdout
    assert even.stdout != stated.stdout
    refused = call("predict.py", "--clip", clip, "--prior", "0.6", "0.3")
    assert (refused.returncode, "3 shares above 0" in refused.stderr) == (2, True)
