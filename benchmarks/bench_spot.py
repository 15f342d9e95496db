"""How well and how fast spot.py finds expressions in drawn long videos.

python -m benchmarks.bench_spot found --root demo_long --out FOLDER
python -m benchmarks.bench_spot speed --video FILE --out FOLDER
"""

import itertools
import json
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pandas as pd

from common.cli import run_script
from common.errors import UserError
from common.files import write_whole
from loso.spot_counts import match, pair
from loso.spot_run import SpotSettings, list_videos, spot_videos
from loso.spot_score import print_score, score_files
from loso.spotting import THRESHOLDS

TRUTH = "truth_long.csv"
EXPRESSIONS = ("micro", "macro")
# What a false alarm is put down to where several things happen, the first of these.
CAUSES = ("speech", "turn", "nod", "light", "blink", "gaze", "still")
NEAR = 0.1  # seconds beside an interval
BINS = (min(THRESHOLDS.values()), 0.5, 0.7, 0.9, 1.01)  # of confidence


def found(root: Path, out: Path, workers: int = 1, corpus: str = "") -> None:
    """Spot a drawn set's videos, and say how many expressions are right and why others are not.

    Args:
        root: what prepare_data.py demo --long drew.
        out: folder for the results; what is there already is not done again.
        workers: videos at once.
        corpus: casme_sq or samm_lv alone.
    """
    if not (root / TRUTH).is_file():
        raise UserError(f"--root {root}: no {TRUTH} in it; prepare_data.py demo --long draws one")
    truth = pd.read_csv(root / TRUTH, dtype={"video": str, "units": str, "emotion": str})
    truth = truth[truth["corpus"] == corpus] if corpus else truth
    names = set(truth["video"])
    videos = {n: p for n, p in list_videos(root).items() if n in names}
    rates = dict(zip(truth["video"], truth["fps"]))
    facts = []
    for rate in sorted(set(rates.values())):
        alike = {n: p for n, p in videos.items() if rates[n] == rate}
        settings = SpotSettings(fps=float(rate), first=1)
        facts += spot_videos(alike, out / f"{rate}", settings, workers)[0]
    table = _intervals(facts)
    spotted, own = out / "spotted.csv", out / TRUTH
    with write_whole(spotted) as part:
        table.to_csv(part, index=False)
    with write_whole(own) as part:
        truth.to_csv(part, index=False)
    print_score(score_files(spotted, own))
    _say_alarms(truth, table, sum(v["frames"] / v["fps"] for v in facts) / 60)
    _say_confidence(truth, table)
    _say_units(truth, table)


def _intervals(facts: list[dict]) -> pd.DataFrame:
    rows = []
    for video in facts:
        for one in video["intervals"]:
            units = {unit["unit"]: unit["side"] for unit in one["units"]}
            rows.append({"video": video["name"], **one, "units": units})
    names = ["video", "onset", "apex", "offset", "kind", "label", "confidence", "units"]
    return pd.DataFrame(rows, columns=names)


def _matched(truth: pd.DataFrame, table: pd.DataFrame) -> list[tuple[int, int]]:
    """Pairs of the two tables' rows, each kind with its own."""
    pairs = []
    for kind in EXPRESSIONS:
        pairs += pair(truth[truth["event"] == kind], table[table["kind"] == kind])
    return pairs


def _say_alarms(truth: pd.DataFrame, table: pd.DataFrame, minutes: float) -> None:
    right = {b for _, b in _matched(truth, table)}
    causes: dict[str, int] = {}
    for row in table[~table.index.isin(right)].itertuples():
        events = truth[truth["video"] == row.video]
        near = NEAR * events["fps"]
        there = set(events["event"][(events["onset"] <= row.offset + near)
                                    & (events["offset"] >= row.onset - near)])  # fmt: skip
        inside = there & set(EXPRESSIONS)
        cause = "an expression's bounds or kind" if inside else next(
            (name for name in CAUSES if name in there), "nothing")  # fmt: skip
        causes[cause] = causes.get(cause, 0) + 1
    alarms = sum(n for name, n in causes.items() if not name.startswith("an expression"))
    print(
        f"{minutes:.1f} minutes, {alarms} false alarms, {alarms / minutes:.2f} a minute: {causes}"
    )


def _say_confidence(truth: pd.DataFrame, table: pd.DataFrame) -> None:
    """How many intervals of one confidence meet an expression, of whichever kind."""
    right = set()
    for video, own in table.groupby("video"):
        true = truth[(truth["video"] == video) & truth["event"].isin(EXPRESSIONS)]
        ends = [each[["onset", "offset"]].to_numpy() for each in (true, own)]
        right |= {int(own.index[b]) for _, b in match(*ends)}
    for low, high in itertools.pairwise(BINS):
        own = table[(table["confidence"] >= low) & (table["confidence"] < high)]
        hits = sum(label in right for label in own.index)
        mean = own["confidence"].mean() if len(own) else 0
        print(f"confidence {low} to {min(high, 1):g}: {len(own)}, mean {mean:.2f}, right {hits}")


def _say_units(truth: pd.DataFrame, table: pd.DataFrame) -> None:
    """Units named of expressions that were found, and on which side."""
    named = true = both = sides = sided = 0
    for a, b in _matched(truth, table):
        units = {int(number): side for side, number in
                 re.findall(r"([LR]?)(\d+)", truth.loc[a, "units"])}  # fmt: skip
        said = table.loc[b, "units"]
        named, true = named + len(said), true + len(units)
        shared = set(units) & set(said)
        both += len(shared)
        for unit in shared:
            if units[unit] or said[unit]:
                sided += 1
                sides += said[unit][:1].upper() == units[unit]
    print(f"units: {true} true, {named} named, {both} of them right; "
          f"sides: {sides} of {sided} that are one-sided in either")  # fmt: skip


def speed(video: Path, out: Path, minutes: tuple[float, ...] = (1, 30)) -> None:
    """Frames a second and peak memory of spot.py, on a video that is repeated to a length.

    Args:
        video: a video file, of Motion JPEG or anything else that OpenCV reads.
        out: folder for the repeated videos and the results.
        minutes: their lengths.
    """
    for length in minutes:
        path = _repeated(video, out / f"{length:g}_minutes.avi", length)
        frames = int(cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT))
        results = out / f"results_{length:g}_{int(time.time())}"
        command = [sys.executable, "spot.py", "--video", str(path), "--out", str(results)]
        start = time.perf_counter()
        watched = [sys.executable, "-m", "benchmarks.bench_spot", *command]
        subprocess.run(watched, check=True)
        seconds = time.perf_counter() - start
        used = json.loads((results / "used.json").read_text())
        rates = f"{frames / seconds:.0f} a second, {frames / used['seconds']:.0f} of processor time"
        print(f"{length:g} min: {frames} frames, {rates}, {used['megabytes']:.0f} MB", flush=True)


def _repeated(video: Path, path: Path, minutes: float) -> Path:
    """The video over and over, there and back, so that no cut is in it."""
    if path.is_file():
        return path
    film = cv2.VideoCapture(str(video))
    fps = film.get(cv2.CAP_PROP_FPS)
    frames = []
    while len(frames) < minutes * 60 * fps and len(frames) < 900:
        there, image = film.read()
        if not there:
            break
        frames.append(image)
    if not frames:
        raise UserError(f"--video {video}: no frame of it can be read")
    order = [*range(len(frames)), *range(len(frames) - 2, 0, -1)]
    size = frames[0].shape[1::-1]
    with write_whole(path) as part:
        writer = cv2.VideoWriter(str(part), cv2.VideoWriter_fourcc(*"MJPG"), fps, size)
        for t in range(int(minutes * 60 * fps)):
            writer.write(frames[order[t % len(order)]])
        writer.release()
    return path


def _watch(command: list[str]) -> None:
    """Run a command and leave what it used in its --out."""
    subprocess.run(command, check=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    facts = {"megabytes": used.ru_maxrss / 1024, "seconds": used.ru_utime + used.ru_stime}
    out = Path(command[command.index("--out") + 1])
    (out / "used.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    if sys.argv[1:2] == [sys.executable]:
        _watch(sys.argv[1:])
    else:
        run_script({"found": found, "speed": speed})
