"""One frame: choose a backend, read a face, write what was made of it."""

import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from common.errors import UserError, warn
from data.disk.frames import UnreadableImageError, read_image
from data.faces import FaceFinder, NoFaceError
from data.geometry import reduced
from data.views import BackendName, MakerName, view_names
from deca.anny.backend import AnnyBackend
from deca.flame.backend import DecaBackend

from .assets import assets_complete, load_assets
from .crop import SIZE
from .mesh import save_mesh
from .panel import panel, side_by_side
from .reconstruction import Backend, Face, Reconstruction
from .render_views import render_frontal, render_views

LARGEST = 2048  # pixels: in greater images the face is looked for in a reduced one
SHOWN = 2 * SIZE  # pixels of the frontal pictures, which people look at


@dataclass(frozen=True)
class Extras:
    """What is written besides the views, the frontal pictures and the codes."""

    mesh: Literal["obj", "glb"] | None = None
    panel: bool = False

    def files(self) -> set[str]:
        """The names of all the files that a frame's folder is to hold."""
        names = {*view_names(), "frontal.jpg", "textured.jpg", "codes.npz"}
        return names | ({f"head.{self.mesh}"} if self.mesh else set()) | self._panel()

    def _panel(self) -> set[str]:
        return {"panel.jpg"} if self.panel else set()


def load_backend(
    name: BackendName | MakerName, assets: Path | None, device: str = "cpu"
) -> Backend:
    """DECA or anny; auto: DECA if its files are right, else anny. A line on stderr says which.

    With `auto`, a folder of assets that was given and cannot be used is a warning.
    """
    if name == "anny":
        return AnnyBackend(device)
    if name != "auto":
        if assets is None:
            raise UserError("the backend deca needs --assets FOLDER: python -m deca.assets where")
        return DecaBackend(load_assets(assets), device, name == "deca_original")
    if assets is None:
        print("backend: anny (no --assets given)", file=sys.stderr)
        return AnnyBackend(device)
    try:
        if not assets_complete(assets):
            raise UserError(f"{assets} lacks files: python -m deca.assets check {assets}")
        backend = DecaBackend(load_assets(assets), device)
    except UserError as error:
        warn(f"DECA cannot run: {error}; taking the backend anny")
        return AnnyBackend(device)
    print(f"backend: deca (assets in {assets})", file=sys.stderr)
    return backend


def read_face(path: Path, faces: FaceFinder, subject: str, onset: Path | None = None) -> Face:
    """Read a clip's apex and find the face that its onset shows.

    Without an onset that shows a face, there is none in the result, with a warning.
    UnreadableImageError if the apex is no image, NoFaceError if it shows no face.
    """
    image = read_image(path)
    before = None if onset is None else _read_onset(onset, image.shape)
    shrink = min(1, LARGEST / max(image.shape[:2]))
    first, face = faces.follow(
        None if before is None else reduced(before, shrink), reduced(image, shrink), str(path)
    )
    if face is None:
        what = f"no face found by {faces.name}" if first is None else "not the face of the onset"
        raise NoFaceError(f"{path}: {what}")
    if before is not None and first is None:
        warn(f"{onset}: no face in the onset: no facial actions since then")
        before = None
    landmarks = face.landmarks
    if shrink < 1:
        landmarks = (landmarks + 0.5) / shrink - 0.5
    return Face(image, landmarks, subject, before, face.found_by)


def _read_onset(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    try:
        onset = read_image(path)
    except UnreadableImageError as error:
        warn(f"{error}: no facial actions since the onset")
        return None
    if onset.shape != shape:
        warn(f"{path}: of another size than its apex: no facial actions since the onset")
        return None
    return onset


def missing_files(folder: Path, extras: Extras) -> set[str]:
    """What a frame's folder still lacks."""
    return {name for name in extras.files() if not (folder / name).is_file()}


def write_head(
    head: Reconstruction, face: Face, backend: str, folder: Path, extras: Extras
) -> None:
    """Write what a frame's `folder` lacks; a new folder is whole or not there at all.

    UserError if it cannot be written.
    """
    part, prefix = None, f".{folder.name}.part."
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for left in folder.parent.glob(f"{prefix}*"):  # by a run that was killed
            shutil.rmtree(left, ignore_errors=True)
        part = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
        part.chmod(0o755)
        _write(head, face, backend, part, missing_files(folder, extras))
        if folder.exists():
            for path in sorted(part.iterdir(), key=lambda path: path.suffix == ".obj"):
                path.replace(folder / path.name)  # an .obj last: its material is there then
        else:
            part.replace(folder)
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror or error}") from error
    finally:
        if part is not None:
            shutil.rmtree(part, ignore_errors=True)


def _write(head: Reconstruction, face: Face, backend: str, folder: Path, names: set[str]) -> None:
    pictures: dict[str, np.ndarray] = {}
    if not names.isdisjoint(view_names()):
        pictures |= dict(zip(view_names(), render_views(head), strict=True))
    if not names.isdisjoint(("frontal.jpg", "textured.jpg")):
        pictures["frontal.jpg"], pictures["textured.jpg"] = render_frontal(head, SHOWN)
    if "panel.jpg" in names:
        pictures["panel.jpg"] = side_by_side(panel(head, face))
    for name in names & pictures.keys():
        Image.fromarray(pictures[name]).save(folder / name, quality=95)
    if "codes.npz" in names:
        codes: dict[str, Any] = {
            "backend": np.array(backend),
            "landmarks": head.landmarks,
            "found_by": np.array(face.found_by),
            "projected": head.projected,
            **head.codes,
        }
        np.savez(folder / "codes.npz", **codes)
    for name in names:
        if name.startswith("head."):
            save_mesh(head, folder / name)
