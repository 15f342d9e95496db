"""Pictures of clips for the page, and whose faces may go there."""

import base64
import functools
import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from common.errors import UserError, warn
from data.disk.frames import read_image
from data.index import clip_titles, index_path, read_index
from data.views import view_folder, view_names

from .figures import panel_path

FACE_HEIGHT = 144  # pixels of a frame's thumbnail
VIEW_HEIGHT = 80
PANEL_WIDTH = 720  # of a heat-map panel


@dataclass(frozen=True)
class Picture:
    """A picture for the page: what it shows, its data: URI, its size in pixels."""

    title: str
    uri: str
    width: int
    height: int


def is_demo(root: Path) -> bool:
    """Whether a folder holds the demo set, whose people are drawn."""
    try:
        mark = json.loads((root / "demo.json").read_text())
    except (OSError, ValueError):
        return False
    return isinstance(mark, dict) and "demo set" in mark


def clip_pictures(folder: Path, settings: dict, everyone: bool) -> dict[tuple, list[Picture]]:
    """The pictures of an experiment's clips, by (data, subject, clip).

    Onset and apex frame, the 3D views where the experiment read them, and the heat maps that
    `visualize.py cam` left in <folder>/cam. Only faces of the demo set: frames that lie below a
    root with its mark; with `everyone` all faces. What cannot be read is named in a warning.
    """
    root = Path(settings.get("root", "nowhere"))
    if not (everyone or is_demo(root)):
        return {}
    data, classes = settings.get("dataset", ""), settings.get("classes", 3)
    task = settings.get("task", "auto")
    named = index_path("data", data, classes if task == "auto" else task)
    index = Path(settings.get("index") or named)
    try:
        clips = read_index(index, classes)
    except UserError as error:
        warn(f"{folder.name}: no pictures of its clips on the page ({error})")
        return {}
    found = {}
    faults: list[str] = []
    for clip in clips.assign(clip=clip_titles(clips)).to_dict("records"):
        if everyone or _inside(root, clip):
            key = (clip["data"], clip["subject"], clip["clip"])
            found[key] = _pictures(folder, settings, clip, faults)
    if faults:
        warn(f"{folder.name}: {len(faults)} pictures are not on the page (the first: {faults[0]})")
    return found


def _inside(root: Path, clip: dict) -> bool:
    """Whether a clip's frames are known and lie below the root: an index can point anywhere."""
    base = root.resolve()
    paths = [clip[f"{frame}_frame_path"] for frame in ("onset", "apex")]
    return any(paths) and all((root / p).resolve().is_relative_to(base) for p in paths if p)


def _pictures(folder: Path, settings: dict, clip: dict, faults: list[str]) -> list[Picture]:
    pictures = []

    def add(title: str, paths: list[Path], height: int) -> None:
        try:
            pictures.append(_encode(title, tuple(paths), height))
        except UserError as error:
            faults.append(str(error))

    root = Path(settings["root"])
    for frame in ("onset", "apex"):
        path, number = clip[f"{frame}_frame_path"], clip[f"{frame}_frame"]
        if path:
            title = frame if pd.isna(number) else f"{frame}, frame {number}"
            add(title, [root / path], FACE_HEIGHT)
    if settings.get("streams", "2d").startswith(("3d", "dual")) and clip["apex_frame_path"]:
        views = view_folder(settings["root3d"], clip)
        if views.is_dir():
            title = "views of the reconstruction, -30 to 30 degrees"
            add(title, [views / name for name in view_names()], VIEW_HEIGHT)
    panel = panel_path(folder, clip)
    if panel.is_file():
        add("heat map", [panel], 0)
    return pictures


@functools.cache  # experiments share their clips
def _encode(title: str, paths: tuple[Path, ...], height: int) -> Picture:
    """Image files side by side, each shrunk to a height, as WebP."""
    image = np.concatenate([_fit(read_image(path), height) for path in paths], axis=1)
    done, coded = cv2.imencode(".webp", image[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, 75])
    if not done:
        raise RuntimeError(f"OpenCV could not encode a picture of shape {image.shape} as WebP")
    uri = "data:image/webp;base64," + base64.b64encode(coded.tobytes()).decode()
    return Picture(title, uri, image.shape[1], image.shape[0])


def _fit(image: np.ndarray, height: int) -> np.ndarray:
    """Shrink an RGB image to a height; with 0, a panel to its width. None is enlarged."""
    scale = min(1.0, height / image.shape[0] if height else PANEL_WIDTH / image.shape[1])
    size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
