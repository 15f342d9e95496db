"""Stand-ins of the further corpora: drawn, indexed by the commands that real ones take, trained."""

import hashlib
from pathlib import Path

import pandas as pd
import pytest
from conftest import call

from common.errors import UserError
from data.corpora.commands import COMMANDS
from data.corpora.known import CORPORA, MEGC2019
from data.index import read_index
from data.index_task import class_names
from synthetic.demo.plan import Size
from synthetic.layouts.corpora import LAYOUTS
from synthetic.layouts.draw import draw_layouts

BANK = Size(subjects=2, clips=10)
TABLES = {
    "smic_vis": "SMIC/SMIC-VIS-E_annotation.xlsx",
    "smic_nir": "SMIC/SMIC-NIR-E_annotation.xlsx",
    "casme": "CASME/CASME_coding.xlsx",
    "casme_sq": "CASME_sq/CAS(ME)^2code_final.xlsx",
    "casme3": "CASME3/cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx",
    "casme3_c": "CASME3/CAS(ME)3_part_C_ME.xlsx",
    "mmew": "MMEW/MMEW_Micro_Exp.xlsx",
    "fourdme": "4DME/4DME_Labelling_Micro_release v1.xlsx",
    "dfme": "DFME/training_full_with_AU.xlsx",
}


@pytest.fixture(scope="module")
def standins(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("standins") / "all"
    draw_layouts(root, ("all",), bank=BANK)
    return root


def index_one(name: str, root: Path, out: Path, task: str = "3") -> Path:
    """A stand-in's index, by the corpus's command."""
    path = root / TABLES[name]
    place = root / TABLES[name].split("/")[0]
    paths = (path, path.with_name("testA_full_with_AU.xlsx")) if name == "dfme" else (path,)
    if name == "casme3_c":
        assert COMMANDS["casme3"](place / "part_C", path, out, "C", task) == 0
    elif name == "casme3":
        assert COMMANDS["casme3"](place / "part_A", path, out, "A", task) == 0
    else:
        assert COMMANDS[name](place, paths, out, task) == 0
    return out / f"{name}{'' if task == '3' else f'_{task}'}_apex.csv"


@pytest.mark.parametrize("name", list(LAYOUTS))
def test_each_layout_is_read_whole_in_every_task(standins, tmp_path, name):
    for task in CORPORA[name].tasks:
        if task == "objective":
            continue  # of so few clips some class has none
        index = read_index(index_one(name, standins, tmp_path, task))
        assert set(index["label"]) <= set(range(len(class_names(index))))
        root = standins / TABLES[name].split("/")[0]
        root = root / {"casme3": "part_A", "casme3_c": "part_C"}.get(name, "")
        for frame in ("onset", "apex", "offset"):
            assert all((root / path).is_file() for path in index[f"{frame}_frame_path"])
        assert index["data_sub"].nunique() == 2
    widest = max(CORPORA[name].tasks, key=lambda task: (task != "objective", task))
    clips = len(read_index(index_one(name, standins, tmp_path, widest)))
    assert clips == {"smic_vis": 8, "smic_nir": 8, "casme": 8, "fourdme": 8}.get(name, 10)


def test_every_corpus_has_a_stand_in():
    assert {*LAYOUTS, *MEGC2019} == set(CORPORA)  # the demo set draws the classical three


def test_the_traps_are_there(standins, tmp_path):
    several = read_index(index_one("casme3", standins, tmp_path, "7"))
    assert several.duplicated(["subject", "clip"]).any() and "J" in set(several["clip"])
    assert (read_index(index_one("dfme", standins, tmp_path))["onset_frame"] <= 2).any()
    assert set(pd.read_csv(tmp_path / "dfme_apex.csv")["fps"]) == {200, 300, 500}
    assert set(pd.read_csv(tmp_path / "dfme_apex.csv")["list"]) == {"train", "testA"}
    assert (
        read_index(index_one("fourdme", standins, tmp_path))["units"]
        .str.contains("?", regex=False)
        .all()
    )
    assert (read_index(index_one("smic_vis", standins, tmp_path))["apex_source"] == "middle").all()


def test_units_of_two_corpora_leaving_each_out(standins, tmp_path):
    for name in ("casme3", "mmew"):
        index_one(name, standins, tmp_path, "au")
        table = pd.read_csv(tmp_path / f"{name}_au_apex.csv", dtype=str)
        below = "CASME3/part_A/" if name == "casme3" else "MMEW/"
        for column in ("onset_frame_path", "apex_frame_path", "offset_frame_path"):
            table[column] = below + table[column]
        table.to_csv(tmp_path / f"{name}_au_apex.csv", index=False)
    done = call("prepare_data.py", "--corpora", "casme3", "mmew", "--task", "au", "--out", tmp_path)
    assert done.returncode == 0 and "AU17" in done.stdout, done.stderr
    joined = tmp_path / "casme3_mmew_au_apex.csv"
    done = call("train_me_loso.py", "--dataset", "casme3_mmew", "--task", "au", "--streams",
                "motion", "--protocol", "lodo", "--adapt", "none", "--index", joined,
                "--root", standins, "--result", tmp_path)  # fmt: skip
    assert done.returncode == 0 and "2 folds chosen" in done.stdout, done.stderr


def test_emotions_of_corpora_that_share_a_task_join(standins, tmp_path):
    for name in ("casme3", "casme_sq"):
        index_one(name, standins, tmp_path, "4")
    common = ("--out", tmp_path, "--corpora", "casme3", "casme_sq")
    assert call("prepare_data.py", "join", *common, "--task", "4").returncode == 0
    joined = read_index(tmp_path / "casme3_casme_sq_4_apex.csv")
    assert set(joined["data"]) == {"casme3", "casme_sq"} and len(joined) == 20
    done = call("prepare_data.py", "join", *common, "--name", "composite")
    assert done.returncode == 2 and "the composite is MEGC 2019's" in done.stderr


def test_a_seed_draws_the_same_bytes_and_a_folder_is_not_overwritten(standins, tmp_path):
    draw_layouts(tmp_path / "one", ("mmew",), bank=Size(1, 2))
    draw_layouts(tmp_path / "two", ("mmew",), bank=Size(1, 2))
    one, two = (
        {
            path.relative_to(tmp_path / name): hashlib.md5(path.read_bytes()).hexdigest()
            for path in (tmp_path / name).rglob("*") if path.is_file()
        }
        for name in ("one", "two")
    )  # fmt: skip
    assert one == two and len(one) > 20
    draw_layouts(tmp_path / "two", ("mmew",), bank=Size(1, 2))
    with pytest.raises(UserError, match="is not empty"):
        draw_layouts(tmp_path / "two", ("casme3",))
    with pytest.raises(UserError, match="--layouts cats: all, or of smic_vis"):
        draw_layouts(tmp_path / "three", ("cats",))
