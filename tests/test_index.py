"""From the corpora's spreadsheets and frames to the index, complete and broken."""

import shutil

import pandas as pd
import pytest
from conftest import SMIC_HEADER, call, make_smic, write_frame, write_sheet
from corpora import (
    LAYOUTS,
    make_frames,
    write_annotation,
)

from common.errors import UserError
from data.corpora.annotation import read_annotation
from data.corpora.known import CORPORA, MEGC2019
from data.disk.frames import ClipFolders, frame_number, list_frames, nearest_frame
from data.index import COLUMNS, build_index, read_index

COUNTS = {"smic": (70, 51, 43, 16), "casme2": (88, 32, 25, 24), "samm": (92, 26, 15, 28)}


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    """All three corpora complete, in their released layouts, indexed through the command line."""
    root = tmp_path_factory.mktemp("complete")
    out = root / "index"
    for data, corpus in ((name, CORPORA[name]) for name in MEGC2019):
        annotation = write_annotation(root, data)
        table = read_annotation(corpus, annotation).clips
        if data == "smic":
            table["apex_frame"] = 1015
        make_frames(root, table, LAYOUTS[data])
        done = call(
            "prepare_data.py", data, "--root", root, "--annotation", annotation, "--out", out
        )
        assert done.returncode == 0, done.stderr
        assert f"wrote {out / data}_apex.csv" in done.stdout
    done = call("prepare_data.py", "composite", "--out", out)
    assert done.returncode == 0, done.stderr
    return root


@pytest.mark.parametrize("data", COUNTS)
def test_counts_of_complete_data(complete, data):
    index = read_index(complete / f"index/{data}_apex.csv")
    assert (*index["label"].value_counts().sort_index(), index["subject"].nunique()) == COUNTS[data]
    assert list(index)[: len(COLUMNS)] == COLUMNS
    four = read_index(complete / f"index/{data}_four_frames.csv", companion=True)
    assert (four.groupby(["subject", "clip"]).size() == 4).all()
    steps = four["apex_frame"] - four.merge(index, on=["subject", "clip"])["apex_frame_y"]
    assert set(steps) <= {-2, -1, 0, 1, 2}
    for path in index["apex_frame_path"]:
        assert (complete / path).is_file()


def test_composite_counts(complete):
    index = read_index(complete / "index/composite_apex.csv")
    assert index["label"].value_counts().sort_index().tolist() == [250, 109, 83]
    assert index["data_sub"].nunique() == 68
    assert {"smic_01", "casme2_sub01", "samm_006"} <= set(index["data_sub"])


def test_glasses_of_the_complete_composite(complete):
    from loso.folds import by_glasses

    wearers = by_glasses(read_index(complete / "index/composite_apex.csv"), True)
    # 28 in the spec; this tree spreads SAMM over 006 to 033, without 037.
    assert wearers["data_sub"].nunique() == 27


def test_five_classes_of_casme2(complete, tmp_path):
    annotation = complete / "casme2.xlsx"
    table = read_annotation(CORPORA["casme2"], annotation, task=5).clips
    counts = table["label"].value_counts().sort_index().tolist()
    assert counts == [63, 32, 27, 25, 99]
    without_apex = table[(table["subject"] == "sub04") & (table["clip"] == "EP12_01f")]
    assert without_apex["apex_frame"].item() == 25  # the middle of 10 and 40
    done = call(
        "prepare_data.py", "casme2", "--classes", 5, "--root", complete,
        "--annotation", annotation, "--out", tmp_path,
    )  # fmt: skip
    assert done.returncode == 0
    assert (tmp_path / "casme2_5_apex.csv").is_file()
    assert "clips skipped" in done.stdout  # the tree has no frames of "others"


def test_samm_apexes_outside_are_clamped_with_a_warning(complete, capsys):
    table = read_annotation(CORPORA["samm"], complete / "samm.xlsx").clips
    assert table["apex_frame"].iloc[0] == 5005
    assert table["apex_frame"].iloc[1] == 5000
    said = capsys.readouterr().err
    assert "samm_006 006_9_0: apex 5001 lies outside 5005 to 5030; clamped" in said
    assert said.count("clamped") == 2


def test_index_of_an_earlier_project(tmp_path):
    path = tmp_path / "data_apex.csv"
    pd.DataFrame(
        {
            "Data": ["casme2", "smic", "samm"],
            "Subject": [1, "s3", "006"],
            "Clip": ["EP02_01f", "s3_ne_01", "006_1_2"],
            "Estimated Emotion": ["happiness", "negative", "Anger"],
            "Onset_frame": [46, 1.0, ""],
            "apex_frame_path": ["a.jpg", "b.jpg", "c.jpg"],
            "off_frame_path": ["d.jpg", "e.jpg", "f.jpg"],
        }
    ).to_csv(path)
    index = read_index(path)
    assert index["subject"].tolist() == ["sub01", "03", "006"]
    assert index["data_sub"].tolist() == ["casme2_sub01", "smic_03", "samm_006"]
    assert index["label"].tolist() == [1, 0, 0]
    assert index["offset_frame_path"].tolist() == ["d.jpg", "e.jpg", "f.jpg"]
    assert index["onset_frame"].tolist()[:2] == [46, 1]
    assert index["onset_frame"].isna()[2]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"label": "7"}, "row 2: label 7 is outside the classes"),
        ({"label": "x"}, "row 2, label: 'x' is not a whole number"),
        ({"data": "fer"}, "row 2: data 'fer' is not one of"),
        ({"apex_frame": "a"}, "row 2, apex_frame: 'a' is not a whole number"),
        ({"subject": "?"}, "row 2: '\\?' is not a subject of smic"),
        ({"label": "", "emotion": "bored"}, "row 2: no label, and emotion 'bored'"),
    ],
)
def test_bad_rows_of_an_index(tiny, tmp_path, change, fault):
    table = pd.read_csv(tiny / "index/smic_apex.csv", dtype=str)
    for column, value in change.items():
        table.loc[0, column] = value
    table.to_csv(tmp_path / "i.csv", index=False)
    with pytest.raises(UserError, match=fault):
        read_index(tmp_path / "i.csv")


def test_index_without_a_column_with_a_clip_twice_or_nothing(tiny, tmp_path):
    table = pd.read_csv(tiny / "index/smic_apex.csv", dtype=str)
    path = tmp_path / "i.csv"
    table.drop(columns="clip").to_csv(path)
    with pytest.raises(UserError, match="no column 'clip'"):
        read_index(path)
    table.drop(columns=["label", "emotion"]).to_csv(path)
    with pytest.raises(UserError, match="no column 'label'"):
        read_index(path)
    pd.concat([table, table.head(1)]).to_csv(path)
    with pytest.raises(UserError, match=f"row {len(table) + 2}: clip .* twice"):
        read_index(path)
    table.head(0).to_csv(path)
    with pytest.raises(UserError, match="no clip in it"):
        read_index(path)
    path.write_text("")
    with pytest.raises(UserError, match="not a CSV table"):
        read_index(path)
    with pytest.raises(UserError, match="no such index"):
        read_index(tmp_path / "none.csv")


def test_bad_input_through_the_command_line(tiny, tmp_path):
    text = tmp_path / "notes.xlsx"
    text.write_text("not a spreadsheet")
    sheet = write_sheet(tmp_path / "other.xlsx", [SMIC_HEADER], "Sheet1")
    good = tiny / "SMIC/SMIC-HS-E_annotation.xlsx"
    for root, annotation, fault in [
        (tiny, text, "no header row in it"),
        (tiny, sheet, "no clip of the 3 classes in it"),
        (tiny, tmp_path / "none.xlsx", "no such file"),
        (tmp_path / "nowhere", good, "no such folder"),
        (tmp_path, good, "none of the 24 clips has its frames below"),
    ]:
        out = tmp_path / "out"
        done = call(
            "prepare_data.py", "smic", "--root", root, "--annotation", annotation, "--out", out
        )
        assert done.returncode == 2
        assert fault in done.stderr.splitlines()[-1]
        assert done.stderr.splitlines()[-1].startswith("error: ")
        assert not out.exists()


def test_five_classes_are_casme2s_alone(tiny, tmp_path):
    done = call(
        "prepare_data.py", "smic", "--classes", 5, "--root", tiny, "--out", tmp_path / "out",
        "--annotation", tiny / "SMIC/SMIC-HS-E_annotation.xlsx",
    )  # fmt: skip
    assert done.returncode == 2
    assert "error: smic has no task of 5 classes" in done.stderr


def test_composite_without_its_parts_says_which(tmp_path):
    done = call("prepare_data.py", "composite", "--out", tmp_path)
    assert done.returncode == 2
    assert "`python prepare_data.py smic …` makes it" in done.stderr


def with_middles(annotation):
    clips = read_annotation(CORPORA["smic"], annotation).clips
    return clips.assign(apex_frame=(clips["onset_frame"] + clips["offset_frame"]) // 2)


def test_missing_clips_and_broken_apexes_are_skipped_by_name(tmp_path, capsys):
    annotation = make_smic(tmp_path, subjects=2, clips=3)
    shutil.rmtree(tmp_path / "SMIC/HS/s01/s01_ne_00")
    apex = tmp_path / "SMIC/HS/s02/s02_po_01/image000209.jpg"
    apex.write_bytes(apex.read_bytes()[:300])
    index, _, skipped = build_index(with_middles(annotation), ClipFolders(tmp_path))
    assert len(index) == 4
    assert "smic_01 s01_ne_00: no folder s01/…/s01_ne_00" in skipped[0]
    assert "smic_02 s02_po_01: apex: " in skipped[1]
    assert "cut off" in skipped[1]
    assert "skipped smic_01 s01_ne_00" in capsys.readouterr().err


def test_a_missing_frame_falls_back_to_its_neighbour(tmp_path, capsys):
    annotation = make_smic(tmp_path, subjects=2, clips=3)
    folder = tmp_path / "SMIC/HS/s01/s01_ne_00"
    (folder / "image000109.jpg").unlink()
    clips = with_middles(annotation)
    index, _, skipped = build_index(clips, ClipFolders(tmp_path))
    assert not skipped
    assert index["apex_frame_path"][0].endswith("image000108.jpg")
    assert "no frame 109; the nearest, 108, stands in" in capsys.readouterr().err
    clips.loc[0, "onset_frame"] = 104
    _, _, skipped = build_index(clips, ClipFolders(tmp_path))
    assert "no onset frame 104, nor one within two of it" in skipped[0]


def test_names_on_disk():
    from pathlib import Path

    assert frame_number(Path("reg_img46.jpg")) == 46
    assert frame_number(Path("006_05588.jpg")) == 5588
    assert frame_number(Path("cover.jpg")) is None
    frames = dict.fromkeys((3, 4, 9), Path())
    assert [nearest_frame(frames, n) for n in (4, 5, 7, 6, 12)] == [4, 4, 9, 4, None]


def test_of_two_releases_the_cropped_one_is_taken_with_a_warning(tmp_path, capsys):
    for release in ("CASME2_RAW_selected", "Cropped"):
        write_frame(tmp_path / release / "sub01/EP02_01f/img46.jpg")
    folder = ClipFolders(tmp_path).find("sub1", "ep02_1f", prefer=("cropped",))
    assert folder == tmp_path / "Cropped/sub01/EP02_01f"
    assert "taking Cropped, not CASME2_RAW_selected" in capsys.readouterr().err
    assert list(list_frames(folder)) == [46]
