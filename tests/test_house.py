"""The house keeps its rules, and they see what breaks them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT
from house import ENTRIES, LONGEST, REASON, ROOMS, circle, shares, too_long, upward


def test_no_import_runs_upwards():
    assert upward(ROOT) == []


def test_no_modules_import_each_other_in_a_circle():
    assert circle(ROOT) == []


def test_long_modules_say_why():
    assert too_long(ROOT) == []


def test_no_room_holds_more_than_a_fifth_of_the_code():
    assert {folder: share for folder, share in shares(ROOT).items() if share > 0.2} == {}


def test_every_folder_of_code_is_a_room():
    with_code = {path.parent.name for path in ROOT.glob("*/*.py")}
    assert with_code - {"tests"} == ROOMS | ENTRIES


# The rules themselves, on a house that breaks each of them.


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Path]:
    for folder in ("common", "data", "data/apex", "loso", "models", "tools"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").write_text("")
    (tmp_path / "train.py").write_text("from loso import run\n")
    (tmp_path / "common/errors.py").write_text("import json\n")
    (tmp_path / "data/apex/spot.py").write_text("from ..frames import read\n")
    (tmp_path / "data/frames.py").write_text("from common import errors\n")
    (tmp_path / "loso/run.py").write_text("import data.frames\nfrom models.net import Net\n")
    (tmp_path / "models/net.py").write_text("class Net: pass\n")
    (tmp_path / "tools/make.py").write_text("import loso.run\n")
    assert upward(tmp_path) == [] and circle(tmp_path) == []
    return tmp_path


@pytest.mark.parametrize(
    ("module", "line", "seen"),
    [
        ("common/errors.py", "from data.frames import read", "common.errors imports data.frames"),
        ("common/errors.py", "def f():\n    import loso.run", "common.errors imports loso.run"),
        ("data/frames.py", "from ..loso import run", "data.frames imports loso.run"),
        ("data/apex/spot.py", "from loso import run", "data.apex.spot imports loso.run"),
        ("models/net.py", "import common.errors as e", "models.net imports common.errors"),
        ("loso/run.py", "import train", "loso.run imports train"),
        ("tools/make.py", "from train import main", "tools.make imports train"),
        ("loso/run.py", "from tools.make import x", "loso.run imports tools.make"),
        ("train.py", "import tools.make", "train imports tools.make"),
    ],
)
def test_an_upward_import_is_seen(house, module, line, seen):
    (house / module).write_text(f"{line}\n")
    assert upward(house) == [seen]


def test_a_circle_is_seen(house):
    (house / "data/frames.py").write_text("def read():\n    from .apex import spot\n")
    assert set(circle(house)) == {"data.frames", "data.apex.spot"}


def test_a_long_module_is_seen_unless_it_says_why(house):
    (house / "data/frames.py").write_text("x = 1\n" * LONGEST)
    assert too_long(house) == []
    (house / "data/frames.py").write_text("x = 1\n" * (LONGEST + 1))
    assert too_long(house) == [f"data.frames: {LONGEST + 1} lines"]
    assert shares(house)["data"] > 0.9
    head = f'"""Frames.\n\n{REASON} a table of them stands here.\n"""\n'
    (house / "data/frames.py").write_text(head + "x = 1\n" * LONGEST)
    assert too_long(house) == []
