"""Coordinate attention: where along height, and where along width, a channel matters.

Hou, Zhou, Feng, "Coordinate Attention for Efficient Mobile Network Design" (CVPR 2021).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

REDUCTION = 32
MIN_CHANNELS = 8


class CoordinateAttention(nn.Module):
    """Two attention maps, one along each axis of the picture, on every channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        middle = max(MIN_CHANNELS, channels // REDUCTION)
        self.conv1 = nn.Conv2d(channels, middle, 1)
        self.bn1 = nn.BatchNorm2d(middle)
        self.conv2 = nn.Conv2d(middle, channels, 1)  # along the height
        self.conv3 = nn.Conv2d(middle, channels, 1)  # along the width

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W), each value weighted by its row's and its column's map."""
        height, width = x.shape[-2:]
        rows = x.mean(dim=3, keepdim=True)  # (B, C, H, 1)
        columns = x.mean(dim=2, keepdim=True).mT  # (B, C, W, 1)
        joined = F.hardswish(self.bn1(self.conv1(torch.cat([rows, columns], dim=2))))
        rows, columns = joined.split([height, width], dim=2)
        return x * self.conv2(rows).sigmoid() * self.conv3(columns.mT).sigmoid()
