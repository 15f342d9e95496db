"""FLAME, its camera and normals against the reference's numbers (golden/flame_small.npz)."""

from dataclasses import fields

import numpy as np
import pytest
import torch
from conftest import GOLDEN
from deca_assets import dump_python2
from golden_numbers import golden, same
from hypothesis import given, settings
from hypothesis import strategies as st

from deca.flame.asset_files import read_embedding, read_flame, read_template
from deca.flame.model import Flame, FlameModel, LandmarkEmbedding, contour_row, rotation_matrices
from deca.geometry import grid_normals, project, vertex_normals


@pytest.fixture(scope="module")
def numbers() -> dict[str, torch.Tensor]:
    return golden("flame_small.npz")


def from_numbers(numbers: dict, kind: type):
    return kind(**{field.name: numbers[field.name].numpy() for field in fields(kind)})


@pytest.fixture(scope="module")
def flame(numbers) -> Flame:
    return Flame(from_numbers(numbers, FlameModel), from_numbers(numbers, LandmarkEmbedding))


def test_vertices_landmarks_camera_and_normals(flame, numbers):
    vertices, landmarks = flame(numbers["shape"], numbers["exp"], numbers["pose"])
    same(vertices, numbers["out_vertices"])
    same(landmarks, numbers["out_landmarks2d"])
    same(flame.landmarks3d(vertices), numbers["out_landmarks3d"])
    same(project(vertices, numbers["cam"]), numbers["out_projected"])
    same(vertex_normals(vertices, flame.faces), numbers["out_vertex_normals"])
    with_eyes, _ = flame(numbers["shape"], numbers["exp"], numbers["pose"], numbers["eye_pose"])
    same(with_eyes, numbers["out_vertices_eye"])


def test_golden_poses_reach_both_ends_of_the_contour_table(numbers):
    rows = contour_row(rotation_matrices(numbers["pose"][:, :3]))
    assert rows.min() == 0 and rows.max() == 78
    assert 39 in rows


def test_the_models_own_file_formats_give_the_same(numbers, tmp_path):
    embedding = read_embedding(GOLDEN / "landmark_embedding.npy")
    for field in fields(LandmarkEmbedding):
        np.testing.assert_array_equal(getattr(embedding, field.name), numbers[field.name].numpy())
    np.testing.assert_array_equal(read_template(GOLDEN / "head_template.obj").faces, numbers["f"])
    arrays = {field.name: numbers[field.name].numpy() for field in fields(FlameModel)}
    dump_python2(arrays, tmp_path / "generic_model.pkl")
    model = read_flame(tmp_path / "generic_model.pkl")
    vertices, _ = Flame(model, embedding)(numbers["shape"], numbers["exp"], numbers["pose"])
    same(vertices, numbers["out_vertices"])


def test_gradients_reach_every_coefficient(flame, numbers):
    inputs = [numbers[name].clone().requires_grad_() for name in ("shape", "exp", "pose")]
    flame(*inputs)[1].square().sum().backward()
    assert all((value.grad.abs().sum(0) > 0).all() for value in inputs)
    zero = torch.zeros(1, 3, requires_grad=True)
    rotation_matrices(zero).sum().backward()
    assert zero.grad.isfinite().all()


ANGLE = st.floats(-3, 3)


@settings(max_examples=50, deadline=None)
@given(st.tuples(ANGLE, ANGLE, ANGLE))
def test_rotations_agree_with_scipy(axis_angle):
    from scipy.spatial.transform import Rotation

    wanted = Rotation.from_rotvec(axis_angle).as_matrix()
    got = rotation_matrices(torch.tensor(axis_angle, dtype=torch.float64))
    np.testing.assert_allclose(got, wanted, atol=1e-6)


@pytest.mark.parametrize(
    ("yaw", "row"), [(0, 0), (20.4, 20), (39, 39), (70, 39), (-1, 40), (-39, 78), (-70, 78)]
)
def test_contour_row_by_yaw(yaw, row):
    axis = torch.deg2rad(torch.tensor([[0.0, yaw, 0.0]]))
    assert contour_row(rotation_matrices(axis)).tolist() == [row]


def test_grid_normals_equal_those_of_the_same_mesh():
    size = 7
    torch.manual_seed(0)
    y, x = torch.meshgrid(-torch.arange(size), torch.arange(size), indexing="ij")
    positions = torch.stack([x, y, torch.rand(size, size)]).float()[None]
    index = torch.arange(size * size).view(size, size)
    here, right, down, across = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    upper = torch.stack([here, down, right], -1).view(-1, 3)
    lower = torch.stack([right, down, across], -1).view(-1, 3)
    wanted = vertex_normals(positions.flatten(2).transpose(1, 2), torch.cat([upper, lower]))
    got = grid_normals(positions)
    same(got.flatten(2).transpose(1, 2), wanted, 1e-6)
    assert (got[:, 2] > 0).all()  # rows run down, columns right: towards the viewer
