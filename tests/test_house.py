"""The house: which room imports which, how large modules and rooms are."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from conftest import ROOT

# A room imports itself and these, whatever stands above it does not.
BELOW = {
    "common": set(),
    "models": set(),
    "data": {"common"},
    "deca": {"common", "data"},
    "synthetic": {"common", "data", "deca"},
    "loso": {"common", "data", "models"},
    "report": {"common", "data", "deca", "models", "loso", "synthetic"},
}
ROOMS = set(BELOW)
ENTRIES = {"tools", "benchmarks"}  # started by people, as the scripts are: nothing imports them
LONGEST = 300  # lines of a module; more with a reason at its head
REASON = "Long because"


def modules(root: Path) -> dict[str, Path]:
    """Every module of the product by its dotted name: rooms, tools, benchmarks, scripts."""
    folders = sorted(ROOMS | ENTRIES)
    paths = [*root.glob("*.py"), *(p for folder in folders for p in root.glob(f"{folder}/**/*.py"))]
    return {_name(path.relative_to(root)): path for path in paths}


def _name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def imports(name: str, path: Path, known: dict[str, Path]) -> set[str]:
    """The product's modules that one imports, at its head or inside of functions."""
    found = set()
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                base = ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [base])])
            # from package import module, or from module import name
            found |= {
                both if (both := f"{base}.{alias.name}") in known else base for alias in node.names
            }
    return {module for module in found if module in known}


def room(name: str) -> str:
    """The room or entry that a module belongs to; a script is its own."""
    return name.partition(".")[0]


def upward(root: Path) -> list[str]:
    """A line for each import that the house does not have."""
    known = modules(root)
    wrong = []
    for name, path in known.items():
        here = room(name)
        allowed = BELOW.get(here, ROOMS) | ({here} if here in ROOMS | ENTRIES else set())
        wrong += [
            f"{name} imports {other}"
            for other in sorted(imports(name, path, known))
            if room(other) not in allowed
        ]
    return wrong


def circle(root: Path) -> list[str]:
    """Modules that import each other in a circle, in its order; empty where there is none."""
    known = modules(root)
    graph = {name: imports(name, path, known) - {name} for name, path in known.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def too_long(root: Path) -> list[str]:
    """Modules of more than LONGEST lines whose docstring does not say why."""
    wrong = []
    for name, path in modules(root).items():
        text = path.read_text()
        lines = len(text.splitlines())
        head = ast.get_docstring(ast.parse(text)) or ""
        if lines > LONGEST and not any(line.startswith(REASON) for line in head.splitlines()):
            wrong.append(f"{name}: {lines} lines")
    return wrong


def shares(root: Path) -> dict[str, float]:
    """Each folder's share of the rooms', scripts' and tools' lines, without the folders in it."""
    lines: dict[str, int] = {}
    for name, path in modules(root).items():
        if room(name) != "benchmarks":
            folder = path.parent.relative_to(root).as_posix()
            lines[folder] = lines.get(folder, 0) + len(path.read_text().splitlines())
    total = sum(lines.values())
    return {folder: count / total for folder, count in lines.items()}


def test_no_import_runs_upwards():
    assert upward(ROOT) == []


@pytest.mark.xfail(strict=True, reason="loso/launch: local.py and ray.py import each other")
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
