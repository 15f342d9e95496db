"""The lines of the speed table: each a piece of work, done our way and the plain way."""

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from common.errors import UserError
from data.apex.batch import spot_clips
from data.apex.spotting import ApexSettings
from data.clip_set import ClipSet
from data.disk.frames import ClipFolders
from data.faces import load_face_finder
from data.index import clip_frames
from data.landmarks import choose_finder
from data.sampling import sample_epoch
from data.transforms import sample_augmentation
from data.views import view_folder, view_names
from deca.anny.backend import AnnyBackend
from deca.flame.model import rotation_matrices
from deca.frame import read_face
from deca.rasterizer import rasterize_embree, rasterize_pytorch3d
from loso.batches import Images
from loso.folds import Fold, make_folds
from loso.inputs import load_inputs
from loso.networks import build_network
from loso.pictures import PictureRunner
from loso.presets import preset
from loso.settings import Settings
from loso.training import PictureRecipe, train_fold

from . import plain
from .bench_apex import per_frame_way
from .bench_views import mean_head

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Line:
    """Work on `images` images, done once by each call of `ours` and of `plain`."""

    name: str
    images: int
    ours: Callable[[], object]
    plain: Callable[[], object]
    target: float | None = None  # what plain / ours should be
    half: bool = False  # ours computes in bf16
    moved: int = 0  # bytes that the work must at least read and write
    once: str = ""  # what ours did before, once for all folds and epochs


def all_lines(demo: Path) -> dict[str, Callable[[], Line]]:
    """Every line by a short name; calling one loads what it needs."""
    if not (demo / "views/views.json").is_file():
        raise UserError(f"{demo}: no demo set with views; `make bench` makes them")
    small = preset(
        "demo",
        index=demo / "index/smic_apex.csv",
        root=demo,
        root3d=demo / "views",
        neighbour_views="apex",
        device="cpu",
        epochs=1,
    )
    dual = dataclasses.replace(small, streams="dual", batch_size=16)
    paper = dataclasses.replace(
        small, trunk="resnet18", weights="none", freeze="none", image_size=224, augment="full"
    )
    paper_dual = dataclasses.replace(paper, streams="dual", batch_size=16, augment="flip")

    def change(settings: Settings, **changes: object) -> Settings:
        return dataclasses.replace(settings, **changes)

    return {
        "2d": lambda: training("2D, frozen Lite0, 160 px", small, None, 5),
        "2d-bf16": lambda: training(
            "2D, frozen Lite0, 160 px, bf16", change(small, precision="bf16"), None, 5
        ),
        "unfrozen": lambda: training("2D, ResNet18, 224 px", paper, 4, None),
        "unfrozen-bf16": lambda: training(
            "2D, ResNet18, 224 px, bf16", change(paper, precision="bf16"), 4, 1.6
        ),
        "dual": lambda: training("dual, frozen Lite0, 160 px", dual, 8, 2),
        "dual-unfrozen": lambda: training(
            "dual, Lite0, 160 px", change(dual, freeze="none"), 4, None
        ),
        "dual-unfrozen-bf16": lambda: training(
            "dual, Lite0, 160 px, bf16", change(dual, freeze="none", precision="bf16"), 4, 2
        ),
        "dual-paper-bf16": lambda: training(
            "dual, ResNet18, 224 px, bf16", change(paper_dual, precision="bf16"), 2, 2
        ),
        "data": lambda: data_path("data, 2D, flip, 160 px", small, None, 20),
        "data-full": lambda: data_path("data, 2D, full, 224 px", paper, 8, 20),
        "data-dual": lambda: data_path("data, dual, flip, 160 px", dual, None, 20),
        "apex": lambda: apex(demo),
        "fit": lambda: fit(demo),
        "views": views,
    }


@dataclass(frozen=True)
class Work:
    """The clips of a fold's epoch, and which samples of them it takes in what order."""

    settings: Settings
    clips: ClipSet
    fold: Fold
    pairs: np.ndarray  # (M, 2) training clip and slot, as sample_epoch has them

    def faces(self, test: bool) -> plain.Faces:
        """The samples of the epoch, or of its test, for the plain way."""
        settings = self.settings
        pairs = [(c, 0) for c in self.fold.test] if test else [
            (self.fold.train[c], slot) for c, slot in self.pairs
        ]  # fmt: skip
        rows = clip_frames(self.clips.index, self.clips.four_frames)
        samples = []
        for clip, slot in pairs:
            paths = [settings.root / rows[clip][slot]["apex_frame_path"]]
            if settings.reads_views:
                folder = view_folder(settings.root3d, rows[clip][0])
                paths += [folder / name for name in view_names()]
            samples.append(paths)
        labels = [int(self.clips.labels[clip]) for clip, _ in pairs]
        augment = "none" if test else settings.augment
        return plain.Faces(samples, labels, settings.image_size, augment)


def find_work(settings: Settings, number: int | None) -> Work:
    """The first fold's epoch, on `number` training clips of each class, or on all."""
    clips = load_inputs(settings)
    fold = make_folds(clips.index, settings.classes)[0]
    if number is not None:
        labels = clips.labels[fold.train]
        by_class = [fold.train[labels == c][:number] for c in range(settings.classes)]
        rows = np.concatenate([*by_class, fold.test])
        clips = load_inputs(settings, clips.index.iloc[rows].reset_index(drop=True))
        train = np.arange(len(rows) - len(fold.test))
        fold = Fold(fold.data_sub, train, np.arange(len(train), len(rows)))
    available = (clips.slots[fold.train, 1:] >= 0).sum(1).numpy()
    rng = np.random.default_rng(fold.seed(settings.seed))  # as in PictureRecipe
    pairs = sample_epoch(clips.labels[fold.train].numpy(), available, rng)
    return Work(settings, clips, fold, pairs)


def training(name: str, settings: Settings, clips: int | None, target: float | None) -> Line:
    """An epoch of training, and the held-out subject's scores after it."""
    work = find_work(settings, clips)
    start = time.perf_counter()
    runner = PictureRunner(settings, load_inputs(settings, work.clips.index), CPU)
    frames = int((runner.source.slots >= 0).sum())
    once = f"{time.perf_counter() - start:.1f} s for {frames} frames"
    torch.manual_seed(0)
    network = build_network(settings, runner.state)
    theirs = plain.plain_network(network)
    train, test = work.faces(False), work.faces(True)

    def ours() -> None:
        recipe = PictureRecipe(network, runner.source, work.fold, settings)
        train_fold(recipe, work.fold.data_sub, settings.passes, lambda _: None)

    def plainly() -> None:
        plain.epoch(theirs, train, test, settings.learning.batch_size, settings.learning.lr)

    half = settings.precision == "bf16"
    return Line(name, len(work.pairs), ours, plainly, target, half, once=once)


def data_path(name: str, settings: Settings, clips: int, target: float) -> Line:
    """An epoch's batches without a network."""
    work = find_work(settings, clips)
    start = time.perf_counter()
    images = Images(load_inputs(settings, work.clips.index), settings, CPU)
    once = f"{time.perf_counter() - start:.1f} s for {len(images.slots)} clips"
    pairs = torch.from_numpy(work.pairs)
    generator = torch.Generator().manual_seed(0)
    train = work.faces(False)

    def ours() -> None:
        for part in pairs.split(settings.learning.batch_size):
            clips = torch.from_numpy(work.fold.train)[part[:, 0]]
            images.train(
                clips, part[:, 1], sample_augmentation(len(part), settings.augment, generator)
            )

    def plainly() -> None:
        for _ in plain.batches(train, settings.learning.batch_size):
            pass

    channels = 3 + 13 * settings.reads_views  # uint8 in, float32 out
    moved = len(pairs) * settings.image_size**2 * 5 * channels
    return Line(name, len(pairs), ours, plainly, target, moved=moved, once=once)


def apex(demo: Path, clips: int = 12) -> Line:
    """Apexes of clips of 17 frames by facial cells: landmarks once a clip, or in every frame."""
    truth = pd.read_csv(demo / "truth.csv", dtype={"subject": str}).head(clips)
    truth = truth.assign(data_sub=truth["data"] + "_" + truth["subject"])
    folders, finder = ClipFolders(demo), choose_finder()
    frames = int((truth["offset_frame"] - truth["onset_frame"] + 1).sum())
    return Line(
        "apex spotting (frames)",
        frames,
        lambda: spot_clips(truth, folders, ApexSettings(finder, "cells")),
        lambda: per_frame_way([(truth, folders)], finder),
    )


def fit(demo: Path, faces: int = 8) -> Line:
    """Heads fitted to landmarks: all faces at once, or one after the other."""
    index = pd.read_csv(demo / "index/smic_apex.csv")
    finder, backend = load_face_finder(choose_finder()), AnnyBackend()
    paths = [demo / path for path in index["apex_frame_path"]]
    seen = [read_face(path, finder, str(path)) for path in paths[:: len(paths) // faces][:faces]]
    return Line(
        "3D heads (faces)",
        len(seen),
        lambda: backend.reconstruct(seen),
        lambda: [backend.reconstruct([face]) for face in seen],
    )


def views(number: int = 3) -> Line:
    """Views of a head of 9,014 triangles, visibility alone: Embree, or PyTorch3D on the CPU."""
    head = mean_head()
    flip = torch.tensor([1.0, -1, -1])
    points = (head.frontal - head.framing.centre) * head.framing.scale * flip
    turns = rotation_matrices(torch.tensor([[0.0, 0.3 * i, 0.0] for i in range(number)]))
    faces = head.topology.faces
    return Line(
        "rasterised views",
        number,
        lambda: rasterize_embree(points, faces, 224, turns),
        lambda: rasterize_pytorch3d(points, faces, 224, turns),
    )
