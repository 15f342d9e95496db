"""The DECA backend end to end on synthetic assets: coefficients -> head -> views, meshes."""

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
import trimesh
from deca_assets import assets_folder, landmark_points, write_albedo

from common.errors import UserError
from deca.assets import load_assets
from deca.crop import Square, crop, face_square
from deca.flame.backend import DecaBackend
from deca.flame.model import rotation_matrices
from deca.geometry import project, vertex_normals
from deca.mesh import save_mesh, to_trimesh
from deca.rasterizer import rasterize, rasterize_embree, rasterize_pytorch3d
from deca.reconstruction import Face, Reconstruction
from deca.render_views import YAWS, render_in_image, render_views
from deca.shading import harmonic_shading

__all__ = ["assets_folder"]
START = {"shape": 0, "expression": 150, "pose": 200, "camera": 206}


def filling(image: np.ndarray) -> Face:
    """A face around which DECA's square is the whole picture."""
    height, width = image.shape[:2]
    middle, half = np.array([width - 1, height - 1]) / 2, (max(height, width) - 1) / 2 / 1.1 / 1.25
    return Face(image, np.float32([middle - half, middle + half] * 34))


@pytest.fixture(scope="module")
def assets(assets_folder):
    return load_assets(assets_folder)


@pytest.fixture(scope="module")
def backend(assets) -> DecaBackend:
    return DecaBackend(assets)


@pytest.fixture(scope="module")
def face() -> Face:
    points = landmark_points()  # (azimuth, polar)
    landmarks = np.stack([224 + 60 * points[:, 0], 70 * points[:, 1] - 20], 1)
    return Face(skimage.data.astronaut(), landmarks)


@pytest.fixture(scope="module")
def head(backend, face) -> Reconstruction:
    return backend.reconstruct([face])[0]


def with_bias(assets, **changes: list[float]) -> DecaBackend:
    """A backend whose encoder adds to some coefficients."""
    bias = assets.networks.flame.layers[2].bias
    before = bias.clone()
    for name, values in changes.items():
        bias[START[name] : START[name] + len(values)] += torch.tensor(values)
    flame = torch.nn.Sequential(assets.networks.flame)
    changed = bias.clone()
    bias.copy_(before)
    extra = changed - before
    flame.register_forward_hook(lambda _module, _inputs, output: output + extra)
    return DecaBackend(replace(assets, networks=replace(assets.networks, flame=flame)))


def test_shapes_and_coefficients(head):
    assert head.vertices.shape == head.frontal.shape == head.normals.shape == (5023, 3)
    assert head.normal_map.shape == head.texture.shape == (3, 256, 256)
    assert head.projected.shape == (68, 2)
    sizes = {name: code.shape for name, code in head.codes.items()}
    assert sizes == {
        "shape": (100,),
        "texture": (50,),
        "expression": (50,),
        "pose": (6,),
        "camera": (3,),
        "light": (9, 3),
        "detail": (128,),
        "landmarks3d": (68, 3),
    }
    assert all(np.isfinite(code).all() and code.std() > 1e-3 for code in head.codes.values())


def test_the_head_follows_its_coefficients_into_the_images_pixels(backend, head, face):
    """Camera, crop and FLAME put together once more, by the spec's formulas."""
    codes = {name: torch.from_numpy(code)[None] for name, code in head.codes.items()}
    vertices, landmarks = backend.flame(codes["shape"], codes["expression"], codes["pose"])
    torch.testing.assert_close(head.vertices, vertices[0])
    in_crop = (project(landmarks, codes["camera"])[0, :, :2].numpy() + 1) * 112
    square = face_square(face.landmarks)
    left, top = square.x - square.side / 2, square.y - square.side / 2
    wanted = in_crop / 223 * square.side + (left, top)
    np.testing.assert_allclose(head.projected, wanted, atol=0.01)
    pose = rotation_matrices(codes["pose"][:, :3])[0]
    moved = head.vertices - head.frontal @ pose.T
    assert (moved - moved.mean(0)).abs().max() < 1e-5
    torch.testing.assert_close(head.rotation, pose)


def test_heads_do_not_depend_on_their_batch(backend, face, head):
    other = Face(face.image[:, ::-1].copy(), face.landmarks)
    _, again, *rest = backend.reconstruct(
        [other, face, other, face, other, face, face, face, other]
    )
    assert len(rest) == 7
    torch.testing.assert_close(again.vertices, head.vertices, atol=1e-5, rtol=0)
    assert (rest[-1].vertices - head.vertices).abs().max() > 1e-4
    assert backend.reconstruct([]) == []


@pytest.mark.parametrize("size", [(1, 1), (20, 30), (2000, 3000)])
def test_images_of_any_size(backend, size):
    image = np.full((*size, 3), 90, np.uint8)
    points = np.random.default_rng(0).uniform(0, 1, (68, 2)) * size[::-1]
    (found,) = backend.reconstruct([Face(image, points.astype(np.float32))])
    assert np.isfinite(found.projected).all()
    assert found.texture.isfinite().all()


def test_detail_only_inside_the_mask(backend, head, assets):
    coarse = backend.to_uv(vertex_normals(head.frontal[None], backend.topology.faces))[0]
    difference = (head.normal_map - coarse).abs().amax(0)
    assert difference[assets.face_eye_mask == 0].max() < 1e-6
    inside = assets.face_eye_mask == 1
    assert difference[inside].median() > 1e-3  # wrinkles
    agreement = (head.normal_map * coarse).sum(0)[inside]
    assert agreement.median() > 0.9  # which still point outwards


# Views


def test_thirteen_views(head):
    views = render_views(head)
    assert views.shape == (13, 224, 224, 3)
    assert views.dtype == np.uint8
    assert YAWS == (-30, -25, -20, -15, -10, -5, 0, 5, 10, 15, 20, 25, 30)
    assert (views[..., 0] == views[..., 1]).all() and (views[..., 0] == views[..., 2]).all()
    covered = (views > 0).any(-1)
    assert not covered[:, 0].any() and not covered[:, :, [0, -1]].any()  # only the neck is cut
    assert (covered.mean((1, 2)) > 0.25).all()
    for a, b in pairwise(views):
        assert 0.5 < np.abs(a.astype(int) - b).mean() < 40


def test_views_are_of_the_turned_head(backend, head):
    """A view equals the frontal view of vertices that were turned beforehand."""
    turn = rotation_matrices(torch.tensor([0.0, math.radians(25), 0.0]))
    centre = head.framing.centre
    turned = replace(
        head,
        frontal=(head.frontal - centre) @ turn.T + centre,
        normals=head.normals @ turn.T,
        normal_map=torch.einsum("ij,jhw->ihw", turn, head.normal_map),
    )
    wanted, got = render_views(turned, [0])[0].astype(int), render_views(head, [25])[0].astype(int)
    assert (np.abs(wanted - got) > 2).mean() < 0.002


def test_positive_yaw_turns_the_nose_to_the_right(assets):
    egg = with_zero_codes(assets)
    spot = torch.zeros(3, 256, 256)
    spot[:, 140:150, 123:133] = 1  # the nose: the middle of the map
    for yaw, right_of_the_middle in ((30, True), (0, None), (-30, False)):
        columns = render_views(replace(egg, texture=spot), [yaw], textured=True)[0].nonzero()[1]
        assert len(columns) > 50
        middle = columns.mean() - 111.5
        assert abs(middle) < 2 if right_of_the_middle is None else abs(middle) > 20
        assert right_of_the_middle is None or (middle > 0) == right_of_the_middle
    left, right = render_views(egg, [-30])[0], render_views(egg, [30])[0]
    difference = np.abs(left[:, ::-1].astype(int) - right)
    assert np.median(difference[right > 0]) <= 3  # a symmetric head: mirror images
    assert np.abs(left.astype(int) - right).mean() > 1


def with_zero_codes(assets) -> Reconstruction:
    """The template itself, in the middle of an empty image."""
    backend = DecaBackend(assets)
    silence(backend)
    return backend.reconstruct([filling(np.zeros((50, 50, 3), np.uint8))])[0]


def silence(backend: DecaBackend, light: float = 1.0) -> None:
    codes = torch.zeros(236)
    codes[206], codes[209:212] = 8, light
    flame = torch.nn.Flatten()
    flame.register_forward_hook(lambda _m, _i, output: codes.expand(len(output), -1))
    backend.networks = replace(backend.networks, flame=flame)


def test_views_do_not_depend_on_the_pose(assets, face, head):
    turned = with_bias(assets, pose=[0.1, -0.4, 0.2], camera=[1, 0.1, 0.2])
    (other,) = turned.reconstruct([face])
    assert (other.vertices - head.vertices).abs().max() > 0.01
    difference = np.abs(render_views(other).astype(int) - render_views(head))
    assert difference.max() <= 1
    square = face_square(face.landmarks)
    in_image = np.abs(render_in_image(other, square).astype(int) - render_in_image(head, square))
    assert in_image.mean() > 5


def test_expression_shows_and_does_not_move_the_frame(assets, face, head):
    (other,) = with_bias(assets, expression=[2.0, -2, 2, -2, 2]).reconstruct([face])
    torch.testing.assert_close(other.framing.centre, head.framing.centre)
    assert other.framing.scale == pytest.approx(head.framing.scale)
    assert np.abs(render_views(other).astype(int) - render_views(head)).mean() > 1


def test_framing_fills_the_view_from_crown_to_chin(backend, head):
    codes = {name: torch.from_numpy(code)[None] for name, code in head.codes.items()}
    resting, _ = backend.flame(
        codes["shape"], torch.zeros_like(codes["expression"]), torch.zeros_like(codes["pose"])
    )
    chin = backend.flame.landmarks3d(resting)[0, 8]
    plain = replace(head, frontal=resting[0], normal_map=None)
    rows = np.flatnonzero((render_views(plain, [0])[0] > 0).any((1, 2)))
    assert rows[0] == pytest.approx(224 * 0.075, abs=2)
    row_of_chin = 112 - (chin - head.framing.centre)[1] * head.framing.scale * 112
    assert float(row_of_chin) == pytest.approx(224 * 0.925, abs=2)


def test_original_views_turn_about_the_root_joint(assets, face, head):
    """Scale 8, nothing centred: by the vertices of a FLAME head whose pose is the yaw."""
    original = DecaBackend(assets, original_views=True)
    (other,) = original.reconstruct([face])
    torch.testing.assert_close(other.vertices, head.vertices)
    codes = {name: torch.from_numpy(code)[None] for name, code in head.codes.items()}
    pose = codes["pose"].clone()
    pose[:, :3] = torch.tensor([0, math.radians(30), 0])
    vertices, _ = original.flame(codes["shape"], codes["expression"], pose)
    points = project(vertices, torch.tensor([[8.0, 0, 0]]))
    (wanted,) = rasterize(points[0], other.topology.faces, 224)
    view = render_views(other, [30])[0][..., 0]
    covered = torch.zeros(224 * 224, dtype=bool)
    covered[wanted.pixel] = True
    lit = torch.from_numpy(view > 0).flatten()
    assert not (lit & ~covered).any() or (lit & ~covered).float().mean() < 1e-4
    assert lit.sum() > 0.9 * covered.sum()  # the rest faces away
    assert original.name == "deca_original"


@pytest.mark.parametrize("rasterizer", [rasterize_embree, rasterize_pytorch3d])
def test_a_shift_moves_the_turned_mesh(head, rasterizer):
    points = project(head.frontal[None], torch.tensor([[6.0, 0, 0]]))[0]
    turn = rotation_matrices(torch.tensor([[0.1, 0.5, 0.0]]))
    shift = torch.tensor([0.2, -0.1, 0.4])
    (moved,) = rasterizer(points, head.topology.faces, 64, turn, shift)
    (wanted,) = rasterizer(points @ turn[0].T + shift, head.topology.faces, 64, torch.eye(3)[None])
    off = moved.image(moved.depth[:, None], 9) - wanted.image(wanted.depth[:, None], 9)
    assert (off.abs() > 1e-4).float().mean() < 0.01


def test_the_picture_in_its_square_is_the_crops(assets, face):
    """A square twice as large shows the head half as large, pixel for pixel."""
    backend = DecaBackend(assets)
    (head,) = backend.reconstruct([face])
    square = face_square(face.landmarks)
    near = render_in_image(head, square)
    wide = Square(square.x, square.y, square.side * 447 / 223)
    far = render_in_image(head, wide, size=448)
    np.testing.assert_array_equal(near > 0, far[112:-112, 112:-112] > 0)


def test_drawn_in_its_image(backend, head, face):
    square = face_square(face.landmarks)
    drawn = render_in_image(head, square, size=128)
    assert drawn.shape == (128, 128, 3)
    inside = [
        drawn[
            int((y - square.y) / square.side * 128 + 64),
            int((x - square.x) / square.side * 128 + 64),
        ]
        for x, y in head.projected[27:]
    ]
    assert np.mean(np.array(inside) > 0) > 0.9  # landmarks lie on the synthetic face
    far_away = render_in_image(head, Square(5000, 5000, 100))
    assert far_away.max() == 0


# Colours


def test_texture_is_the_image_where_it_is_seen(assets):
    """A red left and a blue right half land on the two halves of the map."""
    image = np.zeros((200, 200, 3), np.uint8)
    image[:, :100, 0] = image[:, 100:, 2] = 200
    backend = DecaBackend(assets)
    silence(backend)
    (egg,) = backend.reconstruct([filling(image)])
    left, right = egg.texture[:, 140, 110], egg.texture[:, 140, 146]
    np.testing.assert_allclose(left, [200 / 255, 0, 0], atol=0.01)
    np.testing.assert_allclose(right, [0, 0, 200 / 255], atol=0.01)
    view = render_views(egg, [0], textured=True)[0]
    np.testing.assert_allclose(view[130, 90], [200, 0, 0], atol=4)
    np.testing.assert_allclose(view[130, 134], [0, 0, 200], atol=4)


def test_elsewhere_takes_on_the_faces_colour(assets):
    image = np.full((200, 200, 3), (30, 60, 90), np.uint8)
    backend = DecaBackend(assets)
    silence(backend)
    (egg,) = backend.reconstruct([filling(image)])
    colour = np.array([30, 60, 90])[:, None] / 255
    np.testing.assert_allclose(egg.texture.flatten(1), np.tile(colour, 256 * 256), atol=0.01)


def test_lit_albedo(assets, assets_folder, tmp_path):
    for path in assets_folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    write_albedo(tmp_path)
    backend = DecaBackend(load_assets(tmp_path))
    silence(backend, light=3.0)
    image = np.zeros((50, 50, 3), np.uint8)
    (egg,) = backend.reconstruct([filling(image)])
    assert egg.texture.max() == 0  # a black face makes a black head
    codes = {name: torch.from_numpy(code)[None] for name, code in egg.codes.items()}
    colours = backend._skin_colours(codes, egg.normal_map[None])
    light = harmonic_shading(egg.normal_map[None], codes["light"])
    torch.testing.assert_close(colours, backend.albedo.mean[None] * light)
    assert colours[0, :, 100, 100].tolist() == pytest.approx([0.59, 0.42, 0.34], abs=0.02)


# Meshes


@pytest.mark.parametrize("suffix", [".obj", ".glb"])
def test_meshes_open_again(head, tmp_path, suffix):
    path = tmp_path / "new" / f"head{suffix}"
    save_mesh(head, path)
    mesh = trimesh.load(path, force="mesh", process=False)
    assert mesh.faces.shape == (9976, 3)
    wanted = head.frontal[head.topology.faces].numpy()
    np.testing.assert_allclose(mesh.triangles, wanted, atol=1e-6)
    corners = head.topology.uv[head.topology.uv_faces].numpy()
    np.testing.assert_allclose(mesh.visual.uv[mesh.faces], corners, atol=1e-5)
    material = mesh.visual.material
    picture = np.asarray(material.image if suffix == ".obj" else material.baseColorTexture)
    np.testing.assert_allclose(
        picture[..., :3], head.texture.permute(1, 2, 0).numpy() * 255, atol=0.51
    )
    names = {".obj": ["head.mtl", "head.obj", "head.png"], ".glb": ["head.glb"]}
    assert sorted(p.name for p in path.parent.iterdir()) == names[suffix]


def test_mesh_normals_point_outwards(head):
    mesh = to_trimesh(head)
    outwards = mesh.vertices - mesh.vertices.mean(0)
    assert ((mesh.vertex_normals * outwards).sum(1) > 0).mean() > 0.95


@pytest.mark.parametrize("suffix", [".obj", ".glb"])
def test_a_mesh_that_cannot_be_written(head, tmp_path, suffix):
    (tmp_path / f"head{suffix}").mkdir()  # a folder where the file should go
    with pytest.raises(UserError, match="cannot write"):
        save_mesh(head, tmp_path / f"head{suffix}")


def test_an_unknown_mesh_format(head, tmp_path):
    with pytest.raises(UserError, match=r"written as \.obj or \.glb"):
        save_mesh(head, tmp_path / "head.ply")
    assert list(Path(tmp_path).iterdir()) == []


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_cuda(assets_folder, face, head):
    (other,) = DecaBackend(load_assets(assets_folder), "cuda").reconstruct([face])
    np.testing.assert_allclose(other.vertices.cpu(), head.vertices, atol=1e-3)
    assert np.abs(render_views(other).astype(int) - render_views(head)).mean() < 1


def test_the_crop_is_what_the_networks_see(backend, face):
    seen = []
    hook = backend.networks.flame.register_forward_pre_hook(
        lambda _m, inputs: seen.append(inputs[0])
    )
    backend.reconstruct([face])
    hook.remove()
    torch.testing.assert_close(seen[0][0], crop(face.image, face_square(face.landmarks)))
