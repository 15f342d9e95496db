"""One row of a corpus's table, read: whose clip it is, its label, its frames."""

import re
from collections.abc import Mapping

import pandas as pd
from pandas.api.typing import NAType

from common.errors import UserError, warn
from data.disk.frames import name_key

from .cells import is_empty
from .description import NOT_USED, Corpus
from .known import AU
from .sheets import FORMULA
from .units import Unit, parse_units, spell_units

Key = tuple[str, str, int | None]  # subject, name_key of the clip, onset where clips repeat


class RowReader:
    """Reads one row after the other: names, label, frames and facts of a clip.

    remarks: lines about what was read otherwise than it is written.
    """

    def __init__(
        self,
        corpus: Corpus,
        task: str,
        headers: Mapping[str, str],
        lookups: Mapping[str, Mapping[str, str]],
        objective: Mapping[tuple[str, str], str],
    ) -> None:
        """headers and lookups: of read_table; objective: classes of a table beside it."""
        self.corpus, self.task, self.headers = corpus, task, headers
        self.folders, self.codes = lookups.get("subject", {}), lookups.get("clip", {})
        self.objective = objective
        self.remarks: list[str] = []
        self.named: set[tuple[str, str]] = set()  # subject and name_key of every clip
        self.seen: dict[Key, int] = {}

    def reads(self, row: int, values: dict, clip: dict) -> bool:
        """Read a row into `clip`; whether the task has that clip. UserError for no clip."""
        clip |= self.names(values)
        key: Key = (clip["subject"], name_key(clip["clip"]), None)
        self.named.add(key[:2])
        clip |= self.label(values, clip)
        if self.corpus.several:
            clip |= self.frames(values, clip)
            key = (*key[:2], clip["onset_frame"])
        if key in self.seen:
            raise UserError(f"the clip is in row {self.seen[key]} too")
        uses = self.uses(clip)
        if uses and not self.corpus.several:
            clip |= self.frames(values, clip)
        if uses:
            clip |= self.facts(values)
        self.seen[key] = row
        return uses

    def names(self, values: dict) -> dict:
        """data, subject, clip, data_sub, and on_disk where further sheets give it."""
        corpus, on_disk = self.corpus, {}
        subject, clip = (_text(values[c], self.headers[c]) for c in ("subject", "clip"))
        if self.folders:
            number = subject.removesuffix(".0")
            if number.lower() not in self.folders:
                raise UserError(f"subject {number} has no folder in the table's second sheet")
            subject = self.folders[number.lower()]
        elif corpus.lookups and subject.removesuffix(".0").isdigit():
            raise UserError(
                f"subject {subject}: the sheets that say whose folder is whose are lacking; name "
                "the released .xlsx"
            )
        try:
            subject = corpus.subject(subject)
        except ValueError as error:
            raise UserError(str(error)) from None
        if corpus.lookups:
            on_disk = {"on_disk": self._place(subject, clip)}
        names = {"data": corpus.name, "subject": subject, "clip": clip} | on_disk
        return names | {"data_sub": f"{corpus.name}_{subject}"}

    def _place(self, subject: str, clip: str) -> str:
        """What the folder of a video is called, from its code in a further sheet."""
        video = clip.lower().rpartition("_")[0] if clip[-1:].isdigit() and "_" in clip else ""
        by_name = {name.lower(): code for code, name in self.codes.items()}
        code = by_name.get(video or clip.lower(), by_name.get(clip.lower()))
        number = re.sub(r"^\D+", "", subject)
        if code is None:
            return f"{number}_*{video or clip}"
        return self.corpus.place.format(number=number, code=code.zfill(4))

    def label(self, values: dict, clip: dict) -> dict:
        """emotion and label; label is NOT_USED for a clip that the task leaves out."""
        corpus = self.corpus
        if self.task == AU:
            return {"emotion": _plain(values["emotion"]), "label": 0}
        task = corpus.tasks[self.task]
        if task.column == "objective":
            return self._objective(values, clip)
        word = _text(values["emotion"], self.headers["emotion"])
        emotion = corpus.emotion(word, self.task)
        if emotion is None and "+" in word:
            return {"emotion": word, "label": NOT_USED}  # several at once are no single label
        if emotion is None:
            raise UserError(f"emotion '{word}' is not one of {', '.join(task.words)}")
        return {"emotion": emotion, "label": task.label(emotion)}

    def _objective(self, values: dict, clip: dict) -> dict:
        task = self.corpus.tasks[self.task]
        found = self.objective.get((clip["subject"], name_key(clip["clip"])))
        if found is None:
            if values.get("objective") is None and not self.objective:
                raise UserError(
                    "no objective class: --objective names the table that has them (of CASME II "
                    "CASME2-ObjectiveClasses.xlsx)"
                )
            found = _text(values.get("objective"), self.headers["objective"])
        known = self.corpus.emotion(found, self.task)
        if known is None:
            raise UserError(f"objective class '{found}' is not one of I to VII")
        return {"emotion": _plain(values["emotion"]) or known, "label": task.label(known)}

    def uses(self, clip: dict) -> bool:
        """Whether the task has the clip."""
        left_out = self.task == "3" and self.corpus.leaves_out(clip["subject"], clip["clip"])
        return clip["label"] != NOT_USED and not left_out

    def frames(self, values: dict, clip: dict) -> dict:
        """onset_frame, apex_frame, offset_frame."""
        headers, corpus = self.headers, self.corpus
        onset, offset = (
            _frame(values[frame], headers[frame]) for frame in ("onset_frame", "offset_frame")
        )
        name = f"{clip['data_sub']} {clip['clip']}"
        if offset == 0 and corpus.zero_offset == "apex":
            offset = max(onset, _frame(values["apex_frame"], headers["apex_frame"]))
            self.remarks.append(f"{name}: offset 0 stands for none; the apex, {offset}, is taken")
        if offset == 0:
            raise UserError(f"{headers['offset_frame']}: 0, which stands for none")
        if onset > offset:
            raise UserError(f"onset {onset} comes after offset {offset}")
        apex: int | NAType = pd.NA
        if "apex_frame" in corpus.columns:
            apex = _apex(values["apex_frame"], onset, offset, name, headers["apex_frame"])
        return {"onset_frame": onset, "apex_frame": apex, "offset_frame": offset}

    def facts(self, values: dict) -> dict:
        """fps, units and task."""
        units = self._units(values)
        if self.task == AU and not units:
            raise UserError("no action units, so it says nothing of them")
        fps: object = self.corpus.fps
        if fps is None:
            text = _text(values.get("fps"), self.headers["fps"])
            fps = _number(text)
            if fps is None or fps <= 0:
                raise UserError(f"{self.headers['fps']}: '{text}' where frames a second belong")
        return {"fps": f"{fps:g}", "units": spell_units(units), "task": self.task}

    def _units(self, values: dict) -> tuple[Unit, ...]:
        try:
            return parse_units(values.get("units"))
        except ValueError as error:
            if self.task == AU:
                raise UserError(str(error)) from None
            self.remarks.append(f"{error}: left empty")
            return ()


def _plain(value: object) -> str:
    """A cell's text that nothing depends on: "" where it has none."""
    return "" if value is FORMULA or is_empty(value) else " ".join(str(value).split())


def _frame(value: object, header: str) -> int:
    text = _text(value, header, "a frame number")
    number = whole(text)
    if number is None or number < 0:
        raise UserError(f"{header}: '{text}' where a frame number belongs")
    return number


def _apex(value: object, onset: int, offset: int, name: str, header: str) -> int:
    """The apex within onset and offset; their middle where the cell is no frame number.

    0 and -1 too stand for "none": clamped, they would make the neutral onset the apex.
    """
    apex = None if is_empty(value) else whole(_text(value, header))
    if apex is None or apex <= 0:
        mark = "" if is_empty(value) else f" (but '{_text(value, header)}')"
        warn(f"{name}: no apex in the annotation{mark}; the middle of onset and offset is taken")
        return (onset + offset) // 2
    if not onset <= apex <= offset:
        warn(f"{name}: apex {apex} lies outside {onset} to {offset}; clamped")
    return min(max(apex, onset), offset)


def _text(value: object, header: str, what: str = "") -> str:
    """A cell's text in one line; UserError if it is empty, or a formula without its value."""
    if value is FORMULA:
        raise UserError(
            f"{header}: a formula without a stored value: open and save the file in a spreadsheet "
            "program"
        )
    if is_empty(value):
        raise UserError(f"{header}: empty{what and f' where {what} belongs'}")
    return " ".join(str(value).split())


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def whole(text: str) -> int | None:
    """46, "46" or "46.0" -> 46; None for what is no whole number."""
    number = _number(text)
    try:
        return int(number) if number is not None and number == int(number) else None
    except (ValueError, OverflowError):
        return None
