"""What the course trains: the paper's settings, or tiny ones of the same kinds."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torchvision

from loso.settings import Settings


@dataclass(frozen=True)
class Plan:
    """Settings of an experiment under a name, with the clips that one epoch takes."""

    name: str
    settings: Settings
    subjects: int
    clips: float  # of each subject, on average


def paper_plans(quick: bool) -> list[Plan]:
    """2D in batches of 32 and dual in batches of 16: ResNet18 at 224 px, nothing frozen."""
    side, subjects = (49, 2) if quick else (224, 12)
    plain = Settings(
        weights="none", image_size=side, precision="float32", augment="full",
        batch_size=4 if quick else 32, epochs=1, balance="frames" if quick else "repeats",
    )  # fmt: skip
    dual = replace(
        plain, streams="dual", augment="flip", batch_size=4 if quick else 16, neighbour_views="apex"
    )
    clips = 3 if quick else 12
    return [
        Plan("2D, ResNet18", plain, subjects, clips),
        Plan("dual, ResNet18", dual, subjects, clips),
    ]


def check_plans(quick: bool) -> list[Plan]:
    """The same kinds, small enough for a CPU to be the reference."""
    side = 49 if quick else 97
    small = Settings(
        weights="none", image_size=side, precision="float32", augment="full", batch_size=8,
        epochs=1 if quick else 3, balance="frames",
    )  # fmt: skip
    plans = [
        Plan("2D", small, 3, 6),
        Plan("dual and motion", replace(small, streams="dual+motion", augment="crop"), 3, 6),
        Plan("2D, action units", replace(small, task="au"), 3, 6),
    ]
    return plans[:2] if quick else plans


def frozen_plan(quick: bool, folder: Path) -> Plan:
    """MEGC 2019's composite in size (68 subjects, 442 clips): a frozen ResNet18, 160 px, flips."""
    path = folder / "random_resnet18.pth"  # a trunk that is frozen has weights from a file
    torch.manual_seed(0)
    torch.save(torchvision.models.resnet18().state_dict(), path)
    settings = Settings(
        weights=str(path), freeze="trunk", augment="flip", image_size=49 if quick else 160,
        epochs=1 if quick else 15, precision="auto", batch_size=4 if quick else 32,
        balance="frames" if quick else "repeats",
    )  # fmt: skip
    return Plan("composite, frozen ResNet18", settings, 2 if quick else 68, 3 if quick else 6.5)
