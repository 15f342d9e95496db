"""visualize.py curves: what is drawn, from records alone, for the screen and for papers."""

import json
import re

import cv2
import numpy as np
import pandas as pd
import pytest
from colour_blindness import BLINDNESS, seen
from conftest import call
from hypothesis import given, settings
from hypothesis import strategies as st
from made_records import FIVE, SUBJECTS, write_run

from common.errors import UserError
from loso.metrics import scores, uf1_by_epoch
from loso.records import chosen_epoch, read_records, record_labels
from report.curves import draw_curves, write_curves
from report.figures import BLUE, VERMILLION
from report.history import read_history


@settings(deadline=None)
@given(
    st.integers(2, 5).flatmap(
        lambda classes: st.tuples(
            st.just(classes),
            st.lists(st.integers(0, classes - 1), min_size=1, max_size=12),
            st.integers(0, 2**32 - 1),
        )
    )
)
def test_uf1_of_many_epochs_is_that_of_each(case):
    classes, labels, seed = case
    labels = np.array(labels)
    predictions = np.random.default_rng(seed).integers(0, classes, (4, len(labels)))
    expected = [scores(labels, row, classes).uf1 for row in predictions]
    assert uf1_by_epoch(labels, predictions, classes) == pytest.approx(expected, abs=1e-12)


def test_best_is_the_later_of_equals(tmp_path):
    path = write_run(tmp_path, "e", ["smic_01"], names=["a", "b", "c"]) / "fold_smic_01.json"
    record = json.loads(path.read_text())
    for clip, label in zip(record["clips"], (0, 1, 2)):
        clip["label"] = label
    told = [(0, 0, 0), (0, 0, 2), (0, 1, 0), (1, 1, 1), (2, 2, 2)]  # 2 and 3 of 5 are the best
    for epoch, predictions in zip(record["epochs"], told):
        epoch["scores"] = np.eye(3)[list(predictions)].tolist()
    assert chosen_epoch(record, "best") == 2
    assert chosen_epoch(record, "last") == 4


def test_history_agrees_with_the_summary(tmp_path):
    folder = write_run(tmp_path, "composite", SUBJECTS)
    assert call("get_result_log.py", "--result", tmp_path).returncode == 0
    summary = pd.read_csv(tmp_path / "summary.csv")
    full = summary[summary["data"] == "full"].set_index("protocol")["uf1"]
    history = read_history(folder)
    assert history.pooled_uf1[-1] == pytest.approx(full["last"], abs=5.1e-5)
    assert history.best_uf1 == pytest.approx(full["best"], abs=5.1e-5)
    records = read_records(folder)
    for epoch in range(5):  # pooled over the clips of all folds, not a mean of folds
        told = np.concatenate([np.argmax(r["epochs"][epoch]["scores"], axis=1) for r in records])
        labels = np.concatenate([record_labels(r) for r in records])
        assert history.pooled_uf1[epoch] == pytest.approx(scores(labels, told, 3).uf1)
    assert history.mean_test_loss[2] == pytest.approx(
        np.mean([r["epochs"][2]["test_loss"] for r in records])
    )


def test_held_out_loss_counts_clips_not_folds(tmp_path):
    folder = write_run(tmp_path, "e", ["smic_01", "smic_02"], clips=6)
    path = folder / "fold_smic_01.json"
    record = json.loads(path.read_text())
    record["clips"] = record["clips"][:2]
    for epoch in record["epochs"]:
        epoch["scores"] = epoch["scores"][:2]
    path.write_text(json.dumps(record))
    small, large = (r["epochs"][0]["test_loss"] for r in read_records(folder))
    assert read_history(folder).mean_test_loss[0] == pytest.approx((2 * small + 6 * large) / 8)


def test_what_is_drawn(tmp_path):
    history = read_history(write_run(tmp_path, "composite", SUBJECTS))
    loss, uf1 = draw_curves(history).axes
    for axes, pooled in (
        (loss, [history.mean_train_loss, history.mean_test_loss]),
        (uf1, [history.pooled_uf1]),
    ):
        thick = [line.get_ydata() for line in axes.lines if line.get_linewidth() > 2]
        assert np.allclose(thick, pooled)
        thin = [line.get_ydata() for line in axes.lines if line.get_linewidth() < 1]
        assert len(thin) == len(pooled) * len(SUBJECTS)
    assert np.allclose([line.get_ydata() for line in uf1.lines[:4]], history.fold_uf1)
    diamonds = next(line for line in uf1.lines if line.get_marker() == "D")
    assert np.array_equal(diamonds.get_xdata(), history.epochs[history.best])
    assert np.allclose(diamonds.get_ydata(), history.fold_uf1.max(1))
    words = [text.get_text() for text in uf1.texts]
    assert f"last {history.pooled_uf1[-1]:.3f}" in words[0]
    assert f"best {history.best_uf1:.3f}" in words[1]
    assert "optimistic" in words[1]


def test_nothing_trained_is_said(tmp_path):
    folder = write_run(tmp_path, "zero_shot", SUBJECTS, epochs=1, trained=False)
    history = read_history(folder)
    assert np.isnan(history.train_loss).all()
    loss, uf1 = draw_curves(history).axes
    assert "nothing was trained" in loss.texts[0].get_text()
    assert [t.get_text() for t in loss.get_legend().get_texts()] == ["held-out"]
    pooled = next(line for line in uf1.lines if line.get_marker() == "s")
    assert pooled.get_ydata() == pytest.approx(history.pooled_uf1)


def test_each_experiment_gets_its_curves(tmp_path):
    write_run(tmp_path, "composite", SUBJECTS)
    write_run(tmp_path, "casme2_5", ["casme2_sub01", "casme2_sub02"], classes=FIVE)
    write_run(tmp_path, "unfinished", ["smic_01"], missing=("smic_01",))
    done = call("visualize.py", "curves", "--result", tmp_path)
    assert done.returncode == 0, done.stderr
    made = sorted(path.parent.name for path in tmp_path.glob("*/curves.png"))
    assert made == ["casme2_5", "composite"]
    image = cv2.imread(str(tmp_path / "composite/curves.png"))
    assert image.shape[1] > 1000
    assert image.std() > 20


def fonts_of(pdf: bytes) -> tuple[int, int]:
    """How many fonts a PDF names, and how many TrueType files it holds."""
    assert b"/Type3" not in pdf
    return len(set(re.findall(rb"/BaseFont /([\w+-]+)", pdf))), pdf.count(b"/FontFile2")


def test_pdfs_embed_their_fonts_as_truetype(tmp_path):
    write_run(tmp_path, "composite", SUBJECTS)
    done = call("visualize.py", "curves", "--result", tmp_path, "--format", "pdf")
    assert done.returncode == 0, done.stderr
    done = call("get_result_log.py", "--result", tmp_path, "--format", "pdf")
    assert done.returncode == 0, done.stderr
    for name in ("curves", "confusion_last", "confusion_best"):
        pdf = (tmp_path / f"composite/{name}.pdf").read_bytes()
        assert pdf.startswith(b"%PDF-")
        named, embedded = fonts_of(pdf)
        assert named == embedded >= 1
    assert not list(tmp_path.glob("*/*.png"))


def test_same_records_same_bytes(tmp_path):
    folder = write_run(tmp_path, "composite", SUBJECTS)
    for form in ("png", "pdf"):
        assert len({write_curves(folder, form).read_bytes() for _ in range(2)}) == 1


@pytest.mark.parametrize("kind", BLINDNESS)
def test_the_two_colours_differ_for_the_colour_blind(kind):
    assert np.linalg.norm(seen(BLUE, kind) - seen(VERMILLION, kind)) > 40


def test_folds_of_other_lengths_are_refused(tmp_path):
    folder = write_run(tmp_path, "e", ["smic_01", "smic_02"])
    path = folder / "fold_smic_02.json"
    record = json.loads(path.read_text())
    record["epochs"].pop()
    path.write_text(json.dumps(record))
    with pytest.raises(UserError, match="fold smic_02 has other epochs than smic_01"):
        read_history(folder)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ((), "no fold record in any folder"),
        (("--experiment", "nowhere"), "nowhere: no fold record in it"),
    ],
)
def test_nothing_to_draw_is_one_line(tmp_path, arguments, fault):
    done = call("visualize.py", "curves", "--result", tmp_path, *arguments)
    assert done.returncode == 2
    assert fault in done.stderr
    assert done.stderr.count("\n") == 1
