"""How far a run is: a live bar on a terminal, plain lines in a log file."""

import sys
import time
from types import TracebackType

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

QUIET_SECONDS = 30  # a log file gets a line at least this often


class RunProgress:
    """Folds and epochs of a run; use as a context manager."""

    def __init__(self, folds: int, done: int, epochs: int) -> None:
        """`folds` in all, `done` of them finished by earlier runs, `epochs` in each."""
        self.folds, self.epochs = folds, epochs
        self.done = done
        self.total = (folds - done) * epochs
        self.passed = 0
        self.start = self.last_line = time.monotonic()
        self.fold = ""
        self.live = sys.stdout.isatty()
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TimeRemainingColumn(),
            disable=not self.live,
        )
        self.task = self.bar.add_task("starting", total=self.total)

    def __enter__(self) -> "RunProgress":
        self.bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bar.stop()

    def start_fold(self, data_sub: str) -> None:
        """A fold begins."""
        self.fold = f"fold {self.done + 1}/{self.folds} {data_sub}"

    def epoch(self, record: dict) -> None:
        """An epoch is over."""
        self.passed += 1
        text = (
            f"{self.fold}  epoch {record['epoch']}/{self.epochs}  "
            f"loss {_loss(record)} train {record['test_loss']:.3f} held-out"
        )
        self.bar.update(self.task, advance=1, description=text)
        if not self.live and time.monotonic() - self.last_line > QUIET_SECONDS:
            self._line(f"{text}  {self._left()} left")

    def finish_fold(self, record: dict, uf1: float) -> None:
        """A fold's record is written; uf1 is pooled over the folds so far."""
        self.done += 1
        self._line(
            f"{self.fold}  {len(record['clips'])} clips  "
            f"loss {_loss(record['epochs'][-1])}  running UF1 {uf1:.3f}  "
            f"{record['seconds']:.1f} s  {self._left()} left"
        )

    def _left(self) -> str:
        a_pass = (time.monotonic() - self.start) / max(self.passed, 1)
        minutes, seconds = divmod(round(a_pass * (self.total - self.passed)), 60)
        return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"

    def _line(self, text: str) -> None:
        self.last_line = time.monotonic()
        if self.live:
            self.bar.console.print(text, highlight=False)
        else:
            print(text, flush=True)


def _loss(epoch: dict) -> str:
    loss = epoch["train_loss"]
    return "-" if loss is None else f"{loss:.3f}"  # nothing was trained
