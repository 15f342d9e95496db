"""Tables of long videos: CAS(ME)², SAMM long videos, SMIC, drawn ones."""

import pytest
from conftest import write_frame, write_sheet

from common.errors import UserError
from data.corpora.long_names import kind_of, video_key
from data.corpora.long_videos import find_videos, read_long_annotation
from synthetic.long.plan import EXPRESSIONS, LongSize, plan_long
from synthetic.long.tables import NO_OFFSET, TABLES, units_text, write_long_tables

SIZES = {"casme_sq": LongSize(3, 6, (60, 70)), "samm_lv": LongSize(2, 3, (60, 61))}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    root = tmp_path_factory.mktemp("tables")
    plan = plan_long(4, SIZES)
    write_long_tables(root, 4, plan)
    return root, plan


def planned(plan, corpus):
    return [
        (video, event)
        for video in plan
        for event in video.events
        if video.corpus == corpus and event.kind in EXPRESSIONS
    ]


@pytest.mark.parametrize("corpus", ["casme_sq", "samm_lv"])
def test_what_was_drawn_is_read_back(drawn, corpus):
    root, plan = drawn
    read = read_long_annotation(root / TABLES[corpus], no_offset="apex")
    assert read.corpus == corpus and not read.skipped
    expected = planned(plan, corpus)
    assert len(read.expressions) == len(expected)
    for i, (row, (video, event)) in enumerate(zip(read.expressions.itertuples(), expected)):
        none = corpus == "casme_sq" and i % NO_OFFSET == NO_OFFSET - 1
        assert row.video == video_key(video.name)
        assert row.subject == video.subject and row.fps == video.fps
        assert (row.onset, row.apex) == (event.onset, event.apex)
        assert row.offset == (event.apex if none else event.offset)
        assert row.kind == event.kind and row.units == units_text(event.units)


def test_truth_is_read_as_an_annotation_too(drawn):
    root, plan = drawn
    read = read_long_annotation(root / "truth_long.csv")
    assert len(read.expressions) == sum(len(planned(plan, c)) for c in SIZES)
    assert len(read.videos) == len(plan)
    assert set(read.expressions["fps"]) == {30.0, 200.0}


@pytest.mark.parametrize(("choice", "offset"), [("apex", 20), ("mirror", 30), ("leave", None)])
def test_what_offset_0_stands_for(tmp_path, choice, offset):
    rows = [
        [1, "anger1_1", 10, 20, 0, "4", "negative", "micro-expression", "x"],
        [1, "anger1_12", 50, 55, 60, "4+L12", "Others", "macro-expression", "x"],
    ]
    path = casme(tmp_path, rows)
    read = read_long_annotation(path, no_offset=choice)
    first = read.expressions.iloc[0]
    if offset is None:
        assert len(read.expressions) == 1 and "offset 0" in read.skipped[0]
    else:
        assert (first.offset, first.video, first.subject) == (offset, "15_0401", "s15")
    assert read.expressions.iloc[-1].emotion == "others"


def casme(tmp_path, rows):
    import openpyxl

    book = openpyxl.Workbook()
    book.active.title = "CASFEcode_final"
    for name, cells in (
        (None, rows), ("naming rule1", [[15, "s15", 1], [16, "s16", 2]]),
        ("naming rule2", [["0401", "anger1"], [101, "disgust1"]]),
    ):  # fmt: skip
        sheet = book.active if name is None else book.create_sheet(name)
        for row in cells:
            sheet.append(row)
    path = tmp_path / "CAS(ME)^2code_final.xlsx"
    book.save(path)
    return path


def test_codes_that_lost_their_zero_and_rows_that_name_nothing(tmp_path, capsys):
    rows = [
        [2, "disgust1_1", 5, 8, 9, "", "positive", "micro-expression", ""],
        [9, "disgust1_2", 5, 8, 9, "", "positive", "micro-expression", ""],
    ]
    path = casme(tmp_path, rows)
    read = read_long_annotation(path)
    assert read.expressions["video"].tolist() == ["16_0101"]
    assert "row 2" in capsys.readouterr().err


SAMM_HEAD = ["Subject", "Filename", "Inducement Code", "Onset", "Apex", "Offset", "Duration",
             "Type", "Action Units", "Notes"]  # fmt: skip


def test_samm_takes_emotions_from_its_other_table(tmp_path):
    rows = [["text"], [], SAMM_HEAD,
            [6, "006_1_2", 1, 3562, 3588, 3632, 71, "Micro - 1/2", "4", None],
            [6, "006_1_8", 1, 0, -1, 900, 901, "Macro", "12", None]]  # fmt: skip
    path = write_sheet(tmp_path / "SAMM_LongVideos_V3_Release.xlsx", rows, "x")
    felt = write_sheet(
        tmp_path / "SAMM_Micro_FACS_Codes_v2.xlsx",
        [["text"], ["Subject", "Filename", "Estimated Emotion"], [6, "006_1_2", "Anger"]],
        "MICRO_ONLY",
    )
    assert read_long_annotation(path).expressions["emotion"].tolist() == ["", ""]
    read = read_long_annotation(path, emotions=felt)
    assert read.expressions["emotion"].tolist() == ["anger", ""]
    assert read.expressions["kind"].tolist() == ["micro", "macro"]
    assert read.expressions["onset"].tolist() == [3562, 0]
    assert read.videos == ("006_1",)


def test_smic_has_up_to_three_clips_a_row(tmp_path):
    head = ["Subject", "Filename", None, "OnsetF", "OffsetF", "Onset2F", "Offset2F", "Onset3F",
            "Offset3F", "FirstF", "LastF", "TotalMF1", "TotalVL", "Emotion"]  # fmt: skip
    rows = [
        head,
        [1, "s1_ne_01", None, 110, 130, 150, 160, None, None, 100, 400, 21, 301, "negative"],
        [20, "s20_ne_06", None, 10, 20, 30, 40, None, None, 1, 99, 11, 99, "negative"],
    ]
    read = read_long_annotation(write_sheet(tmp_path / "SMIC-HS-E_annotation.xlsx", rows, "HS"))
    assert read.corpus == "smic_hs"
    assert read.expressions[["onset", "offset"]].to_numpy().tolist() == [
        [110, 130], [150, 160], [10, 20],
    ]  # fmt: skip
    assert read.expressions["first_frame"].tolist() == [100, 100, 1]
    assert read.expressions["apex"].isna().all() and set(read.expressions["fps"]) == {100.0}


def test_tables_of_something_else_are_one_line(tmp_path):
    path = write_sheet(tmp_path / "x.xlsx", [["a", "b"], [1, 2]], "x")
    with pytest.raises(UserError, match="--corpus"):
        read_long_annotation(path)
    with pytest.raises(UserError, match="three"):
        read_long_annotation(path, "casme_sq")
    with pytest.raises(UserError, match="no header row"):
        read_long_annotation(path, "samm_lv")


def test_names_of_videos_have_one_key():
    for name in ("15_0101disgustingteeth", "s15_0101", "s15/15_0101disgustingteeth.avi", "15_0101"):
        assert video_key(name) == "15_0101"
    for name in ("006_1", "006_1_2", "SAMM_longvideos\\006_1"):
        assert video_key(name) == "006_1"
    assert video_key("Clip.MP4") == "clip"


def test_half_a_second_is_micro():
    assert kind_of(1, 15, 30) == "micro" and kind_of(1, 16, 30) == "macro"
    assert kind_of(1, 100, 200) == "micro" and kind_of(1, 101, 200) == "macro"


def test_videos_are_found_raw_before_cropped(tmp_path, drawn):
    root, _ = drawn
    read = read_long_annotation(root / TABLES["casme_sq"])
    for folder in ("cropped/s15", "rawpic/s15"):
        write_frame(tmp_path / folder / "15_0101disgustingteeth/img1.jpg")
    found = find_videos(tmp_path, read)
    assert found["15_0101"] == tmp_path / "rawpic/s15/15_0101disgustingteeth"
    assert len(found) == 1
    with pytest.raises(UserError, match="none of the annotation"):
        find_videos(root, read)
