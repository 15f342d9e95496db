"""Make data/face_shape.npz: the landmarks' shapes of many Anny heads, as a point distribution.

python -m tools.make_face_shape
"""

import numpy as np
import torch

from common.cli import run_script
from common.files import write_whole
from data.face_shape import FILE, MIRROR
from data.geometry import similarity
from deca.anny.fit import LandmarkModel
from deca.anny.head import load_head, rotation_matrix, sample_identity
from synthetic.demo.plan import GROUPS
from synthetic.motion.actions import SIDED

PEOPLE, FACES = 400, 8  # a person
TURN = (0.2, 0.3, 0.0)  # radians: spread of pitch and yaw; roll is aligned away
DISTANCE = 1.0  # metres from the camera
KEPT = 0.98  # share of the variance that the axes explain
CLOSED = {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}
OPEN = {"jawOpen": 0.4, "mouthSmileLeft": 0.4, "mouthSmileRight": 0.4}


def main(seed: int = 0) -> None:
    """Make face_shape.npz.

    Args:
        seed: of people, expressions and poses.
    """
    shapes = align(sample_landmarks(np.random.default_rng(seed)))
    mean = shapes.mean(0)
    off = (shapes - mean).reshape(len(shapes), -1)
    _, singular, axes = np.linalg.svd(off, full_matrices=False)
    variance = singular**2 / len(off)
    kept = int(np.searchsorted(np.cumsum(variance) / variance.sum(), KEPT)) + 1
    axes = axes[:kept]
    rest = off - off @ axes.T @ axes
    with write_whole(FILE) as part:
        np.savez_compressed(
            part,
            mean=mean.astype(np.float32),
            axes=axes.astype(np.float32),
            spreads=np.sqrt(variance[:kept]).astype(np.float32),
            beyond=np.float32(np.sqrt((rest**2).sum(1).mean())),
        )
    print(f"{FILE}: {kept} axes from {len(shapes)} faces of {PEOPLE} people")


def sample_landmarks(rng: np.random.Generator) -> np.ndarray:
    """Landmarks (PEOPLE * FACES, 68, 2) in pictures, y down, of faces with expressions."""
    model = LandmarkModel(load_head())
    found = []
    for _ in range(PEOPLE):
        identity = sample_identity(model.head, rng)
        phenotypes, changes = (
            torch.from_numpy(values)[None]
            for values in (identity.phenotypes, identity.local_changes)
        )
        actions = torch.stack([sample_actions(model.head, rng) for _ in range(FACES)])
        with torch.no_grad():
            points = model.neutral(phenotypes, changes)
            points = points + torch.einsum("ba,alc->blc", actions, model.actions)
            turns = torch.from_numpy(rng.normal(0, TURN, (FACES, 3)).astype(np.float32))
            turned = (points @ rotation_matrix(turns).mT).numpy()
        near = DISTANCE / (DISTANCE - turned[..., 2:])
        found.append(turned[..., :2] * near * [1, -1])
    return np.concatenate(found)


def sample_actions(head, rng: np.random.Generator) -> torch.Tensor:
    """Facial actions (52,): a group of the demo set's, lids and jaw, and a little of everything."""
    group = list(GROUPS.values())[rng.integers(len(GROUPS))]
    strengths = {
        name + side: strength * rng.uniform(0, 2)
        for name, strength in group.items()
        for side in (("Left", "Right") if name in SIDED else ("",))
    }
    actions = head.action_vector(strengths)
    if rng.random() < 0.2:
        actions += rng.uniform(0.3, 1) * head.action_vector(CLOSED)
    if rng.random() < 0.2:
        actions += rng.uniform(0, 1) * head.action_vector(OPEN)
    little = rng.normal(0, 0.05, len(head.actions)).clip(0, 0.15).astype(np.float32)
    return (actions + torch.from_numpy(little)).clamp(0, 1)


def align(shapes: np.ndarray, rounds: int = 5) -> np.ndarray:
    """Shapes (N, 68, 2) and their mirror images, by similarities onto their mean of size 1."""
    mirrored = shapes[:, MIRROR] * [-1, 1]
    shapes = np.concatenate([shapes, mirrored])
    mean = shapes[0]
    for _ in range(rounds):
        mean = mean - mean.mean(0)
        mean = mean / np.sqrt((mean**2).sum(1).mean())
        matrices = [similarity(shape, mean) for shape in shapes]
        shapes = np.stack([s @ m[:2, :2].T + m[:2, 2] for s, m in zip(shapes, matrices)])
        mean = shapes.mean(0)
    return shapes


if __name__ == "__main__":
    run_script(main)
