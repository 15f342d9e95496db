"""One frame: choose a backend, read a face, write what was made of it."""

import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from common.errors import UserError, warn
from data.disk.decode import UnreadableImageError
from data.disk.frames import read_image
from data.face_search import FoundFace
from data.faces import FaceFinder, NoFaceError
from data.geometry import reduced
from data.views import VIEWS_SHOW, YAWS, BackendName, MakerName, ViewsShow, view_names
from deca.anny.backend import AnnyBackend
from deca.flame.backend import DecaBackend

from .assets import assets_complete, load_assets
from .clean.paint import Paint, clean, render_clean
from .crop import SIZE, face_square
from .landmark_files import landmarks_beside, read_landmarks
from .mesh import normal_picture, save_mesh
from .overlay import depth_map, overlay
from .panel import panel, side_by_side
from .reconstruction import Backend, Face, Reconstruction
from .render_views import Looks, look, render_frontal, render_motion, render_views

LARGEST = 2048  # pixels: in greater images the face is looked for in a reduced one
SHOWN = 2 * SIZE  # pixels of the frontal pictures, which people look at


@dataclass(frozen=True)
class Extras:
    """What is written besides the views, the frontal pictures and the codes."""

    mesh: Literal["obj", "glb"] | None = None
    panel: bool = False
    motion: bool = False  # also the views that show how the surface moved since the onset
    overlay: bool = False
    depth: bool = False
    detail: bool = False  # with the mesh, also one with wrinkles, and their normals in uv
    posed: bool = False  # with the frontal meshes, also as the head lies in its image
    clean: bool = False  # frontal picture and views in colour without what covers the face

    def files(self) -> set[str]:
        """The names of all the files that a frame's folder is to hold."""
        wanted = {"panel.jpg": self.panel, "overlay.jpg": self.overlay, "depth.png": self.depth}
        names = {*view_names(), "frontal.jpg", "textured.jpg", "codes.npz"}
        names |= {name for name, asked in wanted.items() if asked}
        if self.clean:
            names |= {"frontal_clean.jpg", "clean_mask.png", *view_names("clean")}
        for pose in ("", "_posed") if self.posed else ("",):
            if self.mesh:
                names.add(f"head{pose}.{self.mesh}")
                if self.detail:
                    names |= {f"head_detail{pose}.{self.mesh}", f"normals{pose}.png"}
        return names | (set(view_names("motion")) if self.motion else set())

    def check(self, backend: str) -> None:
        """UserError for what does not fit together, or what `backend` cannot write."""
        if (self.detail or self.posed) and not self.mesh:
            raise UserError("--detail and --posed are of meshes: give --mesh obj or --mesh glb too")
        if self.detail and backend == "anny":
            raise UserError(
                "--detail: the backend anny has no wrinkles; DECA has (--assets FOLDER)"
            )


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


def read_face(
    path: Path,
    faces: FaceFinder | None,
    subject: str,
    onset: Path | None = None,
    earlier: Face | None = None,
    landmarks: Path | None = None,
) -> Face:
    """Read a clip's apex and find the face that its onset shows, or an `earlier` picture.

    Without an onset that shows a face, there is none in the result, with a warning. The landmarks
    are those of a file where one is named, or where there is no finder: of that beside the apex.
    UnreadableImageError if the apex is no image, NoFaceError if it shows no face.
    """
    image = read_image(path)
    before = None if onset is None else _read_onset(onset, image.shape)
    if faces is None or landmarks:
        points = read_landmarks(landmarks or landmarks_beside(path), image.shape)
        return Face(image, points, subject, before, "file")
    shrink = min(1, LARGEST / max(image.shape[:2]))
    small = reduced(image, shrink)
    if earlier is not None and earlier.image.shape == image.shape:
        known = FoundFace((earlier.landmarks + 0.5) * shrink - 0.5, "followed")
        face = faces.again(small, known)
        if face is not None:
            return _face_of(image, face, shrink, subject, None)
    first, face = faces.follow(
        None if before is None else reduced(before, shrink), small, str(path)
    )
    if face is None:
        what = f"no face found by {faces.name}" if first is None else "not the face of the onset"
        raise NoFaceError(f"{path}: {what}")
    if before is not None and first is None:
        warn(f"{onset}: no face in the onset: no facial actions since then")
        before = None
    return _face_of(image, face, shrink, subject, before)


def check_onset(face: Face, path: Path, extras: Extras) -> None:
    """UserError where views of motion are asked for, and a face has no onset."""
    if extras.motion and face.onset is None:
        raise UserError(f"{path}: no onset that shows its face: no motion for views to show")


def _face_of(
    image: np.ndarray, found: FoundFace, shrink: float, subject: str, onset: np.ndarray | None
) -> Face:
    """The face that was found in an image made smaller by a factor up to 1."""
    landmarks = found.landmarks if shrink == 1 else (found.landmarks + 0.5) / shrink - 0.5
    return Face(image, landmarks, subject, onset, found.found_by)


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


def paints(
    heads: Sequence[Reconstruction], faces: Sequence[Face], extras: Extras
) -> Sequence[Paint | None]:
    """What `write_head` lays over each head, None where no clean pictures are among the extras."""
    return clean(heads, faces) if extras.clean else [None] * len(heads)


def write_head(
    head: Reconstruction,
    face: Face,
    backend: str,
    folder: Path,
    extras: Extras,
    paint: Paint | None = None,
) -> None:
    """Write what a frame's `folder` lacks; a new folder is whole or not there at all.

    paint: of `paints`, which the clean pictures take. UserError if it cannot be written.
    """
    part, prefix = None, f".{folder.name}.part."
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for left in folder.parent.glob(f"{prefix}*"):  # by a run that was killed
            shutil.rmtree(left, ignore_errors=True)
        part = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
        part.chmod(0o755)
        _write(head, face, backend, part, missing_files(folder, extras), paint)
        if folder.exists():
            made = [path for path in part.rglob("*") if path.is_file()]
            for path in sorted(made, key=lambda path: path.suffix == ".obj"):
                place = folder / path.relative_to(part)  # an .obj last: its material is there then
                place.parent.mkdir(exist_ok=True)
                path.replace(place)
        else:
            part.replace(folder)
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror or error}") from error
    finally:
        if part is not None:
            shutil.rmtree(part, ignore_errors=True)


def _write(
    head: Reconstruction,
    face: Face,
    backend: str,
    folder: Path,
    names: set[str],
    paint: Paint | None,
) -> None:
    for name, picture in _pictures(head, face, names, paint).items():
        (folder / name).parent.mkdir(exist_ok=True)
        Image.fromarray(picture).save(folder / name, quality=95)
    if "depth.png" in names:
        Image.fromarray(depth_map(head, face.image)).save(folder / "depth.png")
    if "codes.npz" in names:
        np.savez(folder / "codes.npz", **_codes(head, face, backend))
    for name in names:
        detail, posed = "_detail" in name, "_posed" in name
        if name.startswith("head"):
            save_mesh(head, folder / name, detail, posed)
        elif name.startswith("normals"):
            Image.fromarray(normal_picture(head, posed)).save(folder / name)


def _pictures(
    head: Reconstruction, face: Face, names: set[str], paint: Paint | None
) -> dict[str, np.ndarray]:
    """Those pictures among `names`, uint8 (H, W, 3) RGB; the mask (H, W)."""
    pictures: dict[str, np.ndarray] = {}
    lacking = [shown for shown in VIEWS_SHOW if not names.isdisjoint(view_names(shown))]
    looks = look(head, YAWS, SIZE) if lacking else []
    for shown in lacking:
        drawn = _views(head, shown, looks, paint)
        pictures |= dict(zip(view_names(shown), drawn, strict=True))
    if paint is not None and not names.isdisjoint(("frontal_clean.jpg", "clean_mask.png")):
        (frontal,), (mask,) = render_clean(head, paint, (0,), SHOWN)
        pictures |= {"frontal_clean.jpg": frontal, "clean_mask.png": mask}
    if not names.isdisjoint(("frontal.jpg", "textured.jpg")):
        pictures["frontal.jpg"], pictures["textured.jpg"] = render_frontal(head, SHOWN)
    if "panel.jpg" in names:
        pictures["panel.jpg"] = side_by_side(panel(head, face))
    if "overlay.jpg" in names:
        pictures["overlay.jpg"] = overlay(head, face.image)
    return {name: picture for name, picture in pictures.items() if name in names}


def _views(head: Reconstruction, shown: ViewsShow, looks: Looks, paint: Paint | None) -> np.ndarray:
    """The 13 views that show something, uint8 (13, S, S, 3); ValueError if the head cannot."""
    if shown == "shape":
        return render_views(head, looks=looks)
    if shown == "motion":
        moved = render_motion(head, looks=looks)
        if moved is None:
            raise ValueError("views of motion are of a face with an onset")
        return moved
    if paint is None:
        raise ValueError("clean views are of a painted head")
    return render_clean(head, paint, looks=looks)[0]


def _codes(head: Reconstruction, face: Face, backend: str) -> dict[str, Any]:
    square = face_square(face.landmarks)
    return {
        "backend": np.array(backend),
        "landmarks": head.landmarks,
        "found_by": np.array(face.found_by),
        "projected": head.projected,
        "square": np.array([square.x, square.y, square.side]),
        "to_crop": square.to_crop(),
        "pixel_camera": head.camera.cpu().numpy(),
        **head.codes,
    }
