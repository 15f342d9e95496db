"""A bar on the terminal for long work; where stderr is no terminal there is none."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)


@dataclass(frozen=True)
class Bar:
    """Says how far the work is, on stderr."""

    progress: Progress
    task: TaskID

    def advance(self, count: int = 1) -> None:
        """`count` more are done."""
        self.progress.advance(self.task, count)

    def say(self, line: str) -> None:
        """Print a line on stderr, above the bar."""
        self.progress.console.out(line, highlight=False)


@contextmanager
def progress_bar(what: str, total: int | None, done: int = 0) -> Iterator[Bar]:
    """Show `what` | bar | M/N | time that remains; total: None if it is not known."""
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(
        *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal
    ) as progress:
        yield Bar(progress, progress.add_task(what, total=total, completed=done))
