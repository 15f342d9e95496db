"""Trained networks as files: the weights, and in the file's metadata what they are of."""

import dataclasses
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import nn

from common.checkpoints import (
    DAMAGED,
    StateDict,
    is_safetensors,
    load_checkpoint,
    tensors_of,
    what_it_is,
)
from common.cli import flag
from common.errors import UserError
from data.corpora.known import CLASSES, CORPORA

from .names import modern_facts
from .settings import GIVEN_OUT, SHAPING, Settings, first_difference

FORMAT = 2
_OWN_FOLD_ALONE = 1  # the earlier format: trained_on leaves out whom the first weights had seen


@dataclass(frozen=True)
class SavedNetwork:
    """A file of --save-weights, read: weights by name, and what they are of."""

    state: StateDict
    settings: Settings
    held_out: str  # the fold's subject
    trained_on: tuple[str, ...]  # whom it, or a network that it started from, has seen
    views_by: str | None  # the backend that made the views it read
    classes: tuple[str, ...]  # their names


def weights_path(folder: Path, data_sub: str) -> Path:
    """Where a fold's network lies below its experiment's folder."""
    return folder / "weights" / f"{data_sub}.safetensors"


def network_bytes(
    network: nn.Module,
    settings: Settings,
    held_out: str,
    trained_on: list[str],
    views_by: str | None,
    classes: Sequence[str],
) -> bytes:
    """The file of a network. trained_on: whom it or its first weights' network has seen."""
    facts = {
        "format": FORMAT,
        "settings": settings.facts(),
        "held_out": held_out,
        "trained_on": sorted({one_spelling(name) for name in trained_on}),
        "views_by": views_by,
        "classes": list(classes),
    }
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in
             network.state_dict().items()}  # fmt: skip
    return save(state, metadata={"dsnca": json.dumps(facts)})


def read_state_dict(path: Path) -> StateDict:
    """The weights in a .safetensors file or one of torch.save, out of any dicts around them.

    UserError, one plain line, for a file that is neither, or whose weights are no finite numbers.
    """
    if not path.exists():
        raise UserError(f"--weights {path}: no such file (or imagenet, package, none)")
    try:
        read = _read_safetensors if is_safetensors(path) else load_checkpoint
        state = tensors_of(read(path))
        if state is None:
            raise UserError(f"{path}: holds no state dict")
        return _finite(state, path)
    except ValueError as error:
        raise UserError(f"--weights {path}: holds {error}") from error
    except UserError as error:
        raise UserError(f"--weights {error}") from error


def _read_safetensors(path: Path) -> StateDict:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: {DAMAGED}") from error


def _finite(state: StateDict, path: Path) -> StateDict:
    for name, tensor in state.items():
        checked = tensor.is_floating_point() and tensor.itemsize > 1  # torch cannot for 8 bits
        if checked and not torch.isfinite(tensor).all():
            raise UserError(
                f"{path}: '{name}' holds numbers that are not finite: a run that diverged?"
            )
    return state


def read_facts(path: Path) -> dict | None:
    """What a file of --save-weights says about itself; None for any other file of weights.

    UserError if the file cannot be read.
    """
    if not is_safetensors(path):
        return None
    try:
        with safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get("dsnca")
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: {DAMAGED}") from error
    facts = None if text is None else json.loads(text)
    if facts is not None and facts.get("format") not in (_OWN_FOLD_ALONE, FORMAT):
        raise UserError(f"{path}: format {facts.get('format')}, this version reads {FORMAT}")
    return None if facts is None else facts | {"settings": modern_facts(facts["settings"])}


def read_network(path: Path) -> SavedNetwork:
    """Read a file of --save-weights; UserError if it is none."""
    facts = read_facts(path)
    if facts is None:
        fault = what_it_is(path) or (
            "does not say of which settings it is; train with --save-weights"
        )
        raise UserError(f"{path}: {fault}")
    settings = settings_from(facts["settings"], path)
    return SavedNetwork(
        _finite(_read_safetensors(path), path),
        settings,
        one_spelling(facts["held_out"]),
        tuple(sorted(map(one_spelling, facts["trained_on"]))),
        facts["views_by"],
        tuple(facts.get("classes", ()) or CLASSES[settings.classes]),
    )


def one_spelling(data_sub: str) -> str:
    """A subject's name <corpus>_<subject> as the index spells it: samm_6 is samm_006."""
    for corpus in CORPORA.values():
        data, _, subject = data_sub.strip().lower().partition(f"{corpus.name}_")
        if not data and re.search(r"\d$", subject):
            return f"{corpus.name}_{corpus.subject(subject)}"
    return data_sub


def seen_before(settings: Settings) -> frozenset[str]:
    """Whom the network that --weights names, or one that it started from, was trained on.

    Nobody for the weights that are given out (imagenet, package, synthetic), and as far as is known
    for files of other projects. UserError for a file of the earlier format whose own first weights
    are gone.
    """
    if settings.first_weights in GIVEN_OUT:
        return frozenset()
    return _seen_by(Path(settings.first_weights), frozenset())


def _seen_by(path: Path, after: frozenset[Path]) -> frozenset[str]:
    facts = read_facts(path)
    if facts is None:
        return frozenset()
    seen = frozenset(map(one_spelling, facts["trained_on"]))
    start = facts["settings"].get("weights")
    if facts["format"] != _OWN_FOLD_ALONE or start in GIVEN_OUT:
        return seen
    after |= {path.resolve()}
    if not Path(start).is_file() or Path(start).resolve() in after:
        raise UserError(
            f"--weights {path}: started from {start}, which is gone, and does not say whom that "
            "had seen; train it anew"
        )
    return seen | _seen_by(Path(start), after)


def check_start(settings: Settings, subjects: Iterable[str] = ()) -> None:
    """UserError if --weights is a file of --save-weights that cannot start this experiment.

    It is of another network, or it or a network that it started from was trained on one of the
    subjects, those that folds hold out.
    """
    path = Path(settings.first_weights)
    if settings.first_weights in GIVEN_OUT or not path.is_file():
        return
    facts = read_facts(path)
    if facts is None:
        return
    before, now = Settings().facts() | facts["settings"], settings.facts()
    name = first_difference(before, now, SHAPING)  # the others may differ
    if name:
        raise UserError(
            f"--weights {path}: trained with {flag(name)} {before[name]}, "
            f"here {flag(name)} {now[name]}"
        )
    seen = sorted(seen_before(settings) & set(map(one_spelling, subjects)))
    if seen:
        others = f" and {len(seen) - 1} more" if len(seen) > 1 else ""
        raise UserError(
            f"--weights {path}: was trained on {seen[0]}{others}, which this experiment would "
            "hold out as unseen"
        )


def settings_from(facts: dict, path: Path) -> Settings:
    """Settings as JSON kept them (Settings.facts); `path` names their file in a UserError."""
    kinds = get_type_hints(Settings)
    known = {field.name for field in dataclasses.fields(Settings)}
    if set(facts) - known:
        name = min(set(facts) - known)
        raise UserError(f"{path}: has a setting '{name}' that this version does not know")
    values: dict[str, Any] = {
        name: Path(value) if kinds[name] in (Path, Path | None) and value is not None else value
        for name, value in facts.items()
    }
    values |= {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    try:
        return Settings(**values)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
