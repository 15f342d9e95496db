"""Films that the spotter learns from: what happens in them, and how cameras see them."""

import cv2
import numpy as np
import pytest

from data.corpora.known import CORPORA
from synthetic.long.avi import write_avi
from synthetic.long.learning import (
    BARE_FROM,
    CAMERAS,
    CORPUS,
    SECONDS,
    cameras_of,
    plan_learning,
    see,
    what_happens,
)
from synthetic.long.looks import HARSH_FROM, LOOKS, look_of
from synthetic.long.plan import EXPRESSIONS, LAYOUTS, LongSize, plan_long


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    path = tmp_path_factory.mktemp("films") / "1.avi"
    rng = np.random.default_rng(0)
    still = cv2.GaussianBlur(rng.uniform(0, 255, (320, 400)).astype(np.uint8), (0, 0), 4)
    frames = [cv2.imencode(".jpg", still, [cv2.IMWRITE_JPEG_QUALITY, 97])[1].tobytes()] * 5
    write_avi(path, frames, 30, (400, 320))
    return path


def test_a_film_is_busier_than_life_and_told_frame_by_frame():
    video, life = plan_learning(5000), what_happens(5000)
    assert (video.fps, video.frames) == (30, 30 * SECONDS)
    assert life.actions.shape == (1200, 52) and life.turn.shape == (1200, 3)
    (plain,) = plan_long(5000, {CORPUS: LongSize(1, 1, (SECONDS, SECONDS + 0.01))}, "plain")
    counts = [sum(e.kind in EXPRESSIONS for e in one.events) for one in (video, plain)]
    assert counts[0] == len(life.expressions) >= 2 * counts[1]
    planned = [e for e in video.events if e.kind in EXPRESSIONS]
    assert [e.onset + 1 for e in life.expressions] == [e.onset for e in planned]
    assert plan_learning(5000) == video != plan_learning(5001)


def test_learned_from_are_faces_with_glasses_and_without():
    people = CORPORA[LAYOUTS[CORPUS].person]
    seeds = (5000, BARE_FROM - 1, BARE_FROM, BARE_FROM + 9)
    wear = [people.wears_glasses(plan_learning(seed).subject) for seed in seeds]
    assert wear == [True, True, False, False]


def test_cameras_see_the_same_each_time_and_each_its_own(film):
    for name, camera in CAMERAS.items():
        frames = list(see(film, 1, name))
        assert len(frames) == 5 and frames[0].dtype == np.uint8
        assert frames[0].shape[0] == pytest.approx(320 * camera.scale, rel=0.06)
        for one, other in zip(frames, see(film, 1, name)):
            np.testing.assert_array_equal(one, other)
        assert not np.array_equal(frames[0], frames[1])  # the noise is another
    assert {name for seed in range(12) for name in cameras_of(seed)} == set(CAMERAS)
    assert all(len(set(cameras_of(seed))) == 3 for seed in range(50))


def test_what_is_reported_on_lies_outside_of_what_is_learned():
    far = LOOKS["far"]
    for camera in CAMERAS.values():
        for name in ("noise", "quality"):
            low, high = sorted((getattr(far, name), getattr(camera, name)))
            assert low[1] < high[0]
    looks = [look_of("learn", seed) for seed in (*range(5000, 5030), *range(HARSH_FROM, 5200))]
    assert all(abs(np.log(look.fill / far.fill)) > 0.25 for look in looks)
    assert all(abs(np.log(look.sway / far.sway)) > 0.15 for look in looks)
    harder = [look for look in looks if look.fill < far.fill and look.sway > far.sway]
    assert 0 < len(harder) < len(looks) / 2
