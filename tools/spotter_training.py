"""How the spotter's network learns from curves, and how good it is on others."""

from functools import partial

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits
from torch import nn

from common.errors import UserError
from common.parallel import as_done
from data.spotting.actions import COLUMNS, UNITS, columns_of, mean_reading, mirrored
from data.spotting.curves import CHANNELS, RATE, at_rate, curve_channels, true_curves
from data.spotting.intervals import candidates, overlap
from loso.spotting import look_both_ways
from models.spotter import MEMBERS, Committee, Spotter, spotter_loss
from synthetic.long.looks import look_of
from synthetic.motion.timelines import Timeline

from .spotter_data import targets

RATES = (20.0, 30.0)  # frames a second that a camera may give
BATCH, FASTEST = 8, 3e-3
SHOWN = 0.05  # of an action: less of it is no unit
CORE = 0.3  # of an interval's length to both sides of its middle: where a score has to be high
EITHER = (11, 21)  # frames: an expression of such a length may look micro or macro


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


def varied(
    values: np.ndarray, true: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Values (T, V), mirrored at random, each weaker or stronger, with noise, of fewer frames; and
    what happened (T, K), mirrored alike."""
    if rng.random() < 0.5:
        values, true = mirrored(values), mirrored(true)
    if rng.random() < 0.5:
        values = _thinned(values, rng.uniform(*RATES))
    gain = rng.uniform(0.7, 1.3, (1, values.shape[1])) * rng.uniform(0.8, 1.25)
    noise = np.exp(rng.uniform(*np.log((0.0005, 0.01))))
    grain = rng.standard_normal(values.shape, dtype=np.float32)
    return values * gain.astype(np.float32) + np.float32(noise) * grain, true


def _thinned(values: np.ndarray, rate: float) -> np.ndarray:
    """What is left of values (T, V) at RATE of a camera with `rate` frames a second."""
    kept = np.unique(np.round(np.arange(0, len(values) - 1, RATE / rate)).astype(int))
    kept = np.append(kept, len(values) - 1)
    return at_rate(values[kept], kept / RATE)


def train(curves: list[np.ndarray], timelines: list[Timeline], epochs: int, seed: int) -> Spotter:
    """Train one network on what was read and what happened."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = Spotter(CHANNELS, len(COLUMNS))
    goals = torch.from_numpy(np.stack([aims(timeline) for timeline in timelines]))
    happened = [targets(life.actions, life.turn).astype(np.float32) for life in timelines]
    steps = len(curves) // BATCH
    optimiser = torch.optim.AdamW(network.parameters(), FASTEST, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, FASTEST, total_steps=epochs * steps)
    network.train()
    for epoch in range(1, epochs + 1):
        total = 0.0
        order = rng.permutation(len(curves))[: steps * BATCH].reshape(steps, BATCH)
        for rows in order:
            seen = [varied(curves[i], happened[i], rng) for i in rows]
            batch = torch.from_numpy(np.stack([curve_channels(values) for values, _ in seen]))
            true = torch.from_numpy(np.stack([true_curves(columns) for _, columns in seen]))
            inside, reach, counted = goals[rows].unbind(1)
            loss = spotter_loss(network(batch), inside, reach, counted, true)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            total += float(loss.detach()) / steps
        print(f"seed {seed}, epoch {epoch} of {epochs}: loss {total:.3f}", flush=True)
    return network.eval()


def judge(
    network: nn.Module, curves: list[np.ndarray], timelines: list[Timeline]
) -> tuple[np.ndarray, np.ndarray, int]:
    """Scores (N,) of all intervals, whether each is right (N,), and how many there should be."""
    scores, right, true = [], [], 0
    for values, timeline in zip(curves, timelines):
        truth = [(float(e.onset), float(e.offset)) for e in timeline.expressions]
        true += len(truth)
        for one in sorted(candidates(*look_both_ways(network, values)), key=lambda one: -one.score):
            shared = [overlap((one.onset, one.offset), other) for other in truth]
            best = int(np.argmax(shared)) if shared else 0
            hit = bool(shared) and shared[best] >= 0.5
            if hit:
                truth.pop(best)
            scores.append(one.score)
            right.append(hit)
    return np.array(scores), np.array(right), true


def calibrate(scores: np.ndarray, right: np.ndarray) -> tuple[float, float]:
    """a, b: an interval of score s is right with the probability sigmoid(a logit(s) + b).

    Films are busier than life: right ones count for as much less.
    """
    if not 0 < right.sum() < len(right):
        raise UserError("too few streams or epochs: nothing is spotted, right and wrong")
    odds = np.log(scores / (1 - scores))[:, None]
    often = np.where(right, 1 / look_of("learn", 0).busy, 1.0)
    model = LogisticRegression(C=1e3).fit(odds, right, sample_weight=often)
    return float(model.coef_[0, 0]), float(model.intercept_[0])


def train_members(
    curves: list[np.ndarray], timelines: list[Timeline], epochs: int, seed: int, workers: int
) -> Committee:
    """Train MEMBERS networks, of the seeds from `seed` on."""
    work = partial(train, curves, timelines, epochs)
    seeds = range(seed, seed + MEMBERS)
    trained = dict(as_done(work, seeds, workers, repeatable))
    return Committee([trained[i] for i in range(MEMBERS)]).eval()


def repeatable() -> None:
    """Make sums of this process those of any other."""
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)  # sums in another order would be other weights
    threadpool_limits(1)


def shares_read(curves: list[np.ndarray], timelines: list[Timeline]) -> dict[int, float]:
    """Of each unit the median share that is read of it at apexes: READ in data/spotting/actions."""
    shares: dict[int, list[float]] = {unit: [] for unit in UNITS}
    for values, life in zip(curves, timelines):
        both = np.stack([mean_reading(values), targets(life.actions, life.turn)])
        for event in life.expressions:
            ends = both[:, [event.onset, event.offset]].mean(1)
            read, true = both[:, event.apex] - ends
            for unit, shown in shares.items():
                shown += [read[i] / true[i] for i in columns_of(unit) if true[i] > SHOWN]
    return {unit: round(float(np.median(shown)), 2) for unit, shown in shares.items() if shown}


def best_f1(scores: np.ndarray, right: np.ndarray, true: int) -> float:
    """The best F1 over thresholds."""
    order = np.argsort(-scores)
    hits = np.cumsum(right[order])
    return float((2 * hits / (np.arange(1, len(hits) + 1) + true)).max())
