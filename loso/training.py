"""One fold: its network trained epoch by epoch, the held-out subject scored after each."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import ExponentialLR, LRScheduler

from common.errors import warn
from data.sampling import sample_epoch
from data.transforms import Augmentation, sample_augmentation, send
from models.network import Network, Output

from .batches import Source, memory_layout
from .folds import Fold
from .records import check_converging, epoch_record
from .settings import Settings

LR_DECAY = 0.9  # a factor each epoch
OnEpoch = Callable[[dict], None]
Samples = tuple[Tensor, Tensor, Augmentation]  # a batch: clips by position in the index, slots


class Recipe(Protocol):
    """What a network of pictures and one of motion alone do each in its own way, for one fold."""

    device: torch.device
    half: torch.dtype | None  # None: float32
    sums: torch.dtype  # that an epoch's losses add up in
    optimiser: Optimizer
    schedule: LRScheduler

    def losses(self) -> Iterator[tuple[Tensor, int]]:
        """An epoch: each batch's mean loss, to be minimised before the next, and its samples."""
        ...

    def evaluate(self) -> tuple[float, np.ndarray]:
        """Mean loss and class scores (N, C) of the held-out subject."""
        ...


def train_fold(recipe: Recipe, data_sub: str, epochs: int, on_epoch: OnEpoch) -> list[dict]:
    """Train a fold's network on its training clips; the list of its epoch records.

    Nothing about the held-out subject goes into the training: it is scored after each epoch,
    and `on_epoch` is called with the epoch's record. UserError where the training diverges.
    """
    scaler = torch.amp.GradScaler(recipe.device.type, enabled=recipe.half == torch.float16)
    records = []
    for epoch in range(1, epochs + 1):
        total, samples = torch.zeros((), dtype=recipe.sums, device=recipe.device), 0
        for loss, number in recipe.losses():
            recipe.optimiser.zero_grad(set_to_none=True)
            scaler.scale(loss).backward()
            scaler.step(recipe.optimiser)
            scaler.update()
            total += loss.detach().to(total.dtype) * number
            samples += number
        recipe.schedule.step()
        train_loss = float(total) / samples
        check_converging(data_sub, epoch, "loss", train_loss)
        records.append(epoch_record(data_sub, epoch, train_loss, *recipe.evaluate()))
        on_epoch(records[-1])
    return records


class PictureRecipe:
    """Adam with a falling rate on balanced, augmented samples; see Recipe."""

    sums = torch.float32

    def __init__(self, network: Network, source: Source, fold: Fold, settings: Settings) -> None:
        """`network` goes to the device of `source`."""
        self.source, self.fold, self.settings = source, fold, settings
        self.device = source.device
        seed = fold.seed(settings.seed)
        self.rng = np.random.default_rng(seed)
        self.generator = torch.Generator().manual_seed(seed)
        # torch's overloads lack memory_format alone, which its documentation has.
        self.network = network.to(  # type: ignore[call-overload]
            self.device, memory_format=memory_layout(self.device)
        )
        self.optimiser, self.schedule = make_optimiser([network], settings)
        self.half = half_precision(settings.precision, self.device)

    def losses(self) -> Iterator[tuple[Tensor, int]]:
        """See Recipe."""
        self.network.train()
        targets = self.source.targets
        for clips, slots, sample in self.samples():
            batch = self.source.train(clips, slots, sample)
            with autocast(self.device, self.half):
                output = self.source.run(self.network, batch)
                loss = self.network.loss(as_float32(output), send(targets[clips], self.device))
            yield loss, len(clips)

    def samples(self) -> Iterator[Samples]:
        """The samples of an epoch's batches: positions in the index, slots, the augmentation."""
        train = torch.from_numpy(self.fold.train)
        labels, slots = self.source.labels[train], self.source.slots[train]
        available = (slots[:, 1:] >= 0).sum(1).numpy()
        pairs = sample_epoch(labels.numpy(), available, self.rng, self.settings.balance)
        for part in torch.from_numpy(pairs).split(self.settings.learning.batch_size):
            sample = sample_augmentation(len(part), self.settings.augment, self.generator)
            yield train[part[:, 0]], part[:, 1], sample

    def evaluate(self) -> tuple[float, np.ndarray]:
        """See Recipe."""
        return evaluate(self.network, self.source, self.fold.test, self.settings)


def make_optimiser(
    networks: Iterable[Network], settings: Settings
) -> tuple[Optimizer, LRScheduler]:
    """Adam on all that is trained of networks, each by itself, and its falling rate."""
    trained = [p for network in networks for p in network.parameters() if p.requires_grad]
    optimiser = Adam(trained, lr=settings.learning.lr, fused=True)
    return optimiser, ExponentialLR(optimiser, LR_DECAY)


@torch.no_grad()
def evaluate(
    network: Network, source: Source, clips: np.ndarray, settings: Settings
) -> tuple[float, np.ndarray]:
    """Mean loss, and scores (N, C) of classes or units, of the apex frames of clips by position."""
    network.eval()
    half = half_precision(settings.precision, source.device)
    losses, scores, sizes = [], [], []  # read at the end: a card need not stop for each batch
    for part in torch.from_numpy(clips).split(settings.learning.batch_size):
        with autocast(source.device, half):
            output = as_float32(source.run(network, source.test(part)))
        losses.append(network.loss(output, send(source.targets[part], source.device)))
        sizes.append(len(part))
        read = network.shown if settings.tells_units else network.scores
        scores.append(read(output).double())
    total = sum(loss * size for loss, size in zip(torch.stack(losses).tolist(), sizes))
    return total / len(clips), torch.cat(scores).cpu().numpy()


def as_float32(output: Output) -> Output:
    """A network's output as losses and scores want it."""
    return output.float() if isinstance(output, Tensor) else tuple(o.float() for o in output)


def half_precision(precision: str, device: torch.device) -> torch.dtype | None:
    """The half precision that --precision means on a device; None for float32.

    A warning where it is not to be had, or slower than float32.
    """
    if precision == "float32" or (precision == "auto" and device.type != "cuda"):
        return None
    if device.type == "cuda" and not torch.cuda.is_bf16_supported():
        if precision == "bf16":
            warn("--precision bf16: this card has no bf16, float16 is taken")
        return torch.float16
    if device.type == "cpu" and not _cpu_has_bf16():
        warn("--precision bf16: this CPU has no instructions for it and is slower than in float32")
    return torch.bfloat16


def _cpu_has_bf16() -> bool:
    has = torch.cpu.get_capabilities()
    return any(has.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))  # bf16: of ARM


def autocast(device: torch.device, half: torch.dtype | None) -> AbstractContextManager:
    """The half precision that is in force inside; None: float32."""
    return torch.autocast(device.type, dtype=half, enabled=half is not None)
