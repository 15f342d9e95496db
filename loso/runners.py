"""Folds of an experiment, one at a time: pictures in batches, or motion maps as a whole."""

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from data.corpora.description import CLASSES
from models.motion import MotionNet

from .batches import Features, Images
from .folds import Fold
from .inputs import Inputs, load_inputs
from .motion import build_start, linear_epochs, motion_epochs, read_start
from .networks import build_network, read_weights
from .records import FORMAT
from .settings import Settings
from .training import train_fold

OnEpoch = Callable[[dict], None]


class Runner(Protocol):
    """Runs folds of one experiment, each from the same start."""

    def run(self, fold: Fold, on_epoch: OnEpoch) -> tuple[list[dict], nn.Module]:
        """Epoch records and the final network of a fold."""
        ...


@dataclass(frozen=True)
class FoldResult:
    """What a fold leaves: its record, and its network."""

    record: dict
    network: nn.Module


def check_weights(settings: Settings) -> None:
    """UserError where --weights cannot be loaded into the network, or there is no such network."""
    if settings.streams == "motion":
        build_start(settings, read_start(settings))
    else:
        build_network(settings, read_weights(settings))


def load_runner(settings: Settings, inputs: Inputs, device: torch.device) -> Runner:
    """Load what an experiment's folds share; UserError for what no fold could be trained with."""
    kind = MotionRunner if settings.streams == "motion" else PictureRunner
    return kind(settings, inputs, device)


def run_fold(
    runner: Runner, settings: Settings, inputs: Inputs, fold: Fold, on_epoch: OnEpoch
) -> FoldResult:
    """Train and score one fold."""
    started = time.monotonic()
    epochs, network = runner.run(fold, on_epoch)
    clips = inputs.index.iloc[fold.test][["data", "subject", "clip", "label"]]
    record = {
        "format": FORMAT,
        "experiment": settings.name,
        "data_sub": fold.data_sub,
        "classes": list(CLASSES[settings.classes]),
        "clips": [row | {"label": int(row["label"])} for row in clips.to_dict("records")],
        "epochs": epochs,
        "seconds": round(time.monotonic() - started, 1),
    }
    return FoldResult(record, network)


class PictureRunner:
    """Networks that read pictures (and motion maps beside them), trained by gradient."""

    def __init__(self, settings: Settings, inputs: Inputs, device: torch.device) -> None:
        self.settings, self.device = settings, device
        self.state = read_weights(settings)
        network = build_network(settings, self.state)
        self.pictures = load_inputs(settings, inputs)
        self.source: Images | Features = Images(self.pictures, settings, device)
        if Features.fit(self.pictures, network, settings):
            frames = int((self.pictures.slots >= 0).sum())
            print(f"the trunk is frozen: its features of {frames} frames are kept")
            self.source = Features(self.source, network)
            no_pictures = self.pictures.pictures.new_empty(0)  # nobody reads them again
            self.pictures = dataclasses.replace(self.pictures, pictures=no_pictures, views=None)

    def run(self, fold: Fold, on_epoch: OnEpoch) -> tuple[list[dict], nn.Module]:
        """See Runner."""
        settings = self.settings
        torch.manual_seed(fold.seed(settings.seed))
        network = build_network(settings, self.state)
        epochs = train_fold(
            network, self.source, self.pictures, fold, settings, self.device, on_epoch
        )
        return epochs, network


class MotionRunner:
    """Networks that read motion maps alone: small enough for the CPU, whatever the device."""

    def __init__(self, settings: Settings, inputs: Inputs, device: torch.device) -> None:
        self.settings = settings
        self.maps, self.labels = inputs.maps, inputs.labels
        self.state = read_start(settings)

    def run(self, fold: Fold, on_epoch: OnEpoch) -> tuple[list[dict], MotionNet]:
        """See Runner."""
        torch.manual_seed(fold.seed(self.settings.seed))  # of what neither weights nor fold decide
        if self.settings.first_weights == "none" and self.settings.motion_net == "linear":
            epochs, network = linear_epochs(self.maps, self.labels, fold, self.settings.classes)
            on_epoch(epochs[0])
            return epochs, network
        start = build_start(self.settings, self.state)
        return motion_epochs(start, self.maps, self.labels, fold, self.settings, on_epoch)
