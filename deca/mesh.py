"""Heads as files that any 3D viewer opens: .obj with its texture beside it, or .glb."""

from pathlib import Path

import numpy as np
import trimesh
from PIL import Image
from torch import Tensor
from trimesh.exchange.obj import export_obj

from common.errors import UserError
from common.files import write_whole

from .reconstruction import Reconstruction

SUFFIXES = (".obj", ".glb")
LONGEST = 0.02  # metres: longer edges between texels lead from one chart to another


def to_trimesh(head: Reconstruction, detail: bool = False, posed: bool = False) -> trimesh.Trimesh:
    """A head in metres with its texture: frontal, or posed as in its image.

    Its coarse mesh, whose vertices on a seam of the map occur twice; or with `detail` one of a
    vertex for each texel of the map of its wrinkles, open along the seams. ValueError if the
    head has no such map.
    """
    points, normals, uv, faces = _detailed(head) if detail else _coarse(head)
    if posed:
        turn = head.rotation.cpu().numpy()
        turned = head.frontal.cpu().numpy() @ turn.T
        shift = (head.vertices.cpu().numpy() - turned).mean(0)
        points, normals = points @ turn.T + shift, normals @ turn.T
    pixels = _bytes(head.texture.clamp(0, 1))
    material = trimesh.visual.material.SimpleMaterial(
        image=Image.fromarray(pixels), diffuse=[255, 255, 255, 255]
    )
    visual = trimesh.visual.TextureVisuals(uv=uv, material=material)
    return trimesh.Trimesh(points, faces, vertex_normals=normals, visual=visual, process=False)


def _coarse(head: Reconstruction) -> tuple[np.ndarray, ...]:
    """Points, normals (N, 3), uv (N, 2) and faces (F, 3)."""
    topology = head.topology
    corners = np.stack([topology.faces.cpu().numpy(), topology.uv_faces.cpu().numpy()], -1)
    pairs, index = np.unique(corners.reshape(-1, 2), axis=0, return_inverse=True)
    points, normals = (part.cpu().numpy()[pairs[:, 0]] for part in (head.frontal, head.normals))
    return points, normals, topology.uv.cpu().numpy()[pairs[:, 1]], index.reshape(-1, 3)


def _detailed(head: Reconstruction) -> tuple[np.ndarray, ...]:
    """The same with a vertex a texel, two triangles between four texels of one chart."""
    if head.detail_map is None or head.normal_map is None:
        raise ValueError("a head without a map of its wrinkles")
    points, normals = (
        part.permute(1, 2, 0).cpu().numpy() for part in (head.detail_map, head.normal_map)
    )
    size = len(points)
    index = np.arange(size * size).reshape(size, size)
    here, right, down, across = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    faces = np.stack([here, down, right, right, down, across], -1).reshape(-1, 3)
    corners = points.reshape(-1, 3)[faces]
    edges = np.linalg.norm(corners - np.roll(corners, 1, 1), axis=2)
    faces = faces[(edges < LONGEST).all(1)]  # not a number where the map is empty
    used, faces = np.unique(faces, return_inverse=True)
    centres = (np.stack([used % size, used // size], 1) + 0.5) / size
    uv = centres * [1, -1] + [0, 1]
    return points.reshape(-1, 3)[used], normals.reshape(-1, 3)[used], uv, faces.reshape(-1, 3)


def _bytes(image: Tensor) -> np.ndarray:
    """(3, S, S) in [0, 1] -> uint8 (S, S, 3)."""
    return np.ascontiguousarray((image * 255).round().byte().permute(1, 2, 0).cpu().numpy())


def normal_picture(head: Reconstruction, posed: bool = False) -> np.ndarray:
    """The normals with wrinkles in uv, uint8 (S, S, 3): x, y, z from -1..1 to 0..255.

    In the head's own axes (object space), of the frontal or the posed head. ValueError if there
    are none.
    """
    if head.normal_map is None:
        raise ValueError("a head without normals of its wrinkles")
    normals = head.normal_map
    if posed:
        normals = (head.rotation @ normals.flatten(1)).view_as(normals)
    return _bytes((normals / 2 + 0.5).clamp(0, 1))


def save_mesh(
    head: Reconstruction, path: Path | str, detail: bool = False, posed: bool = False
) -> None:
    """Write what to_trimesh makes; .obj gets <name>.mtl and <name>.png beside it.

    UserError for another suffix, or if the files cannot be written.
    """
    path = Path(path)
    mesh = to_trimesh(head, detail, posed)
    if path.suffix == ".glb":
        content = mesh.export(file_type="glb")
        assert isinstance(content, bytes)
        with write_whole(path) as part:
            part.write_bytes(content)
    elif path.suffix == ".obj":
        assert isinstance(mesh.visual, trimesh.visual.TextureVisuals)  # of to_trimesh
        mesh.visual.material.name = path.stem
        text, beside = export_obj(
            mesh, include_normals=True, return_texture=True, mtl_name=f"{path.stem}.mtl"
        )
        for name, content in beside.items():
            with write_whole(path.with_name(name)) as part:
                part.write_bytes(content)
        with write_whole(path) as part:  # last: the .obj is there when all of it is
            part.write_text(text, encoding="ascii")
    else:
        raise UserError(f"{path}: meshes are written as {' or '.join(SUFFIXES)}")
