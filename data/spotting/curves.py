"""Facial actions over time as the spotter's network reads them: at one rate, without drift."""

import numpy as np

from .actions import ACTIONS, COLUMNS, GAZE, POSE, READINGS

RATE = 30.0  # frames a second that the network learned
AROUND = 3.0  # seconds to both sides whose mean is taken off
# One unit of a channel: about what a clear movement measures.
SCALES = np.array(([0.1] * len(ACTIONS + GAZE) + [0.05] * len(POSE)) * READINGS, np.float32)
LIMIT = 12.0
CHANNELS = READINGS * (len(COLUMNS) + 1) + 1  # and their noise, and whether there is a face


def curve_channels(values: np.ndarray) -> np.ndarray:
    """Values (T, V) at RATE, NaN without a face -> channels (C, T) float32.

    The last ones are the logarithm of each reading's noise, and 1 where there is no face.
    """
    there = np.isfinite(values[:, 0])
    filled = _filled(values, there)
    channels = _scaled(filled) * there[:, None]
    readings = np.split(filled, READINGS, 1)
    noise = [np.log10(noise_level(one) + 1e-4) + 2.5 for one in readings]
    all_along = np.tile(noise, (len(values), 1))
    return np.concatenate([channels, all_along, ~there[:, None]], 1).T.astype(np.float32)


def true_curves(columns: np.ndarray) -> np.ndarray:
    """What happened, columns (T, K) at RATE -> what the channels of either reading would be (K, T)
    without any fault."""
    return _scaled(columns).T.astype(np.float32)


def _scaled(values: np.ndarray) -> np.ndarray:
    rest = values - _mean_around(values, int(AROUND * RATE))
    return np.clip(rest / SCALES[: values.shape[1]], -LIMIT, LIMIT)


def noise_level(values: np.ndarray) -> float:
    """How much columns (T, K) tremble from frame to frame: a median of second differences."""
    if len(values) < 3:
        return 0.0
    second = np.abs(np.diff(values[:, : len(ACTIONS)], 2, axis=0))
    return float(np.median(second, 0).mean())


def at_rate(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Columns (N, K) at rising times in seconds (N,) -> (T, K) at RATE from 0 on.

    Where the nearest frame has no face there is none.
    """
    grid = np.arange(int(np.floor(times[-1] * RATE)) + 1) / RATE
    there = np.isfinite(values[:, 0])
    if not there.any():
        return np.full((len(grid), values.shape[1]), np.nan, np.float32)
    filled = _filled(values, there)
    after = np.clip(np.searchsorted(times, grid), 1, max(len(times) - 1, 1))
    before = after - 1
    after = np.minimum(after, len(times) - 1)
    span = np.maximum(times[after] - times[before], 1e-9)
    share = np.clip((grid - times[before]) / span, 0, 1)[:, None]
    mixed = filled[before] * (1 - share) + filled[after] * share
    nearest = np.where(share[:, 0] < 0.5, before, after)
    mixed[~there[nearest]] = np.nan
    return mixed.astype(np.float32)


def _filled(values: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Columns with straight lines over what lacks."""
    if there.all() or not there.any():
        return np.nan_to_num(values)
    at = np.arange(len(values))
    known = np.flatnonzero(there)
    right = np.clip(np.searchsorted(known, at), 0, len(known) - 1)
    left = np.clip(right - (known[right] > at), 0, len(known) - 1)
    a, b = known[left], known[right]
    share = np.clip((at - a) / np.maximum(b - a, 1), 0, 1)[:, None]
    return values[a] * (1 - share) + values[b] * share


def _mean_around(values: np.ndarray, reach: int) -> np.ndarray:
    """The mean of `reach` rows to both sides, fewer at the ends."""
    total = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, 0, dtype=float)])
    at = np.arange(len(values))
    low, high = np.maximum(at - reach, 0), np.minimum(at + reach + 1, len(values))
    return (total[high] - total[low]) / (high - low)[:, None]
