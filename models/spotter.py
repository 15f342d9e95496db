"""A network that finds expressions in curves of facial actions: where, how long, how sure.

Convolutions over time with growing gaps (van den Oord et al. 2016), and at every moment what an
anchor-free detector says of it (as ActionFormer, Zhang et al. 2022): whether it is inside of a
micro- or a macro-expression, and how far that one's onset and offset are. It also says what the
curves themselves would be without the noise, which is more to learn from than a few intervals.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MEMBERS = 4  # of the committee that ships
WIDTH = 48
CURVES = 4.0  # weight of the curves' loss
GAPS = (1, 2, 4, 8, 16, 32)  # the last reaches 4 s to both sides, at 30 frames a second


class Spotter(nn.Module):
    """Channels (B, C, T) -> logits (B, 2, T) of micro and macro, reach (B, 2, T) in frames, and
    the true curves (B, K, T)."""

    def __init__(self, channels: int, curves: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(channels, WIDTH, 5, padding=2)
        self.layers = nn.ModuleList(
            nn.Conv1d(WIDTH, WIDTH, 5, padding=2 * gap, dilation=gap) for gap in GAPS
        )
        self.mixes = nn.ModuleList(nn.Conv1d(WIDTH, WIDTH, 1) for _ in GAPS)
        self.norms = nn.ModuleList(nn.BatchNorm1d(WIDTH) for _ in GAPS)
        self.drop = nn.Dropout(0.1)
        self.score = nn.Conv1d(WIDTH, 2, 1)
        self.reach = nn.Conv1d(WIDTH, 2, 1)
        self.curves = nn.Conv1d(WIDTH, curves, 1)
        assert self.score.bias is not None and self.reach.bias is not None
        nn.init.constant_(self.score.bias, -3.0)  # nearly always nothing
        nn.init.constant_(self.reach.bias, 2.0)

    def forward(self, channels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the class."""
        x = F.relu(self.first(channels))
        for layer, mix, norm in zip(self.layers, self.mixes, self.norms):
            x = x + self.drop(mix(F.relu(norm(layer(x)))))
        x = F.relu(x)
        return self.score(x), self.reach(x).clamp(-3, 6).exp(), self.curves(x)


class Committee(nn.Module):
    """Spotters that learned from different starts; what they say in the mean is what they give:
    of logits, of reach as logarithms, and of curves."""

    def __init__(self, members: list[Spotter]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, channels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See Spotter."""
        logits, reach, curves = zip(*[member(channels) for member in self.members])
        mean_reach = torch.stack(reach).log().mean(0).exp()
        return torch.stack(logits).mean(0), mean_reach, torch.stack(curves).mean(0)


def spotter_loss(
    output: tuple[Tensor, Tensor, Tensor],
    inside: Tensor,
    reach: Tensor,
    counted: Tensor,
    curves: Tensor,
) -> Tensor:
    """Focal cross-entropy (Lin et al. 2017) of the logits, 1 - IoU of the intervals, and how far
    the curves are from the true ones.

    inside (B, 2, T) 0 or 1; reach (B, 2, T) frames to onset and offset, where inside; counted
    (B, 2, T) 0 where it does not matter what a logit says; curves (B, K, T).
    """
    logits, found, read = output
    p = logits.sigmoid()
    hit = torch.where(inside > 0, p, 1 - p)
    weight = (1 - hit) ** 2 * torch.where(inside > 0, 0.6, 0.4) * counted
    entropy = F.binary_cross_entropy_with_logits(logits, inside, reduction="none")
    positive = inside.amax(1)
    shared = torch.minimum(found, reach).sum(1) + 1
    whole = torch.maximum(found, reach).sum(1) + 1
    overlap = ((1 - shared / whole) * positive).sum() / positive.sum().clamp_min(1)
    return (
        (weight * entropy).sum() / positive.sum().clamp_min(1)
        + overlap
        + CURVES * F.smooth_l1_loss(read, curves)
    )
