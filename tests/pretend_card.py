"""A CUDA device where there is none: the CPU's arithmetic under CUDA's rules of placement.

Inside `with PretendCard() as card:` tensors that are put onto card.device (`.to`, `device=`) say
that they lie there, and so does all that is computed from them, forward and backward. An operation
on a tensor there and one left on the CPU raises MisplacedError, unless CUDA takes it too (a number
without dimensions). What a real card would stop for, since the host reads a value, is counted.

torch's fake tensors would do this without any arithmetic, but what lies below them asks CUDA's
driver: autograd for the stream of each tensor that wants a gradient, batch norm and convolutions
under autocast for what the card can do, and so do in-place random numbers. Without a driver no
training step comes through.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

aten = torch.ops.aten
INDEXED = {
    aten.index.Tensor, aten.index_put.default, aten.index_put_.default,
    aten._unsafe_index.Tensor, aten._index_put_impl_.default,
}  # fmt: skip  # whose rows CUDA takes from the host, too: a copy
READS = {aten._local_scalar_dense.default, aten.nonzero.default, aten.masked_select.default,
         aten._unique2.default}  # fmt: skip  # the host waits for their result


class MisplacedError(RuntimeError):
    """An operation on tensors of two devices."""


class PretendCard:
    """See the module. syncs: how often the host waited for the card, by operation.

    copies: bytes of what was copied to the card while the host waited.
    """

    device = torch.device("cuda:0")

    def __init__(self) -> None:
        self.storages: dict[int, StorageWeakRef] = {}
        self.syncs: Counter[str] = Counter()
        self.copies: list[int] = []
        self.used: set[str] = set()  # operations on the card
        self.within = ""  # which of torch's functions on the card is running
        self._modes = ExitStack()

    def __enter__(self) -> "PretendCard":
        autocast, scaler = torch.autocast, torch.amp.GradScaler

        def on_cpu(device_type: str, *rest: Any, **more: Any) -> Any:
            return autocast("cpu" if device_type == "cuda" else device_type, *rest, **more)

        def scaler_on_cpu(device: str, *rest: Any, **more: Any) -> Any:
            return scaler("cpu" if device == "cuda" else device, *rest, **more)

        enter = self._modes.enter_context
        enter(mock.patch.object(torch, "autocast", on_cpu))
        enter(mock.patch.object(torch.amp, "GradScaler", scaler_on_cpu))
        enter(mock.patch.object(torch.cuda, "is_available", lambda: True))
        enter(mock.patch.object(torch.cuda, "is_bf16_supported", lambda: True))
        enter(mock.patch.object(torch.cuda, "is_current_stream_capturing", lambda: False))
        enter(_Operations(self))
        enter(_Functions(self))
        return self

    def __exit__(self, *error: object) -> None:
        self._modes.close()

    def has(self, tensor: Tensor) -> bool:
        """Whether a tensor lies on the card."""
        reference = self.storages.get(_storage(tensor)._cdata)
        return reference is not None and not reference.expired()

    def put(self, values: Any) -> Any:
        """Say that the memory of a tensor, or of all in a structure of values, is the card's."""
        for tensor in _tensors(values):
            storage = _storage(tensor)
            self.storages[storage._cdata] = StorageWeakRef(storage)  # until then no other's number
        return values

    def take(self, tensor: Tensor) -> None:
        """Say that a tensor's memory is the host's."""
        self.storages.pop(_storage(tensor)._cdata, None)

    def note_copy(self, copied: Tensor, to_card: bool, non_blocking: bool) -> None:
        """Count a copy between the devices, where the host waits for it."""
        if not to_card:
            self.syncs["to the host"] += 1
        elif not non_blocking:
            self.copies.append(copied.numel() * copied.element_size())

    def note_rows(self, name: str, indices: Iterable[Tensor | None]) -> None:
        """Count an indexing that makes the host wait."""
        for rows in indices:
            if rows is not None and not self.has(rows):
                self.syncs[f"{name}, rows on the host"] += 1
            elif rows is not None and rows.dtype == torch.bool:
                self.syncs[f"{name}, by a mask"] += 1


class _Operations(TorchDispatchMode):
    """What is computed, below autograd: of tensors on the card results lie there."""

    def __init__(self, card: PretendCard) -> None:
        super().__init__()
        self.card = card

    def __torch_dispatch__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        card, kwargs = self.card, kwargs or {}
        tensors = _tensors((args, kwargs))
        if not tensors and card.within:  # what an operation on the card makes for itself
            return card.put(func(*args, **kwargs))
        if not any(map(card.has, tensors)):
            return func(*args, **kwargs)
        left = [t for t in tensors if not card.has(t) and t.dim()]
        name = str(func)
        card.used.add(name)
        if func in INDEXED and card.has(args[0]):
            card.note_rows(name, args[1])
            left = []
        if func is aten.copy_.default:  # between devices
            if left:
                card.note_copy(args[0], card.has(args[0]), args[2:] == (True,))
            return func(*args, **kwargs)
        if left:
            shapes = ", ".join(
                f"{tuple(t.shape)}{'' if card.has(t) else ' (CPU)'}" for t in tensors
            )
            raise MisplacedError(f"{name}: {shapes}")
        if func in READS and card.within != "one_hot":  # which on a card checks nothing
            card.syncs[name] += 1
        out = func(*args, **kwargs)
        return card.put(out)


class _Functions(TorchFunctionMode):
    """What is asked of torch by name: devices are the card's, and what moves is copied."""

    def __init__(self, card: PretendCard) -> None:
        super().__init__()
        self.card = card

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        card, kwargs = self.card, dict(kwargs or {})
        if func == Tensor.device.__get__ and card.has(args[0]):
            return card.device
        if func == Tensor.is_cuda.__get__:
            return card.has(args[0])
        name = getattr(func, "__name__", "")
        if name in ("to", "cpu", "cuda"):
            return self._moved(func, name, args, kwargs)
        if name == "pin_memory":
            return args[0].clone()
        if name in ("numpy", "__array__", "tolist") and card.has(args[0]):
            if name != "tolist":
                raise TypeError("can't convert cuda:0 device type tensor to numpy")
            card.syncs[name] += 1
        to_card = _is_card(kwargs.get("device")) or (
            name.startswith("new_") and kwargs.get("device") is None and card.has(args[0])
        )
        if _is_card(kwargs.get("device")):
            kwargs["device"] = torch.device("cpu")
        before, card.within = card.within, ""
        if any(map(card.has, _tensors((args, kwargs)))):
            card.within = name or "operation"
        try:
            out = func(*args, **kwargs)
        finally:
            card.within = before
        return card.put(out) if to_card else out

    def _moved(self, func: Callable, name: str, args: tuple, kwargs: dict) -> Tensor:
        card, (tensor, *rest) = self.card, args
        asked = {"cpu": "cpu", "cuda": card.device}.get(name, kwargs.get("device"))
        for one in rest:
            if isinstance(one, str | torch.device):
                asked = one
            elif isinstance(one, Tensor):
                asked = card.device if card.has(one) else "cpu"
        on_card = card.has(tensor)
        goes = on_card if asked is None else _is_card(asked)
        rest, kwargs = tree_map(_as_cpu, (rest, kwargs))
        func = Tensor.cpu if name == "cuda" else func
        out = func(tensor, *rest, **kwargs)
        if goes == on_card:
            return out
        if _storage(out)._cdata == _storage(tensor)._cdata:
            out = out.clone()
        (card.put if goes else card.take)(out)
        card.note_copy(out, goes, bool(kwargs.get("non_blocking")))
        return out


def _storage(tensor: Tensor) -> torch.UntypedStorage:
    """A tensor's memory; under vmap that of all it stands for."""
    functorch = torch._C._functorch
    while functorch.is_functorch_wrapped_tensor(tensor):
        tensor = functorch.get_unwrapped(tensor)
    return tensor.untyped_storage()


def _tensors(values: object) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


def _is_card(device: object) -> bool:
    return isinstance(device, str | torch.device) and torch.device(device).type == "cuda"


def _as_cpu(value: object) -> object:
    return torch.device("cpu") if _is_card(value) else value
