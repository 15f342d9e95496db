"""The course: what is checked and measured, in which order, and the tables it leaves."""

import json
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch

from common.files import write_whole
from loso.fold_job import prepare_process

from .check import check_losses, check_record
from .folds import paper_estimate, side_by_side, stack_rows, views_row
from .plans import check_plans, frozen_plan, paper_plans
from .speed import Work, compiled_rows, training_rows

Step = tuple[str, Callable[[], Iterable[dict]]]


def run_course(
    out: Path, device: torch.device, quick: bool, minutes: float, absent: list[str]
) -> int:
    """Run every step that there is time for, and keep what each gave; 1 where a check fails."""
    out.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    prepare_process()  # what is measured computes as a run does
    found: dict = {"machine": machine(device), "quick": quick, "absent": absent, "tables": {}}
    with tempfile.TemporaryDirectory() as name:
        for title, step in _steps(device, quick, Path(name), found["tables"]):
            if time.monotonic() - begun > 60 * minutes:
                found.setdefault("no time for", []).append(title)
                continue
            started = time.monotonic()
            rows = found["tables"].setdefault(title, [])
            for row in step():
                rows.append(row)
                _keep(out, found)
                if time.monotonic() - begun > 60 * minutes:
                    found.setdefault("no time for", []).append(f"what may be left of {title}")
                    break
            print(f"{title}: {time.monotonic() - started:.0f} s", flush=True)
    found["minutes"] = (time.monotonic() - begun) / 60
    _keep(out, found)
    print((out / "gpu.md").read_text())
    checks = [row for rows in found["tables"].values() for row in rows if "passes" in row]
    return 0 if all(row["passes"] for row in checks) else 1


def _steps(device: torch.device, quick: bool, folder: Path, tables: dict) -> Iterator[Step]:
    """Titles and what makes their rows, the most wanted first."""
    small, steps = check_plans(quick), 3 if quick else 10
    yield "Losses", lambda: (row for plan in small for row in check_losses(plan, device, steps))
    yield "Record", lambda: check_record(small[0], device)
    works = {}
    for plan in paper_plans(quick):

        def train(plan=plan) -> Iterator[dict]:
            works[plan.name] = Work(plan, device, folder)
            return training_rows(works[plan.name], quick)

        yield f"Training: {plan.name}", train
    trained = [
        row for title, rows in tables.items() if title.startswith("Training") for row in rows
    ]
    yield "The paper's 68 folds, one at a time (computed)", lambda: paper_estimate(trained)
    ways = (1, 2) if quick else (1, 2, 4, 8)
    frozen = frozen_plan(quick, folder)
    yield "Folds side by side", lambda: side_by_side(frozen, device, folder, ways)
    stacks = (1, 2) if quick else (1, 4, 8, 16)
    yield "Folds stacked in one process", lambda: stack_rows(frozen, device, stacks)
    yield "Views", lambda: [views_row(device, quick)]
    if device.type == "cuda" and works:
        yield "torch.compile", lambda: compiled_rows(next(iter(works.values())))


def machine(device: torch.device) -> dict:
    """The card, and what computes on it."""
    card = "no card: the CPU"
    if device.type == "cuda":
        of = torch.cuda.get_device_properties(device)
        card = f"{of.name}, {of.total_memory / 2**30:.0f} GiB, {of.multi_processor_count} SMs"
    return {
        "card": card, "torch": torch.__version__, "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(), "threads": torch.get_num_threads(),
    }  # fmt: skip


def _keep(out: Path, found: dict) -> None:
    with write_whole(out / "gpu.json") as part:
        part.write_text(json.dumps(found, indent=1) + "\n")
    with write_whole(out / "gpu.md") as part:
        part.write_text(as_markdown(found))


def as_markdown(found: dict) -> str:
    """The tables as they go into a document."""
    said = ", ".join(f"{name} {value}" for name, value in found["machine"].items())
    lines = ["# CUDA", "", said.removeprefix("card ") + "."]
    if found["quick"]:
        lines += ["", "Tiny sizes, to try the course: no figure here says anything."]
    for what, names in (("Not installed", "absent"), ("No time for", "no time for")):
        if found.get(names):
            lines += ["", f"{what}: {', '.join(found[names])}."]
    for title, rows in found["tables"].items():
        columns = list(dict.fromkeys(name for row in rows for name in row))
        lines += ["", f"## {title}", "", f"| {' | '.join(columns)} |"]
        lines.append("| " + " | ".join("---" for _ in columns) + " |")
        lines += ["| " + " | ".join(_cell(row.get(c)) for c in columns) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "NO"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
