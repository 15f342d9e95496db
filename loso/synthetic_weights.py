"""The weights that tools.pretrain_motion learned from synthetic faces: they come along."""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open

from common.checkpoints import StateDict, one_line
from common.errors import UserError
from models.motion import MotionNet, as_motion_net
from models.registry import DEFAULT_MOTION_NET, Plan, make_network

SYNTHETIC_WEIGHTS = (
    Path(__file__).parent.parent / "models" / "weights" / "motion_synthetic.safetensors"
)
MAKES_THEM = "python -m tools.pretrain_motion makes it"


def read_synthetic(kind: str, path: Path = SYNTHETIC_WEIGHTS) -> StateDict:
    """The state dict of a motion network in the file; UserError if it holds none of that name."""
    try:
        with safe_open(path, "pt") as file:
            names = [name for name in file.keys() if name.startswith(f"{kind}.")]  # noqa: SIM118
            state = {name.removeprefix(f"{kind}."): file.get_tensor(name) for name in names}
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: {one_line(error)}; {MAKES_THEM}") from error
    if not state:
        raise UserError(f"{path}: holds no '{kind}' network; --weights none starts without")
    return state


def load_synthetic(kind: str = DEFAULT_MOTION_NET, path: Path = SYNTHETIC_WEIGHTS) -> MotionNet:
    """A motion network with the weights of the file, in evaluation mode.

    UserError if the file is missing, no safetensors, or of other networks.
    """
    net = as_motion_net(make_network(kind, Plan(streams="motion")))
    expected, state = net.state_dict(), read_synthetic(kind, path)
    if {n: t.shape for n, t in state.items()} != {n: t.shape for n, t in expected.items()}:
        raise UserError(f"{path}: holds no '{kind}' network of this version; {MAKES_THEM}")
    net.load_state_dict(state)
    return net.eval()


def synthetic_facts(path: Path = SYNTHETIC_WEIGHTS) -> dict:
    """What the weights say about themselves: command, seed, samples, domains, held_out_uf1, …"""
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["made by"])
