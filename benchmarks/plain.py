"""The plain way: the published design as one writes it first, to measure ours against.

Each epoch builds a DataLoader anew, which opens every JPEG again and augments it with PIL; a
frozen trunk runs on every picture; routing is by broadcast matrix products; float32 throughout,
in torch's default memory layout.
"""

import copy
import random
from collections.abc import Iterator
from pathlib import Path

import torch
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.transforms.functional import to_tensor

from models.capsules import squash


def jitter_and_turn(size: int) -> transforms.Compose:
    """Full augmentation of a PIL picture -> float (3, size, size)."""
    return transforms.Compose(
        [
            transforms.Resize((size, size)),
            transforms.RandomRotation(8),
            transforms.RandomHorizontalFlip(),
            transforms.ColorJitter(0.2, 0.2, 0.2, 0.2),
            transforms.ToTensor(),
        ]
    )


class Faces(Dataset):
    """Samples as tensors a stream: the frame (3, S, S), and its 13 views, where there are any."""

    def __init__(
        self, samples: list[list[Path]], labels: list[int], size: int, augment: str
    ) -> None:
        """A sample's pictures: the frame, then its views in order of the yaw.

        augment: none, flip or, without views, full.
        """
        self.samples, self.labels, self.size, self.augment = samples, labels, size, augment
        self.full = jitter_and_turn(size)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, i: int) -> tuple[list[Tensor], int]:
        pictures = [Image.open(path).convert("RGB") for path in self.samples[i]]
        if self.augment == "full":
            return [self.full(picture) for picture in pictures], self.labels[i]
        pictures = [picture.resize((self.size, self.size)) for picture in pictures]
        if self.augment == "flip" and random.random() < 0.5:
            pictures = [ImageOps.mirror(picture) for picture in (pictures[0], *pictures[:0:-1])]
        frame, *views = [to_tensor(picture) for picture in pictures]
        return [frame, torch.cat(views)] if views else [frame], self.labels[i]


def batches(faces: Faces, size: int) -> Iterator[tuple[list[Tensor], Tensor]]:
    """An epoch's batches: a list of tensors, one a stream, and labels."""
    return iter(DataLoader(faces, batch_size=size))


class BroadcastRouting(nn.Module):
    """Routed capsules by broadcast matrix products, the formulas as they stand in the paper."""

    def __init__(self, weight: Tensor, routings: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.detach().clone())  # (classes, N, 16, 8)
        self.routings = routings

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, 8) -> (B, classes, 16)."""
        u = (self.weight @ x[:, None, :, :, None]).squeeze(-1)  # (B, classes, N, 16)
        fixed = u.detach()
        b = torch.zeros(*u.shape[:-1], 1, device=u.device)
        for _ in range(self.routings - 1):
            v = squash((b.softmax(dim=1) * fixed).sum(dim=2, keepdim=True))
            b = b + (fixed * v).sum(dim=-1, keepdim=True)
        return squash((b.softmax(dim=1) * u).sum(dim=2))


def plain_network(network: nn.Module) -> nn.Module:
    """A copy with the same weights, in the default memory layout, that routes by broadcast."""
    plain = copy.deepcopy(network).to(memory_format=torch.contiguous_format)
    plain.digitcaps = BroadcastRouting(plain.digitcaps.weight, plain.digitcaps.routings)
    return plain


def make_optimiser(network: nn.Module, learning_rate: float) -> torch.optim.Adam:
    """Adam over what is trained."""
    return torch.optim.Adam([p for p in network.parameters() if p.requires_grad], lr=learning_rate)


def step(
    network: nn.Module, optimiser: torch.optim.Optimizer, inputs: list[Tensor], labels: Tensor
) -> float:
    """One training step; its loss."""
    loss = network.loss(network(*inputs), labels)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()


def epoch(network: nn.Module, train: Faces, test: Faces, batch: int, learning_rate: float) -> None:
    """One epoch of training, then the scores of the held-out subject."""
    optimiser = make_optimiser(network, learning_rate)
    network.train()
    for inputs, labels in batches(train, batch):
        step(network, optimiser, inputs, labels)
    network.eval()
    with torch.no_grad():
        for inputs, labels in batches(test, batch):
            network.loss(network(*inputs), labels).item()
