"""Wall time of an experiment's folds: one after the other, several at once, on Ray.

    python -m benchmarks.bench_folds [--epochs 15] [--ways 1 2 ray]

Each way is a fresh run of train_me_loso.py --preset demo, start of Python and reading of pictures
included. The records of all ways have to be the same bit by bit. Memory is the
highest sum over the processes of their proportional share (PSS), looked at twice a second: pages
that several processes share count once.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import tyro
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parent.parent
DEMO = ("--preset", "demo", "--device", "cpu")


def main(root: Path = Path("demo"), epochs: int = 15, ways: tuple[str, ...] = ("1", "2")) -> None:
    """Print seconds and memory of each way.

    Args:
        root: the demo set, with index/smic_apex.csv below it.
        epochs: epochs a fold.
        ways: a number of workers, or ray.
    """
    load = os.getloadavg()[0]
    rows, records = [], []
    with tempfile.TemporaryDirectory() as result:
        for way in ways:
            how = ("--launcher", "ray") if way == "ray" else ("--workers", way)
            arguments = (
                "--root", str(root), "--index", str(root / "index/smic_apex.csv"), *DEMO,
                "--epochs", str(epochs), "--experiment", f"way_{way}", "--result", result, *how,
            )  # fmt: skip
            seconds, memory = run_timed("train_me_loso.py", *arguments)
            records.append(_records(Path(result) / f"way_{way}"))
            rows.append((way, seconds, memory, records[-1] == records[0]))
    table = Table("workers", "seconds", "times as fast", "memory, GiB", "same records")
    for way, seconds, memory, same in rows:
        ratio = f"{rows[0][1] / seconds:.2f}"
        table.add_row(
            way, f"{seconds:.1f}", ratio, f"{memory / 2**30:.2f}", "yes" if same else "NO"
        )
    Console(width=80).print(table)
    print(
        f"{len(records[0])} folds, {epochs} epochs; {os.cpu_count()} cores, load before: {load:.1f}"
    )


def run_timed(script: str, *arguments: str) -> tuple[float, int]:
    """Wall seconds and peak bytes (PSS) of one of our scripts and the processes it starts.

    It may use all cores, whatever OMP_NUM_THREADS says here; what it prints is thrown away.
    """
    environment = {n: value for n, value in os.environ.items() if n != "OMP_NUM_THREADS"}
    start, peak = time.monotonic(), 0
    process = subprocess.Popen(
        [sys.executable, str(ROOT / script), *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    while process.poll() is None:
        peak = max(peak, sum(map(_share, _tree(process.pid))))
        time.sleep(0.5)
    if process.returncode:
        sys.exit(f"{script} {' '.join(arguments)}: exit code {process.returncode}")
    return time.monotonic() - start, peak


def _tree(pid: int | str) -> list[int | str]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:  # it has ended
        return []
    return [pid, *(process for child in children for process in _tree(child))]


def _share(pid: int | str) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return 1024 * next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def _records(folder: Path) -> dict[str, dict]:
    ignored = {"seconds": None, "experiment": None}
    return {p.name: json.loads(p.read_text()) | ignored for p in folder.glob("fold_*.json")}


if __name__ == "__main__":
    tyro.cli(main)
