"""Images a second of training on a device: ours in each precision, and the plain way."""

import shutil
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import cv2
import torch
from torch import nn

from benchmarks import plain
from data.clip_set import ClipSet
from loso.batches import Images
from loso.folds import make_folds
from loso.networks import build_network
from loso.training import PictureRecipe, train_fold

from .inputs import made_clips
from .plans import Plan

HALVES = {"float32": None, "bf16": torch.bfloat16, "float16": torch.float16}


class Work:
    """A plan's first fold, its pictures on the device, and as files for the plain way."""

    def __init__(self, plan: Plan, device: torch.device, folder: Path) -> None:
        self.plan, self.device, self.folder = plan, device, folder
        self.clips = made_clips(plan.settings, plan.subjects, plan.clips)
        (self.fold, *_) = make_folds(self.clips.index, plan.settings.classes)
        self.source = Images(self.clips, plan.settings, device)

    def network(self) -> nn.Module:
        """The plan's network, on the device, from one start."""
        torch.manual_seed(0)
        return build_network(self.plan.settings).to(self.device)

    def ours(self, precision: str, compiled: str | None = None) -> tuple[Callable[[], object], int]:
        """An epoch of training and the held-out scores, and how many images it takes.

        compiled: mode of torch.compile, None without it.
        """
        settings = replace(self.plan.settings, precision="float32")
        network = build_network(settings)
        recipe = PictureRecipe(network, self.source, self.fold, settings)
        recipe.half = HALVES[precision]
        if compiled:
            network.compile(mode=compiled)
        images = sum(len(clips) for clips, _, _ in recipe.samples()) + len(self.fold.test)
        return lambda: train_fold(recipe, "fold", 1, lambda record: None), images

    def plain(self, workers: int = 0) -> tuple[Callable[[], object], int]:
        """A few steps of the plain way on the same device, and how many images they take.

        Each picture is decoded from its JPEG and augmented by PIL; float32.
        """
        settings, batch = self.plan.settings, self.plan.settings.learning.batch_size
        samples, labels = self._files(2 * batch)
        faces = plain.Faces(samples, labels, settings.image_size, settings.augment)
        network = plain.plain_network(self.network()).train()
        optimiser = plain.make_optimiser(network, settings.learning.lr)

        def steps() -> None:
            loader = torch.utils.data.DataLoader(faces, batch_size=batch, num_workers=workers)
            for inputs, wanted in loader:
                there = [x.to(self.device) for x in inputs]
                plain.step(network, optimiser, there, wanted.to(self.device))

        return steps, len(samples)

    def _files(self, number: int) -> tuple[list[list[Path]], list[int]]:
        """JPEGs of samples: the frame, then its views."""
        samples, labels = [], []
        for sample in range(number):
            clip = int(self.fold.train[sample % len(self.fold.train)])
            pictures = _pictures(self.clips, clip)
            paths = [self.folder / f"{self.plan.settings.streams}_{sample}_{i}.jpg" for i in
                     range(len(pictures))]  # fmt: skip
            for path, picture in zip(paths, pictures):
                cv2.imwrite(str(path), picture)
            samples.append(paths)
            labels.append(int(self.clips.labels[clip]))
        return samples, labels


def _pictures(clips: ClipSet, clip: int) -> list:
    assert clips.frames is not None and clips.slots is not None
    pictures = [clips.frames[clips.slots[clip, 0]].permute(1, 2, 0).numpy()]
    if clips.views is not None:
        pictures += list(clips.views.pictures[clip].numpy())
    return pictures


def measured(do: Callable[[], object], images: int, device: torch.device, repeats: int) -> dict:
    """Seconds (median, extremes), images a second, peak memory and use of the card."""
    _forget_peak(device)
    do()  # warms up
    synchronise(device)
    seconds = []
    with watched(device) as used:
        for _ in range(repeats):
            start = time.perf_counter()
            do()
            synchronise(device)
            seconds.append(time.perf_counter() - start)
    middle = statistics.median(seconds)
    return {
        "images": images, "seconds": middle, "fastest": min(seconds), "slowest": max(seconds),
        "images a second": images / middle, "peak GiB": peak(device),
        "card in use": statistics.mean(used) if used else None,
    }  # fmt: skip


def synchronise(device: torch.device) -> None:
    """Wait for what a device was given to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _forget_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def peak(device: torch.device) -> float | None:
    """The most memory of the card that torch held at once, GiB."""
    return torch.cuda.max_memory_reserved(device) / 2**30 if device.type == "cuda" else None


@contextmanager
def watched(device: torch.device) -> Iterator[list[float]]:
    """Shares of time in which a kernel ran, in percent, as nvidia-smi tells them twice a second.

    Nothing without nvidia-smi.
    """
    used: list[float] = []
    if device.type != "cuda" or shutil.which("nvidia-smi") is None:
        yield used
        return
    over = threading.Event()
    asked = ["nvidia-smi", f"--id={device.index or 0}", "--query-gpu=utilization.gpu",
             "--format=csv,noheader,nounits"]  # fmt: skip

    def watch() -> None:
        while not over.wait(0.5):
            said = subprocess.run(asked, capture_output=True, text=True).stdout.strip()
            if said.isdigit():
                used.append(float(said))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield used
    finally:
        over.set()
        watcher.join()


def training_rows(work: Work, quick: bool) -> Iterator[dict]:
    """A row a way of training, one after the other."""
    repeats = 1 if quick else 3
    precisions = [name for name in HALVES if work.device.type == "cuda" or name != "float16"]
    ways: list[tuple[str, Callable[[], tuple[Callable[[], object], int]]]] = [
        ("plain, one process", work.plain),
        *((f"ours, {precision}", lambda p=precision: work.ours(p)) for precision in precisions),
    ]
    if not quick:
        ways.insert(1, ("plain, 8 loader processes", lambda: work.plain(8)))
    for name, make in ways:
        row = {"work": work.plan.name, "way": name}
        yield row | measured(*make(), work.device, repeats)


def compiled_rows(work: Work) -> Iterator[dict]:
    """Rows of torch.compile, without and with CUDA graphs; the error where one does not run."""
    for mode in ("default", "reduce-overhead"):
        row = {"work": work.plan.name, "way": f"ours, bf16, torch.compile {mode}"}
        start = time.perf_counter()
        try:
            row |= measured(*work.ours("bf16", mode), work.device, 2)
        except Exception as error:  # of a compiler: told in the table, the course goes on
            row["error"] = f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"
        torch.compiler.reset()
        yield row | {"with compiling, s": time.perf_counter() - start}
