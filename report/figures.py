"""How figures look and are written: colours the colour-blind tell apart, PDF for papers."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import matplotlib as mpl

mpl.use("Agg")  # no window anywhere

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from common.files import write_whole

Format = Literal["png", "pdf"]

# Okabe and Ito (2008), Color Universal Design.
BLUE, VERMILLION, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#6B7280"


def styled(draw: Callable) -> Callable:
    """A drawing function in this look, whatever else draws in the process."""
    # Given to each drawing, and not set for the process: others draw in it too.
    style = mpl.rc_context({
        "pdf.fonttype": 42,  # TrueType, embedded: publishers refuse Type 3
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 10,
        "axes.titlelocation": "left",
        "legend.frameon": False,
    })  # fmt: skip
    return style(draw)


def panel_path(folder: Path, clip: Mapping, form: Format = "png") -> Path:
    """Where an experiment in `folder` keeps the heat maps of a clip (a row of its index)."""
    name = f"{clip['data']}_{clip['subject']}_{clip['clip']}".replace(" ", "_")
    return folder / "cam" / f"{name}.{form}"


@styled
def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure, whole or not at all, in the format of the path's suffix; then close it."""
    # Without dates and versions the same records give the same bytes.
    metadata = {"CreationDate": None} if path.suffix == ".pdf" else {"Software": None}
    with write_whole(path) as part:
        figure.savefig(part, dpi=150, metadata=metadata)
    plt.close(figure)
