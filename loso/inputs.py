"""What an experiment's folds read: found, checked and loaded once, before any fold is made."""

import os
from dataclasses import replace
from typing import cast

import pandas as pd

from common.errors import UserError, warn
from data.augmentation import stored_size
from data.clip_set import ClipSet, MotionFrom, ViewsFrom, load_clips
from data.corpora.description import THREE
from data.corpora.known import AU, CORPORA
from data.index import four_frames_path, read_index
from data.index_task import class_names, task_of, unit_targets
from data.motion.alignment import parse_frame
from data.views import ViewsShow

from .folds import by_glasses
from .settings import Settings, TaskName

# Flags of reconstruct_3d.py by what the views show.
MADE_WITH: dict[ViewsShow, str] = {"shape": "", "motion": " --views motion", "clean": " --clean"}


def with_index_task(settings: Settings) -> Settings:
    """Settings with the task and the number of classes of their index.

    UserError where --task is another one than the index's, or for a --dataset of no name known.
    """
    if not settings.index_file.is_file():
        if settings.index is None and settings.dataset not in (*CORPORA, "composite"):
            raise UserError(
                f"--dataset {settings.dataset}: none of {', '.join(CORPORA)}, composite, and there "
                f"is no {settings.index_file}, which prepare_data.py own or join makes"
            )
        return settings  # which load_inputs tells, after what is quicker to find
    index = read_index(settings.index_file, settings.classes)
    task, names = cast(TaskName, task_of(index)), class_names(index, settings.classes)
    if settings.task == AU:
        return settings
    if len(names) < 2:
        raise UserError(
            f"{settings.index_file}: all clips are of one class ({names[0]}); training needs labels"
        )
    if task in ("", str(settings.classes)) or names == THREE:
        return replace(settings, classes=len(names), task="auto")
    if settings.task not in ("auto", task):
        raise UserError(
            f"--task {settings.task}: {settings.index_file} is of task {task} "
            f"({', '.join(names)}); prepare_data.py --task {settings.task} makes the other"
        )
    return replace(settings, classes=len(names), task=task)


def load_inputs(settings: Settings, index: pd.DataFrame | None = None) -> ClipSet:
    """The clips of an experiment, or of another index than its own, with what its streams read.

    UserError for a wrong index, and as data.clip_set.load_clips.
    """
    if index is None:
        index = _experiment_index(settings)
    pictures = set(settings.inputs) - {"motion"}
    return load_clips(
        index,
        _companion(settings) if pictures else None,
        settings.root,
        stored_size(settings.image_size, settings.augment) if pictures else None,
        _views_from(settings) if settings.reads_views else None,
        _motion_from(settings) if settings.reads_motion else None,
        settings.strict,
    )


def _experiment_index(settings: Settings) -> pd.DataFrame:
    index = read_index(settings.index_file, settings.classes)
    if settings.tells_units:
        index["task"] = AU  # of whatever task it is: its column of units counts
        unit_targets(index)  # that there is one
    if settings.glasses_only or settings.without_glasses:
        return by_glasses(index, settings.glasses_only)
    return index


def _companion(settings: Settings) -> pd.DataFrame | None:
    """The four-frames companion of the experiment's index; None where there is none."""
    companion = settings.four_frames or four_frames_path(settings.index_file)
    if settings.four_frames or companion.is_file():
        return read_index(companion, settings.classes, companion=True)
    warn(f"{companion}: not there, so training has no neighbouring frames of the apex")
    return None


def _views_from(settings: Settings) -> ViewsFrom:
    own = settings.neighbour_views == "own"
    command = (
        f"python reconstruct_3d.py --index {settings.index_file} --root {settings.root} "
        f"--out {settings.root3d}{' --four-frames' if own else ''}"
        f"{MADE_WITH[settings.views_show]}"
    )
    spare = settings.result / f".views_{os.getpid()}.u8"
    return ViewsFrom(settings.root3d, own, command, spare, settings.views_show)


def _motion_from(settings: Settings) -> MotionFrom:
    frame = parse_frame(settings.map_frame)
    return MotionFrom(settings.motion_size, settings.flow, settings.result / "motion_cache", frame)
