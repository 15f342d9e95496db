"""Balanced sampling: about five times the smallest class's clips of every class."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.sampling import sample_epoch


@given(
    st.lists(st.integers(1, 40), min_size=2, max_size=5),
    st.integers(0, 4),
    st.integers(0, 2**32 - 1),
)
def test_an_epoch_holds_every_apex_once_and_no_frame_twice(counts, available, seed):
    labels = np.repeat(np.arange(len(counts)), counts)
    there, rng = np.full(len(labels), available), np.random.default_rng(seed)
    pairs = sample_epoch(labels, there, rng, "frames")
    assert sorted(pairs[pairs[:, 1] == 0, 0]) == list(range(len(labels)))
    assert len(np.unique(pairs, axis=0)) == len(pairs)
    assert pairs[:, 1].max(initial=0) <= available


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((250, 109, 83), (415, 415, 415)),  # the composite: 5 x 83 of each
        ((92, 26, 15), (92, 75, 75)),  # SAMM: 92 apexes are more than 5 x 15 already
    ],
)
def test_classes_are_balanced_on_average(counts, expected):
    labels = np.repeat(np.arange(3), counts)
    rng = np.random.default_rng(0)
    seen = np.mean(
        [
            np.bincount(labels[sample_epoch(labels, np.full(len(labels), 4), rng)[:, 0]])
            for _ in range(200)
        ],
        axis=0,
    )
    assert seen == pytest.approx(expected, rel=0.01)


@given(st.lists(st.integers(1, 40), min_size=2, max_size=4), st.integers(0, 4))
def test_classes_stay_balanced_where_frames_are_lacking(counts, available):
    labels = np.repeat(np.arange(len(counts)), counts)
    draws = [
        sample_epoch(labels, np.full(len(labels), there), np.random.default_rng(3))
        for there in (available, 4)
    ]
    lacking, whole = (np.bincount(labels[pairs[:, 0]]) for pairs in draws)
    assert (lacking == whole).all()
    seen = draws[0]
    assert seen[:, 1].max() <= available
    for clip in range(len(labels)):
        slots = np.bincount(seen[seen[:, 0] == clip, 1], minlength=available + 1)
        assert slots[0] >= 1 and slots.max() <= 1 + 4 // (available + 1)


def test_each_epoch_is_a_new_draw_from_the_same_generator():
    labels, available = np.repeat([0, 1], [9, 20]), np.full(29, 4)
    one, two = np.random.default_rng(1), np.random.default_rng(1)
    first, second = sample_epoch(labels, available, one), sample_epoch(labels, available, one)
    assert (first == sample_epoch(labels, available, two)).all()
    assert first.shape != second.shape or (first != second).any()
