"""One table of how fast things are: ours beside the plain way, on the same work, taking turns.

    make bench
    python -m benchmarks [--repeats 1] [--only 2d data]

Each repeat does the work once our way and once the plain way, in this process; the ratio is
that of a repeat's two times. The floor is what the arithmetic (counted by PyTorch) and the bytes
alone would take at the rates that this machine reaches on a matrix product and a copy.
"""

import os
import platform
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich import box
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from data.errors import UserError

from .floor import Floor, measure_floor
from .lines import Line, all_lines

COLUMNS = ("work", "images", "ours s", "plain s", "ours img/s", "plain img/s", "plain / ours",
           "min-max", "target", "floor s")  # fmt: skip


def main(
    demo: Path = Path("demo"),
    repeats: int = 5,
    threads: int = os.cpu_count() or 1,
    only: tuple[str, ...] = (),
) -> None:
    """Print seconds (medians), images a second, ratios, and the floor; then the peak of memory.

    Args:
        demo: the demo set, with its views.
        repeats: of each line.
        threads: of PyTorch, for both ways.
        only: lines to measure, by short name; all if not given.
    """
    torch.set_num_threads(threads)
    lines = all_lines(demo)
    for name in only:
        if name not in lines:
            raise UserError(f"--only {name}: no such line; there are {', '.join(lines)}")
    floor = measure_floor()
    print(
        f"{_processor()}, {os.cpu_count()} cores, {threads} threads, {_load()}; "
        f"at best {floor.float32 / 1e9:.0f} GFLOP/s in float32, {floor.bf16 / 1e9:.0f} in bf16, "
        f"{floor.copy / 1e9:.1f} GB/s copied"
    )
    table, notes = Table(*COLUMNS, box=box.MARKDOWN), []
    for name in only or lines:
        line = lines[name]()
        table.add_row(*_measured(line, repeats, floor))
        if line.once:
            notes.append(f"{line.name}: {line.once}")
        del line
    Console(width=160).print(table)
    print("ours, once for all folds and epochs, not in the table: " + "; ".join(notes))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"peak memory, of both ways in one process: {peak:.2f} GiB; load {os.getloadavg()[0]:.1f}"
    )


def _measured(line: Line, repeats: int, floor: Floor) -> tuple[str, ...]:
    with FlopCounterMode(display=False) as counter:
        line.ours()  # warms up, too
    line.plain()
    pairs = [(_seconds(line.ours), _seconds(line.plain)) for _ in range(repeats)]
    ours, plain = (statistics.median(times) for times in zip(*pairs))
    ratios = [theirs / mine for mine, theirs in pairs]
    least = floor.seconds(counter.get_total_flops(), line.half, line.moved)
    return (
        line.name,
        str(line.images),
        f"{ours:.3f}",
        f"{plain:.3f}",
        f"{line.images / ours:.1f}",
        f"{line.images / plain:.1f}",
        f"{statistics.median(ratios):.2f}",
        f"{min(ratios):.2f}-{max(ratios):.2f}",
        f"{line.target:g}" if line.target else "",
        f"{least:.3f}" if least > 0.01 * ours else "",
    )


def _seconds(do: Callable[[], object]) -> float:
    start = time.perf_counter()
    do()
    return time.perf_counter() - start


def _load() -> str:
    return f"load {os.getloadavg()[0]:.1f}"


def _processor() -> str:
    return torch.cpu.get_capabilities().get("cpu_name") or platform.processor()
