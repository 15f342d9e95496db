"""A clip's curve of change with its apex, as a picture."""

from pathlib import Path

from common.files import write_whole

from .spotting import Apex


def plot_apex(apex: Apex, title: str, path: Path) -> None:
    """Write a picture of the curve with its peak."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 2.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot(apex.numbers, apex.curve, color="0.4", marker=".")
    axes.axvline(apex.frame, color="tab:red", linewidth=1)
    axes.annotate(
        f" apex {apex.frame}",
        (apex.frame, 0.02),
        xycoords=("data", "axes fraction"),
        color="tab:red",
    )
    axes.set(title=title, xlabel="frame", ylabel="change")
    axes.spines[["top", "right"]].set_visible(False)
    with write_whole(path) as part:
        figure.savefig(part, dpi=100)
