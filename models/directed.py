"""Flow split by where it points, read by one linear layer in a metric of its own.

A linear layer on u and v cannot tell a face that moves little from one whose sides move against
each other, and learns left and right apart. So each of u and v is split into its two directions,
and a map stands beside its mirror image: one face, whichever side moved.
"""

import torch
from torch import Tensor, nn

from .motion import MotionNet, flip
from .registry import Plan

AXES = 128  # of the metric
SOFTENED = 0.25  # the power of the within-class variance that a direction is divided by


class Directions(nn.Module):
    """Standardised maps (B, 3, S, S) -> (B, 5 S ceil(S / 2)), in the metric.

    The channels are motion to the right, left, down and up, and strain; the left half of each
    stands for both halves. The metric divides what differs within a class by its size: directions
    of `axes` (AXES, D) are scaled by scale + gain (AXES,), all others by scale. It is the identity
    until weights are loaded.
    """

    axes: Tensor
    gain: Tensor
    scale: Tensor

    def __init__(self, size: int) -> None:
        """For maps of side `size`."""
        super().__init__()
        self.width = 5 * size * ((size + 1) // 2)
        self.register_buffer("axes", torch.zeros(AXES, self.width))
        self.register_buffer("gain", torch.zeros(AXES))
        self.register_buffer("scale", torch.ones(()))

    def forward(self, maps: Tensor) -> Tensor:
        """See the class."""
        both = (directions(maps) + directions(flip(maps))) / 2  # (B, 5, S, S)
        x = both[..., : (maps.shape[-1] + 1) // 2].flatten(1)
        return self.scale * x + (x @ self.axes.T * self.gain) @ self.axes

    @torch.no_grad()
    def learn_metric(self, x: Tensor, labels: Tensor) -> None:
        """Set the metric from features (N, D) in the identity's, and their classes (N,).

        Their mean square stays what it is. What varies less than the last axis counts as that one.
        """
        within = torch.cat(
            [x[labels == label] - x[labels == label].mean(0) for label in labels.unique()]
        )
        sizes, axes = torch.linalg.eigh(within.T.double() @ within.double() / len(x))
        sizes, axes = sizes.flip(0)[:AXES], axes.flip(1)[:, :AXES].T
        scale = sizes[-1] ** -SOFTENED
        gain = sizes**-SOFTENED - scale
        along = x.double() @ axes.T
        rest = x.double().square().sum() - along.square().sum()
        after = rest * scale**2 + (along * (scale + gain)).square().sum()
        unit = (x.double().square().sum() / after).sqrt()
        self.axes.copy_(axes)
        self.gain.copy_(gain * unit)
        self.scale.copy_(scale * unit)


def directions(maps: Tensor) -> Tensor:
    """Maps (B, 3, S, S) of u, v, strain -> (B, 5, S, S): right, left, down, up, strain."""
    u, v, strain = maps.unbind(1)
    return torch.stack(
        [u.clamp_min(0), -u.clamp_max(0), v.clamp_min(0), -v.clamp_max(0), strain], 1
    )


def build(plan: Plan) -> MotionNet:
    """37,000 weights at 28 px: one a pixel of half a face, direction and output; and the metric."""
    body = Directions(plan.motion_size)
    return MotionNet(body, body.width, plan.motion_size, plan.classes)
