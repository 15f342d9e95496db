"""Flow by its directions, the metric that synthetic faces teach, and the head that starts there."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from common.errors import UserError
from loso.at_once import FOLD_C
from loso.folds import make_folds
from loso.metrics import with_prior
from loso.prior import SHARES, choose_share, fit_head, prior_epochs, ranking
from loso.settings import Settings
from loso.synthetic_weights import load_synthetic
from models.directed import AXES, Directions, directions
from models.motion import flip, standardise
from models.registry import Plan, make_network
from synthetic.motion.domains import HELD_OUT
from synthetic.motion.pairs import make_motion

SUBJECTS = 6


@pytest.fixture(scope="module")
def corpus():
    """Maps, labels, subjects and folds of a synthetic corpus."""
    drawn = make_motion(120, 31, HELD_OUT)
    subjects = np.array([f"smic_{i // 3 % SUBJECTS}" for i in range(120)])
    index = pd.DataFrame({"data": "smic", "data_sub": subjects, "label": drawn.labels})
    return drawn.maps, drawn.labels, subjects, make_folds(index, 3)


def test_directions_part_and_add_up():
    maps = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    right, left, down, up, strain = directions(maps).unbind(1)
    assert torch.equal(right - left, maps[:, 0])
    assert torch.equal(down - up, maps[:, 1])
    assert torch.equal(strain, maps[:, 2])
    assert torch.all((right == 0) | (left == 0))
    assert min(part.min() for part in (right, left, down, up)) == 0


@pytest.mark.parametrize("size", [27, 28])
def test_a_mirrored_face_is_the_same_face(size):
    maps = torch.randn(3, 3, size, size, generator=torch.Generator().manual_seed(2))
    body = Directions(size)
    assert body(maps).shape == (3, body.width)
    assert torch.allclose(body(maps), body(flip(maps)), atol=1e-6)


def test_sides_that_move_against_each_other_are_seen():
    maps = torch.zeros(1, 3, 8, 8)
    maps[0, 1, 3, 1], maps[0, 1, 3, 6] = 1, -1  # down on the left, up on the right
    assert Directions(8)(maps).abs().sum() == 1
    assert (maps + flip(maps)).abs().sum() == 0  # which u and v themselves would cancel


def test_the_metric_shrinks_what_differs_within_a_class_and_keeps_the_whole_size():
    generator = torch.Generator().manual_seed(3)
    body = Directions(8)
    labels = torch.arange(600) % 3
    x = torch.randn(600, body.width, generator=generator)
    x[:, 7] *= 20  # differs between clips of one class
    x[:, 9] += 8.0 * labels  # differs between classes alone
    body.learn_metric(x, labels)

    def scaled(z):
        return body.scale * z + (z @ body.axes.T * body.gain) @ body.axes

    assert scaled(x).square().sum() == pytest.approx(float(x.square().sum()), rel=1e-3)
    unit = torch.eye(body.width)
    grew = scaled(unit).norm(dim=1)
    assert grew[7] < 0.4 * grew[9]
    assert body.gain.shape == (AXES,)


def test_shipped_weights_read_mirrored_faces_alike_and_know_unseen_people(corpus):
    net = load_synthetic("directed")
    maps = torch.from_numpy(corpus[0])
    assert torch.allclose(net(maps)[0], net(flip(maps))[0], atol=1e-3)
    assert (net(maps)[0].argmax(1).numpy() == corpus[1]).mean() > 0.75


def test_without_a_prior_it_is_logistic_regression(corpus):
    maps, labels, _, folds = corpus
    net = make_network("directed", Plan("motion"))
    with torch.no_grad():
        x = net.features(torch.from_numpy(maps))[0].double().numpy()
    fold = folds[0]
    model = LogisticRegression(C=FOLD_C, class_weight="balanced", max_iter=2000, tol=1e-8)
    model.fit(x[fold.train], labels[fold.train])
    weight, bias = fit_head(x[fold.train], labels[fold.train], np.zeros((len(fold.train), 3)))
    logits = x[fold.test] @ weight + bias
    found = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert np.allclose(found, model.predict_proba(x[fold.test]), atol=2e-3)


def test_a_class_without_clips_keeps_its_prior():
    rng = np.random.default_rng(4)
    x, offset = rng.normal(size=(30, 5)), rng.normal(size=(30, 3))
    weight, bias = fit_head(x, np.arange(30) % 2, offset, 1.0)
    assert np.all(weight[:, 2] == 0) and bias[2] == 0
    assert np.abs(weight[:, :2]).min() > 0


def test_the_share_follows_what_the_prior_is_worth():
    rng = np.random.default_rng(5)
    labels, subjects = np.arange(90) % 3, np.arange(90) // 9
    noise = rng.normal(size=(90, 4))
    truth = 4 * np.eye(3)[labels] + rng.normal(size=(90, 3))
    assert choose_share(noise, labels, truth, subjects, 0) > 0
    assert choose_share(truth, labels, rng.normal(size=(90, 3)) * 4, subjects, 0) == 0
    assert choose_share(noise, labels, truth, np.zeros(90), 0) == SHARES[-1]  # nobody to hold out


@given(st.integers(0, 2**32 - 1), st.floats(0.1, 10))
def test_ranking_does_not_change_with_a_clips_own_level(seed, scale):
    rng = np.random.default_rng(seed)
    logits, labels = rng.normal(size=(12, 3)), np.arange(12) % 3
    level = rng.normal(size=(12, 1))
    assert ranking(logits + scale * level, labels) == pytest.approx(ranking(logits, labels))
    assert ranking(10 * np.eye(3)[labels], labels) == 1


def test_the_held_out_subject_decides_nothing(corpus):
    maps, labels, subjects, folds = corpus
    fold = folds[2]
    net = load_synthetic("directed")
    other_maps, other_labels = maps.copy(), labels.copy()
    other_maps[fold.test] = other_maps[fold.test][::-1] * 3 + 1
    other_labels[fold.test] = (other_labels[fold.test] + 1) % 3
    (_, first), (_, second) = (
        prior_epochs(net, m, y, subjects, fold, 9)
        for m, y in ((maps, labels), (other_maps, other_labels))
    )
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name]), name


def test_a_fold_keeps_what_it_scored_with(corpus):
    maps, labels, subjects, folds = corpus
    net = load_synthetic("directed")
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    epochs, kept = prior_epochs(net, maps, labels, subjects, folds[0], 9)
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    with torch.no_grad():
        scores = kept.scores(kept(torch.from_numpy(maps[folds[0].test]))).numpy()
    assert np.allclose(scores, epochs[0]["scores"], atol=1e-5)
    assert torch.equal(kept.units.weight, net.units.weight)
    assert epochs == prior_epochs(net, maps, labels, subjects, folds[0], 9)[0]


@given(st.lists(st.floats(0.05, 1), min_size=3, max_size=3))
def test_a_prior_weighs_scores_and_an_even_one_does_not(shares):
    scores = np.random.default_rng(6).dirichlet(np.ones(3), 5)
    prior = tuple(share / sum(shares) for share in shares)
    weighed = with_prior(scores, prior)
    assert np.allclose(weighed.sum(1), 1)
    assert np.allclose(
        weighed[:, 0] / weighed[:, 1], scores[:, 0] / scores[:, 1] * prior[0] / prior[1]
    )
    assert np.allclose(with_prior(scores, (1 / 3, 1 / 3, 1 / 3)), scores)


@pytest.mark.parametrize("prior", [(0.5, 0.5), (0.5, 0.3, 0.3), (1.0, 0.0, 0.0), (2.0, -0.5, -0.5)])
def test_a_prior_that_is_none_is_refused(prior):
    with pytest.raises(UserError, match=r"--prior .*: 3 shares above 0 that sum to 1"):
        Settings(streams="motion", prior=prior)


def test_a_prior_needs_probabilities():
    with pytest.raises(UserError, match="--prior goes with --streams motion"):
        Settings(prior=(0.5, 0.3, 0.2))


def test_maps_are_standardised_before_they_are_parted(corpus):
    net = load_synthetic("directed")
    maps = torch.from_numpy(corpus[0][:4])
    wanted = net.body(standardise(maps))
    assert torch.equal(net.features(maps)[0], wanted)
    assert torch.allclose(net(maps * 7 + 3)[0], net(maps)[0], atol=1e-2)
