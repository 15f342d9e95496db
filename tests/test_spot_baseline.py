"""The training-free baseline: peaks of curves, and windows of a video."""

import cv2
import numpy as np

from benchmarks.spot_baseline import STEP, WINDOW, _merged, _peaks, _windows


def bump(middle, width, height, length=WINDOW):
    at = np.arange(length)
    return height * np.exp(-(((at - middle) / width) ** 2))


def test_a_peak_that_is_high_enough_is_an_interval_around_it():
    for slow in (False, True):
        (found,) = _peaks(bump(100, 6, 4.0), "mouth", 30, slow)
        assert found[0] < 100 < found[1] and 8 <= found[1] - found[0] <= 24
    assert _peaks(bump(100, 6, 1.0), "mouth", 30) == []
    assert _peaks(bump(10, 6, 4.0, length=20), "mouth", 30) == []


def test_slow_expressions_are_longer_without_the_band_pass():
    curve = bump(100, 25, 4.0)
    (slow,) = _peaks(curve, "mouth", 30, True)
    fast = _peaks(curve, "mouth", 30)
    assert all(b - a < slow[1] - slow[0] for a, b in fast)


def test_a_deep_valley_parts_two_peaks():
    two = bump(80, 8, 4.0) + bump(110, 8, 4.0)
    found = _merged(_peaks(two, "brows", 30, True))
    assert len(found) == 2 and found[0][1] <= found[1][0] + 5


def test_intervals_that_share_a_third_are_one():
    assert _merged([(0, 20), (16, 30), (100, 120)]) == [(0, 20), (16, 30), (100, 120)]
    assert _merged([(0, 20), (10, 30), (100, 120)]) == [(0, 30), (100, 120)]


def test_windows_step_through_a_folder_and_number_its_frames(tmp_path):
    for n in range(1, 1 + 2 * 250):
        cv2.imwrite(str(tmp_path / f"img{n}.jpg"), np.zeros((8, 8), np.uint8))
    found = list(_windows(tmp_path, 2))
    assert [w.numbers[0] for w, _ in found] == [1, 1 + 2 * STEP]
    assert [last for _, last in found] == [False, True]
    assert found[0][0].numbers[:3] == [1, 3, 5] and found[-1][0].numbers[-1] == 499
