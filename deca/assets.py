"""The files that DECA needs, which each user fetches: what they are, and whether they are right.

python -m deca.assets check FOLDER
python -m deca.assets where
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from torch import Tensor

from common.cli import run_script
from common.errors import UserError, warn

from .flame import asset_files as files

VERTICES, FACES = 5023, 9976  # of FLAME's head


@dataclass(frozen=True)
class Source:
    """Who gives files out, and how they may be used."""

    name: str
    address: str
    licence: str


FLAME = Source(
    "FLAME (Max Planck Institute for Intelligent Systems)",
    "https://flame.is.tue.mpg.de, after registration: FLAME 2020",
    "non-commercial scientific research; read the site's licence",
)
WEIGHTS = Source(
    "DECA, trained model (Feng, Feng, Black and Bolkart)",
    "the link in the README of https://github.com/yfeng95/DECA",
    "non-commercial scientific research; read the repository's LICENSE",
)
DATA = Source(
    "DECA, data folder",
    "https://github.com/yfeng95/DECA/tree/master/data",
    "non-commercial scientific research; read the repository's LICENSE",
)
ALBEDO = Source(
    "Basel Face Model's colours on FLAME's head (optional: skin colour under estimated light)",
    "made by https://github.com/TimoBolkart/BFM_to_FLAME from the Basel Face Model",
    "the Basel Face Model's: non-commercial research, after registration",
)

TEXTURE = Source(
    "FLAME, texture space (optional: stands in for the Basel Face Model's colours)",
    "https://flame.is.tue.mpg.de, after registration: texture space",
    "non-commercial scientific research; read the site's licence",
)


@dataclass(frozen=True)
class AssetFile:
    """One file of the folder."""

    name: str
    source: Source
    read: Callable[[Path], Any]  # UserError if it is wrong
    optional: bool = False


FILES = {
    "flame": AssetFile("generic_model.pkl", FLAME, files.read_flame),
    "networks": AssetFile("deca_model.tar", WEIGHTS, files.read_networks),
    "template": AssetFile("head_template.obj", DATA, files.read_template),
    "embedding": AssetFile("landmark_embedding.npy", DATA, files.read_embedding),
    "fixed_displacement": AssetFile("fixed_displacement_256.npy", DATA, files.read_displacement),
    "face_eye_mask": AssetFile("uv_face_eye_mask.png", DATA, files.read_mask),
    "face_mask": AssetFile("uv_face_mask.png", DATA, files.read_mask),
    "mean_texture": AssetFile("mean_texture.jpg", DATA, files.read_texture),
    "albedo": AssetFile("FLAME_albedo_from_BFM.npz", ALBEDO, files.read_albedo, optional=True),
    "flame_texture": AssetFile(
        "FLAME_texture.npz", TEXTURE, files.read_flame_texture, optional=True
    ),
}


@dataclass(frozen=True)
class Assets:
    """The content of all files, checked against each other; the fields are FILES' keys."""

    flame: files.FlameModel
    networks: files.Networks
    template: files.Template
    embedding: files.LandmarkEmbedding
    fixed_displacement: Tensor  # (256, 256) metres
    face_eye_mask: Tensor  # (256, 256) in [0, 1]: where wrinkles and the image's colours go
    face_mask: Tensor  # (256, 256): the skin alone
    mean_texture: Tensor  # (3, 256, 256) RGB in [0, 1]
    albedo: files.Albedo | None
    flame_texture: files.Albedo | None  # read where albedo is not there


def load_assets(folder: Path | str) -> Assets:
    """Read everything; UserError on the first file that is missing or wrong.

    An optional file that is wrong is left out, with a warning.
    """
    folder = _folder(folder)
    content: dict[str, Any] = {}
    for key, file in FILES.items():
        try:
            content[key] = _read(folder, key, content)
        except UserError as error:
            if not file.optional:
                raise
            warn(f"{error}; going on without it")
            content[key] = None
    return Assets(**content)


def assets_complete(folder: Path | str) -> bool:
    """Whether every required file is there, by name; load_assets looks inside."""
    return all(f.optional or (Path(folder) / f.name).is_file() for f in FILES.values())


def _folder(folder: Path | str) -> Path:
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(
            f"{folder}: no such folder; it should hold DECA's files: python -m deca.assets where"
        )
    return folder


def _read(folder: Path, key: str, others: dict[str, Any]) -> Any:
    """One file's content, checked against those read before; None: optional and not there."""
    file = FILES[key]
    path = folder / file.name
    if not path.exists():
        if file.optional:
            return None
        raise UserError(f"{path}: missing; it is given out by {file.source.address}")
    value = file.read(path)
    fault = _misfit(key, value, others)
    if fault:
        raise UserError(f"{path}: {fault}")
    return value


def _misfit(key: str, value: Any, others: dict[str, Any]) -> str | None:
    """What a file of the right form does not have in common with FLAME's head, or with others."""
    if key == "flame" and (len(value.v_template), len(value.f)) != (VERTICES, FACES):
        sizes = f"{len(value.v_template)} vertices and {len(value.f)} faces"
        return f"a head of {sizes}, not FLAME's {VERTICES} and {FACES}"
    if key == "template":
        if value.faces.shape != (FACES, 3):
            return f"{len(value.faces)} faces, not {FACES}"
        flame = others.get("flame")
        if flame is not None and not np.array_equal(value.faces, flame.f):
            return f"its faces are not those of {FILES['flame'].name}"
    if key == "embedding":
        for kind in ("static", "dynamic", "full"):
            index = getattr(value, f"{kind}_lmk_faces_idx")
            if index.min() < 0 or index.max() >= FACES:
                return f"{kind}_lmk_faces_idx points beyond the {FACES} faces"
    return None


def check(folder: Annotated[Path, tyro.conf.Positional]) -> int:
    """Say for each file: found and right, missing, or wrong and how.

    Exit code 0 if reconstruction can run with the folder, else 1.

    Args:
        folder: holds DECA's and FLAME's files.
    """
    folder = _folder(folder)
    width = max(len(file.name) for file in FILES.values())
    content: dict[str, Any] = {}
    faulty = False
    for key, file in FILES.items():
        try:
            content[key] = _read(folder, key, content)
            state, note = ("ok", "") if content[key] is not None else ("absent", "optional")
        except UserError as error:
            state = "wrong" if (folder / file.name).exists() else "missing"
            note = str(error).removeprefix(f"{folder / file.name}: ").removeprefix("missing; ")
            faulty = faulty or not file.optional
        print(f"{state:8}{file.name:{width + 2}}{note}".rstrip())
    print("DECA cannot run with this folder" if faulty else "DECA can run with this folder")
    return int(faulty)


def where() -> None:
    """Print what to fetch from whom, and under which licence."""
    for source in (FLAME, WEIGHTS, DATA, ALBEDO, TEXTURE):
        names = ", ".join(f.name for f in FILES.values() if f.source is source)
        print(f"{names}\n  of:      {source.name}\n  from:    {source.address}")
        print(f"  licence: {source.licence}\n")
    print("Put all files into one folder. None of them is part of this project.")


if __name__ == "__main__":
    run_script({"check": check, "where": where})
