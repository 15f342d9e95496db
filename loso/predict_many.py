"""Predictions of many clips: one after the other, kept as they are made, in CSV and JSON."""

import contextlib
import io
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
import torch

from common.errors import UserError, warn
from common.files import write_whole
from common.parallel import as_done
from common.progress import progress_bar
from data.clip_list import ListedClip
from data.disk.file_kinds import clip_name, is_video
from data.disk.video_file import frame_rate, frame_times

from .synthetic_weights import SYNTHETIC_WEIGHTS

SHOWN = 0.5  # a unit from this probability on is in the CSV
_FRAMES = ("onset", "apex", "offset")


@dataclass(frozen=True)
class Predictions:
    """What is known of each clip, in order: the facts of those that could be read, and faults."""

    facts: list[dict]
    faults: list[dict]  # clip, fault

    def summary(self) -> str:
        """How many clips there are of each label, and how many could not be read."""
        labels = Counter(facts["prediction"] for facts in self.facts)
        counts = ", ".join(f"{count} {label}" for label, count in sorted(labels.items()))
        read = f"{len(self.facts)} clips: {counts}"
        return f"{read}; {len(self.faults)} left out" if self.faults else read


def predict_many(
    clips: Sequence[ListedClip],
    classify: Callable[[ListedClip], dict],
    out: Path,
    settings: dict,
    workers: int = 1,
) -> Predictions:
    """Classify each clip; a UserError of one is named in a warning and the others go on.

    workers: clips that are read at once, by processes of their own if more than one: `classify`
    has to be picklable then. Results do not depend on it.

    classify: a clip's facts, with `clip`, `onset`, `apex`, `prediction`, `classes` and
    `action_units`. out: a folder that keeps each clip's facts from the moment they are known, so
    that a run that was stopped goes on there, until write_predictions. Facts of other `settings`
    (JSON), or of a clip whose file has changed, are made anew, and faults looked at again.
    KeyboardInterrupt says how far it came.
    """
    part = _part(out)
    kept = _read_kept(part, settings)
    keys = [_key(clip) for clip in clips]
    facts = {i: kept[key] for i, key in enumerate(keys) if key in kept}
    faults: dict[int, dict] = {}
    if facts:
        warn(f"going on after {len(facts)} clips read before, {len(clips) - len(facts)} to go")
    with write_whole(part) as anew:  # without a line that a stop cut off
        kept_lines = [settings, *({"key": keys[i], "facts": facts[i]} for i in facts)]
        anew.write_text("".join(json.dumps(line) + "\n" for line in kept_lines), encoding="utf-8")
    try:
        with progress_bar("clips", len(clips), len(facts)) as bar:
            todo = [i for i in range(len(clips)) if i not in facts]
            wanted = [clips[i] for i in todo]
            read = partial(_read, classify)
            for at, (found, lines) in as_done(read, wanted, workers, torch.set_num_threads, 1):
                i = todo[at]
                for said in lines:
                    bar.say(said)
                if "fault" in found:
                    faults[i] = found
                else:
                    facts[i] = found
                    _append(part, {"key": keys[i], "facts": found})
                bar.advance()
    except KeyboardInterrupt:
        done = f"{len(facts) + len(faults)} of {len(clips)} clips done"
        raise KeyboardInterrupt(f"{done}; the same command goes on from there") from None
    return Predictions(*([some[i] for i in sorted(some)] for some in (facts, faults)))


def write_predictions(out: Path, predictions: Predictions, classes: Sequence[str]) -> list[Path]:
    """Write predictions.csv and predictions.json into a folder; their paths.

    The columns are those of the spotter's intervals.csv, with `classes` for the scores, and
    `fault`: one row a clip, a faulty one with its fault alone. Frames are numbers of the files (a
    video's count from 0), seconds those of a video's frames; `kind` is empty, for a clip is given.
    """
    rows = [_row(facts, classes) for facts in predictions.facts]
    rows += [{"path": one["clip"], "fault": one["fault"]} for one in predictions.faults]
    for row in rows:
        row["video"] = clip_name(Path(row["path"]))
    columns = [
        "video", "path", *_FRAMES, *(f"{name}_s" for name in _FRAMES), "kind", "label", *classes,
        "confidence", "units", "fault",
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(_FRAMES, "Int64"))
    paths = [out / "predictions.csv", out / "predictions.json"]
    with write_whole(paths[0]) as part:
        table.to_csv(part, index=False)
    content = {"format": 1, "clips": predictions.facts, "faults": predictions.faults}
    with write_whole(paths[1]) as part:
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    _part(out).unlink(missing_ok=True)
    return paths


def as_interval(facts: dict, clip: ListedClip) -> dict:
    """A clip's facts and, under the spotter's names, what they say of it as an interval.

    offset: of an index. Seconds: of a video's frames, as its file has them. confidence: the highest
    class score. units: as the spotter has them, of both sides, by strength.
    """
    is_film = is_video(clip.path) and clip.path.is_file()
    rate = frame_rate(clip.path) if is_film else None
    times = frame_times(clip.path).tolist() if is_film else []
    facts = facts | {"video": str(clip.path), "name": clip_name(clip.path)}
    facts |= {"offset": clip.offset, "fps": rate}
    for name in _FRAMES:
        number = facts[name]
        known = number is not None and number < len(times)
        facts[f"{name}_s"] = round(times[number], 3) if known else None
    units = sorted(facts["action_units"].items(), key=lambda unit: -unit[1])
    return facts | {
        "label": facts["prediction"],
        "confidence": max(facts["classes"].values(), default=None),
        "units": [{"unit": int(unit), "side": "", "strength": p} for unit, p in units],
    }


def weights_state(weights: Path | None) -> list:
    """Name, size and time of each file of weights: what kept facts have to agree in."""
    path = weights or SYNTHETIC_WEIGHTS
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    return [[str(file), file.stat().st_size, file.stat().st_mtime_ns] for file in files]


def _read(classify: Callable[[ListedClip], dict], clip: ListedClip) -> tuple[dict, list[str]]:
    """A clip's facts, or its fault, and the warnings on the way."""
    said = io.StringIO()
    try:
        if clip.fault:
            raise UserError(clip.fault)
        with contextlib.redirect_stderr(said):
            facts = as_interval(classify(clip), clip)
    except UserError as error:
        lines = [*said.getvalue().splitlines(), f"warning: left out: {error}"]
        return {"clip": str(clip.path), "fault": str(error)}, lines
    except Exception as error:
        error.add_note(f"while reading {clip.path}")
        raise
    return facts, said.getvalue().splitlines()


def _row(facts: dict, classes: Sequence[str]) -> dict:
    """A clip's row; units of a clip that shows nothing are not told."""
    is_shown = facts["label"] in classes or not (classes or facts["label"] == "none")
    strong = [unit for unit in facts["units"] if is_shown and unit["strength"] >= SHOWN]
    told = "; ".join(f"AU{unit['unit']} {unit['strength']:.2f}" for unit in strong)
    scores = {name: facts["classes"].get(name) for name in classes}
    return facts | {"path": facts["clip"], "units": told, "fault": ""} | scores


def _part(out: Path) -> Path:
    return out / "predictions.part.jsonl"


def _key(clip: ListedClip) -> str:
    """What a clip of a run before has to agree in, to be the same."""
    try:
        stat = clip.path.stat()
        state = [stat.st_size, stat.st_mtime_ns]
    except OSError:
        state = []
    return json.dumps([str(clip.path), clip.onset, clip.apex, clip.offset, *state])


def _append(path: Path, line: dict) -> None:
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error


def _read_kept(path: Path, settings: dict) -> dict[str, dict]:
    """What a run that was stopped has kept: facts by key. Nothing of other settings."""
    if not path.is_file():
        return {}
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:  # cut off by the stop; what follows, nothing, is not known
            break
    if not lines or lines[0] != json.loads(json.dumps(settings)):
        warn(f"{path}: of other settings or weights than this run's: starting anew")
        return {}
    return {line["key"]: line["facts"] for line in lines[1:]}
