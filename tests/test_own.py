"""Clips of one's own: folders, tables, times in frames and seconds, and every script after it."""

import cv2
import numpy as np
import pandas as pd
import pytest
from apex_clips import APEX, draw_clip, write_frames
from conftest import FAST, call, run, write_frame
from timed_videos import plain_images, write_timed

from common.errors import UserError
from data.corpora.own import read_own
from data.disk.frames import ClipFolders
from data.index import read_index
from data.index_task import class_names


def write_video(path, frames: int = 15, rate: float = 30.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), rate, (280, 250))
    for image in draw_clip()[:frames]:
        writer.write(image[:, :, ::-1])
    writer.release()


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Two people with a folder and a video each, in folders of labels."""
    root = tmp_path_factory.mktemp("own clips")
    for person, seed in (("Anna B.", 1), ("ben", 2)):
        write_frames(root / person / "amused" / "take 1", draw_clip(seed=seed), first=20)
        write_video(root / person / "puzzled" / "take2.avi")
    return root


@pytest.fixture(scope="module")
def blobs(tmp_path_factory):
    """Four people with six clips of three labels, and a table of them."""
    root = tmp_path_factory.mktemp("blobs")
    rows = ["subject;path;label;onset;apex;offset;AU"]
    for person in "abcd":
        for number in range(6):
            label = number % 3
            for step, strength in enumerate((0.1, 0.7, 1.0, 0.7, 0.1)):
                seed = 100 * ord(person) + 10 * number + step
                write_frame(root / f"{person}/c{number}/f{step + 7}.png", label, strength, seed)
            word = ("bored", "curious", "doubtful")[label]
            rows.append(f"{person};{person}/c{number};{word};7;9;11;{('4', '12', '1+2')[label]}")
    (root / "table.csv").write_text("\n".join(rows))
    return root


def test_folders_alone_are_enough(faces, tmp_path):
    done = run("prepare_data.py", "own", "--root", faces, "--out", tmp_path, "--workers", 1)
    assert done.returncode == 0, done.stderr
    index = read_index(tmp_path / "own_apex.csv")
    assert index["data_sub"].tolist() == ["own_Anna_B.", "own_Anna_B.", "own_ben", "own_ben"]
    assert class_names(index) == ("amused", "puzzled")
    assert index["label"].tolist() == [0, 1, 0, 1]
    assert set(index["apex_source"]) == set(index["onset_source"]) == {"spotted"}
    of_folder, of_video = index[index["label"] == 0], index[index["label"] == 1]
    assert (of_folder["apex_frame"] - 20 - APEX).abs().max() <= 1
    assert (of_video["apex_frame"] - APEX).abs().max() <= 1
    for row in index.to_dict("records"):
        assert row["onset_frame"] < row["apex_frame"] < row["offset_frame"]
        number = row["apex_frame"]
        assert row["apex_frame_path"].endswith((f"image{number}.png", f"take2.avi#{number}"))


def test_seconds_of_a_varying_rate(tmp_path):
    """A video's frames are at their own times, unless a row says a rate."""
    (tmp_path / "ben").mkdir()
    times = [0, 0.1, 0.2, 0.7, 0.8, 0.9, 1.0]
    write_timed(tmp_path / "ben/v.mp4", plain_images(7), times)

    def read(*lines):
        (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
        clips = read_own(ClipFolders(tmp_path), tmp_path / "t.csv", "lab", None, True).clips
        return clips[["onset_frame", "apex_frame", "offset_frame"]].iloc[0].tolist()

    assert read("path,onset,apex,offset", "ben/v.mp4,0.1s,0.68s,0.9s") == [1, 3, 5]
    assert read("path,onset,apex,offset,fps", "ben/v.mp4,0.1s,0.4s,0.6s,10") == [1, 4, 6]


def test_times_in_seconds_and_frames(faces, tmp_path):
    def read(*lines: str, fps: float | None = None) -> pd.DataFrame:
        (tmp_path / "t.csv").write_text("\n".join(lines))
        return read_own(ClipFolders(faces), tmp_path / "t.csv", "lab", fps, True).clips

    video, folder = "ben/puzzled/take2.avi", "ben/amused/take 1"
    named = read("person,clip,emotion,onset_s,peak (s)", f"ben,{video},x,0.1,0.2")
    assert named[["onset_frame", "apex_frame", "offset_frame"]].values.tolist() == [[3, 6, 14]]
    for apex in ("0.2", "0.2s", "200 ms", "0:00.2", "0:00:00.2"):
        clips = read("subject,path,label,apex", f"ben,{video},x,{apex}")
        assert clips["apex_frame"].tolist() == [6]
    frames = read("path,label,onset,apex,offset", f"{video},x,1,6,13")
    assert frames[["onset_frame", "apex_frame", "offset_frame"]].values.tolist() == [[1, 6, 13]]
    assert frames["subject"].tolist() == ["ben"]
    clips = read("subject,path,label,apex,fps", f"ben,{folder.replace('/', chr(92))},x,0.2,30")
    assert clips["apex_frame"].tolist() == [26] and clips["fps"].tolist() == ["30"]
    assert read("subject,path,label,apex", f"ben,{folder},x,0.2", fps=30)["apex_frame"][0] == 26
    with pytest.raises(UserError, match=r"row 2: apex: '0\.2' is a time; a column fps"):
        read("subject,path,label,apex", f"ben,{folder},x,0.2")


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("ben,nowhere.avi,x,1,2,3", "nowhere.avi: no such folder or video below"),
        ("ben,ben/puzzled/take2.avi,x,5,2,9", "onset, apex, offset are 5, 2, 9: out of order"),
        ("ben,ben/puzzled/take2.avi,x,one,2,9", "onset: 'one' is neither a frame number nor"),
        ("ben,ben/puzzled/take2.avi,x,-1,2,9", "onset: '-1' where a frame number belongs"),
        ("ben,,x,1,2,9", "no path"),
    ],
)
def test_a_bad_row_is_one_line(faces, tmp_path, line, fault):
    table = tmp_path / "t.csv"
    table.write_text("subject,path,label,onset,apex,offset\n" + line)
    done = call("prepare_data.py", "own", "--root", faces, "--table", table, "--out",
                tmp_path / "i", "--strict")  # fmt: skip
    assert done.returncode == 2 and "row 2" in done.stderr and fault in done.stderr
    assert done.stderr.count("\n") == 1 and not (tmp_path / "i").exists()


def test_names_that_are_corpora_and_roots_without_people(faces, tmp_path):
    for words, fault in (
        (("--name", "casme2"), "--name casme2"),
        (("--name", "a/b"), "--name a/b"),
        (("--fps", "0"), "--fps 0"),
        (("--table", tmp_path / "none.csv"), "no such file"),
    ):
        done = call("prepare_data.py", "own", "--root", faces, "--out", tmp_path, *words)
        assert done.returncode == 2 and fault in done.stderr
    write_frame(tmp_path / "flat/1.png")
    done = call("prepare_data.py", "own", "--root", tmp_path / "flat", "--out", tmp_path)
    assert done.returncode == 2 and "no clip in it" in done.stderr


def test_clips_without_labels_have_an_index_and_training_says_why_not(blobs, tmp_path):
    table = tmp_path / "t.csv"
    rows = [line.rsplit(";", 5) for line in (blobs / "table.csv").read_text().splitlines()]
    table.write_text(
        "\n".join(f"{row[0]};;9" for row in rows).replace("path;;9", "path;label;apex")
    )
    call("prepare_data.py", "own", "--root", blobs, "--table", table, "--out", tmp_path)
    index = read_index(tmp_path / "own_apex.csv")
    assert class_names(index) == ("unlabelled",)
    done = call("train_me_loso.py", "--dataset", "own", "--index", tmp_path / "own_apex.csv",
                "--root", blobs, "--result", tmp_path / "r", *FAST)  # fmt: skip
    assert done.returncode == 2 and "one class" in done.stderr


def test_training_tables_and_pages_take_any_labels(blobs, tmp_path):
    done = call("prepare_data.py", "own", "--root", blobs, "--table", blobs / "table.csv",
                "--out", tmp_path, "--name", "lab")  # fmt: skip
    assert done.returncode == 0, done.stderr
    index = tmp_path / "lab_apex.csv"
    assert class_names(read_index(index)) == ("bored", "curious", "doubtful")
    common = ("--dataset", "lab", "--index", index, "--root", blobs, "--result", tmp_path / "r")
    done = call("train_me_loso.py", *common, *FAST, "--save-weights", "--folds", 2)
    assert done.returncode == 0, done.stderr
    assert "10 folds" not in done.stdout and "2 folds chosen" in done.stdout
    done = call("get_result_log.py", "--result", tmp_path / "r", "--html")
    assert done.returncode == 0, done.stderr
    summary = pd.read_csv(tmp_path / "r/summary.csv")
    assert set(summary["split"]) == {"2 folds"} and (summary["clips"] == 24).all()
    weights = tmp_path / "r/lab_2_folds/weights"
    done = call("predict.py", "--clip", blobs / "a/c0/f9.png", "--weights", weights)
    if done.returncode == 0:  # a blob is no face: then the line says so
        assert "bored" in done.stdout
    else:
        assert "no face" in done.stderr
    again = call("train_me_loso.py", *common, *FAST, "--folds", 2, "--overwrite")
    assert again.returncode == 0 and not (weights / "group_01.safetensors").exists()
    assert np.isfinite(summary["uf1"]).all()
