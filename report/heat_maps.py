"""Heat maps of whole experiments and of single clips: panels, and attention.csv in numbers."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch

from common.errors import UserError, warn
from common.progress import progress_bar
from data.augmentation import stored_size
from data.clip_set import ClipSet
from data.disk.frames import read_image
from data.faces import FaceFinder
from data.index import clip_titles
from data.index_task import class_names
from data.motion.flow import face_frame
from data.pictures import resize
from data.transforms import centre_crop
from data.view_pictures import read_views
from data.views import SIZE, YAWS, view_folder
from loso.checkpoints import read_network, settings_from, weights_path
from loso.folds import plan_folds
from loso.inputs import load_inputs
from loso.predict import Classifier, ClipFrames, Readings, build_saved, clip_batch
from loso.records import read_json
from loso.results import write_tables
from loso.settings import Settings

from .cam import erasing_costs, heat_maps, share_in_cells
from .figures import Format, panel_path, save_figure
from .panels import Shown, draw_panel

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Look:
    """A network's look at one clip: figures a stream, and what a panel shows."""

    rows: list[dict]
    shown: Shown
    heats: list

    def save(self, path: Path) -> None:
        """Write the panel, in the format of the path's suffix."""
        save_figure(draw_panel(self.shown, self.heats), path)


def look(
    classifier: Classifier,
    clip: ClipFrames | None,
    readings: Readings,
    faces: FaceFinder,
    name: str,
    label: int | None = None,
) -> Look:
    """What a classifier's first network looks at for the class that it predicts.

    `clip` None: a ready motion map.
    """
    network, settings, classes = classifier.networks[0], classifier.settings, classifier.classes
    batch = clip_batch(clip, readings, settings, CPU)
    with torch.no_grad():
        scores = network.scores(network(*batch))[0]
    target = int(scores.argmax())
    heats = heat_maps(network, batch, target, settings)
    hottest, chance = erasing_costs(network, batch, heats, target, settings.seed)
    rows = []
    for heat in heats:
        points = _landmarks(heat.stream, clip, readings, settings, faces)
        inside, area = (np.nan, np.nan) if points is None else share_in_cells(heat.map, points)
        rows.append({
            "prediction": target, "stream": heat.stream, "heat_in_cells": inside,
            "cells_of_face": area, "fall_hottest": hottest, "fall_random": chance,
        })  # fmt: skip
    truth = "" if label is None else f"true {classes[label]}, "
    title = f"{name}: {truth}predicted {classes[target]} ({float(scores[target]):.2f})"
    frames = (None, None) if clip is None else (clip.onset, clip.apex)
    onset, apex = (None if f is None else _as_read(f, settings) for f in frames)
    views = None
    if readings.views is not None:
        views = _each_view(centre_crop(readings.views, settings.image_size))
    return Look(rows, Shown(title, onset, apex, views, readings.maps), heats)


def write_attention(
    folder: Path, faces: FaceFinder, form: Format = "png", limit: int | None = None
) -> pd.DataFrame:
    """Panels of an experiment's held-out clips, each seen by its fold's own network.

    They go to <folder>/cam, the figures to <folder>/attention.csv and are returned. limit: clips
    a fold (all if None). UserError if no network was kept; single folds are named in a warning.
    """
    config = folder / "config.json"
    if not config.is_file():
        raise UserError(f"{folder}: no experiment there (no config.json)")
    settings = settings_from(read_json(config)["settings"], config)
    if settings.tells_units:
        raise UserError(f"{folder}: tells action units; heat maps are of one class a clip")
    if not any((folder / "weights").glob("*.safetensors")):
        raise UserError(
            f"{folder}: its networks were not kept; run its command again with --save-weights"
        )
    clips = load_inputs(settings)
    chosen, missing = {}, []
    for fold in plan_folds(clips.index, settings):
        if weights_path(folder, fold.data_sub).is_file():
            chosen[fold.data_sub] = fold.test[:limit]
        else:
            missing.append(fold.data_sub)
    if missing:
        warn(f"{folder.name}: no network of {len(missing)} folds: {', '.join(missing)}")
    rows = []
    classes, titles = class_names(clips.index, settings.classes), clip_titles(clips.index)
    with progress_bar("heat maps", sum(map(len, chosen.values()))) as bar:
        for data_sub, positions in chosen.items():
            path = weights_path(folder, data_sub)
            network = build_saved(read_network(path), path)
            classifier = Classifier([network], settings, classes=classes)
            for position in positions:
                clip = clips.index.iloc[position].copy()
                picked, readings = _of_index(settings, clips, position, faces)
                clip["clip"] = titles.iloc[position]
                name = f"{clip['data']} {clip['subject']} {clip['clip']}"
                label = int(clip["label"])
                seen = look(classifier, picked, readings, faces, name, label)
                seen.save(panel_path(folder, clip, form))
                which = {key: clip[key] for key in ("data", "subject", "clip", "label")}
                rows += [which | row for row in seen.rows]
                bar.advance()
    table = pd.DataFrame(rows)
    faceless = table[table["heat_in_cells"].isna()].drop_duplicates(["data", "subject", "clip"])
    if len(faceless):
        first = " ".join(faceless.iloc[0][["data", "subject", "clip"]])
        warn(
            f"{folder.name}: {len(faceless)} clips with a picture that shows no face or has no "
            f"frame (the first: {first}): their share of heat in the cells is empty"
        )
    write_tables(folder, {"attention.csv": table.round(5)})
    return table


def _of_index(
    settings: Settings, clips: ClipSet, position: int, faces: FaceFinder
) -> tuple[ClipFrames | None, Readings]:
    clip = clips.index.iloc[position]
    views = maps = picked = None
    if settings.reads_views:
        size = stored_size(settings.image_size, settings.augment)
        folder = view_folder(settings.root3d, clip.to_dict())
        views = read_views(folder, size, settings.views_show)
    if settings.reads_motion:
        assert clips.motion is not None  # a network with that stream reads it
        maps = clips.motion[position].numpy()
    if clip["apex_frame_path"]:
        picked = _read_frames(settings.root, clip, faces)
    return picked, Readings(views, maps)


def _read_frames(root: Path, clip: pd.Series, faces: FaceFinder) -> ClipFrames:
    apex = read_image(root / clip["apex_frame_path"])
    name = f"{clip['data_sub']} {clip['clip']}"
    path = clip["onset_frame_path"]
    onset = read_image(root / path) if path else None
    onset_face, apex_face = faces.follow(onset, apex, name)
    return ClipFrames(apex, apex_face, None, onset, onset_face)


def _landmarks(
    stream: str,
    clip: ClipFrames | None,
    readings: Readings,
    settings: Settings,
    faces: FaceFinder,
) -> np.ndarray | None:
    """68 landmarks (68, 2) in the pixels of a stream's picture; None where it shows no face."""
    if stream == "views":
        assert readings.views is not None  # a network with that stream reads them
        frontal = cv2.resize(_each_view(readings.views)[YAWS.index(0)], (SIZE, SIZE))
        colour = frontal if frontal.ndim == 3 else np.dstack([frontal] * 3)
        face = faces.find(colour, "a frontal view")
        return None if face is None else _to_read(face.landmarks, (SIZE, SIZE), settings)
    if clip is None:
        return None
    if stream == "frame":
        if clip.apex_face is None:
            return None
        return _to_read(clip.apex_face.landmarks, clip.apex.shape[:2], settings)
    if clip.onset_face is None:
        return None
    points = clip.onset_face.landmarks
    to_frame = np.linalg.inv(face_frame(points)[0])  # pixels -> the face's frame, [0, 1]²
    return settings.motion_size * (points @ to_frame[:2, :2].T + to_frame[:2, 2])


def _each_view(views: np.ndarray) -> np.ndarray:
    """Views (13 x channels, h, w) -> (13, h, w) grey, or (13, h, w, 3)."""
    each = np.moveaxis(views.reshape(len(YAWS), -1, *views.shape[1:]), 1, -1)
    return each[..., 0] if each.shape[-1] == 1 else each


def _to_read(points: np.ndarray, shape: tuple[int, int], settings: Settings) -> np.ndarray:
    """Points in a picture's pixels -> in the pixels that the network reads: resized, cropped."""
    height, width = stored_size(settings.image_size, settings.augment)
    margin = np.array([width - settings.image_size, height - settings.image_size]) // 2
    return points * (width / shape[1], height / shape[0]) - margin


def _as_read(image: np.ndarray, settings: Settings) -> np.ndarray:
    if settings.streams == "motion":
        return image
    stored = resize(image, *stored_size(settings.image_size, settings.augment))
    return np.moveaxis(centre_crop(np.moveaxis(stored, -1, 0), settings.image_size), 0, -1)
