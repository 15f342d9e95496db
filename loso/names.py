"""What an experiment's folder is called where --experiment does not say, and older spellings."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from data.corpora.known import OWN
from models.registry import DEFAULT_MOTION_NET, DEFAULT_NETWORK

if TYPE_CHECKING:
    from .settings import Settings


def experiment_name(settings: "Settings") -> str:
    """A name made from the settings that tell one experiment from another."""
    pictures = " ".join(name for name in settings.inputs if name != "motion")
    parts = [
        settings.network if settings.network != DEFAULT_NETWORK else "",
        settings.dataset,
        settings.task if settings.task not in ("auto", OWN) else "",
        "5" if settings.task == "auto" and settings.classes == 5 else "",
        "glasses" if settings.glasses_only else "",
        "no_glasses" if settings.without_glasses else "",
        {"views": "3d", "frame views": "dual_3d"}.get(pictures, ""),
        settings.views_show if settings.views_show != "shape" else "",
        "motion" if settings.reads_motion else "",
        _motion_way(settings) if settings.streams == "motion" else "",
        settings.protocol if settings.protocol != "loso" else "",
        f"{settings.folds}_folds" if settings.folds else "",
        "_".join((*settings.train_on, "to", *settings.test_on)) if settings.train_on else "",
    ]
    return "_".join(part for part in parts if part)


def _motion_way(settings: "Settings") -> str:
    if settings.first_weights == "none":
        return settings.motion_net
    way = {"none": "zero_shot", "head": "head", "all": "tuned"}[settings.adapt]
    return way if settings.motion_net == DEFAULT_MOTION_NET else f"{settings.motion_net}_{way}"


# What settings that came later, with another default, were before.
BEFORE = {"fusion_gain": 1.0, "balance": "frames"}


def modern(weights: str) -> str:
    """--weights as this version spells it: drawn was the word for synthetic up to 0.1."""
    return "synthetic" if weights == "drawn" else weights


def modern_facts(facts: Mapping) -> dict:
    """Settings.facts as an earlier version kept them, spelled as this one does."""
    if "weights" not in facts:
        return dict(facts)
    return {**BEFORE, **facts, "weights": modern(facts["weights"])}
