"""Kernel machines on motion maps: kernel ridge regression and support vectors as networks.

scikit-learn fits them (loso.at_once); as modules they are kept, shown and run as all others.
"""

import torch
from torch import Tensor, nn

from .motion import ClassNet
from .registry import Plan


class KernelMachine(nn.Module):
    """What has been fitted with the kernel k(x, s) = exp(-|x - s|² / D).

    forward: (B, D) -> sum over the N kept maps s of their weights (N, classes) times k(x, s), and
    the bias (classes,).
    """

    support: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(self, width: int, classes: int) -> None:
        """`width`: D. Nothing is kept yet."""
        super().__init__()
        self.register_buffer("support", torch.zeros(0, width))
        self.register_buffer("weight", torch.zeros(0, classes))
        self.register_buffer("bias", torch.zeros(classes))

    def keep(self, support: Tensor, weight: Tensor, bias: Tensor) -> None:
        """Take what was fitted: (N, D), (N, classes) and (classes,)."""
        self.support, self.weight, self.bias = support.float(), weight.float(), bias.float()

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        # By differences: squares that are subtracted would lose the last digits.
        apart = torch.cdist(x, self.support, compute_mode="donot_use_mm_for_euclid_dist")
        return torch.exp(-apart.square() / x.shape[1]) @ self.weight + self.bias

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *rest: object) -> None:
        """As many maps as a file has: only fitting says how many are kept."""
        support, weight = (state_dict.get(prefix + name) for name in ("support", "weight"))
        if support is not None and weight is not None and len(support) == len(weight):
            self.support = self.support.new_zeros(len(support), self.support.shape[1])
            self.weight = self.weight.new_zeros(len(weight), self.weight.shape[1])
        super()._load_from_state_dict(state_dict, prefix, *rest)


def build(plan: Plan) -> ClassNet:
    """A machine that keeps nothing yet: N x 2352 numbers and as many weights at 28 px."""
    size = plan.motion_size
    return ClassNet(nn.Flatten(), KernelMachine(3 * size * size, plan.classes), size)
