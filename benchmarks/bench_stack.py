"""What --stack gains: folds trained as one, and the same one after the other.

    python -m benchmarks.bench_stack [--device cuda]

Heads on the features of a frozen Lite0 at 160 px, in batches of 32, on clips made in memory; an
epoch of each fold, its scores included. Both ways go in turns; medians. Operations: what torch
starts in a further epoch, views apart: about the kernels of a card, each of which costs its host
some microseconds, and the sampling on the host.
"""

import copy
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from rich import box
from rich.console import Console
from rich.table import Table
from torch.utils._python_dispatch import TorchDispatchMode

from common.cli import run_script
from loso.fold_job import Job, load_job
from loso.folds import Fold, make_folds
from loso.presets import preset

from .gpu.folds import samples, train_stack
from .gpu.inputs import made_clips
from .gpu.speed import synchronise

WORK = {
    "2D": {"streams": "2d"},
    "dual": {"streams": "dual", "neighbour_views": "apex"},
    "2D, small": {"streams": "2d", "image_size": 97, "batch_size": 4},
}


def main(
    device: str = "cpu",
    stacks: tuple[int, ...] = (4, 8),
    clips: int = 8,
    repeats: int = 3,
    threads: int = 1,
) -> None:
    """Print seconds an epoch, processor and wall, and operations.

    Args:
        device: cpu or cuda.
        stacks: how many folds as one.
        clips: of each of as many subjects as the largest stack has folds, five frames each.
        repeats: of each way.
        threads: of the CPU.
    """
    there = torch.device(device)
    table = Table("head", "folds", "images", "alone: CPU s", "wall s", "stacked: CPU s", "wall s",
                  "alone / stacked: CPU", "wall", "operations", box=box.MARKDOWN)  # fmt: skip
    for name, changes in WORK.items():
        settings = preset("demo", epochs=1, cpus_per_fold=threads, **changes)
        made = made_clips(settings, subjects=max(stacks), clips=clips)
        job, folds = load_job(settings, made, there), make_folds(made.index, settings.classes)
        for number in stacks:
            chosen = folds[:number]

            def alone(job=job, chosen=chosen) -> None:
                for fold in chosen:
                    train_stack(job, [fold])

            def stacked(job=job, chosen=chosen) -> None:
                train_stack(job, chosen)

            ways = (alone, stacked)
            groups = [[[fold] for fold in chosen], [chosen]]
            started = [operations(job, group) for group in groups]  # warms up
            found = [[_seconds(do, there) for do in ways] for _ in range(repeats)]
            (a_cpu, a_wall), (s_cpu, s_wall) = (
                [statistics.median(values) for values in zip(*of)] for of in zip(*found)
            )
            images = samples(job, chosen)
            ratios = (a_cpu / s_cpu, a_wall / s_wall, started[0] / started[1])
            figures = (a_cpu, a_wall, s_cpu, s_wall, *ratios)
            table.add_row(name, str(number), str(images), *(f"{x:.2f}" for x in figures))
    Console(width=120).print(table)


class _Counted(TorchDispatchMode):
    """Counts operations that compute."""

    number = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        self.number += not func.is_view
        return func(*args, **kwargs or {})


def operations(job: Job, groups: list[list[Fold]]) -> int:
    """How many operations an epoch of groups of folds starts: two epochs' without one's."""
    numbers = []
    for epochs in (2, 1):
        runner = copy.copy(job.runner)
        runner.settings = replace(job.settings, epochs=epochs)
        with _Counted() as counted:
            for group in groups:
                train_stack(replace(job, runner=runner), group)
        numbers.append(counted.number)
    return numbers[0] - numbers[1]


def _seconds(do: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """Processor seconds of this process, and seconds by the clock."""
    before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    do()
    synchronise(device)
    after = resource.getrusage(resource.RUSAGE_SELF)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used, time.perf_counter() - start


if __name__ == "__main__":
    run_script(main)
