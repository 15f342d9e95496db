"""How long the 13 views of one head take: python -m benchmarks.bench_views

The mean Anny head at 224 px, set-up of the mesh included; beside it the rasterisers alone, Embree
and PyTorch3D on the CPU, on the same views, and on how many pixels they see the same face.
"""

import os
import platform
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from common.cli import run_script
from deca.anny.head import load_head
from deca.flame.model import rotation_matrices
from deca.geometry import vertex_normals
from deca.rasterizer import rasterize_embree, rasterize_pytorch3d
from deca.reconstruction import Framing, Reconstruction, Topology
from deca.render_views import SIZE, YAWS, render_views


def mean_head() -> Reconstruction:
    """The Anny head of average phenotypes, without expression, in the middle of the view."""
    model = load_head()
    vertices = model.neutral(*model.mean_identity())
    topology = Topology(
        faces=model.faces,
        uv=model.uv.reshape(-1, 2),
        uv_faces=torch.arange(3 * len(model.faces)).view(-1, 3),
    )
    low, high = vertices[0].amin(0), vertices[0].amax(0)
    return Reconstruction(
        topology=topology,
        vertices=vertices[0],
        frontal=vertices[0],
        rotation=torch.eye(3),
        normals=vertex_normals(vertices, model.faces)[0],
        normal_map=None,
        texture=torch.full((3, 256, 256), 0.5),
        framing=Framing((low + high) / 2, float(1.8 / (high[1] - low[1]))),
        camera=torch.tensor([1000.0, 112, 112]),
        landmarks=None,
        projected=np.zeros((68, 2)),
        codes={},
    )


def seconds(run: Callable[[], object], times: int) -> str:
    """The median and the best of some runs, after one that warms up."""
    taken = []
    for _ in range(times + 1):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    taken = taken[1:] or taken
    return f"{statistics.median(taken):7.3f} s (best of {len(taken)}: {min(taken):.3f} s)"


@torch.no_grad()
def main(runs: int = 10, threads: int = 2) -> None:
    """Print the times.

    Args:
        runs: how often each is measured (PyTorch3D: once).
        threads: threads of PyTorch.
    """
    torch.set_num_threads(threads)
    head = mean_head()
    faces = head.topology.faces
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {threads} threads"
    )
    print(f"{len(head.frontal)} vertices, {len(faces)} faces, {len(YAWS)} views of {SIZE} px")
    print(f"views, Embree            {seconds(lambda: render_views(head), runs)}")
    print(f"views, textured          {seconds(lambda: render_views(head, textured=True), runs)}")

    flip = torch.tensor([1.0, -1, -1])
    points = (head.frontal - head.framing.centre) * head.framing.scale * flip
    axes = torch.tensor([[0.0, np.deg2rad(yaw), 0.0] for yaw in YAWS]).float()
    turns = flip[:, None] * rotation_matrices(axes) * flip
    alone = seconds(lambda: rasterize_embree(points, faces, SIZE, turns), runs)
    print(f"rasteriser, Embree       {alone}")
    start = time.perf_counter()
    theirs = rasterize_pytorch3d(points, faces, SIZE, turns)
    print(f"rasteriser, PyTorch3D    {time.perf_counter() - start:7.3f} s (one run)")
    ours = rasterize_embree(points, faces, SIZE, turns)
    same = covered = 0
    for a, b in zip(ours, theirs, strict=True):
        image_a, image_b = (seen.image(seen.face[:, None], empty=-1)[0] for seen in (a, b))
        either = (image_a >= 0) | (image_b >= 0)
        covered += int(either.sum())
        same += int((image_a == image_b)[either].sum())
    print(f"the same face on {same / covered:.3%} of {covered} covered pixels")


if __name__ == "__main__":
    run_script(main)
