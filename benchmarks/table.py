"""One table of how fast things are: ours beside the plain way, on the same work, taking turns.

    make bench
    python -m benchmarks [--repeats 1] [--only 2d data]

Each repeat does the work once our way and once the plain way, in this process; the ratio is
that of a repeat's two times. The floor is what the arithmetic (counted by PyTorch) and the bytes
alone would take at the rates that this machine reaches on a matrix product and a copy.
"""

import ctypes
import gc
import math
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from rich import box
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from common.errors import UserError

from .floor import Floor, measure_floor
from .lines import Line, all_lines

NOISY = 1.2  # a line whose ratios differ by more says so
_CLEAR = Path("/proc/self/clear_refs")  # Linux
COLUMNS = ("work", "images", "ours s", "plain s", "ours img/s", "plain img/s", "plain / ours",
           "min-max", "target", "floor s")  # fmt: skip


def main(
    demo: Path = Path("demo"),
    repeats: int = 3,
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
    peaks = []
    for name in only or lines:
        line = lines[name]()
        row, peak = _measured(line, repeats, floor)
        table.add_row(*row)
        peaks.append((peak, _peak()))
        if line.once:
            notes.append(f"{line.name}: {line.once}")
        del line
    Console(width=160).print(table)
    print("ours, once for all folds and epochs, not in the table: " + "; ".join(notes))
    ours, both = (max(most) for most in zip(*peaks))
    print(f"peak memory: ours {ours:.2f} GiB, with the plain ways {both:.2f} GiB; {_load()}")


def _measured(line: Line, repeats: int, floor: Floor) -> tuple[tuple[str, ...], float]:
    """A row of the table, and the peak of memory (GiB) while ours ran first."""
    gradients = {torch.ops.aten.convolution_backward: _gradient_flops}
    _forget_peak()
    with FlopCounterMode(display=False, custom_mapping=gradients) as counter:
        line.ours()  # warms up, too
    peak = _peak()
    line.plain()
    pairs = [(_seconds(line.ours), _seconds(line.plain)) for _ in range(repeats)]
    ours, plain = (statistics.median(times) for times in zip(*pairs))
    ratios = [theirs / mine for mine, theirs in pairs]
    least = floor.seconds(counter.get_total_flops(), line.half, line.moved)
    row = (
        line.name,
        str(line.images),
        f"{ours:.3f}",
        f"{plain:.3f}",
        f"{line.images / ours:.1f}",
        f"{line.images / plain:.1f}",
        f"{statistics.median(ratios):.2f}",
        f"{min(ratios):.2f}-{max(ratios):.2f}" + " noisy" * (max(ratios) > NOISY * min(ratios)),
        f"{line.target:g}" if line.target else "",
        f"{least:.3f}" if least > 0.01 * ours else "",
    )
    return row, peak


def _gradient_flops(  # PyTorch's own formula takes grouped convolutions for whole ones
    out_gradient: Sequence[int], images: Sequence[int], filters: Sequence[int], *rest, **_
) -> int:
    """Of a convolution's gradients: as many as forward for the images', and for the filters'."""
    wanted = rest[7]  # output_mask
    return sum(wanted[:2]) * 2 * math.prod(out_gradient) * math.prod(filters[1:])


def _forget_peak() -> None:
    gc.collect()
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)  # what the line before freed goes back to the system
    if _CLEAR.exists():
        _CLEAR.write_text("5")  # the peak becomes what is in use now


def _peak() -> float:
    """The most memory in use at once, GiB: since _forget_peak on Linux, else of the process."""
    if _CLEAR.exists():
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _seconds(do: Callable[[], object]) -> float:
    start = time.perf_counter()
    do()
    return time.perf_counter() - start


def _load() -> str:
    return f"load {os.getloadavg()[0]:.1f}"


def _processor() -> str:
    return torch.cpu.get_capabilities().get("cpu_name") or platform.processor()
