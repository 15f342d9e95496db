"""From an index to folders of views, codes, meshes and panels: what reconstruct_3d.py runs."""

import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pandas as pd
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from data.errors import UserError, warn
from data.frames import read_image
from data.index import four_frames_path, read_index
from data.landmarks import LandmarkFinder
from data.views import SIZE, claim_views, view_folder, view_names

from .anny_backend import AnnyBackend
from .assets import assets_complete, load_assets
from .crop import face_square, whole_square
from .deca_backend import DecaBackend
from .mesh import save_mesh
from .reconstruction import Backend, Face, Reconstruction
from .views import draw_in_image, draw_views

BackendName = Literal["auto", "deca", "anny"]
LARGEST = 2048  # pixels: greater images are reduced before anything else


@dataclass(frozen=True)
class Extras:
    """What is written besides the views and the codes."""

    mesh: Literal["obj", "glb"] | None = None
    panel: bool = False


def load_backend(name: BackendName, assets: Path | None, device: str = "cpu") -> Backend:
    """DECA or anny; auto: DECA if its files are right, else anny. A line on stderr says which."""
    if name == "deca" and assets is None:
        raise UserError("the backend deca needs --assets FOLDER: python -m deca.assets where")
    if name == "anny":
        return AnnyBackend(device)
    if name == "deca":
        return DecaBackend(load_assets(assets), device)
    why = "no --assets given"
    if assets is not None:
        why = f"{assets} lacks files: python -m deca.assets check {assets}"
        if assets_complete(assets):
            try:
                backend = DecaBackend(load_assets(assets), device)
                print(f"backend: deca (assets in {assets})", file=sys.stderr)
                return backend
            except UserError as error:
                why = str(error)
    print(f"backend: anny ({why})", file=sys.stderr)
    return AnnyBackend(device)


def read_face(path: Path, finder: LandmarkFinder, subject: str, onset: Path | None = None) -> Face:
    """Read an image and find its face; UnreadableImageError if it is no image."""
    image = _reduced(read_image(path))
    landmarks = finder(image)
    if landmarks is None:
        warn(f"{path}: no face found; the whole image is taken")
    return Face(image, landmarks, subject, None if onset is None else _reduced(read_image(onset)))


def _reduced(image: np.ndarray) -> np.ndarray:
    shrink = LARGEST / max(image.shape[:2])
    if shrink >= 1:
        return image
    size = [max(1, round(n * shrink)) for n in image.shape[1::-1]]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def write_head(
    head: Reconstruction, face: Face, backend: str, folder: Path, extras: Extras
) -> None:
    """Write everything of one frame into `folder`, which is whole or not there at all."""
    part = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        part.chmod(0o755)
        views = draw_views(head)
        for name, view in zip(view_names(), views, strict=True):
            Image.fromarray(view).save(part / name, quality=95)
        frontal = draw_views(head, (0,), textured=True)[0]
        Image.fromarray(frontal).save(part / "frontal.jpg", quality=95)
        none = np.full((68, 2), np.nan, np.float32)
        landmarks = none if head.landmarks is None else head.landmarks
        np.savez(
            part / "codes.npz",
            backend=np.array(backend),
            landmarks=landmarks,
            projected=head.projected,
            **head.codes,
        )
        if extras.mesh:
            save_mesh(head, part / f"head.{extras.mesh}")
        if extras.panel:
            Image.fromarray(_panel(head, face, frontal)).save(part / "panel.jpg", quality=95)
        part.replace(folder)
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror or error}") from error
    finally:
        if part is not None:
            shutil.rmtree(part, ignore_errors=True)


def _panel(head: Reconstruction, face: Face, frontal: np.ndarray) -> np.ndarray:
    """Input | reconstruction in the input's pose | frontal, (224, 672, 3)."""
    square = whole_square(face.image) if face.landmarks is None else face_square(face.landmarks)
    seen = cv2.warpAffine(face.image, square.to_crop(SIZE), (SIZE, SIZE), flags=cv2.INTER_AREA)
    return np.hstack([seen, draw_in_image(head, square), frontal])


def reconstruct_index(
    index: Path,
    root: Path,
    out: Path,
    backend: Backend,
    finder: LandmarkFinder,
    extras: Extras,
    four_frames: bool = False,
) -> list[str]:
    """Reconstruct an index's apex frames, one subject at a time -> a line a frame that failed.

    Frames whose folder is there are skipped.
    """
    table = read_index(index)
    if four_frames:
        table = pd.concat([table, read_index(four_frames_path(index), companion=True)])
    rows = {view_folder(out, row): row for row in table.to_dict("records")}
    claim_views(out, backend.name)
    todo = {folder: row for folder, row in rows.items() if not folder.is_dir()}
    subjects: dict[str, dict[Path, Mapping]] = {}
    for folder, row in todo.items():
        subjects.setdefault(row["data_sub"], {})[folder] = row
    console = Console(stderr=True)
    columns = TextColumn("frames"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    failed: list[str] = []
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("frames", total=len(rows), completed=len(rows) - len(todo))
        for subject, frames in subjects.items():
            faces: dict[Path, Face] = {}
            for folder, row in frames.items():
                onset = row.get("onset_frame_path")
                try:
                    onset = Path(root) / onset if onset else None
                    apex = Path(root) / row["apex_frame_path"]
                    faces[folder] = read_face(apex, finder, subject, onset)
                except UserError as error:
                    failed.append(f"{subject} {row['clip']}: {error}")
                    warn(f"skipped {failed[-1]}")
                    progress.advance(bar)
            heads = backend.reconstruct(list(faces.values()))
            for (folder, face), head in zip(faces.items(), heads, strict=True):
                write_head(head, face, backend.name, folder, extras)
                progress.advance(bar)
    if failed:
        print(f"{len(failed)} of {len(rows)} frames failed:", *failed, sep="\n  ", file=sys.stderr)
    return failed
