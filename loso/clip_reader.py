"""Reads a clip from its path to its facts: onset, apex, evidence, class scores, units."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from data.clip_list import ListedClip
from data.faces import FaceFinder, load_face_finder
from data.landmarks import choose_finder
from data.motion.stillness import Evidence
from data.views import MakeViews, ViewsShow

from .device import resolve_device
from .predict import (
    Classifier,
    Prediction,
    clip_batch,
    find_expression,
    load_classifier,
    pick_frames,
    predict,
    read_clip,
)

NONE = "none"  # the prediction where nothing but noise moves


@dataclass(frozen=True)
class ClipReader:
    """What reads clips, by its settings alone: a process that gets one loads what it needs once.

    weights: as load_classifier has it; assets: DECA's and FLAME's files; face: which one, from the
    left, from 1; prior: shares of the classes, () for even ones. views: deca.clip_views.make_views.
    """

    weights: Path | None
    assets: Path | None
    face: int | None
    prior: tuple[float, ...]
    device: str
    views: Callable[[str | None, Path | None, str, ViewsShow], MakeViews]

    @property
    def classifier(self) -> Classifier:
        """The networks."""
        return _tools(self)[0]

    def __call__(self, clip: ListedClip) -> dict:
        """A clip's facts, as `predict.py --json` prints them; UserError if it cannot be read."""
        classifier, faces, where = _tools(self)
        name = str(clip.path)
        picked = pick_frames(clip.path, clip.onset, clip.apex, faces)
        seen = find_expression(picked, name)
        if seen is not None and seen.motion == 0:  # there is nothing to read
            found = Prediction({})
        else:
            readings = read_clip(classifier, picked, _views(self), name)
            batch = clip_batch(picked, readings, classifier.settings, where)
            found = predict(classifier, batch, where, self.prior)
        return {
            "clip": name,
            "onset": picked.onset_number,
            "apex": picked.apex_number,
            "face": {
                "onset": picked.onset_face and picked.onset_face.found_by,
                "apex": picked.apex_face and picked.apex_face.found_by,
            },
            "prediction": found.label if seen is None or seen.found else NONE,
            "expression": seen and _evidence(seen),
            "classes": {name: round(score, 4) for name, score in found.classes.items()},
            "action_units": {str(unit): round(float(p), 4) for unit, p in found.units.items()},
            "weights": str(self.weights or "synthetic"),
            "networks": len(classifier.networks),
            "prior": list(self.prior) or "even",
        }


@cache
def _tools(reader: ClipReader) -> tuple[Classifier, FaceFinder, torch.device]:
    classifier = load_classifier(reader.weights)
    faces = load_face_finder(choose_finder(), reader.face)
    return classifier, faces, resolve_device(reader.device)


@cache
def _views(reader: ClipReader) -> MakeViews:
    classifier, _, where = _tools(reader)
    show = classifier.settings.views_show
    return reader.views(classifier.views_by, reader.assets, str(where), show)


def _evidence(seen: Evidence) -> dict:
    return {
        "found": seen.found,
        "motion": round(seen.motion, 6),
        "noise": round(seen.noise, 6),
        "ratio": round(seen.ratio, 3),
        "threshold": seen.threshold,
    }
