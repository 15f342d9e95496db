"""How figures look and are written: colours the colour-blind tell apart, PDF for papers."""

from pathlib import Path
from typing import Literal

import matplotlib as mpl

mpl.use("Agg")  # no window anywhere

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from data.files import write_whole

Format = Literal["png", "pdf"]

# Okabe and Ito (2008), Color Universal Design.
BLUE, VERMILLION, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#6B7280"

mpl.rcParams |= {
    "pdf.fonttype": 42,  # TrueType, embedded: publishers refuse Type 3
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "legend.frameon": False,
}


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure, whole or not at all, in the format of the path's suffix; then close it."""
    # Without dates and versions the same records give the same bytes.
    metadata = {"CreationDate": None} if path.suffix == ".pdf" else {"Software": None}
    with write_whole(path) as part:
        figure.savefig(part, dpi=150, metadata=metadata)
    plt.close(figure)
