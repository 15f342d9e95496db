"""Synthetic streams that the spotter learns from, and the tool that makes it."""

import numpy as np
import pytest
import torch

from common.errors import UserError
from data.spotting.actions import COLUMNS, action_reader
from data.spotting.intervals import MICRO
from deca.anny.head import load_head
from synthetic.motion.actions import UNIT_NUMBERS
from synthetic.motion.domains import PLAIN
from synthetic.motion.streams import make_stream
from synthetic.motion.timelines import RATE, Life, draw_timeline
from tools import make_spotter

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


def test_the_network_learns_from_streams(monkeypatch):
    monkeypatch.setattr(make_spotter, "FRAMES", 300)
    curves, timelines = make_spotter.draw_curves(8, 1, (PLAIN,), action_reader())
    inside, reach, counted = make_spotter.aims(timelines[0])
    for event in timelines[0].expressions:
        kind = int(event.kind == "macro")
        middle = (event.onset + event.offset) // 2
        assert inside[kind, middle] == counted[kind, middle] == 1
        assert reach[:, middle].sum() == event.offset - event.onset
        assert inside[kind, event.onset] == counted[kind, event.onset] == 0
    first, again = (make_spotter.train(curves, timelines, 1, 5) for _ in range(2))
    for one, other in zip(first.parameters(), again.parameters()):
        assert torch.equal(one, other)
    scores, right, true = make_spotter.judge(first, curves, timelines)
    assert len(scores) == len(right) and true == sum(len(t.expressions) for t in timelines)


def test_scores_become_shares_of_right_ones():
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.05, 0.95, 5000)
    slope, offset = make_spotter.calibrate(scores, rng.random(5000) < scores**2)
    odds = np.log(0.7 / 0.3)
    assert 1 / (1 + np.exp(-(slope * odds + offset))) == pytest.approx(0.49, abs=0.05)
    with pytest.raises(UserError, match="nothing is spotted, right and wrong"):
        make_spotter.calibrate(scores, np.zeros(5000, bool))


def test_the_tool_says_when_it_has_too_little():
    with pytest.raises(UserError, match="too few"):
        make_spotter.main(streams=4)
