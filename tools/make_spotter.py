"""Make the spotter's weights from synthetic motion alone: no real face, nothing fetched.

python -m tools.make_spotter

First the linear map from flow to facial actions (data/spotting/actions.npz), then the network
that finds expressions in their curves (models/weights/spotter.safetensors), and what its scores
are worth: the share of right ones among intervals of one score, on people it did not learn from.
"""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from common.cli import run_script
from common.errors import UserError
from common.files import write_whole
from common.progress import progress_bar
from data.motion.flow import MOTION_SIZE
from data.spotting.actions import ACTIONS, COLUMNS, FILE, ActionReader, without_plane
from data.spotting.curves import CHANNELS, RATE, curve_channels
from data.spotting.intervals import LEAST, Candidate, candidates, overlap
from deca.anny.head import load_head
from loso.spotting import WEIGHTS
from models.spotter import Spotter, spotter_loss
from synthetic.motion.domains import HELD_OUT, TRAINING, Domain
from synthetic.motion.streams import VERSION, make_stream
from synthetic.motion.timelines import Life, Timeline

PAIRS = 40  # of frames, of each person
APART = 90  # frames at most
PENALTY = 2e-6  # of the ridge regression, in squared face widths: the best on the held-out domain
# Much happens at once, so that little is taken for something else.
BUSY = Life(
    micro=(10, 20), macro=(15, 30), blinks=(10, 25), glances=(10, 20), speech=(1, 4), turns=(2, 6),
    fidgets=(2, 5), macro_strength=(0.15, 0.8), sway=(0.002, 0.02), turn_size=(0.03, 0.15), still=0,
)  # fmt: skip
FRAMES = int(60 * RATE)  # of a stream
BATCH, FASTEST = 8, 3e-3
CORE = 0.3  # of an interval's length to both sides of its middle: where a score has to be high
EITHER = (11, 21)  # frames: an expression of such a length may look micro or macro
MIRROR = [
    COLUMNS.index(
        name.replace("Left", "#").replace("Right", "Left").replace("#", "Right")
    )
    for name in COLUMNS
]  # fmt: skip
SIGN = np.array([-1 if n in ("gaze left", "yaw", "roll") else 1 for n in COLUMNS], np.float32)


def targets(actions: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Actions (T, A) and turns (T, 3) -> the columns (T, K)."""
    at = {name: i for i, name in enumerate(load_head().actions)}
    named = [actions[:, at[name]] for name in ACTIONS]
    left = actions[:, at["eyeLookOutLeft"]] - actions[:, at["eyeLookInLeft"]]
    up = actions[:, at["eyeLookUpLeft"]] - actions[:, at["eyeLookDownLeft"]]
    return np.stack([*named, left, up, *turn.T], 1)


def draw_pairs(
    people: int, seed: int, domains: tuple[Domain, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Flow between two frames of synthetic streams (N, 2 S S), and what changed (N, K)."""
    flows, changes = [], []
    with progress_bar("people", people) as bar:
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
            bar.advance()
    return np.concatenate(flows), np.concatenate(changes)


def fit_actions(people: int, seed: int) -> np.ndarray:
    """The ridge regression (K, 2 S S)."""
    project = without_plane()
    side = MOTION_SIZE**2
    flows, changes = draw_pairs(people, seed, TRAINING)
    flat = (flows.reshape(-1, side) @ project.T).reshape(len(flows), -1)
    gram = flat.T @ flat + PENALTY * len(flows) * np.eye(2 * side)
    weights = np.linalg.solve(gram, flat.T @ changes).T
    return (weights.reshape(-1, side) @ project).reshape(len(COLUMNS), -1).astype(np.float16)


def judge_actions(weights: np.ndarray, people: int, seed: int) -> dict[str, float]:
    """The correlation of each column with what changed, on other people of a held-out domain."""
    flows, changes = draw_pairs(people, seed, HELD_OUT)
    read = flows @ weights.astype(np.float32).T
    pairs = zip(COLUMNS, read.T, changes.T)
    return {name: round(float(np.corrcoef(a, b)[0, 1]), 2) for name, a, b in pairs}


def draw_curves(
    people: int, seed: int, domains: tuple[Domain, ...], reader: ActionReader
) -> tuple[list[np.ndarray], list[Timeline]]:
    """Columns (T, K) as they are read of streams, and what happened in each."""
    curves, timelines = [], []
    with progress_bar("streams", people) as bar:
        for i in range(people):
            stream = make_stream(seed, domains[i % len(domains)], i // len(domains), FRAMES)
            curves.append(reader.read(stream.flow).astype(np.float32))
            timelines.append(stream.timeline)
            bar.advance()
    return curves, timelines


def aims(timeline: Timeline) -> np.ndarray:
    """What the network is to say (3, 2, T): inside, reach, and where a score counts."""
    count = len(timeline.actions)
    inside, reach, counted = np.zeros((2, count)), np.ones((2, count)), np.ones((2, count))
    for event in timeline.expressions:
        kind, length = int(event.kind == "macro"), event.offset - event.onset + 1
        at = np.arange(event.onset, event.offset + 1)
        counted[kind, at] = 0
        if EITHER[0] < length < EITHER[1]:
            counted[:, at] = 0
        middle = (event.onset + event.offset) / 2
        core = at[np.abs(at - middle) <= max(1, CORE * length)]
        inside[kind, core] = counted[kind, core] = 1
        reach[0, at], reach[1, at] = at - event.onset, event.offset - at
    return np.stack([inside, reach, counted]).astype(np.float32)


def varied(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Columns (T, K), mirrored at random, each weaker or stronger, with noise."""
    if rng.random() < 0.5:
        values = values[:, MIRROR] * SIGN
    gain = rng.uniform(0.7, 1.3, (1, values.shape[1])) * rng.uniform(0.8, 1.25)
    noise = np.exp(rng.uniform(*np.log((0.0005, 0.01))))
    grain = rng.standard_normal(values.shape, dtype=np.float32)
    return values * gain.astype(np.float32) + np.float32(noise) * grain


def train(curves: list[np.ndarray], timelines: list[Timeline], epochs: int, seed: int) -> Spotter:
    """Train the network on streams."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = Spotter(CHANNELS)
    goals = torch.from_numpy(np.stack([aims(timeline) for timeline in timelines]))
    steps = len(curves) // BATCH
    optimiser = torch.optim.AdamW(network.parameters(), FASTEST, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, FASTEST, total_steps=epochs * steps)
    network.train()
    for epoch in range(1, epochs + 1):
        total = 0.0
        order = rng.permutation(len(curves))[: steps * BATCH].reshape(steps, BATCH)
        for rows in order:
            batch = np.stack([curve_channels(varied(curves[i], rng)) for i in rows])
            goal = goals[rows]
            loss = spotter_loss(network(torch.from_numpy(batch)), *goal.unbind(1))
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            total += float(loss.detach()) / steps
        print(f"epoch {epoch} of {epochs}: loss {total:.3f}", flush=True)
    return network.eval()


@torch.no_grad()
def spot(network: Spotter, values: np.ndarray) -> list[Candidate]:
    """The intervals of one stream."""
    logits, reach = network(torch.from_numpy(curve_channels(values))[None])
    return candidates(logits[0].sigmoid().numpy(), reach[0].numpy())


def judge(
    network: Spotter, curves: list[np.ndarray], timelines: list[Timeline]
) -> tuple[np.ndarray, np.ndarray, int]:
    """Scores (N,) of all intervals, whether each is right (N,), and how many there should be."""
    scores, right, true = [], [], 0
    for values, timeline in zip(curves, timelines):
        truth = [(float(e.onset), float(e.offset)) for e in timeline.expressions]
        true += len(truth)
        for one in sorted(spot(network, values), key=lambda one: -one.score):
            shared = [overlap((one.onset, one.offset), other) for other in truth]
            best = int(np.argmax(shared)) if shared else 0
            hit = bool(shared) and shared[best] >= 0.5
            if hit:
                truth.pop(best)
            scores.append(one.score)
            right.append(hit)
    return np.array(scores), np.array(right), true


def calibrate(scores: np.ndarray, right: np.ndarray) -> tuple[float, float]:
    """a, b: an interval of score s is right with the probability sigmoid(a logit(s) + b)."""
    if not 0 < right.sum() < len(right):
        raise UserError("too few streams or epochs: nothing is spotted, right and wrong")
    odds = np.log(scores / (1 - scores))[:, None]
    model = LogisticRegression(C=1e3).fit(odds, right)
    return float(model.coef_[0, 0]), float(model.intercept_[0])


def best_f1(scores: np.ndarray, right: np.ndarray, true: int) -> float:
    """The best F1 over thresholds."""
    order = np.argsort(-scores)
    hits = np.cumsum(right[order])
    return float((2 * hits / (np.arange(1, len(hits) + 1) + true)).max())


def main(
    people: int = 1000,
    streams: int = 1200,
    epochs: int = 10,
    seed: int = 18,
    out: Path = WEIGHTS,
    actions: bool = True,
) -> None:
    """Fit the linear map, train the network, and say how good both are on people not seen.

    Args:
        people: whom the linear map is fitted to.
        streams: minutes of synthetic motion that the network learns from.
        epochs: passes over them.
        seed: of all drawing and training.
        out: file of the network's weights.
        actions: fit the linear map anew; the committed one otherwise.
    """
    if people < 20 or streams < BATCH or epochs < 1:
        raise UserError(f"--people {people} --streams {streams} --epochs {epochs}: too few")
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)  # sums in another order would be other weights
    threadpool_limits(1)
    if actions:
        weights = fit_actions(people, seed)
        print(
            "linear map, correlation on a held-out domain:", judge_actions(weights, 120, seed + 1)
        )
        with write_whole(FILE) as part:
            np.savez(part, weights=weights, columns=np.array(COLUMNS))
    with np.load(FILE, allow_pickle=False) as content:
        reader = ActionReader(content["weights"].astype(np.float32))
    network = train(*draw_curves(streams, seed + 2, TRAINING, reader), epochs, seed)
    others = max(streams // 8, 12)
    known = judge(network, *draw_curves(others, seed + 3, TRAINING, reader))
    unseen = judge(network, *draw_curves(others, seed + 4, HELD_OUT, reader))
    slope, offset = calibrate(known[0], known[1])
    facts = {
        "command": f"python -m tools.make_spotter --people {people} --streams {streams} "
        f"--epochs {epochs} --seed {seed}",
        "drawing": VERSION, "calibration": [round(slope, 4), round(offset, 4)],
        "f1": {"known domains": round(best_f1(*known), 3), "unseen": round(best_f1(*unseen), 3)},
        "least": LEAST, "data": "synthetic motion of the Anny head; no real face",
    }  # fmt: skip
    print(f"either kind, best F1 on other people: {facts['f1']}")
    with write_whole(out) as part:
        state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
        save_file(state, part, metadata={"made by": json.dumps(facts)})
    print(f"wrote {out}")


if __name__ == "__main__":
    run_script(main)
