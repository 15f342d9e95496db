"""Heads as files that any 3D viewer opens: .obj with its texture beside it, or .glb."""

from pathlib import Path

import numpy as np
import trimesh
from PIL import Image
from trimesh.exchange.obj import export_obj

from common.errors import UserError
from common.files import write_whole

from .reconstruction import Reconstruction

SUFFIXES = (".obj", ".glb")


def to_trimesh(head: Reconstruction) -> trimesh.Trimesh:
    """The frontal head in metres with its texture; vertices on a seam of the map occur twice."""
    topology = head.topology
    corners = np.stack([topology.faces.cpu().numpy(), topology.uv_faces.cpu().numpy()], -1)
    pairs, index = np.unique(corners.reshape(-1, 2), axis=0, return_inverse=True)
    pixels = (head.texture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    material = trimesh.visual.material.SimpleMaterial(
        image=Image.fromarray(np.ascontiguousarray(pixels)), diffuse=[255, 255, 255, 255]
    )
    uv = topology.uv.cpu().numpy()[pairs[:, 1]]
    return trimesh.Trimesh(
        head.frontal.cpu().numpy()[pairs[:, 0]],
        index.reshape(-1, 3),
        vertex_normals=head.normals.cpu().numpy()[pairs[:, 0]],
        visual=trimesh.visual.TextureVisuals(uv=uv, material=material),
        process=False,
    )


def save_mesh(head: Reconstruction, path: Path | str) -> None:
    """Write the frontal head; .obj gets <name>.mtl and <name>.png beside it.

    UserError for another suffix, or if the files cannot be written.
    """
    path = Path(path)
    mesh = to_trimesh(head)
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
