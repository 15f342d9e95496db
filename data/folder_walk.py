"""The folders of a tree that may hold data, each once."""

import os
from collections.abc import Container, Iterator
from pathlib import Path

from .file_kinds import is_hidden

# What systems, archives and network drives leave behind: copies, thumbnails, deleted files.
_JUNK = {
    "__macosx",
    "$recycle.bin",
    "recycler",
    "recycled",
    "system volume information",
    "lost+found",
    "@eadir",
    "@recycle",
    "#recycle",
    "#snapshot",
}


def walk_once(root: Path, leave_out: Container[str] = ()) -> Iterator[tuple[Path, list[str]]]:
    """Yield each folder of a tree with the names of its files, in order of the names.

    Hidden folders, trash and the like are left out, and the names (in small letters) in
    `leave_out`. Links to folders are followed, after all that is in the tree itself: a folder
    that is there under several names comes under its own. A link to a folder that the tree
    lies in leads round in a circle and is left out.
    """
    top = root.resolve()
    starts, seen = [root], set()
    while starts:
        start = starts.pop(0)
        if start != root and top.is_relative_to(start.resolve()):
            continue
        for name, subfolders, files in os.walk(start):
            folder = Path(name)
            real = folder.resolve()
            if real in seen:
                subfolders.clear()
                continue
            seen.add(real)
            subfolders[:] = sorted(
                sub for sub in subfolders if not _is_junk(sub) and sub.lower() not in leave_out
            )
            starts += [folder / sub for sub in subfolders if (folder / sub).is_symlink()]
            yield folder, sorted(files)


def _is_junk(name: str) -> bool:
    return is_hidden(name) or name.lower() in _JUNK
