"""Panels: a clip's pictures with what the network looked at laid over them."""

from dataclasses import dataclass

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase

from data.views import YAWS

from .cam import Heat
from .figures import styled

HEAT = "inferno"  # rises in lightness throughout: readable in grey and by the colour-blind


@dataclass(frozen=True)
class Shown:
    """What a panel shows of a clip; None for what its network does not read.

    onset, apex: uint8 (S, S, 3) as the network reads them. views: uint8 (13, S, S) grey or
    (13, S, S, 3). motion: float32 (3, s, s).
    """

    title: str
    onset: np.ndarray | None
    apex: np.ndarray | None
    views: np.ndarray | None
    motion: np.ndarray | None


@styled
def draw_panel(shown: Shown, heats: list[Heat]) -> Figure:
    """One clip: frames plain and with heat, motion, then the 13 views with heat."""
    by_stream = {heat.stream: heat.map for heat in heats}
    top = _top_row(shown, by_stream)
    rows = 1 + 2 * (shown.views is not None)  # 13 views in two rows
    height = 1.9 + 1.25 * (rows - 1)
    figure = plt.figure(figsize=(9, height + 0.3), layout="constrained")
    figure.suptitle(shown.title, fontsize=9, x=0.01, ha="left")
    parts: list[FigureBase] = [figure]
    if rows > 1:
        heights = [1.9, height - 1.9]
        parts = list(figure.subfigures(2, 1, squeeze=False, height_ratios=heights)[:, 0])
    for axes, (title, picture, heat) in zip(_row(parts[0], len(top)), top):
        _show(axes, title, picture, heat)
    if shown.views is not None:
        grid = parts[1].subplots(2, 7).ravel()
        for axes in grid:
            axes.set_axis_off()
        for axes, yaw, view in zip(grid, YAWS, shown.views):
            _show(axes, f"{yaw}°", view, by_stream["views"])
    return figure


def _top_row(
    shown: Shown, by_stream: dict[str, np.ndarray]
) -> list[tuple[str, np.ndarray, np.ndarray | None]]:
    """Title, picture and heat of each of a panel's first pictures."""
    named = (("onset", shown.onset), ("apex", shown.apex))
    frames = [(name, picture) for name, picture in named if picture is not None]
    row: list[tuple[str, np.ndarray, np.ndarray | None]]
    row = [(name, picture, None) for name, picture in frames]
    if "frame" in by_stream:
        row += [(f"{name}, heat", picture, by_stream["frame"]) for name, picture in frames]
    if "motion" in by_stream and shown.motion is not None:
        moved = np.hypot(*shown.motion[:2])
        row += [("motion", moved, None), ("motion, heat", moved, by_stream["motion"])]
    return row


def _row(figure: FigureBase, count: int) -> list[Axes]:
    return list(figure.subplots(1, count, squeeze=False)[0])


def _show(axes: Axes, title: str, picture: np.ndarray, heat: np.ndarray | None) -> None:
    axes.imshow(picture, cmap="gray", extent=(0, 1, 1, 0))
    if heat is not None:
        strength = heat / heat.max() if heat.max() > 0 else heat
        axes.imshow(strength, cmap=HEAT, alpha=0.25 + 0.5 * strength, vmin=0, vmax=1,
                    extent=(0, 1, 1, 0))  # fmt: skip
    axes.set_title(title, fontsize=8, loc="center", pad=2)
    axes.set_axis_off()
