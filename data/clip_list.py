"""The clips that a folder, a list or an index names, for what reads many of them at once."""

from dataclasses import dataclass
from pathlib import Path

from common.errors import UserError, warn
from data.disk.file_kinds import file_of, video_frame
from data.disk.frames import ClipFolders, list_frames
from data.index_file import read_rows


@dataclass(frozen=True)
class ListedClip:
    """One clip: its folder of frames, video or image; its frames' numbers where they are known.

    Numbers are those of the files (a video's count from 0). fault: why an index's row cannot be
    read, in a line; None for one that can.
    """

    path: Path
    onset: int | None = None
    apex: int | None = None
    offset: int | None = None
    fault: str | None = None


def list_clips(source: Path, root: Path | None = None) -> list[ListedClip]:
    """The clips of a folder (all below it), of a text file (one path a line) or of an index (.csv).

    root: what a list's or an index's paths start from; a list's start from its own folder where
    that is None. An index's labels are not looked at: it may have none. Blank lines and lines that
    begin with # are left out of a list. A clip that is named twice is taken once, with a warning.
    UserError where `source` names no clip.
    """
    if source.is_dir():
        clips = [ListedClip(path) for path in ClipFolders(source).clips()]
    elif not source.is_file():
        raise UserError(f"--clips {source}: no such folder, list or index")
    elif source.suffix.lower() == ".csv":
        if root is None:
            raise UserError(f"--clips {source}: --root names the folder that its paths start from")
        rows = read_rows(source)
        if "apex_frame_path" not in next(iter(rows.values())):
            raise UserError(f"--clips {source}: no column 'apex_frame_path'; an index has one")
        clips = [_of_index(row, root, f"{source}, row {n}") for n, row in rows.items()]
    else:
        clips = [ListedClip(path) for path in read_list(source, root or source.parent, "--clips")]
    once = list(dict.fromkeys(clips))
    if not once:
        raise UserError(f"--clips {source}: names no clip")
    if len(once) < len(clips):
        warn(f"{source}: {len(clips) - len(once)} of {len(clips)} clips are named twice")
    return once


def read_list(path: Path, base: Path, option: str) -> list[Path]:
    """The paths that a text file names, one a line, from `base` on.

    Blank lines and lines that begin with # are left out. option: names the file in a UserError.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{option} {path}: not a list of paths in UTF-8 ({error})") from error
    named = [line.strip() for line in lines]
    if any("\0" in name for name in named):
        raise UserError(f"{option} {path}: not a list of paths, one a line")
    return [base / name for name in named if name and not name.startswith("#")]


def _of_index(row: dict, root: Path, where: str) -> ListedClip:
    """A row's clip, with its frames' numbers in the folder or the video that they are in."""
    apex = row["apex_frame_path"]
    if not apex:
        return ListedClip(root, fault=f"{where}: has a motion map alone, no frames")
    path = root / apex
    clip = file_of(path) if video_frame(path) else path.parent
    if not clip.exists():
        return ListedClip(path, fault=f"{where}: {clip} is not there; --root names another folder")
    numbers = {} if clip.is_file() else {p.name: n for n, p in list_frames(clip).items()}

    def number(name: str) -> int | None:
        frame = video_frame(root / name) if name else None
        return frame[1] if frame else numbers.get(Path(name).name)

    onset, peak, offset = (
        number(row.get(f"{name}_frame_path", "")) for name in ("onset", "apex", "offset")
    )
    found = ListedClip(clip, onset, peak, offset)
    if found.apex is None:
        return ListedClip(path, fault=f"{where}: no frame {apex} below {root}")
    return found
