"""What a user gets to see when something is wrong: one line."""

import sys


class UserError(Exception):
    """A fault in what the user gave. The message is one line: what, where, what to do."""


def warn(message: str) -> None:
    """Print one `warning:` line on stderr; the same message is printed once a process."""
    if message not in _warned:
        _warned.add(message)
        print(f"warning: {joined_lines(message)}", file=sys.stderr, flush=True)


def joined_lines(message: object) -> str:
    """A message in a line, whatever the names of files in it hold."""
    return " ".join(str(message).splitlines())


_warned: set[str] = set()
