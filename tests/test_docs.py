"""README and docs: their commands parse, their links lead somewhere, their examples run."""

import functools
import hashlib
import importlib
import importlib.util
import re
import shlex
import sys
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
import torch
from conftest import ROOT, call, write_frame, write_sheet

from data.corpora import annotation, known
from data.corpora.commands import corpus_command
from tools.draw_architecture import FIGURE, figure

PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("result/*.md")],
    key=lambda path: path.relative_to(ROOT).as_posix(),
)
NAMES = [path.relative_to(ROOT).as_posix() for path in PAGES]
DOOR = ROOT / "README.md"
# What tells of how the project came about, and no reader needs.
ABOUT_THE_MAKING = (
    r"was built", r"the issue", r"not to be had", r"was to be had", r"asked:", r"\basked for\b",
    r"quiet cores", r"fresh checkout", r"development branch", r"other jobs", r"not reached",
    r"falls short", r"stopped half-way", r"was looked at", r"came next", r"nothing else was tried",
    r"earlier run", r"was seen to", r"not measured here;", r"\bthe target\b",
    r"this version\b.*\bno\b", r"\bspec(ification)?s?\b:",
)  # fmt: skip
BESIDE = {"spot.py": ("score",)}  # subcommands of scripts that do something without one too
FLAG = re.compile(r"(?<!\S)--[a-z][a-z0-9-]*")


def blocks(page: Path) -> list[tuple[str, str]]:
    """The fenced blocks of a page: language and text."""
    return re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[str]:
    """Every command of this project in a page: in blocks, indented and inline."""
    lines = [line.strip() for _, text in blocks(page) for line in text.splitlines()]
    lines += [line.strip() for line in prose(page).splitlines() if line.startswith("    ")]
    lines += [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose(page))]
    lines = [re.sub(r"^(\w+=\S+ |#SBATCH.*)+", "", line) for line in lines]  # RAY_ADDRESS=… python
    return [line for line in lines if re.match(r"(python|make) (?!-c\b)", line)]


@dataclass
class Help:
    """What a script's --help says: flags, the words that some of them choose from, subcommands."""

    flags: dict[str, tuple[str, ...]] = field(default_factory=dict)
    required: set[str] = field(default_factory=set)
    subcommands: tuple[str, ...] = ()


@functools.cache
def help_of(*command: str) -> Help:
    """The --help of a script or module, of one of its subcommands where one is given."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "1000")
        done = call(*command, "--help")
    assert done.returncode == 0, done.stderr
    found = Help()
    if subcommands := re.search(r"^usage: .*? \[-h\] \{([\w,-]+)\}", done.stdout):
        found.subcommands = tuple(subcommands[1].split(","))
    plain = re.sub(r"[│╭╮╰╯─]", " ", done.stdout)  # the box that a terminal gets
    for entry in re.findall(r"^ {1,2}(--[a-z].*?)(?=^ {1,2}-|\Z)", plain, re.M | re.S):
        head = re.split(r"\s{2,}", entry)[0]
        choices = re.search(r"\{([^{}]+)\}$", head)
        for name in FLAG.findall(head.replace(",", " ")):
            found.flags[name] = tuple(choices[1].split(",")) if choices else ()
            if "(required)" in entry:
                found.required.add(name)
    return found


def faults(command: str) -> list[str]:
    """What is wrong with a command line; upper case stands for what a reader puts there."""
    words = shlex.split(command, comments=True)
    if words[0] == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        return [f"no make target {word}" for word in words[1:] if word not in targets]
    module = words[1] == "-m"
    name, rest = (words[2], words[3:]) if module else (words[1], words[2:])
    if module and not any((ROOT / f"{name.replace('.', '/')}{end}").is_file()
                          for end in (".py", "/__main__.py")):  # fmt: skip
        return [f"no module {name}"]
    if not module and not (ROOT / name).is_file():
        return [f"no script {name}"]
    known = help_of(f"{name}.__main__" if (ROOT / name).is_dir() else name)
    if known.subcommands:
        if not rest or rest[0] not in known.subcommands:
            return [f"{name} has no subcommand {' '.join(rest[:1])}"]
        known, rest = help_of(name, rest[0]), rest[1:]
    elif rest and rest[0] in BESIDE.get(name, ()):
        known, rest = help_of(name, rest[0]), rest[1:]
    wrong = [
        f"{flag} is not there" for flag in rest if FLAG.match(flag) and flag not in known.flags
    ]
    for flag, value in pairwise(rest):
        choices = known.flags.get(flag)
        if choices and value not in choices and not value.isupper():
            wrong.append(f"{flag} {value}: one of {', '.join(choices)}")
    if rest and not wrong:  # a bare name of a script asks for nothing
        wrong += [f"{flag} is missing" for flag in sorted(known.required - set(rest))]
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_command_parses(page):
    wrong = {command: found for command in commands(page) if (found := faults(command))}
    assert wrong == {}


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        ("make dmeo", "no make target dmeo"),
        ("python train.py", "no script train.py"),
        ("python -m benchmarks.bench_appex", "no module benchmarks.bench_appex"),
        ("python prepare_data.py smik --root DATA", "prepare_data.py has no subcommand smik"),
        ("python predict.py --clip FOLDER --wieghts FILE", "--wieghts is not there"),
        ("python prepare_data.py samm --root DATA", "--annotation is missing"),
        ("python -m deca.assets find", "deca.assets has no subcommand find"),
    ],
)
def test_a_wrong_command_is_seen(command, fault):
    assert faults(command) == [fault]


def test_a_wrong_value_is_seen_and_a_placeholder_is_none():
    assert faults("python smic_processing.py --root DATA --method patern") != []
    assert faults("python smic_processing.py --root DATA --method NAME") == []
    assert "vgg11" in help_of("train_me_loso.py").flags["--trunk"]
    assert help_of("reconstruct_3d.py").required == {"--out"}


def test_commands_are_found_wherever_a_page_has_them(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "Run `python a.py --x\n1` or\n\n    python b.py\n\n```\nX=1 python c.py  # why\n"
        "$ ls\nmake d\n```\nand `--flag`.\n"
    )
    assert commands(page) == ["python c.py  # why", "make d", "python b.py", "python a.py --x 1"]
    assert len(commands(DOOR)) > 10
    assert sum(len(commands(path)) for path in PAGES) > 60


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> list[str]:
    """Relative links and pictures of a page that lead nowhere."""
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_link_and_picture_exists(page):
    assert broken_links(page) == []


def test_a_broken_link_is_seen(tmp_path):
    page, other = tmp_path / "page.md", tmp_path / "other.md"
    other.write_text("## Two words: more\n")
    page.write_text(
        "[a](other.md#two-words-more) [b](other.md#none) [c](gone.md) ![d](gone.png) [e](#here)\n"
        "[f](https://example.org)\n"
    )
    assert broken_links(page) == ["other.md#none", "gone.md", "gone.png", "#here"]


def test_every_page_and_picture_of_docs_is_reachable_from_the_door():
    seen, waiting = set(), [DOOR]
    while waiting:
        page = waiting.pop()
        seen.add(page)
        for link in re.findall(r"\]\(([^)\s#]+)", prose(page)) if page.suffix == ".md" else ():
            target = (page.parent / link).resolve()
            if target.exists() and target not in seen:
                waiting.append(target)
    assert set((ROOT / "docs").iterdir()) - seen == set()


def test_files_that_pages_name_exist():
    for page in PAGES:
        for name in re.findall(r"\b(?:tests|models|loso|data|benchmarks|deca|tools)/[\w/]+\.\w+",
                               page.read_text()):  # fmt: skip
            made = re.match(r"data/\w+_(apex|four_frames)\.csv", name)
            example = name in ("models/pooled.py", "models/deeper.py")
            assert made or example or (ROOT / name).is_file(), f"{page.name}: {name}"


def test_the_door_is_short():
    assert len(DOOR.read_text().splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_no_page_tells_how_the_project_was_made(page):
    text = " ".join(page.read_text().split())
    assert [words for words in ABOUT_THE_MAKING if re.search(words, text, re.I)] == []


def test_the_figure_is_what_the_script_draws():
    assert FIGURE.read_text() == figure()
    assert "prefers-color-scheme: dark" in figure()
    assert not re.search(r"(href|src|url\()\s*=?\s*['\"]?https?:", figure())  # it opens offline


def test_the_model_card_is_of_the_weights_that_are_here():
    card = (ROOT / "docs/weights.md").read_text()
    names = re.findall(r"^`(models/weights/\S+)`", card, re.MULTILINE)
    for name in names:
        assert hashlib.sha256((ROOT / name).read_bytes()).hexdigest() in card
    there = {path.name for path in (ROOT / "models/weights").iterdir()}
    assert there == {Path(name).name for name in names}


def test_the_corrections_of_smic_are_those_of_the_code():
    gaps = known.CORPORA["smic"].gaps
    text = (ROOT / "docs/datasets.md").read_text()
    rows = re.findall(r"^\| (s\d+_\w+) \| (?:(\d+) to (\d+))? ?\| (\w+)", text, re.MULTILINE)
    expected = [(one.clip, str(one.onset), str(one.offset), one.emotion) for one in gaps.added]
    assert rows == [*expected, *((clip, "", "", right) for _, clip, _, right in gaps.relabelled)]


def test_wearers_of_glasses_are_those_of_the_code():
    text = " ".join((ROOT / "docs/datasets.md").read_text().split())
    (sentence,) = re.findall(r"\*\*Subjects with glasses\*\*.*?: (SMIC .*?)\. ", text + " ")
    listed = {part.split()[0]: part for part in sentence.replace("CASME II", "CASME2").split("; ")}
    assert len(listed) == 3
    for name, part in listed.items():
        numbers = {int(number) for number in part.split()[1:]}
        assert numbers == known.CORPORA[name.lower()].glasses


# The worked examples of docs/extending.md.


def examples(kind: str) -> list[str]:
    """The Python blocks of a section."""
    text = (ROOT / "docs/extending.md").read_text()
    section = re.search(rf"^## {kind}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)[1]
    return re.findall(r"^```python\n(.*?)^```", section, re.MULTILINE | re.DOTALL)


def test_the_corpus_of_the_example_is_read_and_indexed(tmp_path, monkeypatch, capsys):
    source, line = examples("A corpus")
    names: dict = {"__package__": "data.corpora"}
    exec(source.replace("from .description", "from data.corpora.description"), names)
    corpus = names["CORPUS"]
    monkeypatch.setitem(known.CORPORA, "lab", corpus)
    assert line.strip() == "lab.CORPUS"
    rows = [["Person", "Clip", "Onset", "Apex", "Offset", "Emotion"]]
    for number, emotion in enumerate(("happy", "sad", "surprised", "neutral"), 1):
        rows.append([f"P{number}", f"P{number}_{emotion}_01", 1, 3, 5, emotion])
        for frame in range(1, 6):
            write_frame(tmp_path / f"P{number}/P{number}_{emotion}_01/{frame:04d}.png")
    sheet = write_sheet(tmp_path / "lab.xlsx", rows, "clips")
    assert len(annotation.read_annotation(corpus, sheet).clips) == 3  # neutral is not used
    index_lab = corpus_command(corpus)  # what prepare_data.py lab calls
    assert index_lab(tmp_path, (sheet,), tmp_path / "index") == 0
    index = pd.read_csv(tmp_path / "index/lab_apex.csv", dtype=str)
    assert index["data_sub"].tolist() == ["lab_01", "lab_02", "lab_03"]
    assert index["label"].tolist() == ["1", "0", "2"]
    assert "3 of 3 clips used" in capsys.readouterr().out


def module_of(source: str, name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of `models` made of an example."""
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader=None))
    module.__package__ = "models"
    exec(source, vars(module))
    monkeypatch.setitem(sys.modules, name, module)
    return module


def register(line: str, table: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Put the example's line into the registry; the entry's name."""
    registry = importlib.import_module("models.registry")
    ((name, entry),) = eval(f"{{{line}}}", vars(registry).copy()).items()
    monkeypatch.setitem(getattr(registry, table), name, entry)
    return name


def test_the_network_and_the_trunk_of_the_examples_work(monkeypatch):
    registry = importlib.import_module("models.registry")
    network_file, network_line = examples("A network")
    trunk_file, trunk_line = examples("A trunk")
    module_of(network_file, "models.pooled", monkeypatch)
    module_of(trunk_file, "models.deeper", monkeypatch)
    name = register(network_line, "NETWORKS", monkeypatch)
    trunk = register(trunk_line, "TRUNKS", monkeypatch)
    network = registry.make_network(name, registry.Plan(trunk=trunk, image_size=64)).eval()
    images = torch.rand(2, 3, 64, 64)
    (features,) = network.features(images)
    assert features.shape == (2, 256, 8, 8) and network.trunks[0].side(64) == 8
    output = network(images)
    assert torch.equal(output, network.head(features))
    assert network.scores(output).sum(1).tolist() == pytest.approx([1, 1])
    assert network.loss(output, torch.tensor([0, 2])).requires_grad
    assert network.heat_layers() == (network.conv,)
    network.trunks[0].freeze("early")
    fixed = [n for n, p in network.named_parameters() if not p.requires_grad]
    assert {n.split(".")[2] for n in fixed} == {"conv1", "bn1", "layer1"}
