"""The further corpora: public counts from complete trees, their repairs, faults of tables."""

import pandas as pd
import pytest
from conftest import call, write_sheet
from further_corpora import MENDED, casme3_rows, mmew_rows, write_tables, write_tree

from common.errors import UserError
from data.corpora.annotation import read_annotation, read_annotations
from data.corpora.commands import COMMANDS, casme3, corpus_command
from data.corpora.known import CORPORA
from data.index import read_index
from data.index_task import class_names

# corpus -> task -> clips of each class; subjects.
COUNTS = {
    "casme3": ({"3": (457, 55, 187), "4": (457, 55, 187, 161),
                "7": (250, 86, 64, 57, 55, 187, 161), "au": (860,),
                "objective": (15, 151, 234, 37, 47)}, 94),
    "casme3_c": ({"3": (99, 16, 30), "4": (99, 16, 30, 20)}, 30),
    "casme": ({"3": (94, 7, 20), "4": (45, 39, 20, 68)}, 19),
    "casme_sq": ({"4": (15, 14, 14, 14)}, 22),
    "mmew": ({"3": (109, 36, 89), "4": (36, 89, 72, 66), "6": (36, 8, 89, 72, 16, 13)}, 36),
    "fourdme": ({"3": (52, 52, 52), "5": (52, 52, 52, 52, 52), "au": (267,)}, 41),
    "dfme": ({"3": (1352 + 552, 206 + 110, 298 + 111)}, 176 + 42 + 41),
    "smic_vis": ({"3": (23, 28, 20)}, 8),
    "smic_nir": ({"3": (23, 28, 20)}, 8),
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in COUNTS if name != "dfme"])
def test_counts_of_a_complete_tree(name, tmp_path):
    corpus = CORPORA[name]
    paths, (tasks, subjects) = write_tables(tmp_path, name), COUNTS[name]
    widest = "au" if "units" in corpus.columns else "3"
    whole = read_annotations(corpus, paths, widest).clips
    write_tree(tmp_path, corpus, whole.to_dict("records"))
    for task, counts in tasks.items():
        clips = read_annotations(corpus, paths, task).clips
        assert clips["label"].value_counts().sort_index().tolist() == list(counts)
        assert set(clips["task"]) == {task} and set(clips["fps"]) == {f"{corpus.fps:g}"}
    task = next(iter(tasks))  # and through to the index
    assert corpus_command(corpus)(tmp_path, paths, tmp_path / "index", task) == 0
    further = "" if task == "3" else f"_{task}"
    index = read_index(tmp_path / f"index/{name}{further}_apex.csv")
    assert index["label"].value_counts().sort_index().tolist() == list(tasks[task])
    assert len(class_names(index)) == len(tasks[task])
    assert whole["subject"].nunique() == subjects


def test_dfmes_lists_and_frame_rates(tmp_path):
    paths = write_tables(tmp_path, "dfme")
    clips = read_annotations(CORPORA["dfme"], paths).clips
    assert clips["list"].value_counts().to_dict() == {"train": 1856, "testA": 474, "testB": 299}
    train = clips[clips["list"] == "train"]
    assert train["label"].value_counts().sort_index().tolist() == [1352, 206, 298]
    assert set(clips["fps"]) == {"500", "300", "200"}
    assert clips["data_sub"].nunique() == COUNTS["dfme"][1]
    assert (clips["onset_frame"] == 0).any()
    with pytest.raises(UserError, match="is in two of the tables"):
        read_annotations(CORPORA["dfme"], (paths[1], paths[1]))


def test_casme3_has_its_known_faults_mended_and_says_so(tmp_path, capsys):
    (path,) = write_tables(tmp_path, "casme3")
    clips = read_annotation(CORPORA["casme3"], path, "7").clips
    said = capsys.readouterr().out
    assert "row 130 apex 83 is 123" in said and "after meb" in said
    frames = clips[["onset_frame", "apex_frame", "offset_frame"]]
    for row, mended in MENDED.items():
        assert tuple(frames.iloc[row]) == mended
    assert len(clips.drop_duplicates(["subject", "clip"])) == 463


def test_a_repair_is_made_where_the_fault_is_and_nowhere_else(tmp_path, capsys):
    rows = casme3_rows()
    rows[128 + 1][2:5] = [80, 83, 90]  # in order: another 83 than the released one
    rows[708 + 1][2:5] = [24, 29, 33]
    rows[796 + 1][2:5] = [5000, 5005, 0]  # 1845 would lie before its onset
    path = write_sheet(tmp_path / "a.xlsx", rows, "label")
    annotation = read_annotation(CORPORA["casme3"], path, "7")
    said = capsys.readouterr()
    assert "708" not in said.out and "row 798 offset" not in said.out
    assert any("offset: 0, which stands for none" in line.lower() for line in annotation.skipped)
    clips = annotation.clips.set_index(["subject", "clip", "onset_frame"])
    assert (clips["offset_frame"] == 33).any() and not (clips["offset_frame"] == 34).any()


def test_a_table_of_ones_own_order_is_left_alone(tmp_path, capsys):
    rows = mmew_rows()[:40]
    read_annotation(CORPORA["mmew"], write_sheet(tmp_path / "m.xlsx", rows, "Sheet1"))
    head = ["Subject", "Filename", None, "OnsetF", "ApexF1", "OffsetF", "AU", "Emotion"]
    few = [head, *([n % 5 + 1, f"EP{n:02d}", None, 1, 5, 9, "4", "disgust"] for n in range(60))]
    few += [[1, "EP90", None, 1, 5, 9, "4", "happiness"]]
    few += [[2, "EP91", None, 1, 5, 9, "4", "surprise"]]
    read_annotation(CORPORA["casme"], write_sheet(tmp_path / "c.xlsx", few, "Sheet1"))
    assert "after meb" not in capsys.readouterr().out


def test_samm_has_its_missing_apexes_and_open_units(tmp_path):
    from corpora import samm_rows

    rows = samm_rows()
    first = next(i for i, row in enumerate(rows) if row[0] == "Subject") + 1
    rows[first + 125][3:6] = [1095, None, 1115]
    rows[first + 15][8] = "R12 or R15"
    clips = read_annotation(
        CORPORA["samm"], write_sheet(tmp_path / "s.xlsx", rows, "MICRO_ONLY")
    ).clips.set_index("clip")
    assert clips.loc[rows[first + 125][1], "apex_frame"] == 1105
    assert clips.loc[rows[first + 15][1], "units"] == "R12+R15"


def test_two_expressions_of_a_video_are_two_rows(tmp_path):
    (path,) = write_tables(tmp_path, "casme")
    clips = read_annotation(CORPORA["casme"], path, "au").clips
    both = clips[clips.duplicated(["subject", "clip"], keep=False)]
    assert len(both) == 2 * 19
    assert both.groupby(["subject", "clip"])["onset_frame"].nunique().eq(2).all()
    rows = pd.read_excel(path, header=None).values.tolist()
    again = write_sheet(tmp_path / "twice.xlsx", [*rows, rows[1]], "Sheet1")
    assert any("too" in line for line in read_annotation(CORPORA["casme"], again, "4").skipped)


def test_the_second_expression_may_lie_in_a_folder_of_its_own(tmp_path):
    rows = [["Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Objective class", "emotion"]]
    rows += [["spNO.1", "a", 10, 15, 20, "4", "I", "fear"],
             ["spNO.1", "a", 110, 115, 120, "4", "I", "happy"],
             ["spNO.2", "J", 10, 15, 20, "4", "I", "surprise"]]  # fmt: skip
    path = write_sheet(tmp_path / "a.xlsx", rows, "label")
    clips = read_annotation(CORPORA["casme3"], path).clips.to_dict("records")
    write_tree(tmp_path, CORPORA["casme3"], clips)
    root = tmp_path / "part_A/spNO.1"
    (root / "a2/color").mkdir(parents=True)
    for frame in (root / "a/color").glob("1[0-9][0-9].jpg"):
        frame.rename(root / "a2/color" / frame.name)
    (tmp_path / "part_A/spNO.2/J").rename(tmp_path / "part_A/spNO.2/j")
    assert casme3(tmp_path, path, tmp_path / "index") == 0
    index = read_index(tmp_path / "index/casme3_apex.csv")
    folders = index["apex_frame_path"].str.rsplit("/", n=1).str[0].tolist()
    assert folders == ["part_A/spNO.1/a/color", "part_A/spNO.1/a2/color", "part_A/spNO.2/j/color"]


def test_offset_0_of_casme_sq_is_the_apex_and_told(tmp_path, capsys):
    paths = write_tables(tmp_path, "casme_sq")
    clips = read_annotations(CORPORA["casme_sq"], paths, "4").clips
    assert (clips["offset_frame"] == clips["apex_frame"]).sum() == 8
    said = capsys.readouterr()
    assert "offset 0 stands for none; the apex" in said.err
    assert "300 rows are of no micro-expression" in said.out
    assert set(clips["subject"]) == {f"s{n}" for n in range(15, 37)}


def test_casme_sq_with_folders_before_numbers_as_released(tmp_path):
    from further_corpora import casme_sq_sheets, write_sheets

    sheets = casme_sq_sheets()
    sheets["rule2"] = [[n + 14, f"s{n + 14}", n] for n in range(1, 23)]
    write_sheets(tmp_path / "released.xlsx", sheets)
    clips = read_annotation(CORPORA["casme_sq"], tmp_path / "released.xlsx", "4").clips
    assert set(clips["subject"]) == {f"s{n}" for n in range(15, 37)}
    assert set(clips["on_disk"]) == {f"{n}_0101*" for n in range(15, 37)}


def test_casme_sq_without_its_further_sheets_says_what_lacks(tmp_path):
    from further_corpora import casme_sq_sheets

    path = write_sheet(tmp_path / "first.xlsx", casme_sq_sheets()["final"], "final")
    with pytest.raises(UserError, match=r"the sheets that say whose folder .* name the released"):
        read_annotation(CORPORA["casme_sq"], path, "4")


def test_objective_classes_of_a_table_beside(tmp_path):
    from corpora import casme2_rows

    rows = casme2_rows()
    path = write_sheet(tmp_path / "casme2.xlsx", rows, "Sheet1")
    with pytest.raises(UserError, match="--objective names the table"):
        read_annotation(CORPORA["casme2"], path, "objective")
    counts = [25, 15, 99, 26, 20, 1, 69]
    every = iter([n for n, count in enumerate(counts, 1) for _ in range(count)])
    classes = [["Subject", "Filename", "Objective Class"]]
    classes += [[row[0], row[1], next(every)] for row in rows[1:]]
    beside = write_sheet(tmp_path / "classes.xlsx", classes, "Sheet1")
    clips = read_annotation(CORPORA["casme2"], path, "objective", objective=beside).clips
    assert clips["label"].value_counts().sort_index().tolist() == counts[:5]


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (["spNO.1", "a", 20, 15, 10, "4", "I", "fear"], "onset 20 comes after offset 10"),
        (["spNO.1", "a", 1, 5, 9, "4", "I", "bored"], "emotion 'bored' is not one of"),
        (["someone", "a", 1, 5, 9, "4", "I", "fear"], "'someone' is not a subject of casme3"),
        (["spNO.1", "a", "x", 5, 9, "4", "I", "fear"], "'x' where a frame number belongs"),
        (["spNO.1", "a", 1, 5, 0, "4", "I", "fear"], "0, which stands for none"),
        (["spNO.1", None, 1, 5, 9, "4", "I", "fear"], "Filename: empty"),
    ],
)
def test_a_bad_row_is_skipped_by_name_and_an_error_when_strict(tmp_path, row, fault):
    head = ["Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Objective class", "emotion"]
    good = ["spNO.2", "b", 1, 5, 9, "4", "I", "fear"]
    path = write_sheet(tmp_path / "a.xlsx", [head, row, good], "label")
    annotation = read_annotation(CORPORA["casme3"], path)
    assert len(annotation.clips) == 1 and fault in annotation.skipped[0]
    with pytest.raises(UserError, match="row 2"):
        read_annotation(CORPORA["casme3"], path, strict=True)


def test_what_is_asked_wrongly_is_one_line(tmp_path):
    (path,) = write_tables(tmp_path, "mmew")
    common = ("--root", tmp_path, "--annotation", path, "--out", tmp_path / "i")
    for words, fault in (
        (("mmew", *common, "--task", "5"), "mmew has no task of 5 classes: --task 3 or 4 or 6"),
        (("mmew", *common, "--spot"), "mmew's annotation has the apexes"),
        (("mmew", *common, "--annotation", tmp_path / "no.xlsx"), "no such file"),
        (("join", "--corpora", "mmew", "--out", tmp_path), "two or more different ones"),
        (("join", "--corpora", "mmew", "casme", "--out", tmp_path), "prepare_data.py mmew"),
    ):
        done = call("prepare_data.py", *words)
        assert done.returncode == 2 and fault in done.stderr, (words, done.stderr)
        assert done.stderr.count("\n") == 1
    assert set(COMMANDS) > {"casme", "casme3", "casme_sq", "dfme", "fourdme", "mmew", "own"}
