"""One clip, from its frames to class scores, by one network or by all folds' networks."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from common.cli import flag
from common.errors import UserError
from data.augmentation import stored_size
from data.corpora.known import CLASSES
from data.corpora.units import CD6ME
from data.motion.flow import clip_motion
from data.views import MakeViews
from models.motion import UNITS, MotionNet
from models.network import Network

from .checkpoints import SavedNetwork, read_network
from .clip_frames import ClipFrames as ClipFrames
from .clip_frames import find_expression as find_expression
from .clip_frames import pick_frames as pick_frames
from .clip_frames import shown_face
from .metrics import check_prior, with_prior
from .networks import build_network
from .settings import SHAPING, Settings, first_difference
from .synthetic_weights import SYNTHETIC_WEIGHTS, load_synthetic

SYNTHETIC = Settings(streams="motion", weights="synthetic")


@dataclass(frozen=True)
class Classifier:
    """Networks of one kind; a clip's scores are the mean of theirs."""

    networks: list[Network]
    settings: Settings
    views_by: str | None = None
    classes: tuple[str, ...] = CLASSES[3]


@dataclass(frozen=True)
class Prediction:
    """Class scores by name, and action units by FACS number where a network tells them.

    A network of units alone tells no classes.
    """

    classes: dict[str, float]
    units: dict[int, float] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The class of the highest score; the units that are shown, where there are no classes."""
        if not self.classes:
            return "+".join(str(unit) for unit, p in self.units.items() if p >= 0.5) or "no unit"
        return max(self.classes, key=self.classes.__getitem__)


def load_classifier(weights: Path | None) -> Classifier:
    """A file of --save-weights, a folder of them (all folds of one experiment), or synthetic ones.

    UserError for a file of another kind, or for networks of different settings in one folder.
    """
    if weights is None or weights.resolve() == SYNTHETIC_WEIGHTS.resolve():
        return Classifier([load_synthetic(SYNTHETIC.motion_net)], SYNTHETIC)
    files = sorted(weights.glob("*.safetensors")) if weights.is_dir() else [weights]
    if not files:
        raise UserError(f"--weights {weights}: no .safetensors in this folder")
    first = read_network(files[0])
    networks = []
    for path in files:
        saved = read_network(path)
        one, other = first.settings.facts(), saved.settings.facts()
        name = first_difference(one, other, (*SHAPING, "augment"))
        if name:
            raise UserError(
                f"{path}: trained with {flag(name)} {other[name]}, {files[0].name} with "
                f"{flag(name)} {one[name]}; a folder holds the folds of one experiment"
            )
        networks.append(build_saved(saved, path))
        if saved.classes != first.classes:
            raise UserError(f"{path}: has other classes than {files[0].name}")
    return Classifier(networks, first.settings, first.views_by, first.classes)


def build_saved(saved: SavedNetwork, path: Path) -> Network:
    """The network of a file of --save-weights, in evaluation mode; UserError if it does not fit."""
    network = build_network(saved.settings)
    try:
        network.load_state_dict(saved.state)
    except RuntimeError as error:
        fault = str(error).splitlines()[1].strip()
        raise UserError(f"{path}: does not fit the settings that it names ({fault})") from error
    return network.eval()


@dataclass(frozen=True)
class Readings:
    """What is made of a clip for a network; None for what it does not read.

    views: uint8 (13, h, w) grey or (39, h, w). maps: float32 (3, S, S) motion.
    """

    views: np.ndarray | None = None
    maps: np.ndarray | None = None


def read_clip(
    classifier: Classifier,
    clip: ClipFrames,
    make_views: MakeViews,
    where: str,
) -> Readings:
    """Reconstruct and measure what the networks read; `where` names the clip in errors.

    make_views: by the backend that the networks learned from. UserError for the motion of a
    single image, or a picture without a face.
    """
    settings = classifier.settings
    maps = views = None
    if settings.reads_motion:
        if clip.onset is None:
            raise UserError(f"{where}: one image has no motion; these weights need a clip")
        pair = shown_face(clip.onset_face, where), shown_face(clip.apex_face, where)
        maps = clip_motion(clip.onset, clip.apex, pair, settings.motion_size, settings.flow, where)
    if settings.reads_views:
        size = stored_size(settings.image_size, settings.augment)
        views = make_views(clip.apex, clip.apex_face, clip.onset, size)
    return Readings(views, maps)


def clip_batch(
    clip: ClipFrames | None, readings: Readings, settings: Settings, device: torch.device
) -> tuple[Tensor, ...]:
    """What a network reads of one clip, prepared as evaluation in training does.

    clip: None where the network reads motion alone. ValueError where a stream has nothing.
    """
    motion = None
    if readings.maps is not None:
        motion = torch.from_numpy(readings.maps)[None].to(device)
        if settings.streams == "motion":
            return (motion,)
    # Here: torchvision takes a second that motion alone can save.
    from data.pictures import resize
    from data.transforms import centre_crop, to_float

    from .batches import arrange

    def ready(stored: np.ndarray) -> Tensor:  # uint8 (C, h, w) -> (1, C, S, S)
        return centre_crop(to_float(torch.from_numpy(stored)[None]), settings.image_size).to(device)

    frames = None
    if settings.reads_frames:
        assert clip is not None  # frames are read from one
        stored = resize(clip.apex, *stored_size(settings.image_size, settings.augment))
        frames = ready(np.moveaxis(stored, -1, 0).copy())
    views = None if readings.views is None else ready(readings.views)
    return arrange(frames, views, motion, settings, device)


def check_classifier_prior(classifier: Classifier, prior: tuple[float, ...]) -> None:
    """UserError for a --prior that the networks' scores cannot assume; () is even."""
    check_prior(prior, classifier.settings.classes)
    if prior and classifier.settings.streams != "motion":
        raise UserError("--prior goes with networks of motion alone: others' scores are no shares")


@torch.no_grad()
def predict(
    classifier: Classifier,
    batch: tuple[Tensor, ...],
    device: torch.device,
    prior: tuple[float, ...] = (),
) -> Prediction:
    """Class scores of one clip's batch: the mean of the networks' scores, for a prior of classes.

    prior: the classes' shares (C,); () for even ones, which networks of motion alone learn with.
    """
    settings = classifier.settings
    scores: list[Tensor] = []
    units: list[Tensor] = []
    for network in classifier.networks:
        output = network.to(device)(*batch)
        if settings.tells_units:
            units.append(network.shown(output)[0].float())
            continue
        scores.append(network.scores(output)[0].float())
        # Only what was pretrained has learned units; a linear head on motion alone has not.
        if isinstance(network, MotionNet) and settings.first_weights != "none":
            units.append(network.unit_scores(output)[0])
    if settings.tells_units:
        return Prediction({}, dict(zip(CD6ME, torch.stack(units).mean(0).tolist())))
    mean = torch.stack(scores).mean(0).cpu().numpy()
    if prior:
        mean = with_prior(mean[None], prior)[0]
    named = dict(zip(classifier.classes, mean.tolist()))
    shown = dict(zip(UNITS, torch.stack(units).mean(0).tolist())) if units else {}
    return Prediction(named, shown)
