"""predict.py --clips: folders, lists and indexes; faults on the way, going on after a stop."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest
from apex_clips import draw_clip, write_frames
from conftest import call

from common.errors import UserError
from data.clip_list import ListedClip, list_clips
from loso.predict_many import predict_many, write_predictions


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Two clips of image files, one of them below a subject, and one of them as a video."""
    root = tmp_path_factory.mktemp("many")
    frames = draw_clip(pixels=2.5, seed=3)
    write_frames(root / "one", frames)
    write_frames(root / "s2/two", frames[:10])
    video = cv2.VideoWriter(
        str(root / "three.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 50, frames.shape[2:0:-1]
    )
    for frame in frames:
        video.write(frame[..., ::-1])
    video.release()
    return root


def table(folder):
    return pd.read_csv(folder / "predictions.csv", dtype={"video": str})


def test_a_list_is_read_and_its_faults_are_named(corpus, tmp_path):
    lines = ["# clips", "one", "", "gone", "three.avi", "one/image100.png"]
    (tmp_path / "list.txt").write_text("\n".join(lines))
    arguments = ("--clips", tmp_path / "list.txt", "--root", corpus, "--out", tmp_path / "out")
    done = call("predict.py", *arguments)
    assert done.returncode == 0, done.stderr
    assert "2 clips: " in done.stdout and "; 2 left out" in done.stdout
    assert "warning: left out: " in done.stderr and "gone" in done.stderr
    found = table(tmp_path / "out")
    names = ["one", "three.avi", "gone", "one/image100.png"]
    assert found["path"].tolist() == [str(corpus / name) for name in names]
    assert found["video"].tolist() == ["one", "three", "gone", "image100"]
    assert found["fault"].isna().tolist() == [True, True, False, False]
    assert found["onset"].tolist()[:2] == [100, 0]
    assert np.isnan(found["apex_s"][0])
    assert found["apex_s"][1] == pytest.approx(found["apex"][1] / 50, abs=1e-3)
    scores = found.loc[:1, ["negative", "positive", "surprise"]]
    assert np.allclose(scores.sum(1), 1, atol=1e-3)
    assert found["confidence"][0] == scores.loc[0].max()
    assert found["units"][0].startswith("AU") and "; " in found["units"][0]
    assert not (tmp_path / "out/predictions.part.jsonl").exists()
    # What one clip alone gets is what it gets among others.
    alone = call("predict.py", "--clip", corpus / "one", "--json", "--out", tmp_path / "alone")
    kept = json.loads((tmp_path / "out/predictions.json").read_text())
    facts = json.loads(alone.stdout)
    assert facts.items() <= kept["clips"][0].items()
    one = kept["clips"][0]
    assert (one["label"], one["offset"], one["apex_s"]) == (facts["prediction"], None, None)
    assert {str(unit["unit"]): unit["strength"] for unit in one["units"]} == facts["action_units"]
    assert table(tmp_path / "alone").loc[0].equals(found.loc[0])
    assert len(kept["faults"]) == 2
    assert call("predict.py", *arguments, "--strict").returncode == 1
    # As many at once as one likes.
    out = ("--out", tmp_path / "two", "--workers", 2)
    done = call("predict.py", *arguments[:-2], *out)
    assert done.returncode == 0 and done.stderr.count("warning: left out: ") == 2
    for name in ("predictions.csv", "predictions.json"):
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


def test_an_index_gives_onset_apex_and_offset(corpus, tmp_path):
    rows = [
        ("a", "one/image100.png", "one/image106.png", "one/image114.png"),
        ("b", "three.avi#1", "three.avi#6", ""),
        ("c", "two/image100.png", "two/image106.png", ""),
    ]
    names = [f"{name}_frame_path" for name in ("onset", "apex", "offset")]
    index = pd.DataFrame(rows, columns=["clip", *names])
    index.to_csv(tmp_path / "i.csv", index=False)  # neither labels nor subjects
    clips = list_clips(tmp_path / "i.csv", corpus)
    found = [(clip.path, clip.onset, clip.apex, clip.offset) for clip in clips]
    assert found[:2] == [(corpus / "one", 100, 106, 114), (corpus / "three.avi", 1, 6, None)]
    assert "two is not there; --root names another" in clips[2].fault
    assert [clip.fault for clip in clips[:2]] == [None, None]
    index.assign(apex_frame_path="", motion_path="a.npy").to_csv(tmp_path / "i.csv", index=False)
    assert "a motion map alone" in list_clips(tmp_path / "i.csv", corpus)[0].fault
    index.drop(columns="apex_frame_path").to_csv(tmp_path / "i.csv", index=False)
    with pytest.raises(UserError, match="no column 'apex_frame_path'"):
        list_clips(tmp_path / "i.csv", corpus)


def test_a_folder_is_looked_through(corpus, tmp_path):
    paths = [clip.path for clip in list_clips(corpus)]
    assert paths == [corpus / "one", corpus / "s2/two", corpus / "three.avi"]
    assert [clip.path for clip in list_clips(corpus / "one")] == [corpus / "one"]


def test_a_clip_named_twice_is_taken_once(tmp_path, capsys):
    (tmp_path / "list.txt").write_text("a\na\nb\n")
    assert [clip.path.name for clip in list_clips(tmp_path / "list.txt")] == ["a", "b"]
    assert "1 of 3 clips are named twice" in capsys.readouterr().err


def facts_of(clip):
    return {
        "clip": str(clip.path), "onset": 1, "apex": 2, "prediction": "positive",
        "classes": {"negative": 0.2, "positive": 0.8}, "action_units": {"12": 0.9, "4": 0.1},
    }  # fmt: skip


def test_a_stopped_run_goes_on(tmp_path):
    clips = [ListedClip(tmp_path / name) for name in "abcd"]
    seen = []

    def classify(clip, stop="c"):
        if clip.path.name == stop:
            raise KeyboardInterrupt
        if clip.path.name == "b":
            raise UserError("b: no face")
        seen.append(clip.path.name)
        return facts_of(clip)

    with pytest.raises(KeyboardInterrupt, match="2 of 4 clips done; the same command goes on"):
        predict_many(clips, classify, tmp_path, {"prior": ()})
    part = tmp_path / "predictions.part.jsonl"
    with part.open("a") as file:
        file.write('{"key": "cut o')
    found = predict_many(clips, lambda clip: classify(clip, ""), tmp_path, {"prior": ()})
    assert seen == ["a", "c", "d"]  # the fault is looked at again
    assert [facts["clip"][-1] for facts in found.facts] == ["a", "c", "d"]
    assert found.summary() == "3 clips: 3 positive; 1 left out"
    assert all(json.loads(line) for line in part.read_text().splitlines())
    (tmp_path / "a").write_text("the clip's file is another one")
    predict_many(clips, lambda clip: classify(clip, ""), tmp_path, {"prior": ()})
    predict_many(clips, lambda clip: classify(clip, ""), tmp_path, {"prior": (0.5, 0.5)})
    assert seen == ["a", "c", "d", "a", "a", "c", "d"]
    write_predictions(tmp_path, found, ("negative", "positive"))
    assert not part.exists()
    assert table(tmp_path)["units"].tolist()[:3] == ["AU12 0.90"] * 3


def test_nothing_read_is_said(tmp_path):
    (tmp_path / "list.txt").write_text("gone\nlost\n")
    done = call("predict.py", "--clips", tmp_path / "list.txt", "--out", tmp_path / "out")
    assert (done.returncode, done.stdout) == (2, "")
    assert "error: none of the 2 clips could be read; the first: " in done.stderr
    assert table(tmp_path / "out")["fault"].notna().all()


def test_faults_of_the_command_are_one_line(corpus, tmp_path):
    (tmp_path / "empty.txt").write_text("# nothing\n")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "i.csv").write_text("data,subject\n")
    out = ("--out", tmp_path)
    for arguments, fault in (
        ((), "one of --clip and --clips"),
        (("--clip", corpus, "--clips", corpus), "one of --clip and --clips"),
        (("--clips", corpus), "--out names the folder"),
        (("--clips", corpus, *out, "--workers", 0), "--workers 0: at least 1"),
        (("--clips", corpus, *out, "--apex", 3), "--onset and --apex go with --clip"),
        (("--clips", tmp_path / "gone", *out), "no such folder, list or index"),
        (("--clips", tmp_path / "empty.txt", *out), "names no clip"),
        (("--clips", tmp_path / "bytes.txt", *out), "not a list of paths in UTF-8"),
        (("--clips", tmp_path / "i.csv", *out), "--root names the folder"),
    ):
        done = call("predict.py", *arguments)
        assert (done.returncode, done.stdout) == (2, ""), arguments
        assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
        assert fault in done.stderr
