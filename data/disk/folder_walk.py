"""The folders of a tree that may hold data, each once."""

import os
from collections.abc import Container
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
    "found.000",
    "@eadir",
    "@recycle",
    "@recently-snapshot",
    "#recycle",
    "#snapshot",
}


def walk_once(
    root: Path, leave_out: Container[str] = ()
) -> tuple[dict[Path, list[str]], dict[Path, list[Path]]]:
    """All folders of a tree -> the names of each one's files; each one's other paths, by links.

    Hidden folders, trash and the like are left out, and the names (in small letters) in
    `leave_out`. Links to folders are followed, after all that is in the tree itself: a folder
    that links lead to comes once, under its own path. A link to a folder that the tree lies in
    leads round in a circle and is left out.
    """
    top = root.resolve()
    files: dict[Path, list[str]] = {}
    links: dict[Path, list[Path]] = {}
    seen: dict[Path, Path] = {}
    starts = [root]
    while starts:
        start = starts.pop(0)
        if start != root and top.is_relative_to(start.resolve()):
            continue
        for name, subfolders, inside in os.walk(start):
            folder = Path(name)
            first = seen.setdefault(folder.resolve(), folder)
            if first != folder:
                links.setdefault(first, []).append(folder)
                subfolders.clear()
                continue
            files[folder] = sorted(inside)
            subfolders[:] = sorted(
                sub for sub in subfolders if not _is_junk(sub) and sub.lower() not in leave_out
            )
            starts += [folder / sub for sub in subfolders if (folder / sub).is_symlink()]
    return files, links


def _is_junk(name: str) -> bool:
    return is_hidden(name) or name.lower() in _JUNK
