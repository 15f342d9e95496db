"""Files of torch.save, read without running anything that they name, and told in plain words.

Checkpoints come wrapped (a dict around the weights) and renamed (a prefix before every name):
tensors_of and named_as give the weights under the names that a network has for them.
"""

import argparse
import re
import warnings
import zipfile
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core import multiarray
from torch import Tensor

from .errors import UserError

StateDict = dict[str, Tensor]

DAMAGED = "not readable as weights: cut off or damaged; copy it anew"
_HEAD = 512  # bytes of a file that tell what it is
_NUMBERS = [type(np.dtype(code)) for code in ("?", *"bBhHiIlLqQ", *"efd", *"FD", "U", "S")]
_SCALAR, _ARRAY = multiarray.scalar, multiarray._reconstruct
# What training scripts keep beside the weights: numbers of NumPy's, and the command line's words.
# Of dtypes those of plain numbers and texts alone: the state of others could point into memory.
_HARMLESS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    *((_SCALAR, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    *((_ARRAY, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
    (np.ndarray, "numpy.ndarray"),
    (np.dtype, "numpy.dtype"),
    *_NUMBERS,
    argparse.Namespace,
]


def one_line(error: BaseException) -> str:
    """What an exception says, for a UserError: its first line, without a terminal's codes."""
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", str(error)).strip()
    first = text.splitlines()[0].strip() if text else ""
    printable = "".join(letter for letter in first if letter.isprintable())
    return printable[:200] or type(error).__name__


def is_safetensors(path: Path) -> bool:
    """Whether a file begins as .safetensors does, whatever its name: a length, then JSON."""
    head = _head(path)
    return head[8:9] == b"{" and head[5:8] == bytes(3)


def what_it_is(path: Path) -> str | None:
    """A file that people take for another one, in words: "is …; what to do". None for the rest.

    UserError if it cannot be opened.
    """
    head = _head(path)
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        return "is empty: cut off when it was copied? copy it anew"
    if head.startswith(b"version https://git-lfs"):
        return "is a git-lfs pointer and not the file itself; fetch that with: git lfs pull"
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<script")):
        return (
            "is a web page and not the file itself (a login, or a page about the file?); "
            "fetch it anew"
        )
    for mark, name in (
        (b"\x1f\x8b", "a gzip"), (b"7z\xbc\xaf", "a 7z"), (b"Rar!", "a rar"), (b"BZh", "a bzip2"),
        (b"\xfd7zXZ", "an xz"),
    ):  # fmt: skip
        if head.startswith(mark):
            return f"is {name} archive; unpack it and name the file in it"
    return None


def load_checkpoint(path: Path) -> object:
    """What torch.save has written, on the CPU; numbers and options beside the tensors with it.

    UserError, one plain line that begins with the path, for a file that is missing, damaged, no
    such file, or names what could run code when it is read.
    """
    fault = what_it_is(path) or _zip_fault(path)
    if fault:
        raise UserError(f"{path}: {fault}")
    try:
        with torch.serialization.safe_globals(_HARMLESS), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch thinks of the file, in several lines
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes make a pickle raise anything
        raise UserError(f"{path}: {_load_fault(path, error)}") from error


def _zip_fault(path: Path) -> str | None:
    """What is wrong with a zip archive that should be torch's; None for other files too."""
    if not _head(path).startswith(b"PK"):
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return DAMAGED
    if any(name.endswith("constants.pkl") for name in names):
        return "is a TorchScript program, which runs code; save the network's state_dict() instead"
    if not any(name.endswith("data.pkl") for name in names):
        inside = f" ({names[0]} …)" if names else ""
        return f"is a zip archive of something else{inside}; unpack it and name the file in it"
    return None


def _load_fault(path: Path, error: Exception) -> str:
    text = str(error)
    named = re.search(r"GLOBAL ([\w.]+)", text) or re.search(r"class '?([\w.]+)'?> ?,? ?", text)
    if named:
        return (
            f"refused, not read: it names {named[1]}, which could run code (a whole pickled model, "
            "or an object beside the weights?); save the network's state_dict() alone"
        )
    if isinstance(error, EOFError) or re.search("unexpected|corrupt|central directory", text):
        return DAMAGED
    if "Unsupported operand" in text and _is_pickle(path):
        return "is not pickled in torch.save's own protocol; load it and torch.save it again"
    return (
        "not readable as weights: no file of torch.save or safetensors, or cut off or damaged; "
        "fetch it anew"
    )


def _is_pickle(path: Path) -> bool:
    return _head(path).startswith((b"PK", b"\x80"))


def _head(path: Path) -> bytes:
    if path.is_dir():
        raise UserError(f"{path}: is a folder; name one file in it")
    try:
        with path.open("rb") as file:
            return file.read(_HEAD)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from error


# Names that training scripts give to the weights in a dict of several things, best first.
_WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "weights", "network",
             "network_state_dict", "net", "module", "params", "encoder", "backbone")  # fmt: skip
# Parts of a name that DataParallel and torch.compile put in, anywhere in it.
_PUT_IN = frozenset(("module", "_orig_mod"))


def tensors_of(content: object) -> StateDict | None:
    """The weights in what a file holds, out of the dicts around them; None where there are none.

    What lies beside them (an optimiser's state, epochs, options) is left. ValueError, saying
    which, for several sets of weights under names that do not tell which one is meant.
    """
    if not isinstance(content, dict) or "param_groups" in content:  # the latter: an optimiser
        return None
    for name in _WRAPPERS:
        if (found := tensors_of(content.get(name))) is not None:
            return found
    own = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    if own:
        return own if all(isinstance(name, str) for name in own) else None
    several = {name: tensors_of(value) for name, value in content.items()}
    several = {name: found for name, found in several.items() if found is not None}
    if len(several) > 1:
        raise ValueError(f"several sets of weights ({', '.join(map(str, several))}); keep one")
    return next(iter(several.values()), None)


def named_as(state: StateDict, expected: Collection[str]) -> StateDict:
    """Weights under a network's own names (`expected`), without what was put before these.

    DataParallel's and torch.compile's parts go; then the prefix under which most of the expected
    names are found. Weights outside of that prefix are of other parts, and left. Batch counts,
    which nothing here uses, may be missing. ValueError where several prefixes fit as well.
    """
    plain = {_without_put_in(name): tensor for name, tensor in state.items()}
    if len(plain) < len(state):
        raise ValueError("names that differ in 'module' or '_orig_mod' alone")
    wanted = {name for name in expected if not name.endswith("num_batches_tracked")}
    hits: dict[str, int] = {}
    for name in plain:
        parts = name.split(".")
        for start in range(len(parts)):
            if ".".join(parts[start:]) in wanted:
                prefix = "".join(f"{part}." for part in parts[:start])
                hits[prefix] = hits.get(prefix, 0) + 1
    most = max(hits.values(), default=0)
    best = [prefix for prefix, number in hits.items() if number == most]
    if "" in best or not best:
        return plain
    if len(best) > 1:
        raise ValueError(f"several such networks ({', '.join(best)}); keep one")
    return {
        name.removeprefix(best[0]): tensor
        for name, tensor in plain.items()
        if name.startswith(best[0])
    }


def _without_put_in(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _PUT_IN)
