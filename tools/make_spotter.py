"""Make the spotter's weights from synthetic motion alone: no real face, nothing fetched.

python -m tools.make_spotter
"""

from pathlib import Path

import numpy as np

from common.cli import run_script
from common.files import write_whole
from data.motion.flow import MOTION_SIZE
from data.spotting.actions import ACTIONS, COLUMNS, FILE, without_plane
from deca.anny.head import load_head
from synthetic.motion.domains import HELD_OUT, TRAINING, Domain
from synthetic.motion.streams import make_stream
from synthetic.motion.timelines import Life

PAIRS = 40  # of frames, of each person
APART = 90  # frames at most
# Much happens at once, so that little is taken for something else.
BUSY = Life(
    micro=(10, 20), macro=(15, 30), blinks=(10, 25), glances=(10, 20), speech=(1, 4), turns=(2, 6),
    fidgets=(2, 5), macro_strength=(0.15, 0.8), sway=(0.002, 0.02), turn_size=(0.03, 0.15), still=0,
)  # fmt: skip


def targets(actions: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Actions (T, A) and turns (T, 3) -> the columns (T, K)."""
    at = {name: i for i, name in enumerate(load_head().actions)}
    named = [actions[:, at[name]] for name in ACTIONS]
    left = actions[:, at["eyeLookOutLeft"]] - actions[:, at["eyeLookInLeft"]]
    up = actions[:, at["eyeLookUpLeft"]] - actions[:, at["eyeLookDownLeft"]]
    return np.stack([*named, left, up, *turn.T], 1)


def draw_pairs(people: int, seed: int, domains: tuple[Domain, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Flow between two frames of synthetic streams (N, 2 S S), and what changed (N, K)."""
    flows, changes = [], []
    for i in range(people):
        stream = make_stream(seed, domains[i % len(domains)], i // len(domains), 600, BUSY)
        rng = np.random.default_rng([seed, i, 5])
        first = rng.integers(0, len(stream.flow) - 1, PAIRS)
        second = np.clip(first + rng.integers(-APART, APART, PAIRS), 0, len(stream.flow) - 1)
        for k, event in enumerate(stream.timeline.expressions[: PAIRS // 2]):
            first[k], second[k] = event.onset, event.apex
        flows.append((stream.flow[second] - stream.flow[first]).reshape(PAIRS, -1))
        values = targets(stream.timeline.actions, stream.timeline.turn)
        changes.append(values[second] - values[first])
    return np.concatenate(flows), np.concatenate(changes)


def fit_actions(people: int, seed: int, penalty: float) -> np.ndarray:
    """The ridge regression (K, 2 S S)."""
    project = without_plane()
    side = MOTION_SIZE**2
    gram, right = np.zeros((2 * side, 2 * side)), np.zeros((2 * side, len(COLUMNS)))
    flows, changes = draw_pairs(people, seed, TRAINING)
    flat = (flows.reshape(-1, side) @ project.T).reshape(len(flows), -1)
    gram, right = flat.T @ flat, flat.T @ changes
    scale = penalty * len(flows)
    weights = np.linalg.solve(gram + scale * np.eye(2 * side), right).T
    return (weights.reshape(-1, side) @ project).reshape(len(COLUMNS), -1).astype(np.float32)


def judge(weights: np.ndarray, people: int, seed: int, domains: tuple[Domain, ...]) -> np.ndarray:
    """The correlation of each column with what changed, on other people (K,)."""
    flows, changes = draw_pairs(people, seed, domains)
    read = flows @ weights.T
    return np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(read.T, changes.T)])


def main(people: int = 1000, seed: int = 18, penalty: float = 2e-6) -> None:
    """Fit the linear map from flow to facial actions.

    Args:
        people: how many are drawn.
        seed: of the drawing.
        penalty: of the ridge regression, in squared face widths.
    """
    weights = fit_actions(people, seed, penalty)
    right = judge(weights, 120, seed + 1, HELD_OUT)
    for name, value in zip(COLUMNS, right):
        print(f"{name}: {value:.2f}")
    with write_whole(Path(FILE)) as part:
        np.savez(part, weights=weights.astype(np.float16), columns=np.array(COLUMNS))


if __name__ == "__main__":
    run_script(main)
