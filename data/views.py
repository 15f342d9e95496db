"""Where the 3D views of a frame lie: <root>/<data>/<subject>/<clip>/<frame>/<yaw>.jpg."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from common.errors import UserError
from common.files import write_whole
from data.disk.file_kinds import video_frame
from data.disk.frame_names import digit_runs
from data.disk.frames import NEAR, frame_number

from .face_search import FoundFace

YAWS = tuple(range(-30, 31, 5))  # degrees; positive turns the nose to the right of the image
SIZE = 224  # pixels a side
FORMAT = 1
_RECORD = "views.json"

# (apex, its face or None, onset or None, (height, width)) -> uint8 (13 or 39, height, width), as
# read_views; pictures are uint8 (H, W, 3) RGB
MakeViews = Callable[[np.ndarray, FoundFace | None, np.ndarray | None, tuple[int, int]], np.ndarray]
ViewsShow = Literal["shape", "motion", "clean"]
# What views show: where they lie in a frame's folder, and their channels.
VIEWS_SHOW: dict[ViewsShow, tuple[str, int]] = {
    "shape": ("{}.jpg", 1),  # the grey surface
    "motion": ("motion/{}.png", 3),  # how it moved since the onset: deca.render_views.render_motion
    "clean": ("clean/{}.jpg", 3),  # the subject's colours, without what covers the face
}
BackendName = Literal["auto", "deca", "anny"]  # what draws them; auto: DECA where it can run
# Who made views, by their record: deca_original is DECA with its own framing of the views.
MakerName = Literal["deca", "anny", "deca_original"]


def view_names(shown: ViewsShow = "shape") -> list[str]:
    """The names of a frame's 13 views in its folder, in the order of YAWS: -30.jpg … 30.jpg."""
    return [VIEWS_SHOW[shown][0].format(yaw) for yaw in YAWS]


def view_folder(root3d: Path | str, clip: Mapping) -> Path:
    """The folder of the views of a clip's apex frame, for a row of an index or its companion.

    UserError if there is no number in the apex frame's file name.
    """
    number = _frame_on_disk(Path(clip["apex_frame_path"]), clip.get("apex_frame"))
    if number is None:
        raise UserError(f"{clip['apex_frame_path']}: no frame number in the file's name")
    return Path(root3d) / clip["data"] / clip["subject"] / clip["clip"] / str(number)


def _frame_on_disk(path: Path, apex: int | None) -> int | None:
    """The number of the apex's frame, or of the one that stands in for it, by its name.

    Of several numbers in a name (img46_224.jpg), the one that is the apex's, else the last one
    near it, else the last.
    """
    if video_frame(path) or pd.isna(apex):
        return frame_number(path)
    runs = digit_runs(path.stem)
    apex = int(apex)
    near = [run for run in runs if abs(run - apex) <= NEAR]
    if not runs:
        return None
    return apex if apex in runs else (near or runs)[-1]


def holds_views(root3d: Path | str) -> bool:
    """Whether reconstruct_3d.py has written to a folder."""
    return (Path(root3d) / _RECORD).is_file()


def read_backend(root3d: Path | str) -> str:
    """Which backend made the views below a folder; UserError if it holds no views."""
    return _read_record(root3d)["backend"]


def read_faceless(root3d: Path | str) -> set[Path]:
    """The folders of frames that have no views because no face was found in them."""
    return {Path(root3d) / name for name in _read_record(root3d).get("faceless", [])}


def note_faceless(root3d: Path | str, looked_at: Iterable[Path], faceless: Iterable[Path]) -> None:
    """Record which of the frames that were looked at, by their folders, show no face."""
    root3d = Path(root3d)
    before = read_faceless(root3d)
    now = (before - set(looked_at)) | set(faceless)
    if now != before:
        names = sorted(folder.relative_to(root3d).as_posix() for folder in now)
        _write_record(root3d, _read_record(root3d) | {"faceless": names})


def _read_record(root3d: Path | str) -> dict:
    path = Path(root3d) / _RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        form, backend = record["format"], record["backend"]
    except FileNotFoundError:
        raise UserError(f"{root3d}: holds no 3D views; reconstruct_3d.py makes them") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: damaged ({error}); remove the folder, make it anew") from error
    if form != FORMAT or not isinstance(backend, str):
        raise UserError(f"{path}: format {form}, not {FORMAT}; make the views anew")
    return record


def _write_record(root3d: Path, record: dict) -> None:
    with write_whole(root3d / _RECORD) as part:
        part.write_text(json.dumps(record) + "\n", encoding="utf-8")


def claim_views(root3d: Path | str, backend: str) -> None:
    """Record that `backend` makes the views below a folder.

    UserError if another one did, or if the record cannot be written.
    """
    root3d = Path(root3d)
    if (root3d / _RECORD).exists():
        made_by = read_backend(root3d)
        if made_by != backend:
            raise UserError(
                f"{root3d}: its views were made by the backend {made_by}, not {backend}; "
                "give another --out, --backend or --views"
            )
        return
    _write_record(root3d, {"format": FORMAT, "backend": backend, "size": SIZE})
