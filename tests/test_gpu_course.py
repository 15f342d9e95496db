"""python -m benchmarks.gpu: its whole course on tiny sizes, and its answer without a card."""

import json
import sys
from pathlib import Path

import pytest
import torch
from conftest import call

from benchmarks.gpu import stand_ins


def test_without_a_card_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    done = call("benchmarks.gpu", "--out", tmp_path / "gpu")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: --device cuda: torch sees no CUDA card here")
    assert not (tmp_path / "gpu").exists()


def test_the_course_on_the_cpu(tmp_path):
    done = call("benchmarks.gpu", "--out", tmp_path, "--device", "cpu", "--quick")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert found["machine"]["card"] == "no card: the CPU" and found["absent"] == []
    tables = found["tables"]
    assert list(tables) == [
        "Losses", "Record", "Training: 2D, ResNet18", "Training: dual, ResNet18",
        "The paper's 68 folds, one at a time (computed)", "Folds side by side",
        "Folds stacked in one process", "Views",
    ]  # fmt: skip
    exact = [row for row in tables["Losses"] if row["precision"] == "float32"]
    assert [row["largest"] for row in exact] == [0, 0]  # the CPU against itself
    for title in ("Training: 2D, ResNet18", "Training: dual, ResNet18"):
        ways = [row["way"] for row in tables[title]]
        assert ways == ["plain, one process", "ours, float32", "ours, bf16"]
        assert all(row["images a second"] > 0 for row in tables[title])
    assert [row["processes"] for row in tables["Folds side by side"]] == [1, 2]
    assert [row["folds stacked"] for row in tables["Folds stacked in one process"]] == [1, 2]
    page = (tmp_path / "gpu.md").read_text()
    assert "no figure here says anything" in page and page in done.stdout


def test_a_failed_check_is_no_success(tmp_path, monkeypatch):
    from benchmarks.gpu import check, course

    monkeypatch.setattr(check, "TOLERANCE", {torch.bfloat16: (0.0, 0.0)})
    steps = course._steps
    monkeypatch.setattr(course, "_steps", lambda *rest: list(steps(*rest))[:1])
    assert course.run_course(tmp_path, torch.device("cpu"), True, 1.0, []) == 1
    assert "| NO |" in (tmp_path / "gpu.md").read_text()


def test_what_there_is_no_time_for_is_named(tmp_path):
    from benchmarks.gpu.course import run_course

    assert run_course(tmp_path, torch.device("cpu"), True, -1.0, ["tyro"]) == 0
    page = (tmp_path / "gpu.md").read_text()
    assert "No time for: Losses, Record, Training" in page and "Not installed: tyro." in page


@pytest.mark.parametrize("name", stand_ins.NEEDED)
def test_there_is_a_stand_in_for_what_a_cuda_image_lacks(name, monkeypatch):
    monkeypatch.setattr(stand_ins, "NEEDED", (name,))
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert stand_ins.install() == []  # it is installed here
    monkeypatch.setattr(stand_ins.importlib.util, "find_spec", lambda name: None)
    assert stand_ins.install() == [name]
    folder = Path(sys.path[-1])
    assert (folder / f"{name}.py").is_file() or (folder / name / "__init__.py").is_file()
