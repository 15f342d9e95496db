"""The training-free baseline: peaks of curves, and windows of a video."""

import cv2
import numpy as np

from benchmarks.spot_baseline import STEP, WINDOW, _peaks, _strongest, _windows


def bump(middle, width, height, length=WINDOW):
    at = np.arange(length)
    return height * np.exp(-(((at - middle) / width) ** 2))


def test_a_peak_that_is_high_enough_is_an_interval_around_it():
    for slow in (False, True):
        found = max(_peaks(bump(100, 6, 4.0), "mouth", 30, slow), key=lambda peak: peak[2])
        assert found[0] < 100 < found[1] and 8 <= found[1] - found[0] <= 24
    assert _peaks(bump(100, 6, 1.0), "mouth", 30) == []
    assert _peaks(bump(10, 6, 4.0, length=20), "mouth", 30) == []


def test_slow_expressions_are_longer_without_the_band_pass():
    curve = bump(100, 25, 4.0)
    (slow,) = _peaks(curve, "mouth", 30, True)
    fast = _peaks(curve, "mouth", 30)
    assert all(b - a < slow[1] - slow[0] for a, b, _ in fast)


def test_a_deep_valley_parts_two_peaks():
    two = bump(80, 8, 4.0) + bump(110, 8, 4.0)
    found = sorted(_strongest(_peaks(two, "brows", 30, True)))
    assert len(found) == 2 and found[0][1] <= found[1][0] + 5


def test_of_peaks_that_share_a_third_the_highest_stays():
    apart, far = [(0, 20, 1.0), (16, 30, 2.0)], (100, 120, 0.5)
    assert sorted(_strongest([*apart, far])) == [*apart, far]
    assert _strongest([(0, 20, 1.0), (10, 30, 2.0), far]) == [(10, 30, 2.0), far]


def test_windows_step_through_a_folder_and_number_its_frames(tmp_path):
    for n in range(1, 1 + 2 * 250):
        cv2.imwrite(str(tmp_path / f"img{n}.jpg"), np.zeros((8, 8), np.uint8))
    found = list(_windows(tmp_path, 2))
    assert [w.numbers[0] for w, _ in found] == [1, 1 + 2 * STEP]
    assert [last for _, last in found] == [False, True]
    assert found[0][0].numbers[:3] == [1, 3, 5] and found[-1][0].numbers[-1] == 499
