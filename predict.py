"""Classify a clip, or many: find each apex, see whether it moves, class scores and evidence.

python predict.py --clip FOLDER_OR_VIDEO_OR_IMAGE [--weights FILE_OR_FOLDER]
python predict.py --clips FOLDER_OR_LIST_OR_INDEX --out FOLDER
"""

import json as jsonlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from common.cli import run_script
from common.errors import UserError

if TYPE_CHECKING:
    from data.clip_list import ListedClip


def main(
    clip: Path | None = None,
    weights: Path | None = None,
    onset: int | None = None,
    apex: int | None = None,
    json: bool = False,
    assets: Path | None = None,
    face: int | None = None,
    prior: tuple[float, ...] = (),
    device: str = "cpu",
    clips: Path | None = None,
    root: Path | None = None,
    out: Path | None = None,
    strict: bool = False,
    workers: int = 1,
) -> int:
    """Class scores of a clip or of many, with the weights in this repository or your own.

    Args:
        clip: a folder of frames, a video, or one image (for networks without motion).
        weights: a file of --save-weights, or the folder of all folds, whose scores are averaged
            (default: the motion network that learned from synthetic faces).
        onset: number of the onset frame (default: the first that shows the face).
        apex: number of the apex frame (default: it is looked for).
        json: print JSON instead of a table.
        assets: DECA's and FLAME's files, for networks that learned from DECA's views.
        face: which face to follow where there are several, counted from the left in the first
            frame that shows any (default: the largest).
        prior: share of each class that the scores assume, such as 0.5 0.3 0.2 for negative,
            positive, surprise (default: even, as the networks learn); for networks of motion alone.
        device: cpu, cuda, mps or auto.
        clips: many clips instead: a folder with all clips below it, a text file with a path a
            line, or an index (.csv), whose onsets and apexes are taken; needs --out.
        root: what the paths of a list or an index start from (default: the list's own folder).
        out: folder for predictions.csv and predictions.json.
        strict: exit code 1 where one of many clips could not be read.
        workers: clips of --clips that are read at once; the results do not depend on it.
    """
    listed = _asked(clip, clips, root, out, onset, apex)
    if workers < 1:
        raise UserError(f"--workers {workers}: at least 1")
    if weights is not None and not weights.exists():
        raise UserError(f"--weights {weights}: no such file or folder")
    # Here, so that --help and a mistyped path need no second of imports.
    from deca.clip_views import make_views
    from loso.clip_reader import ClipReader
    from loso.device import resolve_device
    from loso.predict import check_classifier_prior
    from loso.predict_many import (
        Predictions,
        as_interval,
        predict_many,
        weights_state,
        write_predictions,
    )

    resolve_device(device)
    classify = ClipReader(weights, assets, face, prior, device, make_views)
    classifier = classify.classifier
    check_classifier_prior(classifier, prior)
    columns = () if classifier.settings.tells_units else classifier.classes
    if clip is not None:
        facts = classify(listed[0])
        print(jsonlib.dumps(facts)) if json else _print_table(facts)
        if out is not None:
            alone = Predictions([as_interval(facts, listed[0])], [])
            print(_wrote(write_predictions(out, alone, columns)), file=sys.stderr)
        return 0
    assert out is not None  # _asked has seen to it
    settings = {"weights": weights_state(weights), "face": face, "prior": prior, "device": device}
    found = predict_many(listed, classify, out, settings, workers)
    paths = write_predictions(out, found, columns)
    if not found.facts:
        first = found.faults[0]["fault"]
        raise UserError(f"none of the {len(listed)} clips could be read; the first: {first}")
    print(paths[1].read_text() if json else f"{found.summary()}\n{_wrote(paths)}")
    return int(strict and bool(found.faults))


def _asked(
    clip: Path | None,
    clips: Path | None,
    root: Path | None,
    out: Path | None,
    onset: int | None,
    apex: int | None,
) -> "list[ListedClip]":
    """The clips that the command line names; UserError where it names none, or cannot be met."""
    from data.clip_list import ListedClip, list_clips

    if (clip is None) == (clips is None):
        raise UserError("one of --clip and --clips says what to read")
    if clip is not None:
        if not clip.exists():
            raise UserError(f"--clip {clip}: no such folder or file")
        return [ListedClip(clip, onset, apex)]
    assert clips is not None
    if onset is not None or apex is not None:
        raise UserError("--onset and --apex go with --clip; an index has those of many clips")
    if out is None:
        raise UserError("--clips: --out names the folder for predictions.csv and predictions.json")
    return list_clips(clips, root)


def _wrote(paths: list[Path]) -> str:
    return f"wrote {' and '.join(map(str, paths))}"


def _print_table(facts: dict) -> None:
    from rich.console import Console
    from rich.table import Table

    from loso.clip_reader import NONE

    if facts["apex"] is not None:
        print(f"{facts['clip']}: onset {facts['onset']}, apex {facts['apex']}")
    if facts["face"]["apex"] != "detector":
        print(f"face found by: {facts['face']['apex']}")
    none = facts["prediction"] == NONE
    if facts["expression"]:
        print(_in_words(facts["expression"]))
    if facts["classes"]:
        if none:
            print("scores of that noise, not to be read:")
        table = Table("class", "score", style="dim" if none else "")
        for name, score in sorted(facts["classes"].items(), key=lambda item: -item[1]):
            style = "bold" if name == facts["prediction"] else "dim" if none else None
            table.add_row(name, f"{score:.3f}", style=style)
        Console().print(table)
    units = sorted(facts["action_units"].items(), key=lambda item: -item[1])
    if units and not none:
        shown = ", ".join(f"AU {unit} {p:.2f}" for unit, p in units if p >= 0.5)
        print(f"action units: {shown or 'none above 0.5'}")
    print(f"weights: {facts['weights']} ({facts['networks']} network(s))")


def _in_words(seen: dict) -> str:
    """The evidence for or against an expression, in a line."""
    if seen["motion"] == 0:
        return "none, no expression: onset and apex are the same picture"
    return (
        f"{'expression' if seen['found'] else 'none, no expression'}: the face moves by "
        f"{seen['motion']:.4f} of its width, {seen['ratio']:.1f} times the clip's noise "
        f"({seen['noise']:.4f}; an expression: more than {seen['threshold']:g} times)"
    )


if __name__ == "__main__":
    run_script(main)
