"""SMIC's 164 clips from every source, and one index whichever script writes it."""

import shutil

import pandas as pd
import pytest
from apex_clips import write_spotted as draw_smic
from conftest import SMIC_HEADER, call, make_smic, write_frame, write_sheet
from corpora import smic_rows

from common.errors import UserError
from data.apex.batch import Spotted
from data.corpora.annotation import read_annotation
from data.corpora.known import CORPORA
from data.corpora.smic import CORPUS as SMIC
from data.corpora.spotted import read_smic, write_spotted
from data.disk.frames import ClipFolders, name_key
from data.index import read_index

HEADER = ["Subject", "Filename", None, "OnsetF", "OffsetF", "Onset2F", "Offset2F", "Onset3F",
          "Offset3F", "FirstF", "LastF", "TotalMF1", "Emotion"]  # fmt: skip
SUBJECTS = [1, 2, 3, 4, 5, 6, 8, 9, 11, 12, 13, 14, 15, 18, 19, 20]
MISSING = {one.clip: (one.onset, one.offset) for one in SMIC.gaps.added}
COUNTS = [70, 51, 43]


def names() -> list[tuple[int, str, str]]:
    """164 clips named as SMIC's, 70/51/43, among them the seven and s18_sur_03."""
    known = [*MISSING, "s18_sur_03"]
    subjects = {name: int(name.split("_")[0][1:]) for name in known}
    clips = []
    for word, emotion, count in (
        ("ne", "negative", 70), ("po", "positive", 51), ("sur", "surprise", 43),
    ):  # fmt: skip
        own = [(subjects[name], name, emotion) for name in known if f"_{word}_" in name]
        more = count - len(own)
        own += [
            (SUBJECTS[i % 16], f"s{SUBJECTS[i % 16]}_{word}_{30 + i // 16:02d}", emotion)
            for i in range(more)
        ]
        clips += own
    return clips


def sheet_rows(absent=tuple(MISSING), wrong_label=True) -> list[list]:
    """A spreadsheet of long videos, in the public one's layout."""
    rows = []
    for i, (subject, clip, emotion) in enumerate(names()):
        if clip in absent:
            continue
        onset = 1000 * (i + 1)
        if clip == "s18_sur_03" and wrong_label:
            emotion = "negative"
        second = (onset + 60, onset + 80) if i % 20 == 0 else (None, None)
        rows.append(
            [subject, clip, None, onset, onset + 30, *second, None, None, onset - 9, onset + 99,
             31, emotion]
        )  # fmt: skip
    return rows


def read(tmp_path, rows, header=HEADER, **options):
    path = write_sheet(tmp_path / "SMIC-HS-E_annotation.xlsx", [header, *rows], "HS")
    return read_annotation(CORPORA["smic"], path, **options)


def counts(clips: pd.DataFrame) -> list[int]:
    return clips["label"].value_counts().sort_index().tolist()


@pytest.mark.parametrize("absent", [tuple(MISSING), ("s3_ne_03", "s9_sur_02")], ids=[157, 162])
def test_either_public_sheet_gives_164_clips(tmp_path, capsys, absent):
    clips = read(tmp_path, sheet_rows(absent)).clips
    assert len(clips) == 164 and counts(clips) == COUNTS and clips["subject"].nunique() == 16
    frames = clips.set_index("clip")[["onset_frame", "offset_frame"]]
    for clip in absent:
        assert tuple(frames.loc[clip]) == MISSING[clip]
    assert len(clips[["subject", "clip"]].drop_duplicates()) == 164
    assert (clips["data_sub"] == "smic_" + clips["subject"]).all()
    said = capsys.readouterr().out
    assert said.count("coding.csv") == 1 and "s18_sur_03 is surprise, not negative" in said
    assert all(clip in said for clip in absent)


def test_the_values_are_those_of_the_164_clip_list():
    assert MISSING == {
        "s1_ne_02": (563854, 563885), "s2_sur_05": (219114, 219143),
        "s3_ne_03": (302370, 302380), "s3_ne_20": (426679, 426709),
        "s4_ne_05": (219343, 219361), "s4_ne_06": (219413, 219435),
        "s9_sur_02": (61250, 61291),
    }  # fmt: skip
    for subject, clip, emotion in ((o.subject, o.clip, o.emotion) for o in SMIC.gaps.added):
        assert clip.startswith(f"s{int(subject)}_{emotion[:2]}")


def test_added_clips_are_spelled_as_the_sheet_spells_its_own(tmp_path):
    rows = [[row[0], row[1].replace("s", "s0", 1) if row[0] < 10 else row[1], *row[2:]]
            for row in sheet_rows()]  # fmt: skip
    clips = read(tmp_path, rows).clips
    assert {"s01_ne_02", "s09_sur_02"} <= set(clips["clip"]) and counts(clips) == COUNTS


@pytest.mark.parametrize("spell", [str, str.upper, lambda name: name.replace("s", "s0", 1)])
def test_a_sheet_of_164_rows_stays_as_it_is(tmp_path, capsys, spell):
    rows = sheet_rows(absent=(), wrong_label=False)
    rows = [[*row[:1], spell(row[1]), *row[2:]] for row in rows]
    clips = read(tmp_path, rows).clips
    assert clips["clip"].tolist() == [row[1] for row in rows] and counts(clips) == COUNTS
    assert capsys.readouterr().out == ""


def test_164_other_names_gain_no_row(tmp_path):
    assert len(read(tmp_path, smic_rows()[1:], SMIC_HEADER).clips) == 164


def test_the_label_alone_is_mended_in_a_whole_list(tmp_path, capsys):
    assert counts(read(tmp_path, sheet_rows(absent=())).clips) == COUNTS
    assert "added" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "part",
    [
        lambda row: row[0] in (1, 2, 3),  # some subjects
        lambda row: row[0] != 3,  # all but one
        lambda row: row[-1] != "positive",  # some classes
        lambda row: int(row[1].split("_")[2]) != 31,  # two thirds of the clips
    ],
)
def test_a_part_of_the_corpus_gains_no_row(tmp_path, part):
    rows = [row for row in sheet_rows() if part(row)]
    assert len(read(tmp_path, rows).clips) == len(rows)


def test_other_subjects_are_not_smics(tmp_path):
    rows = sheet_rows()
    rows[0] = [7, "s7_ne_99", *rows[0][2:]]
    assert len(read(tmp_path, rows).clips) == 157


def test_a_small_synthetic_sheet_gains_no_row(tmp_path, capsys):
    assert len(read_annotation(CORPORA["smic"], make_smic(tmp_path)).clips) == 24
    assert capsys.readouterr().out == ""


def test_bad_rows_of_the_public_sheet_do_not_keep_the_others_from_being_added(tmp_path):
    rows = sheet_rows()
    rows[5] = [*rows[5][:4], 0, *rows[5][5:]]
    annotation = read(tmp_path, rows)
    assert len(annotation.skipped) == 1 and len(annotation.clips) == 163


def release(root, clips=None, frames=4):
    """The cropped release's folders, with the three cameras and non-micro clips beside."""
    for i, (subject, clip, emotion) in enumerate(clips or names()):
        first = MISSING.get(clip, (1000 * i, 0))[0]
        folder = root / f"HS/s{subject}/micro/{emotion}/{clip}"
        for number in range(first, first + frames):
            write_frame(folder / f"reg_image{number:06d}.bmp", strength=0.5)
    for other in (
        "VIS/s11/micro/negative/s11_ne_30",
        "NIR/s11/micro/positive/s11_po_99",
        "HS/s11/non_micro/negative/s11_ne_98",
        "HS/s11/micro/fear/s11_ne_97",
    ):
        write_frame(root / other / "reg_image000001.bmp")  # fmt: skip


@pytest.fixture(scope="module")
def cropped(tmp_path_factory):
    root = tmp_path_factory.mktemp("cropped") / "SMIC_all_cropped"
    release(root)
    return root


@pytest.mark.parametrize("below", [".", "HS"])
def test_the_cropped_release_needs_no_spreadsheet(cropped, tmp_path, capsys, below):
    root = cropped / below
    done = call("prepare_data.py", "smic", "--root", root, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    index = read_index(tmp_path / "smic_apex.csv")
    assert len(index) == 164 and counts(index) == COUNTS
    row = index[index["clip"] == "s3_ne_20"].iloc[0]
    assert (row["onset_frame"], row["apex_frame"], row["offset_frame"]) == (426679, 426680, 426682)
    assert row["emotion"] == "negative" and (root / row["apex_frame_path"]).is_file()
    assert "164 of 164 clips used" in done.stdout and "skipped" not in done.stdout


def test_the_same_clips_come_from_sheet_and_folders(cropped, tmp_path):
    rows = [[*row[:3], row[9] + 9, row[9] + 12, *row[5:]] for row in sheet_rows()]
    by_sheet = read(tmp_path, rows).clips
    by_folder = read_smic(ClipFolders(cropped)).clips
    columns = ["subject", "clip", "label", "data_sub"]
    one, other = (
        clips[columns].sort_values("clip").reset_index(drop=True) for clips in (by_sheet, by_folder)
    )
    pd.testing.assert_frame_equal(one, other)


def test_a_copy_of_the_release_that_lacks_clips_says_so(tmp_path, capsys):
    release(tmp_path, [(1, "s1_ne_01", "negative"), (2, "s1_po_01", "positive")])
    source = read_smic(ClipFolders(tmp_path))
    assert source.clips["clip"].tolist() == ["s1_ne_01"]
    (line,) = source.skipped
    assert "s1_po_01: its name is of subject 01, and it lies in no folder s1" in line
    assert "1 clips of SMIC-HS, whose release has 164" in capsys.readouterr().err
    with pytest.raises(UserError, match="its name is of subject 01"):
        read_smic(ClipFolders(tmp_path), strict=True)


def test_without_spreadsheet_or_release_the_error_says_what_is_needed(tmp_path):
    make_smic(tmp_path, subjects=1, clips=1)
    done = call("prepare_data.py", "smic", "--root", tmp_path, "--out", tmp_path / "out")
    assert done.returncode == 2 and not (tmp_path / "out").exists()
    assert "no clip in the layout of SMIC's cropped release" in done.stderr
    assert "--annotation SMIC-HS-E_annotation.xlsx is needed" in done.stderr


def spot(apexes: dict[str, int]):
    """A spotter that knows some clips' apexes."""

    def find(clips, folders):
        found = clips[clips["clip"].isin(apexes)]
        frames = pd.array([apexes[clip] for clip in found["clip"]], "Int64")
        lines = [
            f"{row['data_sub']} {row['clip']}: two frames"
            for row in clips[~clips["clip"].isin(apexes)].to_dict("records")
        ]
        return Spotted(found.assign(apex_frame=frames, apex_source="spotted"), lines, [])

    return find


APEXES = {"s01_ne_00": 108, "s01_po_01": 110, "s02_ne_00": 209, "s02_su_02": 210}


@pytest.fixture
def small(tmp_path):
    """Six clips, of which a spotter finds four apexes; write(out) writes their index."""
    annotation = make_smic(tmp_path, subjects=2, clips=3)

    def write(out, apex=None, spotting=False):
        folders = ClipFolders(tmp_path)
        source = read_smic(folders, annotation)
        return write_spotted(source, folders, out, apex, spot(APEXES) if spotting else None)

    return tmp_path, write


def test_either_order_of_the_scripts_gives_the_same_spotted_apexes(small):
    root, write = small
    one, other = root / "one/smic_apex.csv", root / "other/smic_apex.csv"
    for spotting in (True, False):
        write(one, spotting=spotting)
    for spotting in (False, True, False):
        write(other, spotting=spotting)
    assert one.read_bytes() == other.read_bytes()
    index = read_index(one).set_index("clip")
    assert index.loc[["s01_ne_00", "s01_po_01", "s02_ne_00"], "apex_frame"].tolist() == [
        108, 110, 209
    ]  # fmt: skip
    assert index["apex_source"].value_counts().to_dict() == {"spotted": 4, "middle": 2}
    assert index.loc["s01_su_02", ["apex_frame", "apex_source"]].tolist() == [109, "middle"]
    four = read_index(root / "one/smic_four_frames.csv", companion=True)
    assert four[four["clip"] == "s01_ne_00"]["apex_frame"].tolist() == [107, 107, 109, 110]


def test_what_has_no_apex_is_named(small, capsys):
    root, write = small
    shutil.rmtree(root / "SMIC/HS/s01/s01_su_02")
    written = write(root / "smic_apex.csv", spotting=True)
    assert [line.split(":")[0] for line in written.skipped] == ["smic_01 s01_su_02"]
    assert written.middle == ["smic_02 s02_po_01: two frames"]
    written = write(root / "smic_apex.csv")
    assert "2 of 6 SMIC clips have no spotted apex in" in capsys.readouterr().err
    assert written.middle == []


def test_a_clip_without_a_face_is_left_out_and_named(small):
    root, _ = small
    folders = ClipFolders(root)
    source = read_smic(folders, root / "SMIC/SMIC-HS-E_annotation.xlsx")

    def no_face_in_one(clips, folders):
        found = spot(APEXES)(clips, folders)
        return Spotted(found.clips, found.unspotted[:1], ["smic_02 s02_po_01: no face found"])

    written = write_spotted(source, folders, root / "smic_apex.csv", spot=no_face_in_one)
    assert written.skipped == ["smic_02 s02_po_01: no face found"]
    assert len(written.index) == 5 and "s02_po_01" not in set(written.index["clip"])


def test_apexes_of_another_file_go_first_and_both_files_count(small):
    root, write = small
    write(root / "smic_apex.csv", spotting=True)
    table = pd.read_csv(root / "smic_apex.csv", dtype=str)
    table = table[table["clip"].isin(["s01_ne_00", "s01_su_02"])]
    table["clip"] = table["clip"].str.replace("s01", "s1")  # MEGC's and the release's spelling
    table = table.assign(apex_frame="107", apex_source="spotted")
    table.to_csv(root / "mine.csv", index=False)
    index = write(root / "smic_apex.csv", apex=root / "mine.csv").index.set_index("clip")
    assert index.loc[["s01_ne_00", "s01_su_02", "s02_ne_00"], "apex_frame"].tolist() == [
        107, 107, 209
    ]  # fmt: skip
    with pytest.raises(UserError, match=r"none.csv: no such index"):
        write(root / "smic_apex.csv", apex=root / "none.csv")


def test_an_apex_of_other_frames_is_not_taken(small, capsys):
    root, write = small
    write(root / "smic_apex.csv", spotting=True)
    table = pd.read_csv(root / "smic_apex.csv", dtype=str)
    table.loc[0, ["onset_frame", "apex_frame", "offset_frame"]] = ["8900", "8919", "8930"]
    table.loc[1, "apex_frame"] = ""
    table.to_csv(root / "smic_apex.csv", index=False)
    index = write(root / "smic_apex.csv").index
    assert index["apex_source"].tolist()[:2] == ["middle", "middle"]
    assert "s01_ne_00: the apex known, 8919, lies outside 107 to 111" in capsys.readouterr().err


def test_an_index_without_apex_source_holds_spotted_apexes(small):
    root, write = small
    write(root / "smic_apex.csv", spotting=True)
    table = pd.read_csv(root / "smic_apex.csv", dtype=str).drop(columns="apex_source")
    table.to_csv(root / "smic_apex.csv", index=False)
    assert set(write(root / "smic_apex.csv").index["apex_source"]) == {"spotted"}


def test_nothing_is_overwritten_where_no_apex_is_found(small):
    root, write = small
    write(root / "smic_apex.csv", spotting=True)
    before = (root / "smic_apex.csv").read_bytes()
    folders = ClipFolders(root)
    source = read_smic(folders, root / "SMIC/SMIC-HS-E_annotation.xlsx")
    with pytest.raises(UserError, match="none of 6 clips has an apex; the first: smic_01 s01_ne"):
        write_spotted(source, folders, root / "smic_apex.csv", spot=spot({}))
    assert (root / "smic_apex.csv").read_bytes() == before


def test_both_scripts_from_the_command_line(tmp_path):
    draw_smic(tmp_path, [(1, 0, 5), (2, 2, 9)])
    source = ("--root", tmp_path, "--annotation", tmp_path / "SMIC-HS-E_annotation.xlsx")
    spotted = ("--out", tmp_path / "out/smic_apex.csv", "--plots", "None", "--workers", "1")
    prepare = ("prepare_data.py", "smic", *source, "--out", tmp_path / "out")
    assert call(*prepare).returncode == 0
    middles = read_index(tmp_path / "out/smic_apex.csv")
    assert middles["apex_frame"].tolist() == [107, 107]
    assert call("smic_processing.py", *source, *spotted).returncode == 0
    before = (tmp_path / "out/smic_apex.csv").read_bytes()
    assert set(read_index(tmp_path / "out/smic_apex.csv")["apex_source"]) == {"spotted"}
    done = call(*prepare)
    assert done.returncode == 0 and "no spotted apex" not in done.stderr
    assert (tmp_path / "out/smic_apex.csv").read_bytes() == before


def test_apexes_of_the_cropped_release_are_spotted_without_a_spreadsheet(tmp_path):
    draw_smic(tmp_path, [(1, 0, 5)])
    (tmp_path / "HS/s1/micro/negative").mkdir(parents=True)
    (tmp_path / "HS/s1/s1_ne_00").rename(tmp_path / "HS/s1/micro/negative/s1_ne_00")
    out = tmp_path / "out/smic_apex.csv"
    done = call(
        "smic_processing.py", "--root", tmp_path, "--out", out, "--plots", "None", "--workers", "1"
    )
    assert done.returncode == 0 and "1 of 1 clips have an apex" in done.stdout
    row = read_index(out).iloc[0]
    assert (row["onset_frame"], row["offset_frame"], row["emotion"]) == (100, 114, "negative")
    assert abs(row["apex_frame"] - 105) <= 1 and row["apex_source"] == "spotted"


def test_name_keys_of_the_public_spellings_agree():
    assert name_key("s01_ne_01") == name_key("S1_ne_01")
