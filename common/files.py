"""Files that are whole or absent."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import UserError


def check_writable(folder: Path) -> None:
    """Make a folder; UserError unless files can be written into it, before work that takes long."""
    with write_whole(folder / ".writable") as part:
        part.touch()
    (folder / ".writable").unlink()


@contextmanager
def write_whole(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block ends well.

    The temporary name keeps the suffix, for writers that choose a format by it. On any fault
    the temporary file is removed and `path` stays as it was; a write error of the system
    (full disk, no permission) becomes a UserError.
    """
    path = Path(path)
    part = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        part.replace(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):  # a file where a folder belongs has been reported above
            part.unlink(missing_ok=True)
