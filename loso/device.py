"""The device that a network computes on."""

import torch

from common.errors import UserError, warn


def resolve_device(name: str) -> torch.device:
    """The device that `name` means here; UserError if there is none such."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"--device {name}: not to be had here ({reason})") from error
    if device.type == "mps":
        warn("--device mps: nothing here has been tested on it; compare a fold with --device cpu")
    return device
