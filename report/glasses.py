"""Glasses off: what a reconstruction makes of faces with glasses, beside the truth where known."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from common.errors import UserError, warn
from data.corpora.known import CORPORA
from data.disk.frames import frame_number, read_image
from data.faces import FaceFinder, NoFaceError
from data.views import YAWS
from deca.frame import read_face
from deca.panel import panel
from deca.reconstruction import Backend, Reconstruction
from deca.render_views import render_views
from synthetic.demo.plan import bare_frame

from .figures import styled


@dataclass(frozen=True)
class Wearer:
    """One subject's row: pictures by caption, and figures (NaN where no truth is known).

    frames_differ: mean absolute difference of the frame with and without glasses, views_differ:
    of their 13 views, both as shares of the grey range.
    """

    name: str
    pictures: dict[str, np.ndarray]
    frames_differ: float
    views_differ: float


def look_at_wearers(
    index: pd.DataFrame, root: Path, backend: Backend, faces: FaceFinder
) -> Iterable[Wearer]:
    """Reconstruct one apex frame of each subject with glasses.

    Where the root holds the same frame without them, as the demo set does, it is reconstructed
    as well. Frames without a face are named by a warning. UserError if nobody in the index wears
    glasses, or no face is found in any wearer's frames.
    """
    clips = [row for row in index.to_dict("records") if _wears(row)]
    if not clips:
        raise UserError("no subject of this index wears glasses (docs/datasets.md lists them)")
    seen = 0
    for name in sorted({row["data_sub"] for row in clips}):
        own = [row for row in clips if row["data_sub"] == name]
        try:
            row = next((row for row in own if _truth(row, root)), own[0])
            yield _look(row, root, backend, faces)
            seen += 1
        except NoFaceError as error:
            warn(f"skipped {name}: {error}")
    if not seen:
        raise NoFaceError("no face is found in the frames of any subject with glasses")


def _wears(row: Mapping) -> bool:
    return CORPORA[row["data"]].wears_glasses(row["subject"])


def _truth(row: Mapping, root: Path) -> Path | None:
    number = frame_number(Path(row["apex_frame_path"]))
    if number is None:
        return None
    path = bare_frame(root, row["data"], row["subject"], row["clip"], number)
    return path if path.is_file() else None


def _look(row: Mapping, root: Path, backend: Backend, faces: FaceFinder) -> Wearer:
    path = root / row["apex_frame_path"]
    face = read_face(path, faces, "")
    truth = _truth(row, root)
    both = [face] if truth is None else [face, read_face(truth, faces, "")]
    heads = backend.reconstruct(both)
    pictures = panel(heads[0], face)
    frames_differ = views_differ = float("nan")
    if truth is not None:
        bare = panel(heads[1], both[1])
        pictures |= {"truth": bare["input"], "frontal of truth": bare["frontal"]}
        frames_differ = _difference(read_image(path), read_image(truth))
        views_differ = _difference(*(_views(head) for head in heads))
    return Wearer(f"{row['data_sub']} {row['clip']}", pictures, frames_differ, views_differ)


def _views(head: Reconstruction) -> np.ndarray:
    return render_views(head, YAWS)


def _difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(float) - other.astype(float)).mean() / 255)


@styled
def draw_wearers(wearers: list[Wearer]) -> Figure:
    """One row a subject."""
    columns = max(len(wearer.pictures) for wearer in wearers)
    figure = plt.figure(figsize=(1.5 * columns, 1.95 * len(wearers)), layout="constrained")
    parts = figure.subfigures(len(wearers), 1, squeeze=False)[:, 0]
    for part, wearer in zip(parts, wearers):
        text = wearer.name
        if not np.isnan(wearer.views_differ):
            text += (
                f": with and without glasses the frames differ by {wearer.frames_differ:.1%}, "
                f"the views by {wearer.views_differ:.1%} of the grey range"
            )
        part.suptitle(text, fontsize=8, x=0.01, ha="left")
        row = part.subplots(1, columns, squeeze=False)[0]
        for axes in row:
            axes.set_axis_off()
        for axes, (caption, picture) in zip(row, wearer.pictures.items()):
            axes.imshow(picture)
            axes.set_title(caption, fontsize=8, loc="center", pad=2)
    return figure


def tabulate(wearers: list[Wearer]) -> pd.DataFrame:
    """The figures, one row a subject."""
    return pd.DataFrame(
        [
            {"clip": w.name, "frames_differ": w.frames_differ, "views_differ": w.views_differ}
            for w in wearers
        ]
    ).round(5)
