"""Page and overlay of several spotted videos, each beside its record."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from common.errors import UserError, warn

from .overlay import write_overlay
from .page import write_report


def write_files(
    folders: Iterable[Path], page: bool = True, thumbnails: bool = False, overlay: bool = False
) -> Iterator[Path]:
    """Write report.html and overlay.mp4 into videos' folders; each path when it is there.

    A video whose page or overlay cannot be made is named in a warning, and the others go on.
    """
    for folder in folders:
        try:
            if page:
                yield write_report(folder, thumbnails)
            if overlay:
                yield write_overlay(folder / "spotting.json", folder / "overlay.mp4")
        except UserError as error:
            warn(f"{folder.name}: no {'page' if page else 'overlay'}, or not all of it: {error}")
