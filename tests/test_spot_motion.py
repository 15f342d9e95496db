"""Synthetic streams that the spotter learns from, and the tool that makes it."""

import numpy as np
import pytest
import torch

from common.errors import UserError
from data.spotting.actions import COLUMNS, UNITS, action_reader, mirrored
from data.spotting.fit import PLANES
from data.spotting.intervals import MICRO
from deca.anny.head import load_head
from models.spotter import MEMBERS, Committee, Spotter
from synthetic.long import learning
from synthetic.motion.actions import UNIT_NUMBERS
from synthetic.motion.domains import PLAIN
from synthetic.motion.streams import make_stream
from synthetic.motion.timelines import RATE, Life, draw_timeline
from tools import make_spotter, spotter_data, spotter_training

CALM = Life(
    micro=(10, 10), macro=(5, 5), blinks=(0, 0), glances=(0, 0), speech=(0, 0), turns=(0, 0),
    fidgets=(0, 0), lights=(0, 0), sway=(0.001, 0.001), still=0, macro_strength=(0.8, 0.9),
)  # fmt: skip


@pytest.fixture(scope="module")
def columns() -> dict[str, int]:
    return {name: i for i, name in enumerate(load_head().actions)}


def test_timelines_keep_their_rules(columns):
    for seed in range(30):
        life = Life(still=0)
        timeline = draw_timeline(np.random.default_rng(seed), 1800, columns, life)
        assert timeline.actions.shape == (1800, 52) and timeline.turn.shape == (1800, 3)
        last = -1
        for event in timeline.expressions:
            assert 0 <= event.onset < event.apex < event.offset < 1800
            seconds = (event.offset - event.onset + 1) / RATE
            assert (seconds <= MICRO) == (event.kind == "micro")
            assert event.onset > last and event.units.shape == (len(UNIT_NUMBERS), 2)
            assert event.label in (0, 1, 2) and event.units.max() <= life.macro_strength[1]
            last = event.offset
    still = draw_timeline(np.random.default_rng(0), 300, columns, Life(still=1))
    assert still.expressions == []


def test_a_stream_follows_from_its_seed():
    first, again = make_stream(3, PLAIN, 4, 200), make_stream(3, PLAIN, 4, 200)
    np.testing.assert_array_equal(first.flow, again.flow)
    assert first.flow.shape == (200, 2, 28, 28) and np.isfinite(first.flow).all()
    assert not np.array_equal(first.flow, make_stream(3, PLAIN, 5, 200).flow)


def test_smiles_are_read_where_they_are():
    read, true = [], []
    for number in range(12):
        stream = make_stream(7, PLAIN, number, 900, CALM)
        values = action_reader().read(stream.flow)
        for event in stream.timeline.expressions:
            read.append(values[event.apex] - values[event.onset])
            true.append(event.units[UNIT_NUMBERS.index(12)])
    read, true = np.array(read), np.array(true)
    for side, name in enumerate(("mouthSmileLeft", "mouthSmileRight")):
        assert np.corrcoef(read[:, COLUMNS.index(name)], true[:, side])[0, 1] > 0.85


def test_the_network_learns_from_streams():
    curves, timelines = spotter_data.draw_curves(8, 1, (PLAIN,), action_reader(), 300)
    inside, reach, counted = spotter_training.aims(timelines[0])
    for event in timelines[0].expressions:
        kind = int(event.kind == "macro")
        middle = (event.onset + event.offset) // 2
        assert inside[kind, middle] == counted[kind, middle] == 1
        assert reach[:, middle].sum() == event.offset - event.onset
        assert inside[kind, event.onset] == counted[kind, event.onset] == 0
    first, again = (spotter_training.train(curves, timelines, 1, 5) for _ in range(2))
    for one, other in zip(first.parameters(), again.parameters()):
        assert torch.equal(one, other)
    scores, right, true = spotter_training.judge(first, curves, timelines)
    assert len(scores) == len(right) and true == sum(len(t.expressions) for t in timelines)


def test_a_committee_says_the_mean():
    torch.manual_seed(3)
    members = [Spotter(5, 4).eval() for _ in range(2)]
    channels = torch.randn(1, 5, 40)
    logits, reach, curves = Committee(members)(channels)
    one, other = (member(channels) for member in members)
    torch.testing.assert_close(logits, (one[0] + other[0]) / 2)
    torch.testing.assert_close(reach, (one[1] * other[1]).sqrt())
    torch.testing.assert_close(curves, (one[2] + other[2]) / 2)
    assert not torch.equal(one[0], other[0])


def test_members_are_the_same_trained_here_and_by_workers():
    curves, timelines = spotter_data.draw_curves(8, 1, (PLAIN,), action_reader(), 150)
    here, there = (
        spotter_training.train_members(curves, timelines, 1, 5, workers) for workers in (1, 2)
    )
    assert len(here.members) == len(there.members) == MEMBERS
    for one, other in zip(here.parameters(), there.parameters()):
        assert torch.equal(one, other)


def test_a_mirror_changes_sides_and_nothing_else():
    values = np.random.default_rng(0).normal(size=(6, 2 * len(COLUMNS)))
    shown = mirrored(values)
    np.testing.assert_array_equal(mirrored(shown), values)
    left, right, yaw = (COLUMNS.index(n) for n in ("mouthSmileLeft", "mouthSmileRight", "yaw"))
    for reading in (0, len(COLUMNS)):
        np.testing.assert_array_equal(shown[:, reading + left], values[:, reading + right])
        np.testing.assert_array_equal(shown[:, reading + yaw], -values[:, reading + yaw])
    jaw = shown[:, COLUMNS.index("jawOpen")]
    np.testing.assert_array_equal(jaw, values[:, COLUMNS.index("jawOpen")])


def test_shares_of_units_that_are_read():
    """Of readings that show half of everything, half is read; the other is all of it."""
    _, timelines = spotter_data.draw_curves(3, 1, (PLAIN,), action_reader(), 600)
    true = [spotter_data.targets(life.actions, life.turn) for life in timelines]
    shares = spotter_training.shares_read([np.concatenate([t, t / 2], 1) for t in true], timelines)
    assert shares and set(shares) <= set(UNITS)
    assert all(share == pytest.approx(0.75, abs=0.01) for share in shares.values())


def test_scores_become_shares_of_right_ones():
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.05, 0.95, 5000)
    slope, offset = spotter_training.calibrate(scores, rng.random(5000) < scores**2)
    odds = np.log(0.7 / 0.3)
    # In life there are a quarter as many expressions, and as much else.
    share = 0.49 / 4 / (0.49 / 4 + 0.51)
    assert 1 / (1 + np.exp(-(slope * odds + offset))) == pytest.approx(share, abs=0.04)
    with pytest.raises(UserError, match="nothing is spotted, right and wrong"):
        spotter_training.calibrate(scores, np.zeros(5000, bool))


def test_films_are_drawn_followed_and_read_once(tmp_path, monkeypatch):
    """A tiny film of the real format: amounts of motions, frame by frame, beside what happened."""
    monkeypatch.setattr(learning, "SECONDS", 2.0)
    reader, films = action_reader(), range(5000, 5001)
    given = (films, tmp_path, reader.motions, reader.of_flow, 1)
    spotter_data.follow_films(*given)
    records = sorted(tmp_path.glob("*.npz"))
    assert len(records) == 3 and len(list(tmp_path.glob("*.avi"))) == 1
    written = [path.stat().st_mtime_ns for path in records]
    spotter_data.follow_films(*given)
    assert [path.stat().st_mtime_ns for path in records] == written
    (values, life), *_ = spotter_data.films_followed(films, tmp_path)
    assert values.shape == (60, len(COLUMNS) + len(reader.motions.fields))
    assert len(life.actions) == 60 and np.isfinite(values).all() and np.abs(values[-1]).max() > 0
    moved, changed = spotter_data.film_pairs(films, tmp_path)
    assert len(moved) == len(changed) == 3 * spotter_data.FILM_PAIRS
    weights = make_spotter.map_of_amounts(moved, changed)
    assert weights.shape == reader.of_fit.shape and not weights[:, :PLANES].any()
    judged = make_spotter.judge_actions(weights, (moved, changed))
    assert judged["pitch"] > 0.9  # it was fitted to them


def test_a_camera_of_fewer_frames_shows_the_same_course():
    values = np.sin(np.arange(300)[:, None] / 20 + np.arange(43)).astype(np.float32)
    for rate in (20.0, 24.3, 30.0):
        thinned = spotter_training._thinned(values, rate)
        assert thinned.shape == values.shape and np.abs(thinned - values).max() < 0.01


def test_the_tool_says_when_it_has_too_little():
    with pytest.raises(UserError, match="too few"):
        make_spotter.main(streams=4)
