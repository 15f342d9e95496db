import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deca.raycast import Scene, orthographic_rays, perspective_rays

TRIANGLE = np.float32([[0, 0, 0], [2, 0, 0], [0, 2, 0]])
FACE = np.array([[0, 1, 2]])


def reference_hits(vertices, faces, origins, directions):
    """Nearest hit of every ray by solving the 3x3 system of each triangle, in double precision."""
    a, b, c = (vertices[faces[:, k]].astype(np.float64) for k in range(3))
    nearest = np.full(len(origins), np.inf)
    face = np.full(len(origins), -1)
    bary = np.zeros((len(origins), 3))
    margin = np.full(len(origins), np.inf)  # how far from any triangle's edge
    for f in range(len(faces)):
        matrix = np.stack(
            [
                np.broadcast_to(b[f] - a[f], origins.shape),
                np.broadcast_to(c[f] - a[f], origins.shape),
                -directions,
            ],
            -1,
        )
        u, v, t = np.linalg.solve(matrix, (origins - a[f])[..., None])[..., 0].T
        weights = np.stack([1 - u - v, u, v], 1)
        margin = np.minimum(margin, np.abs(weights).min(1))
        hit = (weights >= 0).all(1) & (t > 0) & (t < nearest)
        nearest[hit], face[hit], bary[hit] = t[hit], f, weights[hit]
    return face, bary, nearest, margin


def test_one_triangle_gives_face_barycentrics_and_depth():
    hits = Scene(TRIANGLE, FACE).first_hit(
        np.float32([[0.5, 0.25, 3], [1.5, 1.5, 3]]), np.float32([[0, 0, -1], [0, 0, -1]])
    )
    assert hits.face.tolist() == [0, -1]
    assert hits.mask.tolist() == [True, False]
    np.testing.assert_allclose(hits.bary, [[0.625, 0.25, 0.125], [0, 0, 0]], atol=1e-6)
    np.testing.assert_allclose(hits.depth, [3, np.inf])
    np.testing.assert_allclose(
        hits.interpolate(TRIANGLE, FACE), [[0.5, 0.25, 0], [0, 0, 0]], atol=1e-6
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
@example(1325987)  # draws one triangle twice
def test_hits_equal_a_search_over_all_triangles(seed):
    rng = np.random.default_rng(seed)
    vertices = rng.normal(size=(30, 3)).astype(np.float32)
    faces = rng.permuted(np.tile(np.arange(30), (12, 1)), axis=1)[:, :3]
    faces = np.unique(np.sort(faces, axis=1), axis=0)  # of two equal ones either may be hit
    origins = rng.normal(size=(200, 3)).astype(np.float32) + np.float32([0, 0, 6])
    directions = rng.normal(size=(200, 3)).astype(np.float32) * 0.3 + np.float32([0, 0, -2])
    face, bary, depth, margin = reference_hits(vertices, faces, origins, directions)
    hits = Scene(vertices, faces).first_hit(origins, directions)
    clear = margin > 1e-4
    assert (hits.face == face)[clear].all()
    struck = clear & (face >= 0)
    np.testing.assert_allclose(hits.bary[struck], bary[struck], atol=2e-3)
    np.testing.assert_allclose(hits.depth[struck], depth[struck], rtol=1e-3)


def test_depth_counts_ray_lengths():
    scene = Scene(TRIANGLE, FACE)
    origins = np.float32([[0.5, 0.5, 3]])
    assert scene.first_hit(origins, np.float32([[0, 0, -2]])).depth[0] == pytest.approx(1.5)


def test_no_ray_slips_through_a_closed_surface():
    longitude, latitude = np.meshgrid(np.linspace(0, 2 * np.pi, 60), np.linspace(0, np.pi, 40))
    sphere = np.stack(
        [
            np.sin(latitude) * np.cos(longitude),
            np.cos(latitude),
            np.sin(latitude) * np.sin(longitude),
        ],
        -1,
    ).reshape(-1, 3)
    corner = (np.arange(39)[:, None] * 60 + np.arange(59)).ravel()
    faces = np.concatenate(
        [
            np.stack([corner, corner + 1, corner + 60], 1),
            np.stack([corner + 1, corner + 61, corner + 60], 1),
        ]
    )
    hits = Scene(sphere, faces).first_hit(*orthographic_rays(300, 300, (-0.7, 0.7, -0.7, 0.7)))
    assert hits.mask.all()
    assert hits.depth.max() < 10  # the near side: nothing fell through to the far one


def test_blocked_tells_what_first_hit_tells():
    rng = np.random.default_rng(0)
    scene = Scene(rng.normal(size=(30, 3)), np.arange(30).reshape(-1, 3))
    rays = rng.normal(size=(500, 3)), rng.normal(size=(500, 3))
    assert (scene.blocked(*rays) == scene.first_hit(*rays).mask).all()


def test_orthographic_rays_run_through_pixel_centres_from_the_top():
    origins, directions = orthographic_rays(2, 4, (0, 4, 0, 2), start=5)
    np.testing.assert_allclose(origins[0], [0.5, 1.5, 5])
    np.testing.assert_allclose(origins[-1], [3.5, 0.5, 5])
    assert (directions == [0, 0, -1]).all()
    upside_down, _ = orthographic_rays(2, 4, (0, 4, 2, 0))
    np.testing.assert_allclose(upside_down[0, :2], [0.5, 0.5])


def test_perspective_rays_measure_depth_along_the_axis():
    wall = np.float32([[-50, -50, -4], [50, -50, -4], [0, 90, -4]])
    origins, directions = perspective_rays(6, 8, focal=10, eye=(0, 0, 1))
    hits = Scene(wall, FACE).first_hit(origins, directions)
    np.testing.assert_allclose(hits.depth, 5, rtol=1e-5)
    np.testing.assert_allclose(hits.interpolate(wall, FACE)[0], [-1.75, 1.25, -4], atol=1e-4)


def test_no_rays_no_hits():
    scene = Scene(TRIANGLE, FACE)
    none = np.zeros((0, 3))
    assert len(scene.first_hit(none, none).face) == 0
    assert len(scene.blocked(none, none)) == 0


@pytest.mark.parametrize(
    ("vertices", "faces", "message"),
    [
        (TRIANGLE[:, :2], FACE, "vertices must be"),
        (TRIANGLE, FACE[:, :2], "faces must be"),
        (TRIANGLE * np.nan, FACE, "finite"),
        (TRIANGLE, FACE + 1, "outside"),
        (np.zeros((0, 3)), FACE, "vertices must be"),
    ],
)
def test_faulty_meshes_are_refused(vertices, faces, message):
    with pytest.raises(ValueError, match=message):
        Scene(vertices, faces)
