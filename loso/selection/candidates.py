"""What `nested` chooses from: --choose as settings."""

import dataclasses
import itertools
import types
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from common.cli import flag
from common.errors import UserError
from loso.settings import Settings

# Settings that change how a fold learns, or how a clip's motion and pictures are prepared for it;
# of the others a change would be one of clips, streams or folds, or of no record at all.
CHOOSABLE = (
    "network", "motion_net", "fusion", "trunk", "weights", "freeze", "softmax_twice", "adapt",
    "flow", "augment", "balance", "epochs", "batch_size", "lr", "seed", "precision",
    "fusion_gain", "stream_loss", "warm_epochs",
)  # fmt: skip


def candidates(settings: Settings) -> list[tuple[dict[str, Any], Settings]]:
    """Every combination of the values of --choose: these by setting, and the whole settings.

    Without --choose that is one, the settings as they stand; none without --inner. UserError, one
    line, for what is no setting to choose, no value of it, or no combination that goes together.
    """
    if not settings.inner:
        return []
    choices = dict(_choice(words) for words in settings.choose)
    if len(choices) < len(settings.choose):
        raise UserError(f"--choose {settings.choose[-1]}: one --choose for all of its values")
    found = []
    for values in itertools.product(*choices.values()):
        chosen = dict(zip(choices, values))
        try:
            one = dataclasses.replace(settings, choose=(), choose_ensemble=0, **chosen)
        except UserError as error:
            raise UserError(f"--choose {told(chosen)}: {error}") from error
        found.append((chosen, one))
    return found


def told(values: Mapping[str, Any]) -> str:
    """A candidate in words: lr=0.001 motion_net=lean."""
    return " ".join(f"{name}={value}" for name, value in values.items())


def _choice(words: str) -> tuple[str, list[Any]]:
    """NAME=V1,V2,... as a setting's name and its values, each once."""
    name, equals, values = words.partition("=")
    name = name.strip().lstrip("-").replace("-", "_")
    if not equals:
        raise UserError(f"--choose {words}: NAME=V1,V2,...")
    if name not in CHOOSABLE:
        raise UserError(
            f"--choose {words}: no setting to choose; there are {', '.join(CHOOSABLE)} (others "
            "change which clips, streams or folds there are, or no record)"
        )
    texts = dict.fromkeys(text.strip() for text in values.split(","))
    return name, list(dict.fromkeys(_value(name, text) for text in texts))


def _value(name: str, text: str) -> Any:
    """A setting's value from its text; UserError where it has no such one."""
    for kind in _kinds(get_type_hints(Settings)[name]):
        if get_origin(kind) is Literal:
            known = {str(value): value for value in get_args(kind)}
            if text in known:
                return known[text]
            raise UserError(f"--choose {name}={text}: {flag(name)} is {', '.join(known)}")
        if kind is bool:
            if text in ("true", "false"):
                return text == "true"
            raise UserError(f"--choose {name}={text}: {flag(name)} is true or false")
        with suppress(ValueError):
            if text:
                return kind(text)
    raise UserError(f"--choose {name}={text}: no value of {flag(name)}")


def _kinds(hint: Any) -> list[Any]:
    """The types that a hint allows, but for None."""
    if get_origin(hint) in (Union, types.UnionType):
        return [kind for kind in get_args(hint) if kind is not type(None)]
    return [hint]
