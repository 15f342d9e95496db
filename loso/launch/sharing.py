"""What folds share, handed to other processes without a copy for each.

Pickled, with the bytes of its arrays and tensors kept apart (pickle protocol 5, PEP 574): these lie
in one file that every process maps, or in Ray's object store.
"""

import mmap
import pickle
import warnings
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from common.files import write_whole

ALIGNED = 64  # bytes: where an array begins in the file


@dataclass(frozen=True)
class SharedFile:
    """A file that holds something packed: the pickle, and then its buffers."""

    path: Path
    spans: list[tuple[int, int]]  # start and end of each, in bytes


def pack(thing: object) -> tuple[bytes, list[memoryview]]:
    """A pickle of `thing` without the bytes of its arrays and tensors, and these (not copied)."""
    buffers: list[memoryview] = []
    head = BytesIO()
    keep_apart = _Pickler(head, 5, buffer_callback=lambda buffer: buffers.append(buffer.raw()))
    keep_apart.dump(thing)
    return head.getvalue(), buffers


def unpack(head: bytes | memoryview, buffers: list) -> Any:
    """What was packed. Its arrays and tensors lie in `buffers`, and are only to be read."""
    return pickle.loads(head, buffers=buffers)


def write_shared(thing: object, path: Path) -> SharedFile:
    """Pack `thing` into a file, whole or not at all."""
    head, buffers = pack(thing)
    parts: list[bytes | memoryview] = [head, *buffers]
    spans = []
    with write_whole(path) as part, part.open("wb") as file:
        for buffer in parts:
            file.seek(-file.tell() % ALIGNED, 1)
            start = file.tell()
            file.write(buffer)
            spans.append((start, file.tell()))
    return SharedFile(path, spans)


def read_shared(shared: SharedFile) -> Any:
    """Map what write_shared wrote: processes that do share its pages. The file may go then."""
    with shared.path.open("rb") as file:
        # Copy on write: nobody writes, and who did would not reach the others.
        mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    head, *buffers = (mapped[start:end] for start, end in shared.spans)
    return unpack(head, buffers)


class _Pickler(pickle.Pickler):
    """Torch's own way copies a tensor's bytes into the pickle; as an array they stay apart."""

    def reducer_override(self, value: object) -> Any:
        if type(value) is not Tensor:
            return NotImplemented
        here = value.detach().cpu()
        # The whole storage, so that strides stay: channels last computes other last bits.
        stored = torch.empty(0, dtype=torch.uint8).set_(here.untyped_storage())
        form = (here.dtype, here.shape, here.stride(), here.storage_offset())
        return _tensor, (stored.numpy(), *form, value.device)


def _tensor(
    stored: np.ndarray,
    dtype: torch.dtype,
    shape: torch.Size,
    stride: tuple[int, ...],
    offset: int,
    device: torch.device,
) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        flat = torch.from_numpy(stored).view(dtype)
    return flat.as_strided(shape, stride, offset).to(device)
