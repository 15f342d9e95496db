"""How far a run is: a live bar on a terminal, plain lines in a log file."""

import sys
import time
from types import TracebackType

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from .records import tells_units

QUIET_SECONDS = 30  # a log file gets a line at least this often


class RunProgress:
    """Folds and epochs of a run; use as a context manager."""

    def __init__(self, folds: int, done: int, epochs: int, stated: int | None = None) -> None:
        """`folds` in all, `done` of them finished by earlier runs, at most `epochs` in each.

        stated: epochs of the settings as they stand, where `nested` trains further ones.
        """
        self.folds, self.epochs, self.stated = folds, epochs, stated or epochs
        self.before = done
        self.total = (folds - done) * epochs
        self.passed: dict[str, int] = {}  # epochs of each fold that has begun
        self.start = self.last_line = time.monotonic()
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
        """A fold begins, or begins anew where its worker was lost."""
        anew = data_sub in self.passed
        self.passed[data_sub] = 0
        if anew:
            self._line(f"{self._fold(data_sub)}  its worker was lost: it begins anew")

    def epoch(self, data_sub: str, record: dict) -> None:
        """An epoch of a fold is over; several folds may run at once.

        record: of the epoch; "stage" and "epochs" say what of `nested` it is, and of how many.
        """
        self.passed[data_sub] += 1
        stage = f"{record['stage']}  " if "stage" in record else ""
        text = (
            f"{self._fold(data_sub)}  {stage}"
            f"epoch {record['epoch']}/{record.get('epochs', self.stated)}  "
            f"loss {_loss(record)} train {record['test_loss']:.3f} held-out"
        )
        self.bar.update(self.task, completed=sum(self.passed.values()), description=text)
        if not self.live and time.monotonic() - self.last_line > QUIET_SECONDS:
            self._line(f"{text}  {self._left()} left")

    def finish_fold(self, record: dict, uf1: float) -> None:
        """A fold's record is written; uf1, of units their mean F1, is of the folds so far."""
        what = "F1 of units" if tells_units(record) else "UF1"
        data_sub = record["data_sub"]
        self.passed[data_sub] = self.epochs
        self._line(
            f"{self._fold(data_sub)}  {len(record['clips'])} clips  "
            f"loss {_loss(record['epochs'][-1])}  running {what} {uf1:.3f}  "
            f"{record['seconds']:.1f} s  {self._left()} left"
        )

    def _fold(self, data_sub: str) -> str:
        return f"fold {self.before + list(self.passed).index(data_sub) + 1}/{self.folds} {data_sub}"

    def _left(self) -> str:
        passed = sum(self.passed.values())
        a_pass = (time.monotonic() - self.start) / max(passed, 1)
        minutes, seconds = divmod(round(a_pass * (self.total - passed)), 60)
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
