"""Apex frames -> 13 views of a 3D head each, its codes, meshes.

python reconstruct_3d.py --index data/smic_apex.csv --root DATA --out data/views
python reconstruct_3d.py --image FILE --out FOLDER
"""

from pathlib import Path
from typing import Literal

import torch

from data.errors import UserError, run_script
from data.landmarks import FinderName, choose_finder, load_landmark_finder
from deca.reconstruct import (
    BackendName,
    Extras,
    load_backend,
    read_face,
    reconstruct_index,
    write_head,
)


def main(
    out: Path,
    index: Path | None = None,
    root: Path | None = None,
    image: Path | None = None,
    backend: BackendName = "auto",
    assets: Path | None = None,
    landmarks: FinderName | None = None,
    mesh: Literal["obj", "glb"] | None = None,
    panel: bool = False,
    four_frames: bool = False,
    strict: bool = False,
) -> int:
    """Reconstruct the apex frames of an index, or one image.

    Args:
        out: views go to OUT/<data>/<subject>/<clip>/<frame>, with --image to OUT itself.
        index: an index that prepare_data.py or smic_processing.py wrote.
        root: the folder that the index's paths start from.
        image: one image instead of an index.
        backend: auto: DECA if --assets has its files, else anny.
        assets: DECA's and FLAME's files; python -m deca.assets where.
        landmarks: fan or dlib (default: fan if its weights are here, else dlib).
        mesh: also write each head as a mesh.
        panel: also write input | reconstruction | frontal.
        four_frames: also the frames of the index's four-frames companion.
        strict: exit code 1 if a frame was skipped.
    """
    if (image is None) == (index is None) or (index is not None and root is None):
        raise UserError("give --index and --root, or --image for one image")
    if image is not None and out.exists():
        raise UserError(f"{out}: is there already; --out names a new folder for --image")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    engine = load_backend(backend, assets, device)
    finder = load_landmark_finder(choose_finder(landmarks), device)
    extras = Extras(mesh, panel)
    if image is not None:
        face = read_face(image, finder, "")
        (head,) = engine.reconstruct([face])
        write_head(head, face, engine.name, out, extras)
        return 0
    failed = reconstruct_index(index, root, out, engine, finder, extras, four_frames)
    return 1 if failed and strict else 0


if __name__ == "__main__":
    run_script(main)
