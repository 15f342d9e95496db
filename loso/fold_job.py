"""A fold from start to finish, in whatever process it runs: what folds share, and what one leaves.

Whatever the launcher, a fold computes with --cpus-per-fold threads and seeds itself, so that its
record is the same.
"""

import copy
import os
import time
import traceback
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import pandas as pd
import torch
from torch import nn

from common.errors import UserError
from common.parallel import fixed_threads
from common.version import VERSION
from data.augmentation import stored_size
from data.clip_set import ClipSet
from data.index import clip_titles
from data.index_task import class_names, unit_targets

from .checkpoints import network_bytes, seen_before
from .folds import Fold, inner_folds
from .inputs import load_inputs
from .motion import MotionRunner
from .pictures import PictureRunner
from .records import FORMAT
from .selection.candidates import candidates, told
from .selection.nested import Candidate, nested_passes, train_nested
from .settings import Settings
from .stacked import Tell
from .training import OnEpoch


class Runner(Protocol):
    """Trains folds of one experiment, each from the same start."""

    settings: Settings

    def run(self, fold: Fold, on_epoch: OnEpoch) -> tuple[list[dict], nn.Module]:
        """Epoch records and the final network of a fold."""
        ...


@dataclass(frozen=True)
class Job:
    """What every fold of an experiment needs, wherever it runs."""

    settings: Settings
    index: pd.DataFrame
    runner: Runner
    views_by: str | None = None  # the backend that made the views
    seen_before: frozenset[str] = frozenset()  # subjects, by the network of --weights
    candidates: tuple[Candidate, ...] = ()  # what `nested` chooses from

    @property
    def passes(self) -> int:
        """Epochs that a fold trains, at most: of the settings as they stand, and for `nested`."""
        stated, members = self.settings.passes, self.settings.choose_ensemble
        return stated + nested_passes(self.candidates, self.settings.inner, members)


@dataclass(frozen=True)
class Trained:
    """A finished fold: its record and, with --save-weights, its network's file."""

    record: dict
    weights: bytes | None


@dataclass(frozen=True)
class Failed:
    """A fold that could not be trained. user: the message is one line for the user."""

    message: str
    user: bool


class Watch(Protocol):
    """Is told how folds go on: RunProgress."""

    def start_fold(self, data_sub: str) -> None:
        """A fold begins, or begins anew."""
        ...

    def epoch(self, data_sub: str, record: dict) -> None:
        """An epoch of a fold is over."""
        ...


Launcher = Callable[[Watch], Generator[Trained, None, None]]


def prepare_process() -> None:
    """Let this process compute the same each time."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it when it starts
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False


def load_job(settings: Settings, clips: ClipSet, device: torch.device) -> Job:
    """Load what every fold needs. UserError for what no fold could be trained with."""
    prepare_process()
    kind = MotionRunner if settings.streams == "motion" else PictureRunner
    runners: list[Runner] = [kind(settings, clips, device)]
    found, inputs = [], {_reading(settings): clips}
    for values, one in candidates(settings):
        if _reading(one) not in inputs:
            inputs[_reading(one)] = _same_clips(load_inputs(one), clips, values)
        runner = _like_one(runners, one) or kind(one, inputs[_reading(one)], device)
        runners.append(runner)
        found.append(Candidate(values, runner, one.passes))
    return Job(
        settings, clips.index, runners[0], clips.views_by, seen_before(settings), tuple(found)
    )


def _reading(settings: Settings) -> tuple:
    """What, of the settings that can be chosen, decides what the clips are read as."""
    pictures = set(settings.inputs) - {"motion"}
    return (
        settings.flow if settings.reads_motion else None,
        stored_size(settings.image_size, settings.augment) if pictures else None,
    )


def _same_clips(other: ClipSet, clips: ClipSet, values: dict) -> ClipSet:
    if other.left_out == clips.left_out:
        return other
    changed = min(set(other.left_out) ^ set(clips.left_out))
    raise UserError(
        f"--choose {told(values)}: {changed} can be read with it or without, not both; a choice "
        "needs the same clips"
    )


# What a runner reads once for all folds does not depend on these.
_OF_TRAINING = frozenset({"epochs", "batch_size", "lr", "seed"})


def _like_one(runners: list[Runner], settings: Settings) -> Runner | None:
    """A runner for settings that shares what one of `runners` has read; None if it cannot."""
    wanted = settings.facts()
    for runner in runners:
        has = runner.settings.facts()
        differ = {name for name in wanted if wanted[name] != has[name]}
        differ -= {"choose", "choose_ensemble"}
        if not differ:
            return runner
        if differ <= _OF_TRAINING:
            runner = copy.copy(runner)
            runner.settings = settings
            return runner
    return None


def train_in_turn(job: Job, folds: list[Fold], watch: Watch) -> Generator[Trained, None, None]:
    """Train folds in this process, one after the other: the plain launcher."""
    for group in in_groups(folds, job.settings):
        for fold in group:
            watch.start_fold(fold.data_sub)
        yield from train_group(job, group, watch.epoch)


def in_groups(folds: list[Fold], settings: Settings) -> list[list[Fold]]:
    """The folds that are trained together: --stack of them."""
    return [folds[i : i + settings.stack] for i in range(0, len(folds), settings.stack)]


def train_group(job: Job, group: list[Fold], tell: Tell) -> list[Trained]:
    """Train and score folds together in this process; seconds are shared out evenly."""
    if job.settings.stack == 1:
        (fold,) = group
        return [train(job, fold, partial(tell, fold.data_sub))]
    assert isinstance(job.runner, PictureRunner)  # by the rules of settings
    started = time.monotonic()
    with fixed_threads(job.settings.cpus_per_fold):
        done = job.runner.run_stacked(group, tell)
    seconds = (time.monotonic() - started) / len(group)
    return [_trained(job, fold, *found, {}, seconds) for fold, found in zip(group, done)]


def train(job: Job, fold: Fold, on_epoch: OnEpoch) -> Trained:
    """Train and score one fold in this process, on --cpus-per-fold threads."""
    started = time.monotonic()
    with fixed_threads(job.settings.cpus_per_fold):
        epochs, network = job.runner.run(fold, on_epoch)
        nested = _nested(job, fold, epochs, on_epoch)
    return _trained(job, fold, epochs, network, nested, time.monotonic() - started)


def _trained(
    job: Job, fold: Fold, epochs: list[dict], network: nn.Module, nested: dict, seconds: float
) -> Trained:
    """What a fold leaves."""
    settings, index = job.settings, job.index
    clips = index.assign(clip=clip_titles(index)).iloc[fold.test]
    clips = clips[["data", "subject", "clip", "label"]]
    held_out = [row | {"label": int(row["label"])} for row in clips.to_dict("records")]
    if settings.tells_units:
        for row, units in zip(held_out, unit_targets(index.iloc[fold.test])):
            row["units"] = units
    record = {
        "format": FORMAT,
        "experiment": settings.name,
        "data_sub": fold.data_sub,
        "classes": list(class_names(index, settings.classes)),
        "clips": held_out,
        "epochs": epochs,
        "train_labels": _counts(index.iloc[fold.train], settings),
        **nested,
        "seconds": round(seconds, 1),
        "dsnca": VERSION,
    }
    if settings.protocol != "loso" or settings.train_on:
        record["trained_on"] = sorted(index["data"].iloc[fold.train].unique())
    if not settings.save_weights:
        return Trained(record, None)
    now = set() if settings.adapt == "none" else set(index["data_sub"].iloc[fold.train])
    trained_on = sorted(job.seen_before | now)
    weights = network_bytes(
        network, settings, fold.data_sub, trained_on, job.views_by, record["classes"]
    )
    return Trained(record, weights)


def _counts(train: pd.DataFrame, settings: Settings) -> list[int]:
    """Training clips of each class, or that show each unit."""
    if settings.tells_units:
        return np.sum(unit_targets(train), axis=0).tolist()
    return np.bincount(train["label"], minlength=settings.classes).tolist()


def _nested(job: Job, fold: Fold, epochs: list[dict], on_epoch: OnEpoch) -> dict:
    """The record's "nested", where the run has it."""
    if not job.candidates:
        return {}
    inner, members = inner_folds(fold, job.index, job.settings), job.settings.choose_ensemble
    stated = job.runner, epochs
    return {
        "nested": train_nested(job.candidates, members, fold, inner, job.index, stated, on_epoch)
    }


def try_train(job: Job, group: list[Fold], tell: Tell) -> list[Trained] | Failed:
    """Train folds together in a worker: what goes wrong is returned, for the driver to raise."""
    try:
        return train_group(job, group, tell)
    except UserError as error:
        return Failed(str(error), user=True)
    except Exception:
        return Failed(f"fold {names(group)}\n{traceback.format_exc()}", user=False)


def names(group: list[Fold]) -> str:
    """The folds of a group as a message names them."""
    return ", ".join(fold.data_sub for fold in group)


def checked(outcome: list[Trained] | Failed) -> list[Trained]:
    """A worker's outcome; raises what went wrong there."""
    if isinstance(outcome, Failed):
        raise UserError(outcome.message) if outcome.user else RuntimeError(outcome.message)
    return outcome
