"""Confusion matrices as figures."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from sklearn.metrics import confusion_matrix

from loso.results import Experiment

from .figures import Format, save_figure, styled

TITLES = {
    "last": "last",
    "nested": "nested (chosen on training subjects)",
    "best": "best (epoch chosen on the test subject)",
}


def write_confusions(
    result: Path, log: pd.DataFrame, experiments: dict[str, Experiment], form: Format
) -> None:
    """Write result/<experiment>/confusion_<protocol>.<form> for all that is in the log.

    log: of one seed an experiment (loso.results.first_seed).
    """
    for names, clips in log.groupby(["experiment", "protocol"]):
        experiment, protocol = map(str, names)
        path = result / experiment / f"confusion_{protocol}.{form}"
        classes = experiments[experiment].classes
        draw_confusion(confusion(clips, len(classes)), classes, protocol, path)


def confusion(clips: pd.DataFrame, classes: int) -> np.ndarray:
    """Counts (true, predicted) of rows of the log."""
    return confusion_matrix(clips["label"], clips["prediction"], labels=list(range(classes)))


@styled
def draw_confusion(counts: np.ndarray, classes: tuple[str, ...], protocol: str, path: Path) -> None:
    """Counts (true, predicted) as a figure, coloured by share of the true class."""
    figure, axes = plt.subplots(
        figsize=(1.6 + len(classes), 1.2 + 0.9 * len(classes)), layout="constrained"
    )
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (i, j), count in np.ndenumerate(counts):
        colour = "white" if share[i, j] > 0.55 else "black"
        axes.text(j, i, f"{count}\n{share[i, j]:.0%}", ha="center", va="center", color=colour)
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes)
    axes.set(xlabel="predicted", ylabel="true")
    axes.spines[["top", "right"]].set_visible(True)
    axes.set_title(TITLES[protocol], loc="center")
    save_figure(figure, path)
