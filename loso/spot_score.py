"""`spot.py score`: files of spotted intervals against a corpus's annotation.

spot_counts.py has the rules. Where a threshold is trained, it is trained on all other subjects.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from common.errors import UserError, warn
from data.corpora.long_names import RATES, kind_of, video_key
from data.corpora.long_videos import Corpus, NoOffset, read_long_annotation
from data.corpora.predicted import match_names, read_log_truth, read_predicted

from .spot_counts import IOU, KINDS, THREE, Counts, SpotScore, pair, score


def score_with_trained_threshold(
    truth: pd.DataFrame, spotted: pd.DataFrame, corpus: str = "", classes: Sequence[str] = THREE
) -> SpotScore:
    """As `score`, of the intervals whose `score` reaches a threshold: of each kind the one with
    the best F1 on all other subjects, so that none is chosen on whom it is scored on (LOSO).

    Both tables have `subject` besides. UserError where an interval has no score.
    """
    if spotted["score"].isna().any():
        raise UserError("a threshold is trained on scores: a column confidence or score")
    thresholds: dict[str, float] = {}
    kept = []
    for subject in sorted({*truth["subject"], *spotted["subject"]}):
        for kind in KINDS:
            others_true = truth[(truth["subject"] != subject) & (truth["kind"] == kind)]
            others = spotted[(spotted["subject"] != subject) & (spotted["kind"] == kind)]
            own = spotted[(spotted["subject"] == subject) & (spotted["kind"] == kind)]
            least = _best_threshold(others_true, others)
            thresholds[f"{subject} {kind}"] = least
            kept.append(own[own["score"] >= least])
    result = score(truth, pd.concat(kept), corpus, classes, sorted(set(spotted["video"])))
    return SpotScore(result.corpus, result.videos, result.counts, result.recognition, thresholds)


def _best_threshold(truth: pd.DataFrame, spotted: pd.DataFrame) -> float:
    """Of at most 40 thresholds the one with the highest F1, the highest of equals; infinite
    where none finds anything."""
    levels = np.unique(spotted["score"].to_numpy(float))
    if len(levels) > 40:
        levels = np.unique(np.quantile(levels, np.linspace(0, 1, 40)))
    best = 0.0, float("inf")
    for level in levels:
        kept = spotted[spotted["score"] >= level]
        tp = len(pair(truth, kept))
        f1 = Counts(tp, len(kept) - tp, len(truth) - tp).f1
        if f1 > 0 and f1 >= best[0]:
            best = f1, float(level)
    return best[1]


def score_files(
    predicted: Path,
    annotation: Path,
    corpus: Corpus | None = None,
    emotions: Path | None = None,
    no_offset: NoOffset = "apex",
    classes: int = 3,
    train_threshold: bool = False,
) -> SpotScore:
    """Score a file of spotted intervals against a corpus's annotation, or a MEGC log against
    the truth in it.

    predicted: see data.corpora.predicted.read_predicted. annotation, corpus, emotions, no_offset:
    see data.corpora.long_videos.read_long_annotation; the log itself as annotation takes the
    truth from it (kinds by length, 200 frames a second for SAMM's videos, 30 for others, no
    emotions). classes: 3 or 4 (with others). train_threshold: LOSO, see
    score_with_trained_threshold. UserError for what cannot be read.
    """
    if classes not in (3, 4):
        raise UserError(f"--classes {classes}: 3, or 4 with others")
    names = THREE if classes == 3 else (*THREE, "others")
    spotted = read_predicted(predicted)
    if Path(annotation).resolve() == Path(predicted).resolve():
        log = read_log_truth(Path(annotation))
        if log is None:
            raise UserError(f"{annotation}: holds no truth: it is no log of MEGC")
        found = _score_log(log[0], spotted)
        if found.counts["either"].tp != log[1]:
            warn(
                f"{annotation}: counts {log[1]} true positives itself, where "
                f"{found.counts['either'].tp} pairs of either kind overlap enough"
            )
        return found
    read = read_long_annotation(annotation, corpus, emotions, no_offset)
    truth = read.expressions
    spotted = spotted.copy()
    spotted["video"] = match_names(spotted[["video", "subject"]], list(read.videos))
    strange = sorted(set(spotted["video"]) - set(read.videos))
    if strange:
        if len(strange) == spotted["video"].nunique():
            raise UserError(
                f"{predicted}: none of its videos ({strange[0]}, …) is in {annotation} "
                f"({read.videos[0]}, …)"
            )
        warn(
            f"{predicted}: {len(strange)} videos are not in {annotation} ({strange[0]}, …): what "
            "is spotted there counts as false"
        )
    rates = dict(zip(truth["video"], truth["fps"]))
    usual = float(truth["fps"].mode()[0])
    of_video = dict(zip(truth["video"], truth["subject"]))
    fps = [rates.get(video, usual) for video in spotted["video"]]
    spotted["kind"] = _kinds(spotted, fps)
    owners = zip(spotted["video"], spotted["subject"])
    spotted["subject"] = [of_video.get(video, subject) for video, subject in owners]
    if train_threshold:
        return score_with_trained_threshold(truth, spotted, read.corpus, names)
    return score(truth, spotted, read.corpus, names, read.videos)


def _kinds(table: pd.DataFrame, fps: list[float]) -> list[str]:
    """What a table says of its intervals, else what their lengths say."""
    rows = zip(table["kind"], table["onset"], table["offset"], fps)
    return [kind or kind_of(int(onset), int(offset), rate) for kind, onset, offset, rate in rows]


def _score_log(truth: pd.DataFrame, spotted: pd.DataFrame) -> SpotScore:
    """A log's two lists: kinds by length, at the rate that the names of its videos tell."""
    for table in (truth, spotted):
        table["emotion"] = ""
        table["video"] = [video_key(name) for name in table["video"]]
        samm = table["video"].str.fullmatch(r"\d{3}_\d")
        table["kind"] = _kinds(table, [RATES["samm_lv" if s else "casme_sq"] for s in samm])
    return score(truth, spotted, "log")


def print_score(found: SpotScore) -> None:
    """A table of the counts and what follows from them."""
    recognised = bool(found.recognition)
    table = Table(title=f"{found.corpus}, {found.videos} videos, IoU of {IOU} or more")
    for name in ("", "true", "spotted", "right", "precision", "recall", "F1"):
        table.add_column(name, justify="right" if name else "left")
    for name in ("F1 recognition", "STRS") if recognised else ():
        table.add_column(name, justify="right")
    for row in (*KINDS, "overall", "either"):
        counts = found.counts[row]
        shares = counts.precision, counts.recall, counts.f1
        cells = [counts.tp + counts.fn, counts.tp + counts.fp, counts.tp]
        texts = [*map(str, cells), *(f"{share:.4f}" for share in shares)]
        if row in found.recognition:
            texts += [f"{found.recognition[row].f1:.4f}", f"{found.strs(row):.4f}"]
        table.add_row("either kind" if row == "either" else row, *texts)
    Console(width=110).print(table)
