"""The 13 views of one picture, for what reads them at once instead of from an index's folders."""

import tempfile
from pathlib import Path
from typing import cast, get_args

import numpy as np

from common.errors import UserError
from data.face_search import FoundFace
from data.faces import NoFaceError
from data.views import MakerName, MakeViews, ViewsShow


def make_views(
    backend: str | None, assets: Path | None, device: str, shown: ViewsShow = "shape"
) -> MakeViews:
    """A function that reconstructs a picture with a backend, which is loaded when it is called.

    It raises a UserError where the backend's assets are missing, there is no face, or views that
    show motion have no onset.
    """

    def reconstruct(
        apex: np.ndarray, found: FoundFace | None, onset: np.ndarray | None, size: tuple[int, int]
    ) -> np.ndarray:
        if found is None:
            raise NoFaceError("the apex frame shows no face to reconstruct")
        if shown == "motion" and onset is None:
            raise UserError("one picture has no motion for the views to show: give a clip")
        # Here: a command that turns out to need no views waits for none of this.
        from data.view_pictures import read_views

        from .frame import Extras, load_backend, paints, write_head
        from .reconstruction import Face

        if backend not in get_args(MakerName):
            raise ValueError(f"no backend that makes views is called {backend}")
        engine = load_backend(cast(MakerName, backend), assets, device)
        face = Face(apex, found.landmarks, onset=onset, found_by=found.found_by)
        (head,) = engine.reconstruct([face])
        with tempfile.TemporaryDirectory() as folder:
            # Through the files that training reads: JPEG is part of what a network learned.
            extras = Extras(motion=shown == "motion", clean=shown == "clean")
            (paint,) = paints([head], [face], extras)
            write_head(head, face, engine.name, Path(folder) / "views", extras, paint)
            return read_views(Path(folder) / "views", size, shown)

    return reconstruct
