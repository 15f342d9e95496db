"""One fold: its network trained epoch by epoch, the held-out subject scored after each."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import numpy as np
import torch
from torch import Tensor, nn

from common.errors import warn
from data.pictures import ClipPictures
from data.sampling import sample_epoch
from data.transforms import Augmentation, sample_augmentation

from .batches import Features, Images, memory_layout
from .folds import Fold
from .records import check_converging, epoch_record
from .settings import Settings

LR_DECAY = 0.9  # a factor each epoch


def train_fold(
    network: nn.Module,
    source: Images | Features,
    pictures: ClipPictures,
    fold: Fold,
    settings: Settings,
    device: torch.device,
    on_epoch: Callable[[dict], None],
) -> list[dict]:
    """Train `network` on a fold's training clips; the list of its epoch records.

    Nothing about the held-out subject goes into the training: it is scored after each epoch,
    and `on_epoch` is called with the epoch's record.
    """
    seed = fold.seed(settings.seed)
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    network = network.to(device, memory_format=memory_layout(device))
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimiser = torch.optim.Adam(trained, lr=settings.learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimiser, LR_DECAY)
    half = half_precision(settings.precision, device)
    scaler = torch.amp.GradScaler(device.type, enabled=half == torch.float16)
    labels = pictures.labels
    available = (pictures.slots[fold.train, 1:] >= 0).sum(1).numpy()
    epochs = []
    for epoch in range(1, settings.epochs + 1):
        network.train()
        total = torch.zeros((), device=device)
        pairs = sample_epoch(labels[fold.train].numpy(), available, rng)
        for clips, slots, sample in _samples(pairs, fold, settings, generator):
            batch = source.train(clips, slots, sample)
            with _autocast(device, half):
                output = source.run(network, batch)
                loss = network.loss(output.float(), labels[clips].to(device))
            optimiser.zero_grad(set_to_none=True)
            scaler.scale(loss).backward()
            scaler.step(optimiser)
            scaler.update()
            total += loss.detach() * len(clips)
        schedule.step()
        train_loss = float(total) / len(pairs)
        check_converging(fold.data_sub, epoch, "loss", train_loss)
        test_loss, scores = evaluate(network, source, pictures, fold.test, settings, device)
        epochs.append(epoch_record(fold.data_sub, epoch, train_loss, test_loss, scores))
        on_epoch(epochs[-1])
    return epochs


def _samples(
    pairs: np.ndarray, fold: Fold, settings: Settings, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor, Augmentation]]:
    """The samples of an epoch's batches: positions in the index, slots, the augmentation."""
    for part in torch.from_numpy(pairs).split(settings.batch_size):
        clips = torch.from_numpy(fold.train)[part[:, 0]]
        yield clips, part[:, 1], sample_augmentation(len(part), settings.augment, generator)


@torch.no_grad()
def evaluate(
    network: nn.Module,
    source: Images | Features,
    pictures: ClipPictures,
    clips: np.ndarray,
    settings: Settings,
    device: torch.device,
) -> tuple[float, np.ndarray]:
    """Mean loss, and class scores (N, C), of the apex frames of `clips` (positions)."""
    network.eval()
    half = half_precision(settings.precision, device)
    total, scores = 0.0, []
    for part in torch.from_numpy(clips).split(settings.batch_size):
        with _autocast(device, half):
            output = source.run(network, source.test(part)).float()
        loss = network.loss(output, pictures.labels[part].to(device))
        total += float(loss) * len(part)
        scores.append(network.scores(output).double().cpu().numpy())
    return total / len(clips), np.concatenate(scores)


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


def _autocast(device: torch.device, half: torch.dtype | None) -> AbstractContextManager:
    return torch.autocast(device.type, dtype=half, enabled=half is not None)
