"""Clips made in memory: noise with a patch whose place is the class. No file is read."""

from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from data.augmentation import stored_size
from data.clip_set import ClipSet, Views
from data.views import VIEWS_SHOW, YAWS
from loso.settings import Settings

FRAMES = 5  # of a clip: the apex and its neighbours
UNITS = ("1+4", "12", "1+2+5", "")  # of clips in turn


def made_clips(settings: Settings, subjects: int, clips: float, frames: int = FRAMES) -> ClipSet:
    """`clips` clips (on average) of each subject, classes in turn, with what the streams read.

    frames: of each clip, the apex first. Views are shared by a clip's frames.
    """
    number = round(subjects * clips)
    labels = torch.arange(number) % settings.classes
    subject = [f"{i * subjects // number + 1:02d}" for i in range(number)]
    index = pd.DataFrame({"data": "smic", "subject": subject, "clip": "", "label": labels.numpy()})
    index["clip"] = [f"clip_{i:04d}" for i in range(number)]
    index["data_sub"] = index["data"] + "_" + index["subject"]
    index["units"] = [UNITS[i % len(UNITS)] for i in range(number)]
    if settings.tells_units:
        index["label"], index["task"] = 0, "au"
    generator = torch.Generator().manual_seed(settings.seed)
    size = stored_size(settings.image_size, settings.augment)
    slots = torch.full((number, FRAMES), -1)
    slots[:, :frames] = torch.arange(number * frames).view(number, frames)
    pictures = views = motion = None
    if settings.reads_frames:
        pictures = _pictures(labels.repeat_interleave(frames), 3, size, generator)
    if settings.reads_views:
        channels = len(YAWS) * VIEWS_SHOW[settings.views_show][1]
        rows = torch.arange(number)[:, None].expand_as(slots).where(slots >= 0, -1)
        views = Views([], rows, "made", size, Path(), settings.views_show)
        vars(views)["pictures"] = _pictures(labels, channels, size, generator)  # read already
    if settings.reads_motion:
        side = settings.motion_size
        motion = _pictures(labels, 3, (side, side), generator).float() / 255 - 0.5
    by = None if motion is None else "made"
    return ClipSet(index, (), pictures, slots, None, views, motion, by)


def _pictures(
    labels: Tensor, channels: int, size: tuple[int, int], generator: torch.Generator
) -> Tensor:
    """uint8 (N, channels, H, W), channels last in memory as pictures that are read."""
    shape = (len(labels), *size, channels)
    pictures = torch.randint(60, 140, shape, dtype=torch.uint8, generator=generator)
    side = size[0] // 4
    for label in labels.unique().tolist():
        top, left = (label % 3) * side, (label // 3 % 3 + 1) * side // 2
        pictures[labels == label, top : top + side, left : left + side] += 100
    return pictures.movedim(-1, 1)
