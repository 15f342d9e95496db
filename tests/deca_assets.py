"""Synthetic DECA assets of the real shapes, in the real file formats.

The head is an egg with a nose: 5,023 vertices, 9,976 triangles, unwrapped like FLAME's (front in
the middle of the map, seam at the back). Coefficients move it smoothly.
"""

import io
import pickle
import struct
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import pytest
import torch

from deca.flame.detail import DetailDecoder
from deca.flame.encoder import detail_encoder, flame_encoder

COLUMNS, ROWS, SPLIT = 68, 73, 58  # 68 * 73 + 1 + 58 = 5023 vertices, 9860 + 2 * 58 = 9976 faces


class Python2Pickler(pickle._Pickler):
    """Writes what Python 2 wrote: byte strings, and its names of modules."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)
    renamed: ClassVar = {
        "numpy._core.multiarray": "numpy.core.multiarray",
        "scipy.sparse._csc": "scipy.sparse.csc",
        "copyreg": "copy_reg",
        "builtins": "__builtin__",
    }

    def __init__(self, file: io.BufferedIOBase) -> None:
        super().__init__(file, protocol=2)

    def save_bytes(self, value: bytes | str) -> None:
        raw = value.encode("latin1") if isinstance(value, str) else value
        self.write(pickle.BINSTRING + struct.pack("<i", len(raw)) + raw)
        self.memoize(value)

    def save_global(self, obj: object, name: str | None = None) -> None:
        module = getattr(obj, "__module__", "numpy")
        module = self.renamed.get(module, module)
        self.write(f"c{module}\n{name or obj.__qualname__}\n".encode())
        self.memoize(obj)

    dispatch[bytes] = dispatch[str] = save_bytes
    dispatch[type] = dispatch[type(save_bytes)] = save_global


class Ch:
    """What chumpy's class looks like in a pickle."""

    def __init__(self, x: np.ndarray) -> None:
        self.x = x
        self._dirty_vars = {"x"}
        self._itr = None


Ch.__module__ = "chumpy.ch"


def dump_python2(content: object, path: Path) -> None:
    with path.open("wb") as file:
        Python2Pickler(file).dump(content)


def head_mesh() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Vertices (5023, 3) metres, faces (9976, 3), uv (N, 2), uv faces (9976, 3)."""
    azimuth = (np.arange(COLUMNS) / COLUMNS - 0.5) * 2 * np.pi  # 0 at the front
    polar = np.linspace(0.02, 0.85, ROWS) * np.pi  # from the crown to the neck's open rim
    a, p = (grid.ravel() for grid in np.meshgrid(azimuth, polar))
    vertices = np.vstack([_surface(a, p), _surface(np.zeros(1), np.zeros(1))])
    crown = len(vertices) - 1
    # uv columns run one further: the seam's vertices occur twice.
    u, v = np.meshgrid(np.arange(COLUMNS + 1) / COLUMNS, 1 - 0.05 - 0.9 * np.linspace(0, 1, ROWS))
    uv = [*np.stack([u.ravel(), v.ravel()], 1)]
    faces, uv_faces = [], []

    def add(*corners: tuple[int, int]) -> None:
        faces.append([r * COLUMNS + c % COLUMNS for r, c in corners])
        uv_faces.append([r * (COLUMNS + 1) + c for r, c in corners])

    for r in range(ROWS - 1):
        for c in range(COLUMNS):
            add((r, c), (r + 1, c), (r, c + 1))
            add((r, c + 1), (r + 1, c), (r + 1, c + 1))
    for c in range(COLUMNS):
        add((0, c), (0, c + 1), (0, 0))
        faces[-1][2] = crown
        uv_faces[-1][2] = len(uv)
        uv.append(np.array([(c + 0.5) / COLUMNS, 0.99]))
    vertices, uv = list(vertices), list(uv)
    for face in range(0, 100 * SPLIT, 100):  # a vertex in the middle: two faces more
        corners, uv_corners = faces[face], uv_faces[face]
        middle, uv_middle = len(vertices), len(uv)
        vertices.append(np.mean([vertices[k] for k in corners], 0))
        uv.append(np.mean([uv[k] for k in uv_corners], 0))
        faces += [[corners[1], corners[2], middle], [corners[2], corners[0], middle]]
        uv_faces += [
            [uv_corners[1], uv_corners[2], uv_middle],
            [uv_corners[2], uv_corners[0], uv_middle],
        ]
        faces[face] = [*corners[:2], middle]
        uv_faces[face] = [*uv_corners[:2], uv_middle]
    return np.array(vertices), np.array(faces), np.array(uv), np.array(uv_faces)


def _surface(azimuth: np.ndarray, polar: np.ndarray) -> np.ndarray:
    sin = np.sin(polar)
    direction = np.stack([sin * np.sin(azimuth), np.cos(polar), sin * np.cos(azimuth)], 1)

    def bump(a: float, p: float, width: float) -> np.ndarray:
        return np.exp(-((azimuth - a) ** 2 + (polar - p) ** 2) / width**2)[:, None]

    radius = 1 + 0.2 * bump(0, 1.8, 0.2) + 0.05 * bump(0, 2.2, 0.2)  # nose, mouth
    radius -= 0.06 * (bump(0.45, 1.5, 0.2) + bump(-0.45, 1.5, 0.2))  # eyes
    return radius * direction * [0.075, 0.125, 0.095]


def landmark_points() -> np.ndarray:
    """68 points (azimuth, polar) on the head, in iBUG order."""
    t = np.linspace(-1, 1, 17)
    contour = np.stack([1.3 * np.sin(t * np.pi / 2), 2.45 - 0.9 * t**2], 1)
    brow = np.stack([np.linspace(-0.7, -0.2, 5), 1.3 - 0.05 * np.sin(np.linspace(0, 3, 5))], 1)
    bridge = np.stack([np.zeros(4), np.linspace(1.45, 1.75, 4)], 1)
    nostrils = np.stack([np.linspace(-0.15, 0.15, 5), np.full(5, 1.88)], 1)

    def ring(a: float, p: float, wide: float, high: float, count: int) -> np.ndarray:
        turn = np.linspace(np.pi, -np.pi, count, endpoint=False)
        return np.stack([a + wide * np.cos(turn), p - high * np.sin(turn)], 1)

    mirrored = brow[::-1] * [-1, 1]
    eyes = [ring(-0.45, 1.5, 0.15, 0.05, 6), ring(0.45, 1.5, 0.15, 0.05, 6)]
    mouth = [ring(0, 2.15, 0.3, 0.1, 12), ring(0, 2.15, 0.2, 0.04, 8)]
    return np.vstack([contour, brow, mirrored, bridge, nostrils, *eyes, *mouth])


def _embed(points: np.ndarray, uv: np.ndarray, uv_faces: np.ndarray) -> tuple:
    """Points (N, 2) of (azimuth, polar) -> faces (N,) and barycentrics (N, 3)."""
    at = np.stack(
        [points[:, 0] / (2 * np.pi) + 0.5, 0.95 - 0.9 * (points[:, 1] / np.pi - 0.02) / 0.83], 1
    )
    corners = uv[uv_faces]
    origin, edges = corners[:, 0], np.stack([corners[:, 1], corners[:, 2]], -1)
    inverse = np.linalg.inv(edges - origin[..., None])  # (F, 2, 2)
    index, weights = [], []
    for point in at:
        beta = np.einsum("fij,fj->fi", inverse, point - origin)
        barycentric = np.concatenate([1 - beta.sum(1, keepdims=True), beta], 1)
        index.append(int(barycentric.min(1).argmax()))
        weights.append(barycentric[index[-1]])
    return np.array(index), np.array(weights)


def flame_arrays(vertices: np.ndarray, faces: np.ndarray) -> dict:
    """generic_model.pkl's content as plain arrays."""
    rng = np.random.default_rng(0)
    count = len(vertices)
    waves = np.sin(vertices @ rng.normal(0, 25, (3, 400)) + rng.uniform(0, 6, 400))
    shapedirs = waves[:, None] * rng.normal(0, 1e-3, (3, 400))
    nearness = -np.stack(
        [np.linalg.norm(vertices - joint, axis=1) * 60 for joint in JOINTS],
        1,
    )
    weights = np.exp(nearness)
    regressor = np.zeros((5, count))
    for row, joint in zip(regressor, JOINTS, strict=True):
        near = np.argsort(np.linalg.norm(vertices - joint, axis=1))[:20]
        row[near] = 1 / 20
    return {
        "v_template": vertices,
        "shapedirs": shapedirs,
        "posedirs": waves[:, None, :36] * rng.normal(0, 1e-4, (3, 36)),
        "J_regressor": regressor,
        "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], [0, 1, 2, 3, 4]]),
        "weights": weights / weights.sum(1, keepdims=True),
        "f": faces.astype(np.uint32),
    }


JOINTS = np.array(
    [[0, -0.12, 0], [0, -0.08, 0], [0, -0.03, 0.03], [0.03, 0.02, 0.08], [-0.03, 0.02, 0.08]]
)


def _write_flame(folder: Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    import scipy.sparse

    arrays = flame_arrays(vertices, faces)
    for name in ("v_template", "shapedirs", "weights"):
        arrays[name] = Ch(arrays[name])
    arrays["J_regressor"] = scipy.sparse.csc_matrix(arrays["J_regressor"])
    dump_python2(arrays | {"bs_style": "lbs", "bs_type": "lrotmin"}, folder / "generic_model.pkl")


def _write_embedding(folder: Path, uv: np.ndarray, uv_faces: np.ndarray) -> None:
    points = landmark_points()
    index, weights = _embed(points, uv, uv_faces)
    degrees = np.r_[0:40, -1:-40:-1]
    contours = points[:17] - np.stack([np.deg2rad(degrees) / 3, np.zeros(79)], 1)[:, None]
    dynamic, dynamic_weights = _embed(contours.reshape(-1, 2), uv, uv_faces)
    content = {
        "static_lmk_faces_idx": index[17:],
        "static_lmk_bary_coords": weights[17:],
        "dynamic_lmk_faces_idx": torch.from_numpy(dynamic.reshape(79, 17)),
        "dynamic_lmk_bary_coords": torch.from_numpy(dynamic_weights.reshape(79, 17, 3)),
        "full_lmk_faces_idx": index[None],
        "full_lmk_bary_coords": weights[None],
    }
    np.save(folder / "landmark_embedding.npy", content, allow_pickle=True)


def write_obj(path: Path, vertices, faces, uv, uv_faces) -> None:
    lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in vertices]
    lines += [f"vt {u:.6f} {v:.6f}" for u, v in uv] + ["usemtl head", "s off"]
    for corners, uv_corners in zip(faces + 1, uv_faces + 1, strict=True):
        lines.append("f " + " ".join(f"{a}/{b}" for a, b in zip(corners, uv_corners, strict=True)))
    path.write_text("\n".join(lines) + "\n")


def networks() -> dict:
    """deca_model.tar's content: untrained networks whose codes stay near a plain face."""
    torch.manual_seed(0)
    flame, detail, decoder = flame_encoder(), detail_encoder(), DetailDecoder()
    for network in (flame, detail):
        with torch.no_grad():
            network.layers[2].weight *= 100
            network.layers[2].bias.zero_()
            for block in network.modules():
                if hasattr(block, "bn3"):  # keeps an untrained trunk from exploding
                    block.bn3.weight.fill_(0.2)
    with torch.no_grad():
        flame.layers[2].weight[206:] *= 0.02  # camera, light
        flame.layers[2].weight[200:206] *= 0.1  # pose
        flame.layers[2].bias[206] = 8  # scale
        flame.layers[2].bias[209:212] = 3  # ambient light
    parts = {"E_flame": flame, "E_detail": detail, "D_detail": decoder}
    return {name: part.state_dict() for name, part in parts.items()} | {"epoch": 7, "opt": {}}


def write_assets(folder: Path) -> Path:
    """Write all required files; albedo on its own by write_albedo."""
    vertices, faces, uv, uv_faces = head_mesh()
    _write_flame(folder, vertices, faces)
    _write_embedding(folder, uv, uv_faces)
    write_obj(folder / "head_template.obj", vertices, faces, uv, uv_faces)
    torch.save(networks(), folder / "deca_model.tar")
    y, x = np.mgrid[:256, :256] / 255
    np.save(folder / "fixed_displacement_256.npy", 1e-4 * np.sin(40 * x).astype(np.float64))
    mask = (((x - 0.5) / 0.25) ** 2 + ((y - 0.55) / 0.3) ** 2 < 1) * np.uint8(255)
    cv2.imwrite(str(folder / "uv_face_eye_mask.png"), np.dstack([mask] * 3))
    cv2.imwrite(str(folder / "uv_face_mask.png"), mask)
    skin = np.full((512, 512, 3), (120, 150, 200), np.uint8)
    cv2.imwrite(str(folder / "mean_texture.jpg"), skin)
    return folder


def write_albedo(folder: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(
        folder / "FLAME_albedo_from_BFM.npz",
        MU=np.full((64, 64, 3), (0.4, 0.5, 0.7)),
        PC=rng.normal(0, 0.01, (64, 64, 3, 60)),
    )


_written: list[Path] = []


@pytest.fixture(scope="session")
def assets_folder(tmp_path_factory) -> Path:
    """The folder, written once for all test files; tests must not change it."""
    if not _written:
        _written.append(write_assets(tmp_path_factory.mktemp("assets")))
    return _written[0]
