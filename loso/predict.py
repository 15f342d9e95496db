"""One clip, from its frames to class scores, by one network or by all folds' networks."""

from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from common.cli import flag
from common.errors import UserError
from data.apex.spotting import ApexSettings, all_frames, find_apex, first_face
from data.augmentation import stored_size
from data.corpora.known import CLASSES
from data.disk.clip_frames import ClipSource, read_frames
from data.disk.frames import IMAGE_SUFFIXES, read_image
from data.faces import FaceFinder, FoundFace, NoFaceError
from data.motion.flow import check_shapes, clip_motion
from data.motion.stillness import Evidence, weigh_motion
from data.views import MakeViews
from models.motion import UNITS, MotionNet
from models.network import Network

from .checkpoints import SavedNetwork, read_network
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
class ClipFrames:
    """What was picked from a clip: uint8 (H, W, 3) RGB, and the same face in each.

    A single image is its own apex. A face is None where an index's frame shows none.
    beside: the clip's frames next to the onset, and those next to the apex. spotted: the apex was
    looked for.
    """

    apex: np.ndarray
    apex_face: FoundFace | None
    apex_number: int | None = None
    onset: np.ndarray | None = None
    onset_face: FoundFace | None = None
    onset_number: int | None = None
    beside: tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]] = ((), ())
    spotted: bool = False


@dataclass(frozen=True)
class Prediction:
    """Class scores by name, and action units by FACS number where a network tells them."""

    classes: dict[str, float]
    units: dict[int, float] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The class of the highest score."""
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


def pick_frames(clip: Path, onset: int | None, apex: int | None, faces: FaceFinder) -> ClipFrames:
    """Read the onset and the apex of a clip, and find its face in both.

    The onset is the first frame that shows the face unless given, the apex is looked for unless
    given. `clip` is a folder of frames, a video (frames count from 0) or a single image.
    UserError where there is no face, or the apex does not come after the onset.
    """
    if clip.suffix.lower() in IMAGE_SUFFIXES and clip.is_file():
        if onset is not None or apex is not None:
            raise UserError(f"{clip}: a single image has no frames for --onset and --apex")
        image = read_image(clip)
        face = faces.find(image, str(clip))
        if face is None:
            raise NoFaceError(f"{clip}: no face found by {faces.name}")
        return ClipFrames(image, face)
    source = all_frames(clip)
    if onset is not None and apex is not None and onset >= apex:
        raise UserError(f"{clip}: --onset {onset} does not come before --apex {apex}")
    spotted = apex is None
    if apex is None:
        settings = ApexSettings(faces.name, face=faces.number)
        found = find_apex(_from(source, onset, clip), faces, settings, str(clip))
        onset, apex = (found.numbers[0] if onset is None else onset), found.frame
    elif onset is None:
        onset, _ = first_face(source, faces, str(clip))
        if onset >= apex:
            raise UserError(
                f"{clip}: --apex {apex}, but the first frame with a face is {onset}: an apex comes "
                "after its onset"
            )
    near = {number: _beside(source, number) - {onset, apex} for number in (onset, apex)}
    images = _read_some(source, {onset, apex}.union(*near.values()))
    for name, number in (("--onset", onset), ("--apex", apex)):
        if number not in images:
            raise UserError(f"{clip}: no frame {number} ({name})")
    first, second = images[onset], images[apex]
    check_shapes(first, second, str(clip))
    onset_face, apex_face = faces.pair(first, second, str(clip))
    before, after = (
        tuple(images[n] for n in sorted(near[number]) if n in images) for number in (onset, apex)
    )
    return ClipFrames(second, apex_face, apex, first, onset_face, onset, (before, after), spotted)


def _beside(source: ClipSource, number: int) -> set[int]:
    """The numbers of the frames before and after one."""
    if isinstance(source, Path):
        return {number - 1, number + 1}
    numbers = sorted(source)
    at = bisect_left(numbers, number)
    return {*numbers[max(at - 1, 0) : at], *numbers[at + 1 : at + 2]}


def _read_some(source: ClipSource, numbers: set[int]) -> dict[int, np.ndarray]:
    """The frames of a clip that have these numbers; a video is read as far as they go."""
    if isinstance(source, Path):
        last = max(numbers)
        frames = takewhile(lambda frame: frame[0] <= last, read_frames(source))
        return {number: image for number, image in frames if number in numbers}
    return dict(read_frames({number: source[number] for number in numbers & set(source)}))


def find_expression(clip: ClipFrames, where: str) -> Evidence | None:
    """Whether a clip shows an expression: its motion against its noise; None of a single image.

    `where` names the clip in errors. NoFaceError where onset or apex shows no face.
    """
    if clip.onset is None:
        return None
    pair = _shown(clip.onset_face, where), _shown(clip.apex_face, where)
    return weigh_motion(clip.onset, clip.apex, pair, clip.beside, clip.spotted, where)


def _from(source: ClipSource, onset: int | None, clip: Path) -> ClipSource:
    if onset is None:
        return source
    if isinstance(source, Path):
        raise UserError(f"{clip}: --onset of a video needs --apex: spotting starts at its start")
    return {number: path for number, path in source.items() if number >= onset}


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
        pair = _shown(clip.onset_face, where), _shown(clip.apex_face, where)
        maps = clip_motion(clip.onset, clip.apex, pair, settings.motion_size, settings.flow, where)
    if settings.reads_views:
        size = stored_size(settings.image_size, settings.augment)
        views = make_views(clip.apex, clip.apex_face, clip.onset, size)
    return Readings(views, maps)


def _shown(face: FoundFace | None, where: str) -> FoundFace:
    if face is None:
        raise NoFaceError(f"{where}: a picture that the network reads shows no face")
    return face


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
        scores.append(network.scores(output)[0].float())
        # Only what was pretrained has learned units; a linear head on motion alone has not.
        if isinstance(network, MotionNet) and settings.first_weights != "none":
            units.append(network.unit_scores(output)[0])
    mean = torch.stack(scores).mean(0).cpu().numpy()
    if prior:
        mean = with_prior(mean[None], prior)[0]
    named = dict(zip(classifier.classes, mean.tolist()))
    shown = dict(zip(UNITS, torch.stack(units).mean(0).tolist())) if units else {}
    return Prediction(named, shown)
