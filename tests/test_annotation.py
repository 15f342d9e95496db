"""Annotation tables as users have them: every kind of file, header, mark and fault."""

import csv
import zipfile

import openpyxl
import pandas as pd
import pytest
import xlwt
from conftest import SMIC_HEADER, call, make_smic, write_frame, write_sheet
from corpora import CASME2_HEADER, SAMM_HEADER, casme2_rows, samm_rows
from hypothesis import given
from hypothesis import strategies as st

from common.errors import UserError
from data.corpora.annotation import read_annotation
from data.corpora.known import CORPORA

CASME2, SAMM, SMIC = (CORPORA[name] for name in ("casme2", "samm", "smic"))
GOOD = [2, "EP02", None, 10, 20, 40, None, "4", "surprise"]
CLIP = [1, "EP01", None, 10, 20, 40, None, "4", "happiness"]


def changed(**cells) -> list:
    """CLIP with other cells."""
    places = {"subject": 0, "clip": 1, "onset": 3, "apex": 4, "offset": 5, "emotion": 8}
    row = list(CLIP)
    for name, value in cells.items():
        row[places[name]] = value
    return row


def read(tmp_path, *rows, corpus=CASME2, header=CASME2_HEADER, **options):
    sheet = next(iter(corpus.sheets), "Sheet1")
    return read_annotation(
        corpus, write_sheet(tmp_path / "a.xlsx", [header, *rows], sheet), **options
    )


BAD_ROWS = [
    (changed(offset=0), "OffsetFrame: 0, which stands for none"),
    (changed(onset=0, offset=0), "OffsetFrame: 0, which stands for none"),
    (changed(onset=45), "onset 45 comes after offset 40"),
    (changed(onset=-1), "OnsetFrame: '-1' where a frame number belongs"),
    (changed(onset="six"), "OnsetFrame: 'six' where a frame number belongs"),
    (changed(onset=10.5), "OnsetFrame: '10.5' where a frame number belongs"),
    (changed(onset="/"), "OnsetFrame: '/' where a frame number belongs"),
    (changed(onset=None), "OnsetFrame: empty where a frame number belongs"),
    (changed(offset="nan"), "OffsetFrame: empty where a frame number belongs"),
    (changed(offset=True), "OffsetFrame: 'True' where a frame number belongs"),
    (changed(offset="=A1+30"), "OffsetFrame: a formula without a stored value"),
    (changed(apex="=A1+30"), "ApexFrame: a formula without a stored value"),
    (changed(emotion="tense"), "emotion 'tense' is not one of happiness"),
    (changed(emotion="hapiness"), "emotion 'hapiness' is not one of happiness"),
    (changed(emotion="happy\nor sad"), "emotion 'happy or sad' is not one of"),
    (changed(subject="see\nbelow"), "'see below' is not a subject of casme2"),
    (changed(emotion=None), "Estimated Emotion: empty"),
    (changed(subject="?"), "'?' is not a subject of casme2"),
    (changed(subject=-1), "'-1' is not a subject of casme2"),
    (changed(subject=1.5), "'1.5' is not a subject of casme2"),
    (changed(clip=None), "Filename: empty"),
    ([2, "ep2", *CLIP[2:]], "the clip is in row 2 too"),
    (["Total: 255 clips"], "Filename: empty"),
]


@pytest.mark.parametrize(("row", "reason"), BAD_ROWS, ids=[reason for _, reason in BAD_ROWS])
def test_a_bad_row_is_skipped_by_name_and_an_error_when_strict(tmp_path, capsys, row, reason):
    annotation = read(tmp_path, GOOD, row, [3, "EP03", *CLIP[2:]])
    assert annotation.clips["clip"].tolist() == ["EP02", "EP03"]
    assert annotation.rows == 3
    (line,) = annotation.skipped
    assert line.startswith("row 3 (") and reason in line
    said = capsys.readouterr().err
    assert f"skipped {line}" in said and "nan" not in said
    with pytest.raises(UserError, match=r"a\.xlsx, row 3: ") as error:
        read(tmp_path, GOOD, row, strict=True)
    assert reason in str(error.value) and "\n" not in str(error.value)


def test_a_skipped_row_is_called_what_could_be_read_of_it(tmp_path):
    rows = changed(offset=0), changed(subject="?"), changed(clip=None), ["Note"]
    names = [line.split(": ")[0] for line in read(tmp_path, GOOD, *rows).skipped]
    assert names == [
        "row 3 (casme2_sub01 EP01)", "row 4 (? EP01)", "row 5 (1)", "row 6 (Note)"
    ]  # fmt: skip


def test_a_long_note_is_shortened(tmp_path):
    (line,) = read(tmp_path, GOOD, ["Frames are counted from\none " + "and so on " * 20]).skipped
    assert "row 3 (Frames are counted from one and" in line and len(line) < 100


def test_nothing_left_is_an_error_that_gives_a_reason(tmp_path):
    with pytest.raises(UserError) as error:
        read(tmp_path, changed(offset=0), changed(emotion="tense"))
    assert "no clip of the 3 classes in it; 2 rows were skipped, the first: row 2" in str(error)
    with pytest.raises(UserError, match=r"no clip of the 3 classes in it$"):
        read(tmp_path)
    with pytest.raises(UserError, match=r"no clip of the 3 classes in it$"):
        read(tmp_path, changed(emotion="fear"))


def test_of_a_clip_twice_the_first_usable_row_counts(tmp_path):
    annotation = read(tmp_path, changed(offset=0), changed(onset=11), changed(onset=12))
    assert annotation.clips["onset_frame"].tolist() == [11]
    assert [line.split(":")[0] for line in annotation.skipped] == [
        "row 2 (casme2_sub01 EP01)", "row 4 (casme2_sub01 EP01)"
    ]  # fmt: skip


def test_rows_that_the_task_does_not_use_need_no_frames(tmp_path):
    others = changed(emotion="others", onset="/", offset=None)
    annotation = read(tmp_path, GOOD, others, ["04", "EP12_1f", None, 1, "/", 9, None, "", "fear"])
    assert annotation.skipped == [] and len(annotation.clips) == 1


MARKS = [
    "\\",
    "/",
    "-",
    "?",
    "none",
    "N/A",
    "",
    None,
    0,
    -1,
    "0",
    "-1.0",
    "n.a.",
    "nan",
    "59?",
    20.5,
]


@pytest.mark.parametrize("mark", MARKS, ids=map(repr, MARKS))
def test_any_apex_that_is_no_frame_is_the_middle_with_a_warning(tmp_path, capsys, mark):
    annotation = read(tmp_path, changed(apex=mark))
    assert annotation.clips["apex_frame"].item() == 25 and not annotation.skipped
    said = capsys.readouterr().err
    assert "casme2_sub01 EP01: no apex in the annotation" in said
    assert "the middle of onset and offset is taken" in said and "nan" not in said.lower()


def test_a_zero_is_no_apex_even_where_frames_begin_at_zero(tmp_path):
    assert read(tmp_path, changed(onset=0, apex=0)).clips["apex_frame"].item() == 20


@pytest.mark.parametrize(("apex", "clamped"), [(9, 10), (41, 40), (4000, 40)])
def test_an_apex_outside_is_clamped_with_a_warning(tmp_path, capsys, apex, clamped):
    assert read(tmp_path, changed(apex=apex)).clips["apex_frame"].item() == clamped
    assert f"apex {apex} lies outside 10 to 40; clamped" in capsys.readouterr().err


@pytest.mark.parametrize("onset", ["10.0", " 10 ", "10 ", 10.0, "010"])
def test_frame_numbers_in_any_spelling(tmp_path, onset):
    assert read(tmp_path, changed(onset=onset)).clips["onset_frame"].item() == 10


@given(st.integers(0, 10**8), st.integers(1, 10**4), st.one_of(st.integers(), st.text(max_size=5)))
def test_an_apex_lies_within_onset_and_offset_whatever_the_cell_says(onset, length, cell):
    from data.corpora.row import _apex

    assert onset <= _apex(cell, onset, onset + length, "a", "ApexFrame") <= onset + length


@pytest.mark.parametrize(
    ("corpus", "spelled", "emotion", "label"),
    [
        (CASME2, "happy", "happiness", 1),
        (CASME2, " Happiness ", "Happiness", 1),
        (CASME2, "Surprised", "surprise", 2),
        (SAMM, "angry", "anger", 0),
        (SAMM, "sad", "sadness", 0),
        (SMIC, "NE", "negative", 0),
        (SMIC, "pos", "positive", 1),
        (SMIC, "Surprise", "Surprise", 2),
    ],
)
def test_emotions_in_other_words(corpus, spelled, emotion, label):
    assert corpus.emotion(spelled, 3) == emotion
    assert corpus.tasks["3"].label(emotion) == label


def test_other_and_others_are_one_emotion(tmp_path):
    assert read(tmp_path, GOOD, changed(emotion="Other")).skipped == []
    five = read(tmp_path, changed(emotion="Other"), task=5).clips
    assert five["emotion"].item() == "others" and five["label"].item() == 4
    rows = [*samm_rows()[14:16], ["030", "030_1_1", "x", 5, 6, 9, 5, "Micro", "4", "Others"]]
    annotation = read(tmp_path, *rows, corpus=SAMM, header=SAMM_HEADER)
    assert len(annotation.clips) == 2 and annotation.skipped == []


HEADERS = [
    ["Subject", "Filename", "OnsetF", "ApexF", "OffsetF", "Emotion"],
    ["sub", "Clip", "Onset", "Apex", "Offset", "Expression"],
    ["Subject ID", "Video", "onset_frame", "apex_frame", "offset_frame", "Label"],
    ["SUBJECT", "Material", "Onset Frame", "Apex Frame", "OffF", "Estimated  Emotion"],
]


@pytest.mark.parametrize("header", HEADERS, ids=lambda header: header[2])
def test_headers_in_other_words(tmp_path, header):
    clips = read(tmp_path, [1, "EP01", 10, 20, 40, "disgust"], header=header).clips
    assert clips[["onset_frame", "apex_frame", "offset_frame"]].values.tolist() == [[10, 20, 40]]


def test_the_corpus_own_header_goes_before_other_words(tmp_path):
    header = [*CASME2_HEADER, "Emotion", "Onset"]
    clips = read(tmp_path, [*CLIP, "tense", 3], header=header).clips
    assert clips["emotion"].item() == "happiness" and clips["onset_frame"].item() == 10


def test_the_header_may_stand_anywhere(tmp_path):
    table = [[None, None, *row] for row in [CASME2_HEADER, GOOD, changed(offset=0)]]
    path = write_sheet(tmp_path / "a.xlsx", [["Subject"], ["free text"], [], *table], "Sheet1")
    annotation = read_annotation(CASME2, path)
    assert len(annotation.clips) == 1 and annotation.skipped[0].startswith("row 6 (")


def test_a_table_without_header_or_column_says_so(tmp_path):
    for rows, fault in [
        ([CASME2_HEADER[:4], *casme2_rows()[1:]], "no column 'ApexFrame' in the header row, row 1"),
        ([["text"], GOOD], "no header row in it; its table has the columns Subject, Filename"),
        ([["Subject", "notes"], GOOD], "no header row in it"),
        ([], "no header row in it"),
    ]:
        path = write_sheet(tmp_path / "a.xlsx", rows, "Sheet1")
        with pytest.raises(UserError, match=fault):
            read_annotation(CASME2, path)


def test_an_apex_column_of_smic_is_not_read_without_a_word(tmp_path, capsys):
    header = ["Subject", "Filename", "OnsetF", "ApexF", "OffsetF", "Emotion"]
    clips = read(tmp_path, [1, "s1_ne_01", 10, 20, 40, "negative"], corpus=SMIC, header=header)
    assert clips.clips["apex_frame"].isna().all()
    assert "column 'ApexF' is not read" in capsys.readouterr().err


def test_merged_and_unrepeated_subjects_are_filled_down(tmp_path, capsys):
    book = openpyxl.Workbook()
    rows = [[subject, f"EP0{i}", *CLIP[2:]] for i, subject in enumerate([1, None, None, 2, None])]
    for row in [CASME2_HEADER, *rows, ["Total"], [None, "EP09", *CLIP[2:]]]:
        book.active.append(row)
    book.active.merge_cells("A2:A4")
    book.save(tmp_path / "a.xlsx")
    annotation = read_annotation(CASME2, tmp_path / "a.xlsx")
    assert annotation.clips["subject"].tolist() == [*["sub01"] * 3, *["sub02"] * 3]
    assert len(annotation.skipped) == 1
    assert "2 rows have no subject" in capsys.readouterr().err  # merged cells are no guess


def test_merged_emotions_and_header_cells(tmp_path):
    book = openpyxl.Workbook()
    for row in [["Subject", "Filename", "Emotion", "Frames"], [None] * 3 + HEADERS[0][2:5]]:
        book.active.append(row)
    for row in [[1, "EP01", "disgust", 10, 20, 40], [2, "EP02", None, 10, 20, 40]]:
        book.active.append(row)
    for area in ("A1:A2", "B1:B2", "C1:C2", "D1:F1", "C3:C4"):
        book.active.merge_cells(area)
    book.save(tmp_path / "a.xlsx")
    annotation = read_annotation(CASME2, tmp_path / "a.xlsx")
    assert annotation.clips["emotion"].tolist() == ["disgust", "disgust"] and not annotation.skipped


def test_a_clip_that_names_its_subject_is_not_given_the_row_aboves(tmp_path):
    rows = [[1, "s1_ne_01"], [None, "s1_ne_02"], [None, "s2_ne_01"]]
    header = ["Subject", "Filename", "OnsetF", "OffsetF", "Emotion"]
    rows = [[*row, 10, 40, "negative"] for row in rows]
    clips = read(tmp_path, *rows, corpus=SMIC, header=header).clips
    assert clips["data_sub"].tolist() == ["smic_01", "smic_01", "smic_02"]


def test_a_first_row_without_subject_is_skipped(tmp_path):
    annotation = read(tmp_path, changed(subject=None), GOOD)
    assert annotation.skipped == ["row 2 (EP01): Subject: empty"]


@pytest.mark.parametrize("spelled", [1, 1.0, "1", "01", "1.0", "sub1", "Sub01", "S01", " 1 "])
def test_a_subject_has_one_spelling(tmp_path, spelled):
    assert read(tmp_path, changed(subject=spelled)).clips["data_sub"].item() == "casme2_sub01"


def test_formulas_with_a_value_are_read(tmp_path):
    path = tmp_path / "a.xlsx"
    write_sheet(path, [CASME2_HEADER, changed(offset="=20*2")], "Sheet1")
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    files[sheet] = files[sheet].replace(b"<f>20*2</f><v />", b"<f>20*2</f><v>40</v>")
    files[sheet] = files[sheet].replace(b"<f>20*2</f><v></v>", b"<f>20*2</f><v>40</v>")
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    assert read_annotation(CASME2, path).clips["offset_frame"].item() == 40


def write_xls(path, sheets: dict[str, list[list]], merged=()):
    book = xlwt.Workbook()
    for name, rows in sheets.items():
        sheet = book.add_sheet(name)
        for y, row in enumerate(rows):
            for x, value in enumerate(row):
                if value is not None and (y, x) not in [(m[0], m[2]) for m in merged]:
                    sheet.write(y, x, value)
        for top, bottom, left, right in merged:
            sheet.write_merge(top, bottom, left, right, rows[top][left])
    book.save(str(path))
    return path


def test_xls(tmp_path):
    rows = casme2_rows()
    clips = read_annotation(CASME2, write_xls(tmp_path / "a.xls", {"Sheet1": rows})).clips
    assert clips["label"].value_counts().sort_index().tolist() == [88, 32, 25]
    merged = [CASME2_HEADER, GOOD, [None, "EP03", *CLIP[2:]]]
    path = write_xls(tmp_path / "b.xls", {"Sheet1": merged}, [(1, 2, 0, 0)])
    assert read_annotation(CASME2, path).clips["subject"].tolist() == ["sub02", "sub02"]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("suffix", ["csv", "xls"])
def test_csv_of_any_separator_and_encoding(tmp_path, separator, encoding, suffix):
    path = tmp_path / f"a.{suffix}"
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.writer(file, delimiter=separator)
        rows = [["Codierung, geprüft: ja, nein"], CASME2_HEADER, GOOD, changed(offset=0)]
        writer.writerows([*rows, ["03", "EP3", None, 1, 5, 9, None, "4,7;12", "disgust"], []])
    annotation = read_annotation(CASME2, path)
    assert annotation.clips["subject"].tolist() == ["sub02", "sub03"]
    assert annotation.skipped[0].startswith("row 4 (casme2_sub01 EP01): OffsetFrame: 0")


def ole(*words: bytes) -> bytes:
    return bytes.fromhex("d0cf11e0a1b11ae1") + bytes(504) + b"".join(words)


def zipped(tmp_path, **files: bytes) -> bytes:
    path = tmp_path / "made.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path.read_bytes()


def test_files_that_are_no_readable_spreadsheet_say_what_they_are(tmp_path):
    good = write_sheet(tmp_path / "good.xlsx", [CASME2_HEADER, GOOD], "Sheet1").read_bytes()
    opendocument = zipped(tmp_path, mimetype=b"application/vnd.oasis.opendocument.spreadsheet")
    for name, content, fault in [
        ("~$a.xlsx", b"user", "the lock file of a spreadsheet that is open somewhere"),
        ("a.xlsx", b"", "an empty file"),
        ("a.xlsx", good[:900], "a damaged .xlsx file"),
        ("a.xlsx", ole("EncryptedPackage".encode("utf-16-le")), "protected by a password"),
        ("a.xls", ole(b"a letter"), "a damaged .xls, or another of Microsoft's files"),
        ("a.ods", opendocument, r"an OpenDocument file \(.ods\): open it in a spreadsheet program"),
        ("a.xlsb", zipped(tmp_path, **{"xl/workbook.bin": b""}), "a binary workbook"),
        ("a.xlsx", zipped(tmp_path, **{"a.csv": b""}), "a zip archive, not a spreadsheet"),
        ("a.xlsx", zipped(tmp_path, **{"xl/workbook.xml": b"<"}), "not readable as .xlsx"),
        ("a.xls", b"\n <HTML><table>", "a web page"),
        ("a.xls", b'<?xml version="1.0"?><Workbook>', "a web page"),
        ("a.csv", b"%PDF\0\1\2", "neither a spreadsheet nor a CSV table"),
        ("a.csv", b'"' + b"x" * 200_000 + b'"', "neither a spreadsheet nor a CSV table"),
        ("a.csv", b"a,b\n1,2\n", "no header row in it"),
    ]:
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(UserError, match=fault) as error:
            read_annotation(CASME2, path)
        assert str(path) in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(UserError, match="no such file"):
        read_annotation(CASME2, tmp_path / "none.xlsx")
    with pytest.raises(UserError, match="no such file"):
        read_annotation(CASME2, tmp_path)


def book(path, *sheets: tuple[str, list[list]]):
    made = openpyxl.Workbook()
    made.remove(made.active)
    for name, rows in sheets:
        sheet = made.create_sheet(name)
        for row in rows:
            sheet.append(row)
    made.save(path)
    return path


def test_which_sheet_is_read(tmp_path):
    path = tmp_path / "a.xlsx"
    smic = [SMIC_HEADER, [1, "s1_ne_01", None, 10, 40, 1, 50, "negative"]]
    other = [SMIC_HEADER, [2, "s2_ne_01", None, 10, 40, 1, 50, "negative"]]
    cover = "cover", [["SMIC"]]

    def subject(*sheets, corpus=SMIC, **options):
        return read_annotation(corpus, book(path, *sheets), **options).clips["subject"].item()

    assert subject(("VIS", other), ("HS", smic)) == "01"
    assert subject(("VIS", other), (" hs ", smic)) == "01"
    assert subject(("table", smic)) == "01"  # the only one
    assert subject(cover, ("table", smic)) == "01"  # the only one with such a table
    assert subject(("VIS", other), ("HS", smic), sheet="vis") == "02"
    assert subject(cover, ("t", [CASME2_HEADER, GOOD]), corpus=CASME2) == "sub02"
    with pytest.raises(UserError, match=r"no sheet 'HS', and 2 .* --sheet names one of VIS, NIR"):
        subject(("VIS", other), ("NIR", smic))
    with pytest.raises(UserError, match=r"no sheet 'HS', and none .* --sheet names one of"):
        subject(cover, ("b", [["x"]]))
    with pytest.raises(UserError, match=r"no sheet 'X' \(it has VIS, HS\)"):
        subject(("VIS", other), ("HS", smic), sheet="X")


def test_a_workbook_of_charts_alone(tmp_path):
    made = openpyxl.Workbook()
    made.create_chartsheet("chart").add_chart(openpyxl.chart.BarChart())
    made.remove(made.active)
    made.save(tmp_path / "a.xlsx")
    with pytest.raises(UserError, match="no sheet with cells in it"):
        read_annotation(CASME2, tmp_path / "a.xlsx")


def test_from_the_command_line(tmp_path):
    """Bad rows, a sheet's name and --strict, as prepare_data.py answers them."""
    rows = [GOOD, changed(), changed(clip="EP05", offset=0), changed(emotion="tense"), ["Total"]]
    path = write_sheet(tmp_path / "a.xlsx", [CASME2_HEADER, *rows], "coding")
    for clip in ("sub01/EP01", "sub02/EP02"):
        for number in range(10, 41):
            write_frame(tmp_path / f"Cropped/{clip}/reg_img{number}.jpg")
    common = ("casme2", "--root", tmp_path, "--annotation", path, "--out", tmp_path / "out")
    done = call("prepare_data.py", *common, "--sheet", "Coding")
    assert done.returncode == 0, done.stderr
    assert "2 of 2 clips used\n3 of 5 rows of " in done.stdout
    assert "\n  row 4 (casme2_sub01 EP05): OffsetFrame: 0, which stands for none" in done.stdout
    assert len(pd.read_csv(tmp_path / "out/casme2_apex.csv")) == 2
    (tmp_path / "out/casme2_apex.csv").unlink()
    done = call("prepare_data.py", *common, "--strict")
    assert done.returncode == 2 and not (tmp_path / "out/casme2_apex.csv").exists()
    assert done.stderr.splitlines()[-1].endswith("row 4: OffsetFrame: 0, which stands for none")


def test_strict_counts_clips_without_frames_too(tmp_path):
    annotation = make_smic(tmp_path, subjects=2, clips=3)
    for path in (tmp_path / "SMIC/HS/s01/s01_ne_00").iterdir():
        path.unlink()
    common = ("smic", "--root", tmp_path, "--annotation", annotation, "--out", tmp_path / "out")
    assert call("prepare_data.py", *common).returncode == 0
    assert call("prepare_data.py", *common, "--strict").returncode == 1
