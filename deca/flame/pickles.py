"""Pickles of arrays, read without running anything that they name.

A pickle is a program: it can call any importable function. Here it reaches only the stand-ins
of this file, which collect bytes, shapes and types; the arrays are made from those afterwards.
"""

import io
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import scipy.sparse
import torch

from common.checkpoints import one_line, what_it_is
from common.errors import UserError


class _Dtype:
    """numpy.dtype: a type code like f8 and, set by its state, the byte order."""

    def __init__(self, code: str, *_flags: object) -> None:
        self.numpy = np.dtype(str(code))
        if self.numpy.names or self.numpy.kind not in "biufcSUO":
            raise pickle.UnpicklingError(f"array type {code}")

    def __setstate__(self, state: tuple) -> None:
        _version, order, subdtype, names, fields, *_rest = state
        if subdtype or names or fields:
            raise pickle.UnpicklingError("a structured array")
        self.numpy = self.numpy.newbyteorder(order)


class _Array:
    """numpy.ndarray, and classes derived from it: shape, type, bytes (or objects)."""

    array: np.ndarray

    def __setstate__(self, state: tuple) -> None:
        _version, shape, dtype, fortran, raw = state
        if dtype.numpy.kind == "O":
            self.array = np.empty(len(raw), object)
            self.array[:] = raw
        else:
            self.array = np.frombuffer(_as_bytes(raw), dtype.numpy)
        self.array = self.array.reshape(shape, order="F" if fortran else "C")


class _Ch:
    """chumpy's array: the numbers are in `x`; the rest is its bookkeeping for derivatives."""


class _Select:
    """chumpy's selection out of an array: `a`, flat indices `idxs`, perhaps `preferred_shape`."""


class _Csc:
    """scipy.sparse's csc_matrix and csc_array: data, indices, indptr, _shape."""


class _Csr(_Csc):
    """The same by rows."""


def _as_bytes(raw: str | bytes) -> bytes:
    # Python 2 wrote bytes as str, and latin1 keeps each of them.
    return raw.encode("latin1") if isinstance(raw, str) else raw


def _encode(text: str, _encoding: str = "latin1") -> bytes:
    return text.encode("latin1")


def _new_array(*_class_shape_code: object) -> _Array:
    return _Array()


def _array_of(raw: bytes, dtype: _Dtype, shape: tuple, order: str) -> _Array:
    array = _Array()
    array.__setstate__((1, shape, dtype, order == "F", raw))
    return array


def _scalar(dtype: _Dtype, raw: str | bytes = b"") -> object:
    """A number, or a text, of NumPy's: of no use here, but nothing that runs code."""
    if dtype.numpy.kind == "O":
        raise pickle.UnpicklingError("a scalar that is any object")
    if not dtype.numpy.itemsize:
        return ""
    return np.frombuffer(_as_bytes(raw), dtype.numpy, 1)[0]


def _new_object(cls: type, *_base_state: object) -> object:
    if cls not in (_Ch, _Select, _Csc, _Csr):
        raise pickle.UnpicklingError(f"an object of {cls}")
    return cls()


def _storage(raw: bytes) -> torch.TypedStorage:
    return torch.load(io.BytesIO(_as_bytes(raw)), weights_only=True, map_location="cpu")


def _tensor(storage: torch.TypedStorage, offset: int, size: tuple, stride: tuple, *_: object):
    flat = torch.empty(0, dtype=storage.dtype).set_(storage)
    return flat.as_strided(size, stride, offset)  # checks the bounds


def _ordered_dict(*items: object) -> dict:
    return dict(*items)


_NUMPY = {"_reconstruct": _new_array, "scalar": _scalar}
_NUMERIC = {"_frombuffer": _array_of}


def _no_bytes() -> bytes:
    return b""  # protocols before 3 call bytes() for these


# chumpy notes in a set what has changed.
_BUILTINS = {
    "object": object, "set": set, "frozenset": frozenset, "complex": complex, "bytes": _no_bytes,
}  # fmt: skip
_COPYREG = {"_reconstructor": _new_object}
# What a pickle may name: raw names, Python 2's as well as those of today.
KNOWN: Mapping[str, Mapping[str, object]] = {
    "numpy.core.multiarray": _NUMPY,
    "numpy._core.multiarray": _NUMPY,
    "numpy.core.numeric": _NUMERIC,
    "numpy._core.numeric": _NUMERIC,
    "numpy": {"ndarray": _Array, "dtype": _Dtype},
    "trimesh.caching": {"TrackedArray": _Array},
    "chumpy.ch": {"Ch": _Ch},
    "chumpy": {"Ch": _Ch},
    "chumpy.reordering": {"Select": _Select},
    "scipy.sparse.csc": {"csc_matrix": _Csc},
    "scipy.sparse._csc": {"csc_matrix": _Csc, "csc_array": _Csc},
    "scipy.sparse.csr": {"csr_matrix": _Csr},
    "scipy.sparse._csr": {"csr_matrix": _Csr, "csr_array": _Csr},
    "torch._utils": {"_rebuild_tensor_v2": _tensor},
    "torch.storage": {"_load_from_bytes": _storage},
    "collections": {"OrderedDict": _ordered_dict},
    "copy_reg": _COPYREG,
    "copyreg": _COPYREG,
    "__builtin__": _BUILTINS,
    "builtins": _BUILTINS,
    "_codecs": {"encode": _encode},
}


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BufferedIOBase, path: Path) -> None:
        super().__init__(file, encoding="latin1")
        self.path = path

    def find_class(self, module: str, name: str) -> object:
        try:
            return KNOWN[module][name]
        except KeyError:
            raise UserError(
                f"{self.path}: refused, not read: it names {module}.{name}, which is no array "
                "and could run code; fetch the file anew from where it is given out"
            ) from None


def read_pickle(path: Path | str) -> dict:
    """Read a pickled dict whose values `to_array` turns into arrays.

    UserError if the file is missing, damaged, no dict, or names a global not in KNOWN.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            content = _load(file, path)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    return _a_dict(content, path)


def read_pickled_npy(path: Path | str) -> dict:
    """Read a dict that numpy.save has put into an array of objects; errors as read_pickle."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            try:
                version = np.lib.format.read_magic(file)
                read_header = getattr(np.lib.format, f"read_array_header_{version[0]}_0")
                _shape, _fortran, dtype = read_header(file)
            except (ValueError, AttributeError) as error:
                raise UserError(f"{path}: damaged, or no .npy file; fetch it anew") from error
            if not dtype.hasobject:
                raise UserError(f"{path}: holds an array, not a dict; fetch it anew")
            content = _load(file, path)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    if isinstance(content, _Array) and getattr(content, "array", np.empty(0)).size == 1:
        content = content.array.item()
    return _a_dict(content, path)


def _load(file: io.BufferedIOBase, path: Path) -> object:
    fault = what_it_is(path)
    if fault is None and zipfile.is_zipfile(path):
        fault = "is a zip archive and no pickle; unpack it, or fetch the file anew"
    if fault:
        raise UserError(f"{path}: damaged or another file: it {fault}")
    try:
        return _Unpickler(file, path).load()
    except UserError:
        raise
    except Exception as error:  # damaged bytes make a pickle raise anything
        raise UserError(f"{path}: damaged or cut off ({one_line(error)}); fetch it anew") from error


def _a_dict(content: object, path: Path) -> dict:
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds no dict of arrays; fetch it anew")
    return content


def to_array(value: object, depth: int = 0) -> np.ndarray:
    """A value of a dict read here as a plain array; ValueError if it is none."""
    if isinstance(value, _Select):
        return _selected(value, depth)
    if isinstance(value, _Ch):
        value = getattr(value, "x", None)
    if isinstance(value, _Array):
        value = getattr(value, "array", None)
    elif isinstance(value, _Csc):
        return _dense(value)
    elif isinstance(value, torch.Tensor):
        value = value.numpy()
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf":
        raise ValueError("not an array of numbers")
    return value


def _selected(stand_in: _Select, depth: int) -> np.ndarray:
    """What chumpy computes of a selection; of selections of selections, up to eight deep."""
    parts = vars(stand_in)
    if depth > 7:
        raise ValueError("selections of selections without end")
    array, index = (to_array(parts.get(name), depth + 1) for name in ("a", "idxs"))
    shape = parts.get("preferred_shape", index.shape)
    if index.dtype.kind not in "iu" or not isinstance(shape, tuple):
        raise ValueError("not a selection")
    try:
        return array.ravel()[index].reshape(shape)
    except IndexError as error:
        raise ValueError("a selection from beyond its array") from error


def _dense(stand_in: _Csc) -> np.ndarray:
    parts = vars(stand_in)
    arrays = [to_array(parts.get(name)) for name in ("data", "indices", "indptr")]
    kind = scipy.sparse.csr_array if isinstance(stand_in, _Csr) else scipy.sparse.csc_array
    shape = parts.get("_shape")
    if not (isinstance(shape, tuple) and len(shape) == 2 and np.prod(shape, dtype=float) < 1e8):
        raise ValueError("not a sparse matrix")
    matrix = kind(tuple(arrays), shape=shape)
    matrix.check_format(full_check=True)  # out-of-range indices would write beyond the array
    return matrix.toarray()
