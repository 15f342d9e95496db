"""What choosing the best of random draws is worth."""

import time

import numpy as np
import pytest
from made_records import write_run

from loso.metrics import uf1_by_epoch
from loso.records import read_records
from loso.selection.chance import FoldFacts, chance_uf1, fold_facts


def fold(clips, prior, epochs, data="smic"):
    return FoldFacts(((data, clips),), prior, epochs)


@pytest.mark.parametrize("epochs", [1, 3, 10])
def test_one_clip_counted_by_hand(epochs):
    """It is told right by a quarter of draws, and then the UF1 of three classes is a third."""
    folds = [fold((1, 0, 0), (1, 2, 1), epochs)]
    expected = (1 - 0.75**epochs) / 3
    assert chance_uf1(folds, best=True, repeats=4000) == pytest.approx(expected, abs=0.01)
    assert chance_uf1(folds, best=False, repeats=4000) == pytest.approx(0.25 / 3, abs=0.01)


def test_a_certain_draw_is_exact():
    """All told class 0: of 3 + 1 clips, F1 of class 0 is 6/7, of the others 0."""
    folds = [fold((3, 1, 0), (5, 0, 0), 4)]
    assert chance_uf1(folds, best=True) == pytest.approx(6 / 7 / 3)


def test_pooled_over_folds_and_on_one_corpus_alone():
    one, other = fold((2, 0, 0), (1, 0, 0), 2), fold((0, 2, 0), (0, 0, 1), 2, "samm")
    # Counts over both: class 0 has 2 of 2 right, 1 none of 2, 2 is told twice in vain.
    assert chance_uf1([one, other], best=False) == pytest.approx(1 / 3)
    assert chance_uf1([one, other], best=False, data="samm") == 0
    assert chance_uf1([one, other], best=False, data="smic") == pytest.approx(1 / 3)


def test_best_is_chosen_on_the_whole_fold_where_it_holds_two_corpora():
    """A draw that is better on one corpus and worse on both is not taken for the one."""
    whole = FoldFacts((("samm", (1, 0, 0)), ("smic", (0, 3, 3))), (2, 2, 2), 6)
    alone = fold((1, 0, 0), (2, 2, 2), 6, "samm")
    together = chance_uf1([whole], best=True, data="samm", repeats=2000)
    assert together < chance_uf1([alone], best=True, repeats=2000) - 0.02


def by_drawing_labels(folds, repeats, rng):
    """The same, clip by clip and epoch by epoch, as `best` keeps them."""
    reached = []
    for _ in range(repeats):
        labels, kept = [], []
        for one in folds:
            own = np.repeat(range(3), one.clips[0][1])
            prior = np.array(one.prior) / sum(one.prior)
            told = rng.choice(3, (one.epochs, len(own)), p=prior)
            uf1 = uf1_by_epoch(own, told, 3)
            kept.append(told[one.epochs - 1 - np.argmax(uf1[::-1])])
            labels.append(own)
        together = uf1_by_epoch(np.concatenate(labels), np.concatenate(kept)[None], 3)
        reached.append(together[0])
    return np.mean(reached)


def test_counts_drawn_are_labels_drawn():
    rng = np.random.default_rng(3)
    clips = [tuple(map(int, rng.integers(1, 5, 3))) for _ in range(8)]
    folds = [fold(one, (25, 11, 8), 5) for one in clips]
    expected = by_drawing_labels(folds, 500, rng)
    assert chance_uf1(folds, best=True, repeats=2000) == pytest.approx(expected, abs=0.02)


def composite(epochs):
    """442 clips of 68 subjects, a few with many, about as many of each class as the composite."""
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1, 2], [250, 109, 83])
    subjects = np.concatenate([np.arange(68), rng.choice(68, 442 - 68, p=rng.dirichlet([1] * 68))])
    subjects = rng.permutation(subjects)
    total = np.bincount(labels)
    counts = [np.bincount(labels[subjects == s], minlength=3) for s in range(68)]
    return [fold(tuple(own.tolist()), tuple((total - own).tolist()), epochs) for own in counts]


@pytest.mark.parametrize(("epochs", "about"), [(1, 0.333), (10, 0.585), (100, 0.744)])
def test_on_the_composite_it_rises_with_the_draws(epochs, about):
    assert chance_uf1(composite(epochs), best=True) == pytest.approx(about, abs=0.03)


def test_it_is_computed_once_for_the_same_labels():
    first = chance_uf1(composite(100), best=True)
    start = time.perf_counter()
    assert chance_uf1(composite(100), best=True) == first
    assert time.perf_counter() - start < 0.1


def test_the_prior_is_the_training_clips_whether_a_record_says_so_or_not(tmp_path):
    folder = write_run(tmp_path, "one", ["smic_01", "smic_02", "smic_03"])
    records = read_records(folder)
    by_fold = [np.bincount([clip["label"] for clip in r["clips"]], minlength=3) for r in records]
    facts = fold_facts(records)
    assert [one.prior for one in facts] == [tuple(sum(by_fold) - own) for own in by_fold]
    records[0]["train_labels"] = [7, 8, 9]
    assert fold_facts(records)[0].prior == (7, 8, 9)


def test_one_fold_alone_of_an_earlier_version_has_no_known_prior(tmp_path):
    facts = fold_facts(read_records(write_run(tmp_path, "one", ["smic_01"])))
    assert np.isnan(chance_uf1(facts, best=True))
