"""One fold: its network trained epoch by epoch, the held-out subject scored after each."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import numpy as np
import torch
from torch import Tensor, nn

from data.errors import UserError
from data.pictures import ClipPictures
from data.sampling import sample_epoch
from data.transforms import Draw, apply_colour, apply_geometry, centre_crop, draw, to_float

from .folds import Fold
from .settings import Settings

LR_DECAY = 0.9  # a factor each epoch
CACHE_LIMIT = 2 * 2**30  # bytes of frozen features that are kept


class Images:
    """Batches for a network that reads pictures: augmented on the device."""

    def __init__(self, pictures: ClipPictures, settings: Settings, device: torch.device) -> None:
        # On CUDA the uint8 pictures themselves lie on the device: no epoch copies one again.
        where = device if device.type == "cuda" else torch.device("cpu")
        self.pictures = pictures.pictures.to(where)
        self.settings = settings
        self.device = device

    def train(self, rows: Tensor, draw: Draw) -> Tensor:
        """Augmented float images (B, 3, S, S) for rows (B,) of the pictures."""
        images = to_float(self.pictures[rows.to(self.pictures.device)].to(self.device))
        images = apply_geometry(images, draw, self.settings.image_size)
        if self.settings.augment in ("full", "crop"):
            images = apply_colour(images, draw)
        return self._laid_out(images)

    def test(self, rows: Tensor) -> Tensor:
        """The same without anything random: resized and centre-cropped."""
        pictures = self.pictures[rows.to(self.pictures.device)].to(self.device)
        return self._laid_out(to_float(centre_crop(pictures, self.settings.image_size)))

    def run(self, network: nn.Module, batch: Tensor) -> Tensor:
        """The network's output for a batch."""
        return network(batch)

    def _laid_out(self, images: Tensor) -> Tensor:
        layout = torch.channels_last if self.device.type == "cuda" else torch.contiguous_format
        return images.contiguous(memory_format=layout)


class Features:
    """Batches for the head of a network whose trunk is frozen: computed once for all folds."""

    def __init__(self, images: Images, network: nn.Module) -> None:
        """Run the frozen trunk over every picture, as it is and flipped where flips are drawn."""
        network = network.to(images.device).eval()
        flips = (False, True) if images.settings.augment == "flip" else (False,)
        self.features = torch.stack([self._run(images, network, flip) for flip in flips])

    @staticmethod
    def fit(pictures: ClipPictures, network: nn.Module, settings: Settings) -> bool:
        """Whether the features can be computed once (no other draw than flips) and kept."""
        if settings.freeze != "trunk" or settings.augment not in ("none", "flip"):
            return False
        picture = torch.zeros(1, 3, settings.image_size, settings.image_size)
        with torch.inference_mode():
            one = network.eval().features(picture)
        copies = 2 if settings.augment == "flip" else 1
        return one.numel() * 4 * len(pictures.pictures) * copies <= CACHE_LIMIT

    @staticmethod
    @torch.no_grad()
    def _run(images: Images, network: nn.Module, flip: bool) -> Tensor:
        rows = torch.arange(len(images.pictures))
        parts = []
        for part in rows.split(images.settings.batch_size):
            batch = images.test(part)
            parts.append(network.features(batch.flip(-1) if flip else batch))
        return torch.cat(parts)

    def train(self, rows: Tensor, draw: Draw) -> Tensor:
        """Features (B, C, h, w) of pictures, flipped as drawn."""
        rows, flip = rows.to(self.features.device), draw.flip.to(self.features.device)
        return self.features[flip.long(), rows]

    def test(self, rows: Tensor) -> Tensor:
        """Features (B, C, h, w) of pictures as they are."""
        return self.features[0, rows.to(self.features.device)]

    def run(self, network: nn.Module, batch: Tensor) -> Tensor:
        """The network's output for a batch of features."""
        return network.head(batch)


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
    network = network.to(device)
    if device.type == "cuda":
        network = network.to(memory_format=torch.channels_last)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimiser = torch.optim.Adam(trained, lr=settings.lr)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimiser, LR_DECAY)
    scaler = torch.amp.GradScaler(device.type, enabled=_half(device) == torch.float16)
    labels = pictures.labels
    available = (pictures.slots[fold.train, 1:] >= 0).sum(1).numpy()
    epochs = []
    for epoch in range(1, settings.epochs + 1):
        network.train()
        total = torch.zeros((), device=device)
        pairs = sample_epoch(labels[fold.train].numpy(), available, rng)
        for clips, rows, made in _batches(pairs, pictures, fold, settings, generator):
            batch = source.train(rows, made)
            with _autocast(device):
                output = source.run(network, batch)
                loss = network.loss(output.float(), labels[clips].to(device))
            optimiser.zero_grad(set_to_none=True)
            scaler.scale(loss).backward()
            scaler.step(optimiser)
            scaler.update()
            total += loss.detach() * len(clips)
        schedule.step()
        train_loss = float(total) / len(pairs)
        if not np.isfinite(train_loss):
            raise UserError(
                f"fold {fold.data_sub}, epoch {epoch}: the loss is {train_loss}; lower --lr"
            )
        test_loss, scores = evaluate(network, source, pictures, fold.test, settings, device)
        epochs.append(
            {"epoch": epoch, "train_loss": train_loss, "test_loss": test_loss, "scores": scores}
        )
        on_epoch(epochs[-1])
    return epochs


def _batches(
    pairs: np.ndarray,
    pictures: ClipPictures,
    fold: Fold,
    settings: Settings,
    generator: torch.Generator,
) -> Iterator[tuple[Tensor, Tensor, Draw]]:
    """Batches of an epoch: positions in the index, rows of the pictures, the random draw."""
    for part in np.split(pairs, range(settings.batch_size, len(pairs), settings.batch_size)):
        clips = torch.from_numpy(fold.train[part[:, 0]])
        rows = pictures.slots[clips, torch.from_numpy(part[:, 1])]
        yield clips, rows, draw(len(part), settings.augment, generator)


@torch.no_grad()
def evaluate(
    network: nn.Module,
    source: Images | Features,
    pictures: ClipPictures,
    clips: np.ndarray,
    settings: Settings,
    device: torch.device,
) -> tuple[float, list[list[float]]]:
    """Mean loss and class scores of the apex frames of `clips` (positions in the index)."""
    network.eval()
    total, scores = 0.0, []
    for part in torch.from_numpy(clips).split(settings.batch_size):
        with _autocast(device):
            output = source.run(network, source.test(pictures.slots[part, 0])).float()
        loss = network.loss(output, pictures.labels[part].to(device))
        total += float(loss) * len(part)
        scores += network.scores(output).double().cpu().numpy().round(6).tolist()
    return total / len(clips), scores


def _half(device: torch.device) -> torch.dtype | None:
    """The half precision to compute in: on CUDA alone."""
    if device.type != "cuda":
        return None
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def _autocast(device: torch.device) -> AbstractContextManager:
    half = _half(device)
    return torch.autocast(device.type, dtype=half, enabled=half is not None)
