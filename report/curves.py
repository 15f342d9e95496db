"""Learning curves: why the epoch that is best on the test subject misleads."""

from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke

from .figures import BLUE, GREY, VERMILLION, Format, save_figure, styled
from .history import History, read_history


def write_curves(folder: Path, form: Format) -> Path:
    """Draw the curves of the experiment in `folder` into it; the path of the figure.

    Left: training and held-out loss. Right: running UF1. Folds are thin, pooled is thick;
    `last` is the end of the pooled curve, `best` takes each fold where it scored highest.
    """
    path = folder / f"curves.{form}"
    save_figure(draw_curves(read_history(folder)), path)
    return path


@styled
def draw_curves(history: History) -> Figure:
    """The two panels of write_curves."""
    figure, (loss, uf1) = plt.subplots(1, 2, figsize=(7.8, 3.3), layout="constrained")
    _draw_loss(loss, history)
    _draw_uf1(uf1, history)
    for axes in (loss, uf1):
        axes.set_xlabel("epoch")
        first, final = history.epochs[[0, -1]]
        pad = 0.03 * (final - first) or 1
        axes.set_xlim(first - pad, final + pad)
        axes.xaxis.get_major_locator().set_params(integer=True)
        if first == final:
            axes.set_xticks([first])
    return figure


def _draw_loss(axes: Axes, history: History) -> None:
    axes.set_title(f"{history.experiment}: loss")
    for folds, mean, colour, dashes, name in (
        (history.train_loss, history.mean_train_loss, BLUE, "--", "training"),
        (history.test_loss, history.mean_test_loss, VERMILLION, "-", "held-out"),
    ):
        if np.isnan(mean).all():
            note = f"no {name} loss: nothing was trained"
            axes.text(0.5, 0.05, note, transform=axes.transAxes, ha="center", color=GREY)
            continue
        _lines(axes, history.epochs, folds, mean, colour, dashes, name)
    axes.set_ylim(bottom=0)
    if axes.get_legend_handles_labels()[1]:
        _legend(axes)


def _draw_uf1(axes: Axes, history: History) -> None:
    axes.set_title(f"UF1 on the held-out subjects, {len(history.records)} folds")
    epochs, last, best = history.epochs, history.pooled_uf1[-1], history.best_uf1
    _lines(axes, epochs, history.fold_uf1, history.pooled_uf1, BLUE, "-", "pooled over folds")
    folds = np.arange(len(history.records))
    axes.plot(
        epochs[history.best], history.fold_uf1[folds, history.best], "D", ms=4, mfc="none",
        mec=VERMILLION, mew=0.9, label="each fold at its best epoch", zorder=4, clip_on=False,
    )  # fmt: skip
    axes.axhline(best, color=VERMILLION, ls=(0, (5, 2)), lw=1.6, zorder=4)
    axes.plot(epochs[-1], last, "o", color=BLUE, ms=7, zorder=5, clip_on=False)
    middle, apart = (last + best) / 2, max(best - last, 0.21) / 2  # labels do not touch
    for y, text, colour in (
        (middle - apart, f"last {last:.3f}\nthe headline", BLUE),
        (middle + apart, f"best {best:.3f}\noptimistic: chosen\non test subjects", VERMILLION),
    ):
        axes.text(
            1.04, y, text, color=colour, va="center", fontsize=8,
            transform=axes.get_yaxis_transform(),
        )  # fmt: skip
    axes.set_ylim(0, 1)
    _legend(axes)


def _legend(axes: Axes) -> None:
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=2, fontsize=8)


def _lines(
    axes: Axes, epochs: np.ndarray, folds: np.ndarray, pooled: np.ndarray, colour: str,
    dashes: str, name: str,
) -> None:  # fmt: skip
    alone = len(epochs) == 1  # a line of one epoch would not be seen
    alpha = float(np.clip(3 / len(folds), 0.1, 0.35))  # many folds do not cover the pooled line
    axes.plot(epochs, folds.T, color=colour, lw=0.6, alpha=alpha, marker="." if alone else "")
    edge = [Stroke(linewidth=4.2, foreground="white"), Normal()]
    axes.plot(
        epochs, pooled, dashes, color=colour, lw=2.2, marker="s" if alone else "", label=name,
        path_effects=edge if dashes == "-" else None,
    )  # fmt: skip
