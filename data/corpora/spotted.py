"""The index of clips without apexes: one writer, whether these are spotted or not to be had."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from common.errors import UserError, warn
from data.apex.batch import Spotted
from data.disk.file_kinds import clip_name
from data.disk.frames import ClipFolders, list_frames, name_key
from data.index import build_index, clip_names, read_index, write_index

from .annotation import Annotation, read_annotation
from .known import CORPORA
from .repairs import close_gaps

Spot = Callable[[pd.DataFrame, ClipFolders], Spotted]
_LAYOUT = "HS/s1/micro/negative/s1_ne_01"
_OTHER_CAMERA = re.compile(r"(?<![a-z])(vis|nir)(?![a-z])")


@dataclass(frozen=True)
class SpottedIndex:
    """What was written: the index, and a line for each clip that is not as it should be.

    skipped: clips that are not in it. middle: clips whose apex is the middle of onset and
    offset because none could be spotted; empty where none was looked for.
    """

    index: pd.DataFrame
    skipped: list[str]
    middle: list[str]


def read_smic(
    folders: ClipFolders,
    annotation: Path | None = None,
    task: str | int = "3",
    strict: bool = False,
    sheet: str | None = None,
) -> Annotation:
    """SMIC's clips: from its spreadsheet, or without one from the cropped release's folders.

    Errors as read_annotation; UserError too if no folder is laid out as the release's are.
    """
    if annotation is not None or str(task) != "3":
        return read_annotation(CORPORA["smic"], annotation or Path(), task, strict, sheet)
    return _read_release(folders, strict)


def write_spotted(
    source: Annotation,
    folders: ClipFolders,
    out: Path,
    apex: Path | None = None,
    spot: Spot | None = None,
) -> SpottedIndex:
    """Write the index of a corpus that gives no apexes, and its four-frames companion.

    With `spot` the apexes are those that it finds; without, those spotted before that the
    index `apex` or the one that `out` is now holds, `apex` first. Of the clips that have
    none, the middle of onset and offset is taken; the column apex_source (given, spotted or
    middle) tells them apart. Clips in which `spot` finds no face are left out. UserError, with
    nothing written, if `spot` finds no apex at all, if `apex` is no index, or if no clip's frames
    are on disk.
    """
    clips, lines, faceless = source.clips, [], []
    data = str(clips["data"].iloc[0])
    if spot:
        lacking = clips[clips["apex_frame"].isna()]
        spotted = spot(lacking, folders)
        lines, faceless = spotted.unspotted, spotted.faceless
        if spotted.clips.empty and len(lacking) == len(clips):
            first = (lines + faceless)[0]
            raise UserError(f"none of {len(clips)} clips has an apex; the first: {first}")
        known = _apexes(spotted.clips)
        names = pd.Series(clip_names(clips), clips.index)
        clips = clips[~names.isin({line.partition(": ")[0] for line in faceless})]
    else:
        known = _spotted(out, data) if out.is_file() else {}
        known |= _spotted(apex, data) if apex else {}
    clips = _with_apexes(clips, known)
    if spot:
        clips = _with_onsets(clips, spotted.clips)
    missing = int((clips["apex_source"] == "middle").sum())
    if missing and not spot:
        finds = "smic_processing.py finds" if data == "smic" else "--spot looks for"
        warn(
            f"{missing} of {len(clips)} {data.upper()} clips have no spotted apex in "
            f"{apex or out}: their middle frame is taken; {finds} apexes"
        )
    index, four_frames, skipped = build_index(clips, folders)
    write_index(index, four_frames, out)
    gone = {line.partition(": ")[0] for line in skipped}
    return SpottedIndex(
        index, faceless + skipped, [x for x in lines if x.partition(": ")[0] not in gone]
    )


def _read_release(folders: ClipFolders, strict: bool) -> Annotation:
    """The clips of the cropped release: each folder holds exactly onset to offset."""
    corpus = CORPORA["smic"]
    clips: dict[tuple[str, str], dict] = {}
    skipped = []
    for folder in folders.clips():
        above = folder.relative_to(folders.root).parts[:-1]
        name = clip_name(folder)
        subject = corpus.subject_of(name)
        emotion = corpus.emotion(above[-1], "3") if above else None
        if not (subject and emotion) or _is_other(folders.root, above):
            continue
        if (subject, name_key(name)) in clips:
            continue  # a second copy; which is read, ClipFolders decides
        try:
            clip = _release_clip(folder, above, subject, name, emotion)
        except UserError as fault:
            if strict:
                raise UserError(f"{folder}: {fault}") from None
            skipped.append(f"{folder}: {fault}")
            warn(f"skipped {skipped[-1]}")
            continue
        clips[subject, name_key(name)] = clip
    if not clips:
        raise UserError(
            f"{folders.root}: no clip in the layout of SMIC's cropped release ({_LAYOUT}) below "
            "it; with another one --annotation SMIC-HS-E_annotation.xlsx is needed"
        )
    assert corpus.gaps is not None  # SMIC's description has them
    if len(clips) != corpus.gaps.most:
        warn(f"{folders.root}: {len(clips)} clips of SMIC-HS, whose release has {corpus.gaps.most}")
    table = pd.DataFrame(list(clips.values())).astype({"apex_frame": "Int64"})
    table = close_gaps(corpus, table, set(), str(folders.root))
    rows = len(clips) + len(skipped)
    return Annotation(table, skipped, rows, f"clip folders of {folders.root}")


def _is_other(root: Path, above: tuple[str, ...]) -> bool:
    """Whether a clip is one of SMIC's other cameras, or no micro-expression."""
    parts = [part.lower() for part in (root.resolve().name, *above)]
    return any(
        _OTHER_CAMERA.search(part) or re.sub(r"\W|_", "", part) == "nonmicro" for part in parts
    )


def _release_clip(
    folder: Path, above: tuple[str, ...], subject: str, name: str, emotion: str
) -> dict:
    corpus = CORPORA["smic"]
    wanted = name_key(corpus.folder_formats[0].format(int(subject)))
    if wanted not in map(name_key, above):
        raise UserError(f"its name is of subject {subject}, and it lies in no folder {wanted}")
    frames = list(list_frames(folder))
    if len(frames) < 3:
        raise UserError(f"{len(frames)} frames; an apex lies between onset and offset")
    return {
        "data": "smic",
        "subject": subject,
        "clip": name,
        "label": corpus.tasks["3"].label(emotion),
        "emotion": emotion.lower(),
        "onset_frame": frames[0],
        "apex_frame": pd.NA,
        "offset_frame": frames[-1],
        "data_sub": f"smic_{subject}",
        "fps": f"{corpus.fps:g}",
        "units": "",
        "task": "3",
    }


_Key = tuple[str, str, int | None]


def _spotted(path: Path, data: str) -> dict[_Key, int]:
    """The spotted apexes of an index, by subject and clip: its middle frames are none."""
    table = read_index(path)
    table = table[table["data"] == data]
    if "apex_source" in table:
        table = table[table["apex_source"] != "middle"]
    return _apexes(table[table["apex_frame"].notna()])


def _apexes(clips: pd.DataFrame) -> dict[_Key, int]:
    keys = [_key(clip) for clip in clips.to_dict("records")]
    return dict(zip(keys, clips["apex_frame"].astype(int).tolist()))


def _key(clip: dict) -> _Key:
    """What tells clips apart; the onset too where a video has several."""
    corpus = CORPORA.get(clip["data"])
    several = corpus is None or corpus.several
    return clip["subject"], name_key(clip["clip"]), clip["onset_frame"] if several else None


def _with_onsets(clips: pd.DataFrame, spotted: pd.DataFrame) -> pd.DataFrame:
    """Clips whose onset is not given with the one where the movement to their apex begins."""
    if "onset_source" not in clips:
        return clips
    clips = clips.copy()
    begins = spotted["spotted_onset"].reindex(clips.index)
    unknown = (clips["onset_source"] == "first") & begins.notna()
    clips.loc[unknown, "onset_frame"] = begins[unknown].astype(int)
    clips.loc[unknown, "onset_source"] = "spotted"
    return clips


def _with_apexes(clips: pd.DataFrame, known: dict[_Key, int]) -> pd.DataFrame:
    """Clips with apex_frame and apex_source: the apex given, the known one where it is the
    clip's, or the middle."""
    frames, sources = [], []
    for clip in clips.to_dict("records"):
        onset, offset = clip["onset_frame"], clip["offset_frame"]
        if not pd.isna(clip["apex_frame"]):
            frames.append(int(clip["apex_frame"]))
            sources.append("given")
            continue
        apex = known.get(_key(clip))
        if apex is not None and not onset <= apex <= offset:
            warn(
                f"{clip['data_sub']} {clip['clip']}: the apex known, {apex}, lies outside {onset} "
                f"to {offset}; it is of other frames"
            )
            apex = None
        frames.append((onset + offset) // 2 if apex is None else apex)
        sources.append("middle" if apex is None else "spotted")
    return clips.assign(apex_frame=pd.array(frames, "Int64"), apex_source=sources)
