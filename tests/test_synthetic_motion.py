"""Synthetic motion: which way faces move, that it agrees with pixels, that a seed decides it."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import call

from common.errors import UserError
from data.faces import load_face_finder
from data.motion.flow import clip_motion, flow_to_maps
from deca.anny.head import load_head
from models.motion import UNITS as NETWORK_UNITS
from synthetic.demo.figure import build_figure
from synthetic.demo.people import sample_person, sample_setting
from synthetic.demo.plan import generator
from synthetic.demo.render import render
from synthetic.motion import pairs as pairs
from synthetic.motion.actions import PATTERNS, UNIT_NUMBERS, UNITS, Acting, draw_actions, names_of
from synthetic.motion.domains import HELD_OUT, PLAIN, TRAINING
from synthetic.motion.pairs import BLOCK, make_motion

CALM = Acting(one_sided=0, blink=0, gaze=0, stray=0, strength=(0.5, 0.5), at_apex=(1, 1))
EXACT = replace(
    PLAIN, name="exact", acting=CALM, turn=(0, 0, 0), sway=(0, 0, 0), shift=0, crop_shift=0,
    crop_scale=0, blur=(0.001, 0.001), smear=(0, 0), noise=(0, 0), lid_noise=0, hidden=0,
)  # fmt: skip


@pytest.fixture(scope="module")
def exact():
    return make_motion(20 * BLOCK, 3, (EXACT,))


def shown(drawn, *units):
    wanted = np.isin(UNIT_NUMBERS, units)
    return drawn.maps[(drawn.units == wanted).all(1)]


def test_every_action_is_one_of_the_heads():
    actions = load_head().actions
    for unit in UNITS.values():
        for action in unit:
            assert set(names_of(action)) <= set(actions)
    assert {unit for rows in PATTERNS.values() for units, _ in rows for unit in units} == set(UNITS)
    assert UNIT_NUMBERS == NETWORK_UNITS


def test_faces_move_the_way_the_units_say(exact):
    brows, left_mouth, right_mouth = np.s_[4:8, 6:22], np.s_[19:22, 8:12], np.s_[19:22, 16:20]
    raised, lowered, smile = shown(exact, 1, 2), shown(exact, 4), shown(exact, 12)
    assert min(len(raised), len(lowered), len(smile)) >= 3
    assert (raised[:, 1][:, *brows].min((1, 2)) < -0.005).all()  # up is negative
    assert (lowered[:, 1][:, *brows].max((1, 2)) > 0.005).all()
    assert (smile[:, 1][:, *left_mouth].mean((1, 2)) < -0.001).all()
    assert (smile[:, 0][:, *left_mouth].mean((1, 2)) < -0.001).all()  # outwards
    assert (smile[:, 0][:, *right_mouth].mean((1, 2)) > 0.001).all()
    quiet = np.abs(smile[:, :2, 3:6, 8:20]).mean((1, 2, 3))
    assert (quiet < 0.1 * np.abs(smile[:, :2]).max((1, 2, 3))).all()
    assert (exact.maps[:, 2] >= 0).all()


def test_exact_flow_agrees_with_pixels(monkeypatch):
    """The same head, once by its mesh and once through rendered frames and estimated flow."""
    person = sample_person(0, "casme2", "sub01")
    monkeypatch.setattr(pairs, "sample_identity", lambda head, rng: person.identity)
    head = load_head()
    strengths = {"mouthSmileLeft": 0.3, "mouthSmileRight": 0.3, "browInnerUp": 0.5}
    change = head.action_vector(strengths).numpy()
    rng = np.random.default_rng(0)
    view = pairs.see_person(head, EXACT, rng, 56)
    flow = pairs._exact_flow(view, change[None], EXACT, rng)
    exact = flow_to_maps(flow, np.array([view.aspect]), 28)[0]

    setting = sample_setting(generator(0, "setting"))
    figure = build_figure(person, with_glasses=False)
    frames = render(figure, setting, np.stack([0 * change, change]), np.zeros((2, 3), np.float32))
    onset, apex = (np.clip(frames, 0, 1) * 255).astype(np.uint8)
    seen = clip_motion(onset, apex, load_face_finder("dlib").pair(onset, apex, "drawn"))
    for channel, least in enumerate((0.6, 0.85)):
        likeness = np.corrcoef(exact[channel].ravel(), seen[channel].ravel())[0, 1]
        assert likeness > least
    ratio = np.abs(seen[1]).max() / np.abs(exact[1]).max()
    assert 0.6 < ratio < 1.4


def test_more_samples_change_none_of_the_first():
    few, many = make_motion(50, 5), make_motion(6 * BLOCK, 5)
    assert np.array_equal(few.maps, many.maps[:50])
    assert np.array_equal(few.units, many.units[:50])
    assert not np.array_equal(few.maps, make_motion(50, 6).maps)
    assert np.isfinite(many.maps).all()
    assert set(many.domain) == {domain.name for domain in TRAINING}
    assert np.bincount(many.labels).tolist() == [2 * BLOCK] * 3


def test_one_sided_in_two_of_five():
    columns = {name: i for i, name in enumerate(load_head().actions)}
    rng = np.random.default_rng(1)
    acting = Acting(stray=0, blink=0, gaze=0)
    left, right = columns["mouthSmileLeft"], columns["mouthSmileRight"]
    smiles = np.array([draw_actions(rng, acting, columns, 1)[0] for _ in range(600)])
    smiles = smiles[smiles[:, left] + smiles[:, right] > 0]
    share = smiles[:, [left, right]].min(1) / smiles[:, [left, right]].max(1)
    assert np.mean(share < 0.45) == pytest.approx(0.4, abs=0.06)


def test_no_sample_is_an_error():
    with pytest.raises(UserError, match=r"--samples 0: at least 1"):
        make_motion(0, 0)


def test_script_draws_what_the_function_does(tmp_path):
    done = call("prepare_data.py", "motion", "--samples", 50, "--seed", 5, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "50 pairs" in done.stdout
    with np.load(tmp_path / "motion.npz") as written:
        drawn = make_motion(50, 5)
        assert written["maps"].shape == (50, 3, 28, 28)
        assert np.allclose(written["maps"], drawn.maps, atol=1e-4, rtol=2e-3)
        assert np.array_equal(written["labels"], drawn.labels)
        assert np.array_equal(written["units"], drawn.units)
        assert written["unit_numbers"].tolist() == list(UNIT_NUMBERS)
    flags = ("--samples", 20, "--domains", "held_out", "--out", tmp_path / "held_out")
    assert call("prepare_data.py", "motion", *flags).returncode == 0
    with np.load(tmp_path / "held_out/motion.npz") as held_out:
        assert set(held_out["domain"]) == {domain.name for domain in HELD_OUT}
        assert not set(held_out["domain"]) & set(drawn.domain)
    done = call("prepare_data.py", "motion", "--samples", 0, "--out", tmp_path)
    assert done.returncode == 2
    assert done.stderr == "error: --samples 0: at least 1\n"
