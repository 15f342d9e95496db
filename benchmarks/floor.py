"""What this machine can do at best: arithmetic and copies, measured."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F


@dataclass(frozen=True)
class Floor:
    """Best measured rates a second: floating-point operations, bytes read and written."""

    float32: float
    bf16: float
    copy: float

    def seconds(self, flops: float, half: bool, moved: float) -> float:
        """What `flops` operations and `moved` bytes take, one after the other."""
        return flops / (self.bf16 if half else self.float32) + moved / self.copy


def measure_floor() -> Floor:
    """Matrix products of 1024 and a 3x3 convolution over 256 channels; a copy of 256 MiB.

    The convolution counts too: of the libraries here, the one for matrix products is not always
    the one that gets the most out of a processor in float32.
    """
    return Floor(_arithmetic(torch.float32), _arithmetic(torch.bfloat16), _copy())


def _arithmetic(dtype: torch.dtype) -> float:
    matrix = torch.randn(1024, 1024, dtype=dtype)
    maps = torch.randn(8, 256, 32, 32, dtype=dtype).contiguous(memory_format=torch.channels_last)
    filters = torch.randn(256, 256, 3, 3, dtype=dtype)
    return max(
        2 * 1024**3 / _best(lambda: matrix @ matrix),
        2 * 8 * 30 * 30 * 256 * 256 * 9 / _best(lambda: F.conv2d(maps, filters)),
    )


def _copy() -> float:
    source = torch.ones(2**28, dtype=torch.uint8)
    target = torch.empty_like(source)
    return 2 * 2**28 / _best(lambda: target.copy_(source))


def _best(do: Callable[[], object], times: int = 10) -> float:
    taken = []
    for _ in range(times + 2):
        start = time.perf_counter()
        do()
        taken.append(time.perf_counter() - start)
    return min(taken)
