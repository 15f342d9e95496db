"""Facts that stand in two places: each pair is held together here."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from conftest import ROOT
from house import ENTRIES, ROOMS

import reconstruct_3d
import visualize
from common.version import VERSION
from data.corpora.commands import COMMANDS
from data.corpora.known import AU, CLASSES, CORPORA, MEGC2019, OWN, TASKS
from data.face_search import STRANGEST, UNSTEADIEST, FoundBy
from data.motion.flow import FLOWS, Flow
from data.views import BackendName, MakerName
from deca.anny.backend import AnnyBackend
from deca.anny.head import load_head
from loso.settings import Settings
from synthetic.demo.plan import CORPORA as DRAWN
from synthetic.demo.plan import FULL_SIZE, GROUPS
from synthetic.demo.tables import TABLES
from synthetic.motion.actions import SIDED, UNITS, names_of

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def values(hint) -> set:
    """What a Literal can be, with or without notes around it."""
    parts = get_args(hint)
    return set().union(*map(values, parts)) if parts else {hint}


def setting(name: str) -> set:
    """What a setting that is a Literal can be."""
    return values(get_type_hints(Settings)[name])


def test_the_version_stands_in_one_place():
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert "version" not in PROJECT["project"]
    assert re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.M)[1] == VERSION
    assert re.search(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.M)[1] == VERSION


def test_make_looks_for_the_pythons_that_the_project_takes():
    low, high = re.fullmatch(
        r">=3\.(\d+),<3\.(\d+)", PROJECT["project"]["requires-python"]
    ).groups()
    looked_for = re.search(r"for version in (.+?);", (ROOT / "Makefile").read_text())[1].split()
    assert looked_for == [f"3.{minor}" for minor in reversed(range(int(low), int(high)))]
    assert PROJECT["tool"]["mypy"]["python_version"] == f"3.{low}"
    assert PROJECT["tool"]["ruff"]["target-version"] == f"py3{low}"


def test_corpora_and_classes():
    for command in (COMMANDS["smic"], COMMANDS["casme2"], COMMANDS["samm"]):
        assert values(get_type_hints(command)["classes"]) - {type(None)} == set(CLASSES)
    assert set(COMMANDS) >= set(CORPORA) - {"casme3_c"}  # part C of casme3
    assert setting("task") == {"auto", *TASKS}
    assert {task for one in CORPORA.values() for task in one.tasks} | {AU, OWN} == set(TASKS)
    assert set(MEGC2019) <= set(CORPORA)
    assert DRAWN.keys() == TABLES.keys() == FULL_SIZE.keys()
    assert DRAWN.keys() <= CORPORA.keys()


def test_backends():
    assert values(BackendName) == {"auto", AnnyBackend.name, "deca"}
    assert values(MakerName) == {AnnyBackend.name, "deca", "deca_original"}
    for command in (reconstruct_3d.main, visualize.glasses):
        assert get_type_hints(command)["backend"] == BackendName


def test_ways_to_measure_and_to_find():
    assert setting("flow") == values(Flow) == set(FLOWS)
    assert set(STRANGEST) == values(FoundBy) - {"file"}  # which nobody looked for
    assert set(UNSTEADIEST) <= values(FoundBy)


def test_facial_actions_are_the_heads():
    known = set(load_head().actions)
    assert {name + side for name in SIDED for side in ("Left", "Right")} <= known
    for movement in (*GROUPS.values(), *UNITS.values()):
        assert {one for name in movement for one in names_of(name)} <= known


def required(name: str) -> set[str]:
    """The packages of a requirements file, without the files that it names."""
    lines = (ROOT / name).read_text().splitlines()
    names = {re.match(r"[A-Za-z0-9._-]+", line)[0] for line in lines if line[:1].isalnum()}
    return {re.sub(r"[-_.]+", "-", one).lower() for one in names}


def imported(paths: list[Path]) -> set[str]:
    """The modules of others that files import, by their first name."""
    found = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(node.module.partition(".")[0])
    ours = {path.stem for path in (*ROOT.glob("*.py"), *ROOT.glob("tests/*.py"))}
    return found - ours - ROOMS - ENTRIES - sys.stdlib_module_names


@pytest.mark.parametrize(
    ("patterns", "files"),
    [
        ([*(f"{room}/**/*.py" for room in sorted(ROOMS | {"tools"})), "*.py"], ["requirements"]),
        (["tests/*.py", "benchmarks/*.py"], ["requirements", "requirements-dev"]),
    ],
)
def test_what_is_imported_is_required(patterns, files):
    needed = imported([path for pattern in patterns for path in ROOT.glob(pattern)])
    given = set().union(*(required(f"{name}.txt") for name in files))
    sources = {"dlib": ["dlib-bin"]} | packages_distributions()  # of a lone .so it knows nothing
    lacking = {}
    for module in needed - {"ray"}:  # not everybody installs it
        packages = {re.sub(r"[-_.]+", "-", one).lower() for one in sources[module]}
        # The Makefile takes the headless one where there is no libGL.
        packages = {one.removesuffix("-headless") for one in packages}
        if not packages & given:
            lacking[module] = packages
    assert lacking == {}
