"""A picture of reconstructions: a row a face, with its panel and its 13 views.

python -m benchmarks.reconstruction_sheet --demo DEMO_FOLDER --out docs/reconstruction.jpg
python -m benchmarks.reconstruction_sheet --images astronaut photo.jpg --out sheet.png
"""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import skimage.data
import torch
from PIL import Image

from common.cli import run_script
from common.errors import UserError
from common.files import write_whole
from data.faces import FaceFinder, load_face_finder
from data.index import read_index
from data.views import SIZE, YAWS, BackendName
from deca.frame import load_backend, read_face
from deca.panel import CAPTION, caption, panel, side_by_side
from deca.reconstruction import Face, Reconstruction
from deca.render_views import render_views

# Clips of the demo set: a smile behind glasses, lowered brows, lowered lip corners.
CLIPS = {"smic": ("smile", 1), "casme2": ("brows_down", 0), "samm": ("lip_corners_down", 0)}


def main(
    out: Path,
    demo: Path | None = None,
    images: tuple[str, ...] = (),
    backend: BackendName = "anny",
    assets: Path | None = None,
) -> None:
    """Draw the sheet.

    Args:
        out: the picture to write.
        demo: a demo set that prepare_data.py drew: one face of each of its corpora.
        images: files, or astronaut: scikit-image's photograph.
        backend: as for reconstruct_3d.py.
        assets: as for reconstruct_3d.py.
    """
    torch.set_num_threads(1)
    finder = load_face_finder("dlib")
    faces = _demo_faces(demo, finder) if demo else {}
    for name in images:
        if name == "astronaut":
            image = skimage.data.astronaut()
            faces[name] = Face(image, finder.find(image, "astronaut").landmarks)
        else:
            faces[Path(name).stem] = read_face(Path(name), finder, "")
    if not faces:
        raise UserError("give --demo FOLDER, or --images")
    heads = load_backend(backend, assets).reconstruct(list(faces.values()))
    rows = [_row(name, face, head) for (name, face), head in zip(faces.items(), heads, strict=True)]
    with write_whole(out) as part:
        Image.fromarray(np.vstack(rows)).save(part, quality=90)


def _demo_faces(demo: Path, finder: FaceFinder) -> dict[str, Face]:
    truth = pd.read_csv(demo / "truth.csv", dtype={"subject": str, "clip": str})
    faces = {}
    for corpus, (group, glasses) in CLIPS.items():
        index = read_index(demo / "index" / f"{corpus}_apex.csv")
        clips = truth[
            (truth["data"] == corpus) & (truth["group"] == group) & (truth["glasses"] == glasses)
        ]
        strengths = clips.filter(regex="^(mouth|brow)").sum(axis=1)
        clip = clips.loc[strengths.idxmax()]  # clips of different subjects share names
        same = (index["clip"] == clip["clip"]) & (index["subject"] == clip["subject"])
        (row,) = index[same].to_dict("records")
        onset = demo / row["onset_frame_path"]
        face = read_face(demo / row["apex_frame_path"], finder, row["data_sub"], onset)
        faces[f"drawn, like {corpus}: {group.replace('_', ' ')}"] = face
    return faces


def _row(name: str, face: Face, head: Reconstruction) -> np.ndarray:
    """The panel, and beside it the views at half its size, in two lines."""
    shown = panel(head, face)
    left = side_by_side({name if text == "input" else text: im for text, im in shown.items()})
    half = SIZE // 2
    views = [
        cv2.resize(view, (half, half), interpolation=cv2.INTER_AREA) for view in render_views(head)
    ]
    views.append(np.zeros_like(views[0]))
    lines = [np.hstack(views[:7]), np.hstack(views[7:])]
    above = caption(f"views from {YAWS[0]} to {YAWS[-1]} degrees", 7 * half)
    right = np.vstack([above, *lines])
    assert len(right) == len(left) == SIZE + CAPTION
    return np.hstack([left, right])


if __name__ == "__main__":
    run_script(main)
