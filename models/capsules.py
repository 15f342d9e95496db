"""Capsules: squash, primary capsules, routing by agreement, margin loss.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules" (NeurIPS 2017); the constants are
those of Quang, Chun, Tokuyama, "CapsuleNet for Micro-Expression Recognition" (FG 2019).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PRIMARY_DIM = 8
CLASS_DIM = 16


def squash(s: Tensor) -> Tensor:
    """Shrink vectors on the last axis to a length in [0, 1), direction kept (eq. 1)."""
    length = torch.linalg.vector_norm(s, dim=-1, keepdim=True)
    return length**2 / (1 + length**2) * s / (length + 1e-8)


class PrimaryCapsules(nn.Module):
    """A convolution whose channels are read as capsules of eight numbers."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(in_channels, out_channels, kernel_size, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, N, 8), N = out_channels / 8 x height x width."""
        x = self.conv2d(x).movedim(1, -1)  # (B, h, w, out_channels)
        return squash(x.reshape(len(x), -1, PRIMARY_DIM))


class RoutedCapsules(nn.Module):
    """Class capsules, each a vector whose length is the class's score."""

    def __init__(self, in_capsules: int, classes: int, routings: int = 3) -> None:
        super().__init__()
        self.routings = routings
        self.weight = nn.Parameter(0.01 * torch.randn(classes, in_capsules, CLASS_DIM, PRIMARY_DIM))

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, 8) -> (B, classes, 16). All rounds but the last pass no gradient."""
        u = torch.einsum("bni,jndi->bjnd", x, self.weight)  # (B, classes, N, 16)
        with torch.no_grad():
            logits = u.new_zeros(u.shape[:-1])  # (B, classes, N)
            for _ in range(self.routings - 1):
                logits = logits + torch.einsum("bjnd,bjd->bjn", u, self._vote(u, logits))
        return self._vote(u, logits)

    @staticmethod
    def _vote(u: Tensor, logits: Tensor) -> Tensor:
        coupling = logits.softmax(dim=1)  # over the classes
        return squash(torch.einsum("bjn,bjnd->bjd", coupling, u))


def capsule_lengths(capsules: Tensor) -> Tensor:
    """(B, classes, 16) -> (B, classes): the scores, in [0, 1)."""
    return torch.linalg.vector_norm(capsules, dim=-1)


def margin_loss(lengths: Tensor, labels: Tensor) -> Tensor:
    """Margin loss (eq. 4) with margins 0.99 and 0.01, absent classes at half weight.

    lengths (B, classes), labels (B,) of class numbers or (B, classes) of 0 and 1, where several
    may be present; a mean over the batch.
    """
    if labels.ndim == 1:
        labels = F.one_hot(labels, lengths.shape[1])
    present = labels.to(lengths.dtype)
    loss = present * F.relu(0.99 - lengths) ** 2
    loss = loss + 0.5 * (1 - present) * F.relu(lengths - 0.01) ** 2
    return loss.sum(dim=1).mean()
