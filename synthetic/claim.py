"""The mark in a folder of what is drawn there."""

import json
from pathlib import Path

from common.errors import UserError
from common.files import write_whole


def claim(mark: Path, settings: dict, what: str) -> None:
    """Leave a mark of what is drawn into a folder, where there is none yet.

    mark: a file in the folder; settings: as JSON keeps them; what: the kind of set. UserError where
    the folder holds anything else, or a set of other settings.
    """
    settings = json.loads(json.dumps(settings))  # tuples as JSON has them
    out = mark.parent
    if mark.is_file():
        try:
            found = json.loads(mark.read_text())
        except ValueError:
            found = None
        if found != settings:
            raise UserError(
                f"{out} holds a {what} of other settings ({mark}: {found}, asked for: "
                f"{settings}); name another --out or delete it"
            )
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} is not empty and no {what}; name another folder with --out")
    with write_whole(mark) as part:
        part.write_text(json.dumps(settings, indent=1) + "\n")
