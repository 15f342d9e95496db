"""Balanced sampling of a fold's training images."""

from typing import Literal

import numpy as np

Balance = Literal["frames", "repeats"]

IMAGES_A_CLIP = 5  # of the smallest class: the apex and its four neighbours


def sample_epoch(
    labels: np.ndarray,
    available: np.ndarray,
    rng: np.random.Generator,
    balance: Balance = "repeats",
) -> np.ndarray:
    """Draw one epoch's images so that each class has about five times the smallest one's clips.

    labels: (N,) class numbers of the training clips. available: (N,) neighbouring frames of
    each, 0 to 4. Returns (M, 2) shuffled pairs of clip position and slot, where slot 0 is the
    apex and 1 to 4 are the neighbours: every apex once, and for a clip of class c
    5 n_min / n_c - 1 neighbours without replacement, a fractional part drawn at random. Where
    fewer are there, repeats takes the clip's frames again, the apex first, so that classes stay
    balanced and an epoch is as long; frames leaves it at what is there.
    """
    counts = np.bincount(labels)
    smallest = counts[counts > 0].min()
    wanted = np.clip(IMAGES_A_CLIP * smallest / counts[labels] - 1, 0, None)
    whole = np.floor(wanted).astype(int)
    number = whole + (rng.random(len(labels)) < wanted - whole)
    pairs = [(clip, 0) for clip in range(len(labels))]
    for clip, (n, there) in enumerate(zip(number, available)):
        drawn = 1 + rng.permutation(there)[:n]
        again = np.arange(max(n - there, 0) if balance == "repeats" else 0) % (there + 1)
        pairs += [(clip, slot) for slot in (*drawn, *again)]
    return rng.permutation(np.array(pairs))
