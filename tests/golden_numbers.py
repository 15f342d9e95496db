"""Numbers that others computed, in tests/golden, and how close is the same."""

import numpy as np
import torch
from conftest import GOLDEN


def golden(name: str) -> dict[str, torch.Tensor]:
    arrays = np.load(GOLDEN / name)
    return {
        key: torch.from_numpy(arrays[key].astype(np.int64 if key == "f" else arrays[key].dtype))
        for key in arrays
    }


def same(value: torch.Tensor, wanted: torch.Tensor, within: float = 1e-5) -> None:
    torch.testing.assert_close(value, wanted, atol=within, rtol=0)
