"""Index files as users have them: spellings, separators, encodings, companions, joins."""

import inspect
import re

import pandas as pd
import pytest
from conftest import ROOT, call, make_smic, write_frame
from hypothesis import given
from hypothesis import strategies as st

import prepare_data
import smic_processing
from common.errors import UserError
from common.parallel import cores
from data.corpora.annotation import read_annotation
from data.corpora.known import CORPORA
from data.disk.frames import ClipFolders
from data.index import build_index, four_frames_path, join_indexes, read_index, write_index
from loso.inputs import load_inputs
from loso.settings import Settings
from tools import pretrain_motion

HEADER = "data,subject,clip,label,onset_frame,apex_frame,offset_frame,apex_frame_path,data_sub"
ROWS = ["smic,01,s1_ne_01,0,1,5,9,HS/a5.jpg,smic_01", "smic,1,s1_ne_02,0,11,15,19,HS/b.jpg,smic_1"]


def write(path, *lines, encoding="utf-8", separator=","):
    path.write_text("\n".join(lines).replace(",", separator) + "\n", encoding=encoding)
    return path


@pytest.mark.parametrize("spelled", ["01", "1", "1.0", "s1", "S01", "sub1", "smic_01", "smic_s1"])
@pytest.mark.parametrize("data_sub", ["smic_01", "smic_1", "SMIC_s01", "smic_sub1", "", "nan"])
def test_a_person_is_one_fold_however_the_file_spells_it(tmp_path, capsys, spelled, data_sub):
    row = f" SMIC ,{spelled},s1_ne_02,0,11,15,19,HS/b.jpg,{data_sub}"
    index = read_index(write(tmp_path / "i.csv", HEADER, ROWS[0], row))
    assert set(index["data_sub"]) == {"smic_01"} and set(index["subject"]) == {"01"}
    assert capsys.readouterr().err == ""


@given(st.integers(1, 999), st.sampled_from(["{}", "{:03d}", "s{}", "Sub{:02d}", "{}.0", "s_{}"]))
def test_every_spelling_of_a_subject_is_one(number, spelling):
    for corpus in CORPORA.values():
        name = corpus.subject(number)
        assert corpus.subject(spelling.format(number)) == name == corpus.subject(name)
        assert corpus.subject(f"{corpus.name}_{name}") == name
        assert int(re.search(r"\d+$", name)[0]) == number


def test_a_data_sub_of_another_person_is_told_and_not_taken(tmp_path, capsys):
    rows = [ROWS[0], ROWS[1].replace("smic_1", "smic_11"), "smic,2,c,0,,,,c.jpg,group_b"]
    index = read_index(write(tmp_path / "i.csv", HEADER, *rows))
    assert index["data_sub"].tolist() == ["smic_01", "smic_01", "smic_02"]
    said = capsys.readouterr().err
    assert "of another subject than the row in 2 rows" in said
    assert "the first: row 3, 'smic_11' is smic_01" in said


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_separators_byte_order_marks_backslashes_and_empty_rows(tmp_path, separator, encoding):
    rows = [ROWS[0].replace("/", "\\"), "", ROWS[1], ",,,,,,,,", " , ", ""]
    path = write(tmp_path / "i.csv", HEADER, *rows, encoding=encoding, separator=separator)
    index = read_index(path)
    assert index["apex_frame_path"].tolist() == ["HS/a5.jpg", "HS/b.jpg"]
    assert index["apex_frame"].tolist() == [5, 15]


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1", "utf-16-le"])
def test_another_encoding_is_one_line(tmp_path, encoding):
    row = ROWS[0].replace("HS", "Gefühle")
    path = write(tmp_path / "i.csv", HEADER, row, encoding=encoding)
    with pytest.raises(UserError, match=r"not a CSV table.*: save it as CSV UTF-8$"):
        read_index(path)


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("smic,1,b,0,9,5,12,b.jpg,", "row 3: onset_frame 9 comes after apex_frame 5; correct"),
        ("smic,1,b,0,1,15,12,b.jpg,", "row 3: apex_frame 15 comes after offset_frame 12"),
        ("smic,1,b,0,13,,12,b.jpg,", "row 3: onset_frame 13 comes after offset_frame 12"),
        ("smic,1,S01_ne_1,0,1,5,12,b.jpg,", "row 3: clip smic_01 S01_ne_1 is there twice"),
        ("smic,,b,0,1,5,12,b.jpg,", "row 3: an empty cell is not a subject of smic"),
        ("smic,1.5,b,0,1,5,12,b.jpg,", "row 3: '1.5' is not a subject of smic"),
        ("smic,1,,0,1,5,12,b.jpg,", "row 3: no clip$"),
        ("smic,1,b,0,1,5,12,,", "row 3: no apex_frame_path$"),
        ("smic,1,b,0,1,5,12,b.jpg,,,7", "row 3: 11 cells, and the header has 9"),
        ("smic,1,b,nan,1,5,12,b.jpg,", "row 3: no label, and emotion '' is of no class"),
        (",,,,,,,b.jpg,", "row 3: data '' is not one of"),
    ],
)
def test_a_bad_row_is_named(tmp_path, row, fault):
    with pytest.raises(UserError, match=fault) as error:
        read_index(write(tmp_path / "i.csv", HEADER, ROWS[0], row))
    assert "\n" not in str(error.value)


def test_rows_are_counted_as_a_spreadsheet_does(tmp_path):
    path = write(tmp_path / "i.csv", HEADER, "", ROWS[0], "", ROWS[0])
    with pytest.raises(UserError, match=r"row 5: .* it is in row 3 too; remove one"):
        read_index(path)


def test_empty_words_and_equal_frames_are_no_fault(tmp_path):
    rows = ["smic,1,a,0,5,5,5,a.jpg,", "smic,1,b,0,nan,5,NaN,b.jpg,", "smic,1,c,0,,,,c.jpg,"]
    index = read_index(write(tmp_path / "i.csv", HEADER, *rows))
    assert index["onset_frame"].isna().tolist() == [False, True, True]


@pytest.mark.parametrize("header", ["data,subject,clip,label,apex_frame_path", "data"])
def test_a_header_alone(tmp_path, header):
    with pytest.raises(UserError, match=r"no clip in it|no column 'clip'"):
        read_index(write(tmp_path / "i.csv", header))


def test_a_companions_frames_need_no_order(tmp_path):
    row = "smic,1,a,0,5,3,9,a.jpg,"  # an earlier project's apex - 2 before its onset
    index = read_index(write(tmp_path / "i.csv", HEADER, row, row), companion=True)
    assert index["apex_frame"].tolist() == [3, 3]


def test_other_words_for_an_emotion_give_the_label(tmp_path):
    rows = ["casme2,1,a,happy,a.jpg", "samm,6,b,Angry,b.jpg"]
    index = read_index(
        write(tmp_path / "i.csv", "data,subject,clip,emotion,apex_frame_path", *rows)
    )
    assert index["label"].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("index", "companion"),
    [
        ("smic_apex.csv", "smic_four_frames.csv"),
        ("data_apex.csv", "data_four_frames.csv"),
        ("casme2_5_apex.csv", "casme2_5_four_frames.csv"),
        ("smic_apex_3.csv", "smic_four_apex_3.csv"),
        ("composite_apex_3.csv", "composite_four_apex_3.csv"),
        ("mine.csv", "mine_four_frames.csv"),
        ("apex.csv", "apex_four_frames.csv"),
        ("mine", "mine_four_frames"),
    ],
)
def test_names_of_companions(index, companion):
    assert four_frames_path(f"x/{index}").as_posix() == f"x/{companion}"


@given(st.text(st.characters(codec="ascii", exclude_characters="/\\\0"), min_size=1))
def test_no_index_is_its_own_companion(name):
    if name not in {".", ".."}:
        assert four_frames_path(name).name != name


def earlier_project(tiny, folder):
    """tiny's index and companion under an earlier project's names."""
    for old, new in (("smic_apex", "smic_apex_3"), ("smic_four_frames", "smic_four_apex_3")):
        (folder / f"{new}.csv").write_bytes((tiny / f"index/{old}.csv").read_bytes())
    return folder / "smic_apex_3.csv"


def test_training_finds_companions_and_says_truly_where_none_is(tiny, tmp_path, capsys):
    index = earlier_project(tiny, tmp_path)
    assert len(load_inputs(Settings(index=index, root=tiny)).four_frames) == 96
    assert capsys.readouterr().err == ""
    alone = tmp_path / "alone.csv"
    alone.write_bytes(index.read_bytes())
    assert load_inputs(Settings(index=alone, root=tiny)).four_frames is None
    assert "alone_four_frames.csv: not there" in capsys.readouterr().err
    companion = tmp_path / "smic_four_apex_3.csv"
    found = load_inputs(Settings(index=alone, root=tiny, four_frames=companion))
    assert len(found.four_frames) == 96
    with pytest.raises(UserError, match=r"none\.csv: no such index"):
        load_inputs(Settings(index=alone, root=tiny, four_frames=tmp_path / "none.csv"))


def test_reconstruction_says_truly_where_no_companion_is(tiny, tmp_path):
    index = earlier_project(tiny, tmp_path)
    (tmp_path / "smic_four_apex_3.csv").unlink()
    done = call(
        "reconstruct_3d.py", "--index", index, "--root", tiny, "--out", tmp_path / "v",
        "--four-frames",
    )  # fmt: skip
    assert done.returncode == 2 and not (tmp_path / "v").exists()
    last = done.stderr.splitlines()[-1]
    assert f"--four-frames: {index} has no companion smic_four_apex_3.csv beside it" in last


def with_middles(annotation):
    clips = read_annotation(CORPORA["smic"], annotation).clips
    return clips.assign(apex_frame=(clips["onset_frame"] + clips["offset_frame"]) // 2)


@pytest.fixture
def one(tmp_path):
    """One clip of frames 107 to 111, and its folder."""
    return with_middles(make_smic(tmp_path, 1, 1)), tmp_path / "SMIC/HS/s01/s01_ne_00"


def build(clips, folder):
    index, four, skipped = build_index(clips, ClipFolders(folder.parents[3]))
    return index.iloc[0], four, skipped


def test_a_clip_that_lacks_its_offset_alone_is_kept(one, capsys):
    clips, folder = one
    row, four, skipped = build(clips.assign(offset_frame=150), folder)
    assert not skipped and row["offset_frame"] == 150 and row["offset_frame_path"] == ""
    assert four["apex_frame"].tolist() == [107, 108, 110, 111]
    assert "no offset frame 150, nor one within two of it" in (capsys.readouterr().err)
    (folder / "image000111.jpg").write_bytes(b"\xff\xd8 cut off")
    row, four, _ = build(clips, folder)
    assert row["offset_frame_path"].endswith("111.jpg")  # unreadable, and nothing reads it
    assert four["apex_frame"].tolist() == [107, 108, 110]


def test_frames_beside_the_apex_may_be_missing_or_unreadable(one, capsys):
    clips, folder = one
    (folder / "image000110.jpg").write_bytes(b"")
    row, four, skipped = build(clips, folder)
    assert not skipped and four["apex_frame"].tolist() == [107, 108, 111]
    said = capsys.readouterr().err
    assert "smic_01 s01_ne_00: beside the apex: " in said and "training goes without it" in said
    for number in (110, 111):
        (folder / f"image000{number}.jpg").unlink()
    row, four, skipped = build(clips.assign(offset_frame=140, apex_frame=111), folder)
    assert not skipped and row["apex_frame_path"].endswith("109.jpg")
    assert four["apex_frame"].tolist() == [109, 110]


@pytest.mark.parametrize(("number", "what"), [(107, "onset"), (109, "apex")])
def test_a_clip_without_a_readable_onset_or_apex_is_skipped_by_name(tmp_path, number, what):
    clips = with_middles(make_smic(tmp_path, 2, 1))
    path = tmp_path / f"SMIC/HS/s01/s01_ne_00/image000{number}.jpg"
    path.write_bytes(path.read_bytes()[:300])
    index, _, skipped = build_index(clips, ClipFolders(tmp_path))
    assert len(index) == 1 and skipped[0].startswith(f"smic_01 s01_ne_00: {what}: ")
    clips.loc[0, f"{what}_frame"] = 5
    if what == "apex":
        clips.loc[0, "onset_frame"] = 107
    _, _, skipped = build_index(clips, ClipFolders(tmp_path))
    assert f"no {what} frame 5, nor one within two of it" in skipped[0]


def corpus_index(folder, data, subject, **further):
    """An index of one clip with its companion, and further columns."""
    row = {
        "data": data, "subject": subject, "clip": "c1", "label": 0, "emotion": "negative",
        "onset_frame": 1, "apex_frame": 5, "offset_frame": 9, "onset_frame_path": "a1.jpg",
        "apex_frame_path": "a5.jpg", "offset_frame_path": "", "data_sub": "",
    } | further  # fmt: skip
    path = folder / f"{data}_apex.csv"
    write_index(pd.DataFrame([row]), pd.DataFrame([row] * 4), path)
    return path


def test_the_composite_keeps_further_columns(tmp_path, capsys):
    corpus_index(tmp_path, "smic", "01", apex_source="middle", motion_path="m/1.png")
    corpus_index(tmp_path, "casme2", "sub01", motion_path="m/2.png")
    corpus_index(tmp_path, "samm", "006", notes="x")
    done = call("prepare_data.py", "composite", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    index = read_index(tmp_path / "composite_apex.csv")
    assert index["apex_source"].tolist() == ["middle", "", ""]
    assert index["motion_path"].tolist() == ["m/1.png", "m/2.png", ""]
    assert index["notes"].tolist() == ["", "", "x"]
    four = read_index(tmp_path / "composite_four_frames.csv", companion=True)
    assert four["motion_path"].tolist() == [*["m/1.png"] * 4, *["m/2.png"] * 4, *[""] * 4]
    assert "samm_apex.csv: has no motion_path, the others do" in done.stderr
    assert len(pd.read_csv(tmp_path / "composite_apex.csv", dtype=str)) == 3


def test_joined_indexes_without_further_columns_have_none(tmp_path):
    paths = [corpus_index(tmp_path, "smic", "01"), corpus_index(tmp_path, "samm", "006")]
    joined, _ = join_indexes(paths)
    assert joined.equals(join_indexes(reversed(paths))[0].iloc[::-1].reset_index(drop=True))
    assert list(joined) == list(read_index(paths[0]))


def test_the_composite_is_megc_2019s_whatever_other_corpora_there_are(tmp_path, monkeypatch):
    for data, subject in (("smic", "01"), ("casme2", "sub01"), ("samm", "006")):
        corpus_index(tmp_path, data, subject)
    monkeypatch.setitem(CORPORA, "mmew", CORPORA["samm"])
    assert call("prepare_data.py", "composite", "--out", tmp_path).returncode == 0
    composite = read_index(tmp_path / "composite_apex.csv")
    assert composite["data"].tolist() == ["smic", "casme2", "samm"]


@pytest.mark.parametrize(
    "command",
    [prepare_data.demo, prepare_data.motion, pretrain_motion.main, smic_processing.main],
)
def test_workers_are_as_many_as_the_cores_by_default(command):
    assert inspect.signature(command).parameters["workers"].default == cores() >= 1


def test_views_are_made_where_training_looks_for_them():
    example = next(
        line
        for line in (ROOT / "reconstruct_3d.py").read_text().splitlines()
        if line.startswith("python reconstruct_3d.py --index")
    )
    assert example.split("--out ")[1] == str(Settings().root3d)


def test_of_a_clip_named_in_two_spellings_one_is_indexed(tmp_path):
    annotation = make_smic(tmp_path, 1, 1)
    write_frame(tmp_path / "SMIC/HS/s01/s01_ne_00/image000112.jpg")
    rows = pd.read_excel(annotation, sheet_name="HS")
    twice = pd.concat([rows, rows.assign(Filename="s1_ne_0")])
    twice.to_excel(annotation, sheet_name="HS", index=False)
    source = read_annotation(CORPORA["smic"], annotation)
    assert source.clips["clip"].tolist() == ["s01_ne_00"]
    assert source.skipped == ["row 3 (smic_01 s1_ne_0): the clip is in row 2 too"]
