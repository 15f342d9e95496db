"""Readers of DECA's and FLAME's asset files: each gives checked arrays or a one-line UserError."""

import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.checkpoints import load_checkpoint, named_as, tensors_of
from common.errors import UserError
from data.disk.frames import read_image

from .detail import MAP, DetailDecoder
from .encoder import CODES, Encoder, detail_encoder, flame_encoder
from .model import FlameModel, LandmarkEmbedding
from .pickles import read_pickle, read_pickled_npy, to_array

Net = TypeVar("Net", bound=nn.Module)


@dataclass(frozen=True)
class Template:
    """How the head's mesh is unwrapped: head_template.obj."""

    uv: np.ndarray  # (N, 2) float32 in [0, 1], v up
    uv_faces: np.ndarray  # (F, 3) rows of uv
    faces: np.ndarray  # (F, 3) rows of the vertices


@dataclass(frozen=True)
class Networks:
    """The parts of deca_model.tar that inference uses."""

    flame: Encoder
    detail: Encoder
    decoder: DetailDecoder


@dataclass(frozen=True)
class Albedo:
    """Skin colours as a linear model in uv: FLAME_albedo_from_BFM.npz, or FLAME_texture.npz."""

    mean: Tensor  # (3, 256, 256) RGB
    basis: Tensor  # (50, 3, 256, 256)


def read_flame(path: Path) -> FlameModel:
    """Read generic_model.pkl; UserError names the array that is missing or of a wrong shape."""
    arrays = _arrays(path, read_pickle(path), FlameModel)
    v, f = len(arrays["v_template"]), len(arrays["f"])
    shapes = {
        "v_template": (v, 3),
        "shapedirs": (v, 3, 400),
        "posedirs": (v, 3, 36),
        "J_regressor": (5, v),
        "kintree_table": (2, 5),
        "weights": (v, 5),
        "f": (f, 3),
    }
    _expect_shapes(path, arrays, shapes)
    _expect_indices(path, "f", arrays["f"], v)
    parents = arrays["kintree_table"][0].astype(np.int64)
    # The root's parent is -1, which the real file holds as an unsigned 32-bit number.
    if parents[0] not in (-1, 2**32 - 1) or not all(0 <= parents[j] < j for j in range(1, 5)):
        raise UserError(f"{path}: kintree_table's parents {parents.tolist()} are no tree")
    return FlameModel(**arrays)


def read_embedding(path: Path) -> LandmarkEmbedding:
    """Read landmark_embedding.npy; errors as read_flame."""
    arrays = _arrays(path, read_pickled_npy(path), LandmarkEmbedding)
    for kind, shape in {"static": (51,), "dynamic": (79, 17), "full": (1, 68)}.items():
        index, weights = f"{kind}_lmk_faces_idx", f"{kind}_lmk_bary_coords"
        _expect_shapes(path, arrays, {index: shape, weights: (*shape, 3)})
    return LandmarkEmbedding(**arrays)


def _arrays(path: Path, content: dict, kind: type) -> dict[str, np.ndarray]:
    names = [field.name for field in fields(kind)]
    missing = [name for name in names if name not in content]
    if missing:
        raise UserError(f"{path}: lacks {', '.join(missing)}; is it the right file?")
    arrays = {}
    for name in names:
        try:
            arrays[name] = to_array(content[name])
        except (ValueError, TypeError) as error:
            raise UserError(f"{path}: {name} is wrong ({error}); fetch it anew") from error
        if not np.isfinite(arrays[name]).all():
            raise UserError(f"{path}: {name} holds values that are no numbers; fetch it anew")
        if arrays[name].ndim == 0:
            raise UserError(f"{path}: {name} is a single number, not an array")
    return arrays


def _expect_shapes(path: Path, arrays: dict[str, np.ndarray], shapes: dict[str, tuple]) -> None:
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise UserError(f"{path}: {name} is {arrays[name].shape}, not {shape}")


def _expect_indices(path: Path, name: str, index: np.ndarray, below: int) -> None:
    if index.dtype.kind not in "iu" or index.min() < 0 or index.max() >= below:
        raise UserError(f"{path}: {name} points beyond the {below} rows that there are")


def read_template(path: Path) -> Template:
    """Read the texture coordinates and faces of head_template.obj (triangles, `f v/vt …`)."""
    uv, corners = [], []
    vertices = 0
    try:
        for line in path.read_text(encoding="ascii", errors="replace").splitlines():
            kind, *values = line.split() or [""]
            if kind == "v":
                vertices += 1
            elif kind == "vt":
                uv.append([float(values[0]), float(values[1])])
            elif kind == "f":
                if len(values) != 3:
                    raise ValueError(f"a face of {len(values)} corners")
                corners.append([[int(n) for n in corner.split("/")[:2]] for corner in values])
        index = np.array(corners, np.int64).reshape(-1, 3, 2) - 1
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    except (ValueError, IndexError) as error:
        raise UserError(f"{path}: no triangle mesh with texture coordinates ({error})") from error
    if not len(index):
        raise UserError(f"{path}: holds no faces; fetch it anew")
    _expect_indices(path, "a face's vertex", index[..., 0], vertices)
    _expect_indices(path, "a face's texture coordinate", index[..., 1], len(uv))
    return Template(np.array(uv, np.float32), index[..., 1], index[..., 0])


def read_displacement(path: Path) -> Tensor:
    """Read fixed_displacement_256.npy, (256, 256) in metres."""
    array = _load_numpy(path)
    if not isinstance(array, np.ndarray) or array.shape != (MAP, MAP) or array.dtype.kind != "f":
        raise UserError(f"{path}: not an array of {MAP} x {MAP} real numbers; fetch it anew")
    return torch.from_numpy(array).float()


def read_mask(path: Path) -> Tensor:
    """Read a mask of the uv map, an image of any size -> (256, 256) in [0, 1]."""
    return _read_map(path)[0]


def read_texture(path: Path) -> Tensor:
    """Read mean_texture.jpg, an image of any size -> (3, 256, 256) RGB in [0, 1]."""
    return _read_map(path)


def _read_map(path: Path) -> Tensor:
    image = read_image(path)
    if image.shape[0] != image.shape[1]:
        raise UserError(f"{path}: {image.shape[1]} x {image.shape[0]} pixels, not a square")
    return _to_map(torch.from_numpy(image)[None].float() / 255)[0]


def _to_map(images: Tensor) -> Tensor:
    """(N, S, S, 3) -> (N, 3, 256, 256)."""
    return F.interpolate(images.permute(0, 3, 1, 2), (MAP, MAP), mode="area")


def read_albedo(path: Path) -> Albedo:
    """Read FLAME_albedo_from_BFM.npz: the colours' mean MU and their components PC.

    MU holds S x S x 3 numbers, BGR in [0, 1]; PC as many for each of 199 components, the last
    axis, of which DECA's code has the first 50. Readers of the file reshape both, so that their
    shapes may be flat. UserError for what is none of that.
    """
    return _read_colours(path, "MU", "PC", 1)


def read_flame_texture(path: Path) -> Albedo:
    """Read FLAME_texture.npz: the same by the names mean and tex_dir, BGR in [0, 255]."""
    return _read_colours(path, "mean", "tex_dir", 255)


def _read_colours(path: Path, mean_name: str, basis_name: str, white: int) -> Albedo:
    content = _load_numpy(path)
    count = CODES["texture"]
    try:
        mean, basis = content[mean_name], content[basis_name]
    except (KeyError, IndexError, ValueError, zipfile.BadZipFile, OSError) as error:
        raise UserError(
            f"{path}: no archive with {mean_name} and {basis_name} ({error})"
        ) from error
    size = round((mean.size / 3) ** 0.5)
    components = basis.shape[-1] if basis.ndim else 0
    fits = mean.size == 3 * size**2 > 0 and basis.size == mean.size * components
    if not fits or components < count:
        raise UserError(
            f"{path}: {mean_name} is {mean.shape} and {basis_name} {basis.shape}, not (S, S, 3) "
            f"and (S, S, 3, {count})"
        )
    mean = mean.reshape(1, size, size, 3)[..., ::-1].astype(np.float32)
    basis = basis.reshape(size, size, 3, components)[..., ::-1, :count].astype(np.float32)
    if not (np.isfinite(mean).all() and np.isfinite(basis).all()):
        raise UserError(f"{path}: holds values that are no numbers; fetch it anew")
    # Colours of skin: neither far beyond white nor as dark as the other file's would be.
    low, brightest = float(mean.min()), float(mean.max())
    if low < -0.1 * white or not white / 100 < brightest < 2 * white:
        raise UserError(
            f"{path}: {mean_name} goes from {low:.3g} to {brightest:.3g}, not from 0 to {white}: "
            "colours of another range; fetch it anew"
        )
    return Albedo(
        _to_map(torch.from_numpy(mean / white))[0],
        _to_map(torch.from_numpy(np.moveaxis(basis / white, -1, 0))),
    )


def _load_numpy(path: Path) -> np.ndarray | np.lib.npyio.NpzFile:
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: damaged, or no file of numpy's; fetch it anew") from error
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from error


def read_networks(path: Path) -> Networks:
    """Read deca_model.tar: the two encoders and the detail decoder, in evaluation mode.

    Other networks and what else a checkpoint of DECA's training holds are left; UserError as
    load_checkpoint, and for a part that is missing or of another network.
    """
    content = load_checkpoint(path)
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds no dict of networks; is it the right file?")

    def part(name: str, build: Callable[[], Net]) -> Net:
        state = _part(content, name)
        if state is None:
            raise UserError(f"{path}: lacks {name}; is it the right file?")
        return _network(f"{path}: {name}", build, state)

    return Networks(
        flame=part("E_flame", flame_encoder),
        detail=part("E_detail", detail_encoder),
        decoder=part("D_detail", DetailDecoder),
    )


def _part(content: object, name: str) -> dict | None:
    """A network's state dict in a checkpoint: under its name, or its name in front of each key."""
    if not isinstance(content, dict):
        return None
    if isinstance(content.get(name), dict):
        return tensors_of(content[name]) or {}
    before = re.compile(rf"(.*\.)?{name}\.")
    flat = {before.sub("", key): value for key, value in content.items()
            if isinstance(key, str) and before.match(key)}  # fmt: skip
    if flat:
        return flat
    for value in content.values():
        if (found := _part(value, name)) is not None:
            return found
    return None


def _network(where: str, build: Callable[[], Net], state: dict[str, Tensor]) -> Net:
    with torch.device("meta"):  # shapes only: the weights come from the file
        network = build()
    want = network.state_dict()
    try:
        state = named_as(state, want)
    except ValueError as error:
        raise UserError(f"{where} holds {error}") from error
    # Batches counted in training: not used here, and absent from older files.
    state = {
        **{k: torch.tensor(0) for k in want if k.endswith("num_batches_tracked")},
        **state,
    }
    missing = [k for k in want if not isinstance(state.get(k), Tensor)]
    # More in the same modules makes it a larger network; other modules are of no account.
    modules = {k.split(".")[0] for k in want}
    unexpected = [k for k in state if k not in want and k.split(".")[0] in modules]
    if missing or unexpected:
        raise UserError(f"{where} lacks {_some(missing)}, and has unexpected {_some(unexpected)}")
    wrong = [k for k in want if state[k].shape != want[k].shape]
    if wrong:
        sizes = f"{tuple(state[wrong[0]].shape)}, not {tuple(want[wrong[0]].shape)}"
        raise UserError(f"{where}: {wrong[0]} is {sizes} ({len(wrong)} tensors of a wrong shape)")
    network.load_state_dict({k: state[k] for k in want}, assign=True)
    return network.eval().requires_grad_(False)


def _some(keys: list[str]) -> str:
    if not keys:
        return "nothing"
    return ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
