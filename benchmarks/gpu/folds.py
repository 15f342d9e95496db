"""Folds: one alone, several processes, several stacked in one; how long 68 take; views a second."""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from loso.fold_job import Job, load_job, train_group
from loso.folds import Fold, make_folds
from loso.launch.local import make_launcher
from loso.pictures import PictureRunner

from .inputs import made_clips
from .plans import Plan
from .speed import measured, peak, synchronise, watched

FOLDS = 68
PAPER_EPOCHS = 30


class _Silent:
    """Watches folds and says nothing."""

    def start_fold(self, data_sub: str) -> None:
        """See fold_job.Watch."""

    def epoch(self, data_sub: str, record: dict) -> None:
        """See fold_job.Watch."""


def side_by_side(
    plan: Plan, device: torch.device, folder: Path, ways: tuple[int, ...]
) -> list[dict]:
    """Seconds of folds with so many processes at once, pictures' features and all, and of 68.

    Each process takes two folds, so that its start weighs as little as in a run. Seconds of one
    fold are those between the first record and the last: without starts.
    """
    settings = replace(plan.settings, result=folder, experiment="folds")
    settings.folder.mkdir(parents=True, exist_ok=True)
    clips = made_clips(settings, plan.subjects, plan.clips)
    start = time.perf_counter()
    job = load_job(settings, clips, device)
    synchronise(device)
    prepared = time.perf_counter() - start
    rows = []
    for workers in ways:
        folds = make_folds(clips.index, settings.classes)[: 2 * workers]
        workers_job = replace(job, settings=replace(settings, workers=workers))
        launch = make_launcher(workers_job, folds, device)
        start = time.perf_counter()
        ends = []
        with watched(device) as used, closing(launch(_Silent())) as finished:
            ends = [time.perf_counter() - start for _ in finished]
        whole = ends[-1]
        # The last half of the folds ran with all processes up.
        late = (ends[-1] - ends[len(ends) // 2 - 1]) / (len(ends) - len(ends) // 2)
        rows.append({
            "work": plan.name, "processes": workers, "folds": len(folds), "features, s": prepared,
            "seconds": whole, "seconds a fold": late, "68 folds, minutes":
            (prepared + whole - late * len(ends) + late * FOLDS) / 60,
            "card in use": sum(used) / len(used) if used else None,
            "peak GiB": peak(device) if workers == 1 else None,
        })  # fmt: skip
    return rows


def stack_rows(plan: Plan, device: torch.device, ways: tuple[int, ...]) -> Iterator[dict]:
    """Seconds of so many folds stacked in one process, three epochs each, and of 68 computed."""
    epochs = min(3, plan.settings.epochs or 1)
    settings = replace(plan.settings, epochs=epochs)
    clips = made_clips(settings, plan.subjects, plan.clips)
    job, folds = load_job(settings, clips, device), make_folds(clips.index, settings.classes)
    for number in ways:
        do = partial(train_stack, job, folds[:number])
        row = measured(do, samples(job, folds[:number]), device, 1)
        minutes = FOLDS * row["seconds"] / number * plan.settings.passes / epochs / 60
        yield {
            "work": plan.name, "folds stacked": number, "epochs": epochs,
            "seconds a fold": row["seconds"] / number, "68 folds, minutes": minutes,
        } | row  # fmt: skip


def train_stack(job: Job, folds: list[Fold]) -> None:
    """Train folds as one; one by itself as without --stack."""
    settings = replace(job.settings, stack=len(folds))
    train_group(replace(job, settings=settings), folds, lambda data_sub, record: None)


def samples(job: Job, folds: list[Fold]) -> int:
    """Pictures that folds train on in all of their epochs."""
    runner = job.runner
    assert isinstance(runner, PictureRunner)
    return sum(
        len(clips)
        for recipe in map(runner.recipe, folds)
        for _ in range(job.settings.passes)
        for clips, _, _ in recipe.samples()
    )


def paper_estimate(rows: list[dict]) -> list[dict]:
    """Minutes that 68 folds of 30 epochs would take, from what an epoch of training rows took.

    An epoch of the composite: 1,230 images where classes are as in MEGC 2019. One fold at a time.
    """
    return [
        {
            "work": row["work"], "way": row["way"], "68 folds, 30 epochs, minutes":
            FOLDS * PAPER_EPOCHS * 1230 / row["images a second"] / 60,
        }
        for row in rows if "images a second" in row
    ]  # fmt: skip


def views_row(device: torch.device, quick: bool) -> dict:
    """Rasterised views a second of a sphere of about 9,000 triangles, 13 at once, 224 px."""
    row: dict = {"work": "rasterised views, 224 px", "way": "PyTorch3D"}
    try:
        import pytorch3d.renderer.mesh  # noqa: F401

        from deca.flame.model import rotation_matrices
        from deca.rasterizer import rasterize_pytorch3d
    except ImportError as error:
        return row | {"error": f"absent: {error.name}"}
    rings = 6 if quick else 67
    vertices, faces = sphere(rings)
    turns = rotation_matrices(torch.tensor([[0.0, 0.1 * i - 0.6, 0] for i in range(13)]))
    there = vertices.to(device), faces.to(device), 32 if quick else 224, turns.to(device)
    return row | measured(lambda: rasterize_pytorch3d(*there), 13, device, 1 if quick else 5)


def sphere(rings: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A sphere of radius 0.8: vertices (rings², 3) and faces (2 (rings - 1) rings, 3)."""
    down = torch.linspace(0, torch.pi, rings)[:, None]
    round_ = torch.arange(rings)[None] * (2 * torch.pi / rings)
    x, y = down.sin() * round_.cos(), down.cos().expand(-1, rings)
    vertices = 0.8 * torch.stack([x, y, down.sin() * round_.sin()], -1).view(-1, 3)
    at = torch.arange(rings * rings).view(rings, rings)
    a, b = at[:-1].flatten(), at[:-1].roll(-1, 1).flatten()
    c, d = at[1:].flatten(), at[1:].roll(-1, 1).flatten()
    return vertices, torch.cat([torch.stack([a, b, c], 1), torch.stack([b, d, c], 1)])
