"""Trained networks as files: the weights, and in the file's metadata what they are of."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import get_type_hints

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from data.errors import UserError

from .settings import Settings

FORMAT = 1
# Settings that decide what a network is and reads; the others may differ.
SHAPING = ("network", "streams", "trunk", "image_size", "views", "fusion", "classes", "motion_net",
           "motion_size")  # fmt: skip


@dataclass(frozen=True)
class SavedNetwork:
    """A file of --save-weights, read: weights by name, and what they are of."""

    state: dict[str, Tensor]
    settings: Settings
    held_out: str  # the fold's subject, the only one of its index that the network never saw
    trained_on: tuple[str, ...]  # the other subjects
    views_by: str | None  # the backend that made the views it read


def weights_path(folder: Path, data_sub: str) -> Path:
    """Where a fold's network lies below its experiment's folder."""
    return folder / "weights" / f"{data_sub}.safetensors"


def network_bytes(
    network: nn.Module,
    settings: Settings,
    held_out: str,
    trained_on: list[str],
    views_by: str | None,
) -> bytes:
    """The file of a network."""
    facts = {
        "format": FORMAT,
        "settings": settings.facts(),
        "held_out": held_out,
        "trained_on": trained_on,
        "views_by": views_by,
    }
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in
             network.state_dict().items()}  # fmt: skip
    return save(state, metadata={"dsnca": json.dumps(facts)})


def read_facts(path: Path) -> dict | None:
    """What a file of --save-weights says about itself; None for any other safetensors file.

    UserError if the file cannot be read.
    """
    try:
        with safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get("dsnca")
    except (OSError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: not readable as weights ({reason})") from error
    facts = None if text is None else json.loads(text)
    if facts is not None and facts.get("format") != FORMAT:
        raise UserError(f"{path}: format {facts.get('format')}, this version reads {FORMAT}")
    return facts


def read_network(path: Path) -> SavedNetwork:
    """Read a file of --save-weights; UserError if it is none."""
    facts = read_facts(path)
    if facts is None:
        raise UserError(f"{path}: does not say of which settings it is; train with --save-weights")
    with safe_open(path, "pt") as file:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return SavedNetwork(
        state,
        settings_from(facts["settings"], path),
        facts["held_out"],
        tuple(facts["trained_on"]),
        facts["views_by"],
    )


def check_start(settings: Settings, subjects: list[str]) -> None:
    """UserError if --weights is a file of --save-weights that cannot start this experiment.

    It is of another network, or it was trained on one of the subjects that folds hold out.
    """
    path = Path(settings.first_weights)
    facts = read_facts(path) if path.suffix == ".safetensors" and path.is_file() else None
    if facts is None:
        return
    now = settings.facts()
    for name in SHAPING:
        if facts["settings"][name] != now[name]:
            flag = f"--{name.replace('_', '-')}"
            raise UserError(
                f"--weights {path}: trained with {flag} {facts['settings'][name]}, "
                f"here {flag} {now[name]}"
            )
    seen = sorted(set(facts["trained_on"]) & set(subjects))
    if seen:
        raise UserError(
            f"--weights {path}: was trained on {seen[0]}" + f" and {len(seen) - 1} more"
            * (len(seen) > 1) + ", which this experiment would hold out as unseen"
        )  # fmt: skip


def settings_from(facts: dict, path: Path) -> Settings:
    """Settings as JSON kept them (Settings.facts); `path` names their file in a UserError."""
    kinds = get_type_hints(Settings)
    known = {field.name for field in dataclasses.fields(Settings)}
    if set(facts) - known:
        name = min(set(facts) - known)
        raise UserError(f"{path}: has a setting '{name}' that this version does not know")
    values = {
        name: Path(value) if kinds[name] in (Path, Path | None) and value is not None else value
        for name, value in facts.items()
    }
    values["subjects"] = tuple(values["subjects"])
    return Settings(**values)
