"""Clips of one's own: a folder a subject, or a table as a person writes it."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from common.errors import UserError, warn
from data.disk.file_kinds import clip_name
from data.disk.frames import ClipFolders, is_video, list_frames
from data.disk.video_file import frame_rate, frame_times

from .annotation import Annotation
from .cells import is_empty
from .known import CORPORA, OWN
from .row import whole
from .sheets import header_key, read_sheets
from .table import find_header
from .units import parse_units, spell_units

_HEADERS = {
    "subject": ("subject", "sub", "subject id", "participant", "person", "name"),
    "path": ("path", "clip", "file", "filename", "folder", "video", "clip path", "file path"),
    "label": ("label", "emotion", "class", "expression", "estimated emotion"),
    "onset": ("onset", "onset frame", "start", "begin", "onset f"),
    "apex": ("apex", "apex frame", "peak", "apex f"),
    "offset": ("offset", "offset frame", "end", "stop", "offset f"),
    "units": ("units", "au", "aus", "action units", "action unit"),
    "fps": ("fps", "frame rate", "frames per second"),
}
_TIMES = ("onset", "apex", "offset")
_SECONDS = ("s", "sec", "secs", "second", "seconds", "time", "in seconds", "in s", "time s")
NO_LABEL = "unlabelled"


@dataclass(frozen=True)
class _Clip:
    """A clip as it was found or written down; times are frame numbers, None where not given."""

    subject: str
    path: Path
    label: str
    onset: int | None = None
    apex: int | None = None
    offset: int | None = None
    units: str = ""
    fps: str = ""


def read_own(
    folders: ClipFolders, table: Path | None, name: str, fps: float | None, strict: bool
) -> Annotation:
    """Clips of one's own, from a table or, without one, from the folders below the root.

    apex_frame is <NA> and onset_source "first" where they are not given; frames of a video count
    from 0. Labels are numbered in the order of their words. A row or a folder that is no clip is
    skipped, named in a warning; with `strict` a UserError. UserError too where no clip is left.
    """
    if not re.fullmatch(r"[a-z]\w*", name) or name in CORPORA or name == "composite":
        raise UserError(f"--name {name}: small letters, digits and _, and no corpus's name")
    if fps is not None and not 0 < fps < 100_000:
        raise UserError(f"--fps {fps:g}: frames a second, above 0")
    skipped: list[str] = []
    found = _Found(folders, skipped, strict)
    clips = found.by_folders() if table is None else found.by_table(table, fps)
    if not clips:
        first = f"; the first: {skipped[0]}" if skipped else ""
        raise UserError(f"{table or folders.root}: no clip in it{first}")
    labelled = [clip for clip in clips if clip.label]
    if labelled and len(labelled) < len(clips):
        for clip in clips:
            if not clip.label:
                found.skip(f"{clip.path.relative_to(folders.root).as_posix()}: no label")
        clips = labelled
    for line in skipped:
        warn(f"skipped {line}")
    rows = _rows(clips, name, folders.root)
    source = f"rows of {table}" if table else f"clips below {folders.root}"
    return Annotation(rows, skipped, len(clips) + len(skipped), source)


class _Found:
    """Finds the clips, and notes what is none."""

    def __init__(self, folders: ClipFolders, skipped: list[str], strict: bool) -> None:
        self.folders, self.skipped, self.strict = folders, skipped, strict

    def skip(self, line: str) -> None:
        if self.strict:
            raise UserError(line)
        self.skipped.append(line)

    def by_folders(self) -> list[_Clip]:
        """root/subject/clip, or root/subject/label/clip: the folder above the clip is its label."""
        clips = []
        for path in self.folders.clips():
            parts = path.relative_to(self.folders.root).parts
            if len(parts) < 2:
                self.skip(f"{path}: lies in no folder of a subject")
                continue
            clips.append(_Clip(_safe(parts[0]), path, parts[-2] if len(parts) > 2 else ""))
        return clips

    def by_table(self, table: Path, fps: float | None) -> list[_Clip]:
        """The clips that a table's rows name."""
        cells = next(iter(read_sheets(table).values()), [])
        plain = {name: tuple(map(header_key, names)) for name, names in _HEADERS.items()}
        timed = {
            f"{name}_s": tuple(header_key(f"{word} {unit}") for word in _HEADERS[name]
                               for unit in _SECONDS)
            for name in _TIMES
        }  # fmt: skip
        top, columns = find_header(cells, plain | timed)
        if "path" not in columns:
            raise UserError(
                f"{table}: no column 'path'; its header has subject, path and label, and what "
                "there is of onset, apex, offset, units, fps"
            )
        rows = {
            number: {c: row[at] if at < len(row) else None for c, at in columns.items()}
            for number, row in enumerate(cells[top + 1 :], start=top + 2)
        }
        rows = {n: row for n, row in rows.items() if not all(map(is_empty, row.values()))}
        in_seconds = any(_is_time(row.get(name)) for row in rows.values() for name in _TIMES)
        if in_seconds:
            print(f"{table}: onset, apex and offset are read as seconds, for some are no numbers")
        clips = []
        for number, row in rows.items():
            try:
                clips.append(self._of_row(row, fps, in_seconds))
            except UserError as error:
                self.skip(f"{table}, row {number}: {error}")
        return clips

    def _of_row(self, row: dict, fps: float | None, in_seconds: bool) -> _Clip:
        path = self._path(row)
        parts = path.relative_to(self.folders.root).parts
        subject = _cell(row, "subject") or (parts[0] if len(parts) > 1 else "")
        if not subject:
            raise UserError("no subject, and the clip lies in no folder of one")
        rate = _rate(row, path, fps)
        first = 0 if is_video(path) else min(list_frames(path), default=0)
        # Frames of a phone's video are unevenly spaced; a rate in the row goes before that.
        video = path if path.is_file() and not _cell(row, "fps") else None
        times: dict[str, int | None] = {}
        for name in _TIMES:
            value, seconds = row.get(name), in_seconds
            if is_empty(value):
                value, seconds = row.get(f"{name}_s"), True
            times[name] = _frame(value, name, seconds, rate, first, video)
        known = [number for number in times.values() if number is not None]
        if known != sorted(known):
            raise UserError(f"onset, apex, offset are {', '.join(map(str, known))}: out of order")
        try:
            units = spell_units(parse_units(row.get("units")))
        except ValueError as error:
            raise UserError(str(error)) from None
        label = _cell(row, "label")
        return _Clip(_safe(subject), path, label, **times, units=units, fps=_shown(rate))

    def _path(self, row: dict) -> Path:
        """The clip that a row names, by its path or, below its subject's folder, by its name."""
        text = _cell(row, "path").replace("\\", "/")
        if not text:
            raise UserError("no path")
        root = self.folders.root
        path = root / text
        if path.exists():
            if not path.resolve().is_relative_to(root.resolve()):
                raise UserError(f"{text}: does not lie below {root}")
            return root / path.resolve().relative_to(root.resolve())
        found = self.folders.find(_cell(row, "subject"), clip_name(Path(text)))
        if found is None:
            raise UserError(f"{text}: no such folder or video below {root}")
        return found


def _rows(clips: list[_Clip], name: str, root: Path) -> pd.DataFrame:
    labels = sorted({clip.label or NO_LABEL for clip in clips})
    stems = [clip_name(clip.path) for clip in clips]
    places = {(clip.subject, stem): set() for clip, stem in zip(clips, stems)}  # type: ignore[var-annotated]
    for clip, stem in zip(clips, stems):
        places[clip.subject, stem].add(clip.path)
    rows = []
    for clip, stem in zip(clips, stems):
        numbers = list(list_frames(clip.path))
        if not numbers:
            raise UserError(f"{clip.path}: no frames in it")
        below = clip.path.relative_to(root)
        title = stem if len(places[clip.subject, stem]) == 1 else "_".join(
            (*below.parts[1:-1], stem)
        )  # fmt: skip
        onset = numbers[0] if clip.onset is None else clip.onset
        rows.append({
            "data": name, "subject": clip.subject, "clip": _safe(title),
            "label": labels.index(clip.label or NO_LABEL), "emotion": clip.label or NO_LABEL,
            "onset_frame": onset, "apex_frame": pd.NA if clip.apex is None else clip.apex,
            "offset_frame": numbers[-1] if clip.offset is None else clip.offset,
            "data_sub": f"{name}_{clip.subject}", "fps": clip.fps, "units": clip.units,
            "task": OWN, "onset_source": "first" if clip.onset is None else "given",
            "on_disk": below.as_posix(),
        })  # fmt: skip
    table = pd.DataFrame(rows).astype({"apex_frame": "Int64"})
    again = table.duplicated(["subject", "clip", "onset_frame"], keep=False)
    if again.any():
        one = table[again].iloc[0]
        raise UserError(
            f"{one['data_sub']} {one['clip']}: is there twice from frame {one['onset_frame']} on; "
            "remove one"
        )
    by_spelling = Counter(zip(table["subject"].str.lower(), table["subject"]))
    lower = Counter(subject for subject, _ in by_spelling)
    if twice := [subject for subject, n in lower.items() if n > 1]:
        warn(f"subjects that differ in capitals alone are different ones here: {twice[0]}")
    return table


def _cell(row: dict, name: str) -> str:
    value = row.get(name)
    return "" if is_empty(value) else " ".join(str(value).split()).removesuffix(".0")


def _safe(name: str) -> str:
    """A name that files can bear."""
    return re.sub(r"[^\w.-]+", "_", name.strip()).lstrip(".-") or "_"


def _is_time(value: object) -> bool:
    """Whether a cell is a time in seconds and no frame number: 1.25, 1.2s, 0:01.2."""
    return not is_empty(value) and whole(str(value)) is None


def _seconds(value: object, name: str) -> float:
    text = str(value).strip().lower().replace(",", ".")
    found = re.fullmatch(r"(?:(\d+):)?(?:(\d+):)?(\d+(?:\.\d+)?)\s*(ms|s|sec|seconds)?", text)
    if not found:
        raise UserError(f"{name}: '{value}' is neither a frame number nor a time in seconds")
    hours, minutes, seconds, unit = found.groups()
    if hours and not minutes:
        hours, minutes = None, hours
    total = float(seconds) + 60 * int(minutes or 0) + 3600 * int(hours or 0)
    return total / 1000 if unit == "ms" else total


def _frame(
    value: object,
    name: str,
    in_seconds: bool,
    rate: float | None,
    first: int,
    video: Path | None,
) -> int | None:
    if is_empty(value):
        return None
    number = whole(str(value))
    if number is not None and not in_seconds:
        if number < 0:
            raise UserError(f"{name}: '{value}' where a frame number belongs")
        return number
    if rate is None:
        raise UserError(f"{name}: '{value}' is a time; a column fps or --fps says frames a second")
    seconds = _seconds(value, name)
    times = np.array([]) if video is None else frame_times(video)
    if len(times) and seconds <= times[-1]:
        return first + int(np.abs(times - seconds).argmin())
    return first + round(seconds * rate)


def _rate(row: dict, path: Path, fps: float | None) -> float | None:
    """Frames a second of a clip: of its row, its video or --fps."""
    text = _cell(row, "fps")
    if text:
        try:
            rate = float(text)
        except ValueError:
            rate = 0
        if not rate > 0:
            raise UserError(f"fps: '{text}' where frames a second belong")
        return rate
    return frame_rate(path) if is_video(path) and not path.is_dir() else fps


def _shown(rate: float | None) -> str:
    return "" if rate is None else f"{rate:g}"
