"""Stand-ins drawn: one small bank of expressions, laid out as each corpus lays out its own."""

import json
import tempfile
from pathlib import Path

import cv2
import numpy as np

from common.errors import UserError
from common.files import write_whole
from data.disk.frames import read_image
from synthetic.demo.corpora import render_clips
from synthetic.demo.plan import Clip, Size, plan
from synthetic.demo.tables import action_units, write_xlsx

from .corpora import LAYOUTS, Layout, Take

BANK = Size(subjects=3, clips=15)  # five of each subject: every emotion of CASME II once
_MARK = "layouts.json"


def draw_layouts(
    out: Path, names: tuple[str, ...], seed: int = 0, workers: int = 1, bank: Size = BANK
) -> None:
    """Draw stand-ins of corpora, by name (all: every one), each in its own layout below `out`.

    The expressions are those of the demo set's CASME II, made small; the same seed gives the same
    bytes. A folder that has them is left as it is. UserError for a name that is none, or where
    `out` holds anything else.
    """
    chosen = tuple(LAYOUTS) if names == ("all",) else names
    for name in chosen:
        if name not in LAYOUTS:
            raise UserError(f"--layouts {name}: all, or of {', '.join(LAYOUTS)}")
    drawn = {
        "layouts": sorted(chosen),
        "seed": seed,
        "subjects": bank.subjects,
        "clips": bank.clips,
    }
    mark = out / _MARK
    if mark.is_file() and json.loads(mark.read_text()) == drawn:
        return  # they were drawn whole: the mark comes last
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} is not empty; name another folder with --out")
    clips = plan(seed, {"casme2": bank})
    with tempfile.TemporaryDirectory() as folder:
        render_clips(Path(folder), seed, clips, workers)
        for name in chosen:
            _lay_out(out, LAYOUTS[name], clips, Path(folder))
    with write_whole(mark) as part:
        part.write_text(json.dumps(drawn) + "\n")


def _lay_out(out: Path, layout: Layout, clips: list[Clip], bank: Path) -> None:
    takes = []
    for clip, take in zip(clips, _takes(layout, clips)):
        takes.append(take)
        for number in range(clip.first, clip.last + 1):
            at = take.first + number - clip.first
            path = out / layout.path(take, at)
            path.parent.mkdir(parents=True, exist_ok=True)
            picture = read_image(bank / clip.folder / clip.frame_name(number))
            _write(path, _fit(picture, *layout.size))
    for table, sheets in layout.tables(takes).items():
        write_xlsx(out / table, sheets)


def _takes(layout: Layout, clips: list[Clip]) -> list[Take]:
    """The clips as the corpus numbers them: subjects from 1, frames on and on within a video."""
    takes: list[Take] = []
    subjects = list(dict.fromkeys(clip.subject for clip in clips))
    for subject, name in enumerate(subjects, 1):
        own = [clip for clip in clips if clip.subject == name]
        start = layout.first
        for i, clip in enumerate(own):
            video, number = min(i // max(layout.a_video, 1), 1), i
            if layout.a_video == 1:
                video, number, start = i, 0, layout.first
            elif i == layout.a_video:
                start = layout.first
            number = i - video * layout.a_video if layout.a_video > 1 else 0
            shift = start - clip.first
            takes.append(
                Take(
                    subject, i, video, number, start, clip.onset + shift, clip.apex + shift,
                    clip.offset + shift, clip.last + shift, clip.emotion, action_units(clip),
                )
            )  # fmt: skip
            start = clip.last + shift + 1
    return takes


def _fit(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """A picture made small enough for a frame, in the middle of it."""
    scale = min(width / picture.shape[1], height / picture.shape[0])
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    frame = np.full((height, width, 3), small[0].mean((0, 1)), np.uint8)
    top, left = (height - small.shape[0]) // 2, (width - small.shape[1]) // 2
    frame[top : top + small.shape[0], left : left + small.shape[1]] = small
    return frame


def _write(path: Path, picture: np.ndarray) -> None:
    done, data = cv2.imencode(path.suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    if not done:
        raise RuntimeError(f"OpenCV could not encode {path.name}")
    path.write_bytes(data.tobytes())
