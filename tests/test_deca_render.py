"""Rasterisers and shading: against the reference's pixels, and against each other."""

import numpy as np
import pytest
import torch
from deca_assets import head_mesh
from golden_numbers import golden, same

from deca.flame.model import rotation_matrices
from deca.geometry import vertex_normals
from deca.rasterizer import Fragments, rasterize, rasterize_embree, rasterize_pytorch3d
from deca.reconstruction import Topology
from deca.shading import FACING, GREY, harmonic_shading, lamp_shading
from deca.texture import UvMap

BOTH = pytest.mark.parametrize("rasterizer", [rasterize_embree, rasterize_pytorch3d])
UPRIGHT = torch.eye(3)[None]


@pytest.fixture(scope="module")
def numbers() -> dict[str, torch.Tensor]:
    return golden("flame_small.npz") | golden("render_small.npz")


def test_harmonic_shading(numbers):
    shading = harmonic_shading(numbers["normals"], numbers["sh_coeff"])
    same(shading, numbers["out_sh_shading"], 1e-4)


@BOTH
def test_grey_rendering_alpha_and_grid(numbers, rasterizer):
    faces = numbers["f"]
    uv = Topology(faces, numbers["uv"].float(), faces).uv_positions()[:, :2]
    world = vertex_normals(numbers["out_vertices"], faces)
    in_image = vertex_normals(numbers["out_projected"], faces)
    for i, vertices in enumerate(numbers["out_projected"]):
        (seen,) = rasterizer(vertices, faces, 64, UPRIGHT)
        same(seen.image(seen.interpolate(uv, faces)).permute(1, 2, 0), numbers["out_grid"][i], 1e-4)
        kept = seen.interpolate(in_image[i], faces)[:, 2:] < FACING
        same(seen.image(kept.float()), numbers["out_alpha"][i], 1e-4)
        grey = GREY * lamp_shading(seen.interpolate(world[i], faces))[:, None] * kept
        same(seen.image(grey.expand(-1, 3)), numbers["out_shape_images"][i], 1e-4)


def test_position_map_in_uv(numbers):
    faces, wanted = numbers["f"], numbers["out_uv_vertices"]
    topology = Topology(faces, numbers["uv"].float(), faces)
    (seen,) = rasterize_pytorch3d(topology.uv_positions(), faces, 32, UPRIGHT)
    maps = seen.image(seen.interpolate(numbers["out_vertices"], faces))
    # This small head's map folds over at its seam: two faces in one plane at every pixel, and
    # the reference's rounding decides. PyTorch3D rounds alike but for a few of 850 pixels; of
    # Embree's the processor decides how many (309 and more than 400 have been seen).
    close = ((maps - wanted).abs() < 1e-4).all(0).all(0)
    assert (~close).sum() <= 8
    ours = UvMap(topology, 32)
    assert torch.equal(ours.fragments.pixel, seen.pixel)
    alike = torch.zeros(32 * 32, dtype=bool)
    alike[seen.pixel] = ours.fragments.face == seen.face
    both = alike.view(32, 32) & close
    assert both.sum() > 200
    same(ours(numbers["out_vertices"])[..., both], wanted[..., both], 1e-4)


def face_image(seen: Fragments) -> torch.Tensor:
    return seen.image(seen.face[:, None], empty=-1)[0]


def random_head(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """An egg with dents, anywhere in the image, and two rotations of it."""
    rng = np.random.default_rng(seed)
    vertices, faces, *_ = head_mesh()
    dents = np.sin(vertices @ rng.normal(0, 40, (3, 8)) + rng.uniform(0, 6, 8))
    vertices = vertices + dents @ rng.normal(0, 0.003, (8, 3))
    points = torch.tensor(vertices * rng.uniform(5, 9) * [1, -1, -1]).float()
    points += torch.tensor([*rng.uniform(-0.3, 0.3, 2), 0]).float()
    turns = rotation_matrices(torch.tensor(rng.uniform(-1, 1, (2, 3))).float())
    return points, torch.from_numpy(faces), turns


@pytest.mark.parametrize("seed", range(3))
def test_embree_and_pytorch3d_see_the_same(seed):
    """The same face on 99.5% of the pixels; the others lie on edges of faces and on the outline."""
    points, faces, turns = random_head(seed)
    ours = rasterize_embree(points, faces, 112, turns)
    theirs = rasterize_pytorch3d(points, faces, 112, turns)
    for a, b in zip(ours, theirs, strict=True):
        image_a, image_b = face_image(a), face_image(b)
        covered = (image_a >= 0) | (image_b >= 0)
        assert covered.sum() > 2000
        equal = image_a == image_b
        assert equal[covered].float().mean() >= 0.995
        for pair in zip(image_a[~equal], image_b[~equal], strict=True):
            on_outline = min(pair) < 0
            corners = [set(faces[face].tolist()) for face in pair]
            assert on_outline or corners[0] & corners[1]
        in_both = [torch.isin(s.pixel, equal.flatten().nonzero()[:, 0]) for s in (a, b)]
        steep = sharp(points, faces, turns[0] if a is ours[0] else turns[1], a.face[in_both[0]])
        for name in ("barycentric", "depth"):
            error = getattr(a, name)[in_both[0]] - getattr(b, name)[in_both[1]]
            assert error[~steep].abs().max() < 1e-3


def sharp(points, faces, turn, index) -> torch.Tensor:
    """Faces seen so nearly from the side that their barycentrics are rounding."""
    corners = (points @ turn.T)[faces[index]]
    normal = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return normal[:, 2].abs() < 0.05 * normal.norm(dim=1)


@BOTH
def test_pixel_centres_axes_and_depth_order(rasterizer):
    """Of two triangles the nearer hides the farther, and axes point as said."""
    near = torch.tensor([[0.55, -0.95, -0.2], [0.95, -0.95, -0.2], [0.75, -0.55, -0.2]])
    far = torch.tensor([[0.05, -1, 0.3], [0.05, 0.2, 0.3], [2.45, -1, 0.3]])
    faces = torch.tensor([[0, 1, 2], [3, 4, 5]])
    (seen,) = rasterizer(torch.cat([near, far]), faces, 4, UPRIGHT)
    image = face_image(seen)
    assert image.tolist() == [[-1, -1, 1, 0], [-1, -1, 1, 1], [-1] * 4, [-1] * 4]
    assert seen.depth.tolist() == pytest.approx([0.3, -0.2, 0.3, 0.3], abs=1e-5)
    values = torch.cat([near, far])  # a point's own position is what its pixel's centre says
    x, y = seen.interpolate(values, faces)[:, :2].T
    assert x.tolist() == pytest.approx([0.25, 0.75, 0.25, 0.75], abs=1e-5)
    assert y.tolist() == pytest.approx([-0.75, -0.75, -0.25, -0.25], abs=1e-5)


@BOTH
def test_turning_rays_is_turning_the_mesh(rasterizer):
    points, faces, turns = random_head(7)
    for turn, seen in zip(turns, rasterizer(points, faces, 32, turns), strict=True):
        (plain,) = rasterizer(points @ turn.T, faces, 32, UPRIGHT)
        assert (face_image(seen) == face_image(plain)).float().mean() > 0.995


@BOTH
def test_a_mesh_beside_the_image(rasterizer):
    triangle = torch.tensor([[5.0, 5, 0], [6, 5, 0], [5, 6, 0]])
    (seen,) = rasterizer(triangle, torch.tensor([[0, 1, 2]]), 8, UPRIGHT)
    assert len(seen.pixel) == 0
    assert seen.image(torch.zeros(0, 3)).shape == (3, 8, 8)


def test_gradients_choose_pytorch3d_and_reach_the_vertices():
    triangle = torch.tensor([[-1.0, -1, 0], [1, -1, 0], [0, 1, 0.5]], requires_grad=True)
    (seen,) = rasterize(triangle, torch.tensor([[0, 1, 2]]), 16)
    seen.interpolate(triangle.detach(), torch.tensor([[0, 1, 2]])).sum().backward()
    assert triangle.grad.abs().sum() > 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_sees_what_embree_sees():
    points, faces, turns = random_head(3)
    for a, b in zip(
        rasterize_embree(points, faces, 224, turns),
        rasterize(points.cuda(), faces.cuda(), 224, turns.cuda()),
        strict=True,
    ):
        covered = (face_image(a) >= 0) | (face_image(b).cpu() >= 0)
        assert (face_image(a) == face_image(b).cpu())[covered].float().mean() >= 0.995
