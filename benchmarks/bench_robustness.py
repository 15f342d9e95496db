"""Zero-shot motion on the demo set as drawn and made worse: apex error, frame rate, JPEG, blur, …

python benchmarks/bench_robustness.py
"""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from rich.progress import track

from common.cli import run_script
from common.errors import UserError
from common.files import write_whole
from data.disk.frames import read_image
from data.faces import load_face_finder
from data.motion.flow import Flow, clip_motion
from loso.metrics import bootstrap, scores
from loso.motion import predict_maps
from loso.synthetic_weights import load_synthetic, synthetic_facts
from synthetic.demo.corpora import make_demo
from synthetic.demo.plan import CORPORA

Pair = tuple[np.ndarray, np.ndarray]  # onset, apex: (H, W, 3) uint8
NATIVE_RATE = {"smic": 100, "casme2": 200, "samm": 200}  # frames a second
MODELS = ("linear", "lean")


def main(
    demo: Path = Path("demo"),
    out: Path = Path("docs/robustness.md"),
    seed: int = 0,
) -> None:
    """Score the synthetic weights on the demo set under each condition and write the table.

    Args:
        demo: the demo set; drawn if it is not there.
        out: the table, in Markdown.
        seed: of the noise, the directions and the demo set if it is drawn.
    """
    cv2.setNumThreads(1)
    if not (demo / "truth.csv").is_file():
        make_demo(demo, seed=seed)
    clips = pd.read_csv(demo / "truth.csv", dtype={"subject": str})
    clips = clips[clips["label"] >= 0].reset_index(drop=True)
    faces = load_face_finder("dlib")
    nets = {name: load_synthetic(name) for name in MODELS}
    rows = []
    for group, name, choose, worsen in track(conditions(), "conditions"):
        rng = np.random.default_rng([seed, len(rows)])
        flow: Flow = "tvl1" if name == "TV-L1" else "dis"
        maps = np.zeros((len(clips), 3, 28, 28), np.float32)
        without = 0
        for i, clip in enumerate(clips.to_dict("records")):
            frames = choose(clip, rng)
            pair = tuple(read_image(frame_path(demo, clip, number)) for number in frames)
            try:
                pair = worsen(pair, rng)
                found = faces.pair(*pair, clip["clip"])
                maps[i] = clip_motion(*pair, found, flow=flow, where=clip["clip"])
            except UserError:
                without += 1  # the map stays 0: the clip counts, with what 0 is taken for
        rows.append((group, name, without, *(score(net, maps, clips) for net in nets.values())))
    write_table(out, rows, clips, demo, seed)
    print(f"wrote {out}")


def frame_path(demo: Path, clip: dict, number: int) -> Path:
    """A frame of a clip of truth.csv."""
    corpus = CORPORA[clip["data"]]
    folder = corpus.clips_folder.format(subject=clip["subject"])
    name = corpus.frame_name.format(subject=clip["subject"], number=number)
    return demo / folder / clip["clip"] / name


def score(net, maps: np.ndarray, clips: pd.DataFrame) -> tuple[float, float, float]:
    """UF1 and its 95% interval over subjects."""
    labels = clips["label"].to_numpy()
    predictions = predict_maps(net, maps)[0].argmax(1)
    subjects = (clips["data"] + clips["subject"]).to_numpy()
    return scores(labels, predictions, 3).uf1, *bootstrap(labels, predictions, subjects, 3)["uf1"]


Choose = Callable[[dict, np.random.Generator], tuple[int, int]]
Worsen = Callable[[Pair, np.random.Generator], Pair]


def conditions() -> list[tuple[str, str, Choose, Worsen]]:
    """Group, name, which frames are taken, what is done to them."""
    rows = [("as drawn", "true onset and apex", annotated, as_they_are)]
    rows += [("flow", "TV-L1", annotated, as_they_are)]
    rows += [("apex error", f"{n} frames", apex_off(n), as_they_are) for n in range(1, 6)]
    rows += [("frame rate", f"{n} fps", at_rate(n), as_they_are) for n in (200, 100, 30)]
    rows += [("JPEG quality", str(n), annotated, jpeg(n)) for n in (80, 50, 30, 10)]
    rows += [("blur", f"sigma {n} px", annotated, blur(n)) for n in (1, 2, 4)]
    rows += [("sensor noise", f"sd {n} of 255", annotated, noise(n)) for n in (4, 8, 16)]
    rows += [
        ("head motion", f"{shift} px, {turn}°", annotated, move(shift, turn))
        for shift, turn in ((2, 0.5), (5, 1), (10, 3), (20, 6))
    ]
    rows += [
        ("covered half", side, annotated, cover(side))
        for side in ("left", "right", "upper", "lower")
    ]
    return rows


def annotated(clip: dict, _: np.random.Generator) -> tuple[int, int]:
    """The true onset and apex."""
    return clip["onset_frame"], clip["apex_frame"]


def apex_off(frames: int) -> Choose:
    """The apex so many frames early or late, between onset and offset."""

    def choose(clip: dict, rng: np.random.Generator) -> tuple[int, int]:
        apex = clip["apex_frame"] + frames * rng.choice([-1, 1])
        return clip["onset_frame"], int(
            np.clip(apex, clip["onset_frame"] + 1, clip["offset_frame"])
        )

    return choose


def at_rate(rate: int) -> Choose:
    """The frames that a slower camera would have nearest to onset and apex; not above the own."""

    def choose(clip: dict, rng: np.random.Generator) -> tuple[int, int]:
        step = max(NATIVE_RATE[clip["data"]] / rate, 1)
        taken = clip["first_frame"] + rng.uniform(0, step) + step * np.arange(-1, 40)
        taken = np.unique(np.clip(np.floor(taken), clip["first_frame"], clip["last_frame"]))
        onset, apex = (
            int(taken[np.abs(taken - clip[f"{name}_frame"]).argmin()]) for name in ("onset", "apex")
        )
        return onset, apex

    return choose


def as_they_are(pair: Pair, _: np.random.Generator) -> Pair:
    """No change."""
    return pair


def jpeg(quality: int) -> Worsen:
    """Both frames coded once more."""

    def code(image: np.ndarray) -> np.ndarray:
        coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        return cv2.imdecode(coded, cv2.IMREAD_COLOR)

    return lambda pair, _: (code(pair[0]), code(pair[1]))


def blur(sigma: float) -> Worsen:
    """Both frames out of focus."""
    return lambda pair, _: tuple(cv2.GaussianBlur(image, (0, 0), sigma) for image in pair)


def noise(deviation: float) -> Worsen:
    """Noise of its own on each frame."""

    def worsen(pair: Pair, rng: np.random.Generator) -> Pair:
        grain = (rng.normal(0, deviation, image.shape) for image in pair)
        return tuple(np.clip(i + g, 0, 255).astype(np.uint8) for i, g in zip(pair, grain))

    return worsen


def move(shift: float, turn: float) -> Worsen:
    """The apex frame shifted in a random direction and turned in the picture."""

    def worsen(pair: Pair, rng: np.random.Generator) -> Pair:
        height, width = pair[1].shape[:2]
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), turn * rng.choice([-1, 1]), 1)
        angle = rng.uniform(0, 2 * np.pi)
        matrix[:, 2] += shift * np.cos(angle), shift * np.sin(angle)
        moved = cv2.warpAffine(pair[1], matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
        return pair[0], moved

    return worsen


def cover(side: str) -> Worsen:
    """A grey half in both frames."""

    def half(image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        covered = image.copy()
        where = {
            "left": np.s_[:, : width // 2], "right": np.s_[:, width // 2 :],
            "upper": np.s_[: height // 2], "lower": np.s_[height // 2 :],
        }[side]  # fmt: skip
        covered[where] = 128
        return covered

    return lambda pair, _: (half(pair[0]), half(pair[1]))


def write_table(out: Path, rows: list[tuple], clips: pd.DataFrame, demo: Path, seed: int) -> None:
    """Write the table with what it was made of."""
    counts = clips.groupby("data").size()
    lines = [
        "# How robust the motion stream is", "",
        f"Zero-shot UF1 (95% interval over subjects) of the synthetic weights on the demo set: "
        f"{len(clips)} clips of {clips.groupby('data')['subject'].nunique().sum()} people "
        f"({', '.join(f'{name} {count}' for name, count in counts.items())}), rendered frames, "
        "flow by DIS, landmarks by dlib. No real face. The demo set is easy where nothing is "
        "made worse: read the differences.", "",
        f"    python -m benchmarks.bench_robustness --demo {demo} --seed {seed}", "",
        f"Weights: `{synthetic_facts()['command']}`. `without map`: clips for which no map "
        "could be made (onset and apex the same frame, no face); they count with the class that an "
        "empty map is given.", "",
        f"| | | {' | '.join(MODELS)} | without map |",
        f"| --- | --- | {' | '.join('---' for _ in MODELS)} | --- |",
    ]  # fmt: skip
    for group, name, without, *results in rows:
        cells = (f"{uf1:.3f} ({low:.2f}–{high:.2f})" for uf1, low, high in results)
        lines.append(f"| {group} | {name} | {' | '.join(cells)} | {without} |")
    with write_whole(out) as part:
        part.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    run_script(main)
