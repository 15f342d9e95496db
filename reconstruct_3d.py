"""Apex frames -> 13 views of a 3D head each, a frontal face without glasses, codes, meshes.

python reconstruct_3d.py --index data/smic_apex.csv --root DATA --out views
python reconstruct_3d.py --image FILE --out FOLDER
"""

from pathlib import Path
from typing import Literal

from common.cli import run_script
from common.errors import UserError
from data.landmarks import FinderName, choose_finder
from data.views import BackendName, MakerName, claim_views


def main(
    out: Path,
    index: Path | None = None,
    root: Path | None = None,
    image: Path | None = None,
    backend: BackendName = "auto",
    assets: Path | None = None,
    landmarks: FinderName | None = None,
    views: Literal["centred", "original"] = "centred",
    mesh: Literal["obj", "glb"] | None = None,
    panel: bool = False,
    four_frames: bool = False,
    workers: int | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    face: int | None = None,
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
        views: centred: crown to chin fill 85% of the height; original: as DECA's published code
            frames them, for the backend deca alone.
        mesh: also write each head as a mesh.
        panel: also write input | reconstruction | frontal | its colours.
        four_frames: also the frames of the index's four-frames companion.
        workers: processes, a subject at a time each; the files do not depend on their number
            (default: one a core, on a GPU one).
        device: where networks, fits and, on CUDA, the rasteriser run.
        face: which face to take where there are several, counted from the left (default: the
            largest); through a clip it stays the same one.
        strict: exit code 1 if a frame was skipped.
    """
    if (image is None) == (index is None) or (index is not None and root is None):
        raise UserError("give --index and --root, or --image for one image")
    if image is not None and out.exists():
        raise UserError(f"{out}: is there already; --out names a new folder for --image")
    maker: BackendName | MakerName = backend
    if views == "original":
        if backend == "anny":
            raise UserError("--views original is DECA's framing: leave out --backend anny")
        maker = "deca_original"
    # Here, so that --help and wrong flags need no seconds of imports.
    import torch

    from common.parallel import cores
    from data.faces import face_cache
    from deca.batch import Engine, reconstruct_index
    from deca.frame import Extras, read_face, write_head

    cuda = torch.cuda.is_available()
    if device == "cuda" and not cuda:
        raise UserError("--device cuda: PyTorch finds no GPU here; --device cpu works everywhere")
    device = "cuda" if cuda and device != "cpu" else "cpu"
    engine = Engine(maker, assets, choose_finder(landmarks), device, face, face_cache())
    extras = Extras(mesh, panel)
    if image is not None:
        reconstructs, faces = engine.load()
        shown = read_face(image, faces, "")
        (head,) = reconstructs.reconstruct([shown])
        write_head(head, shown, reconstructs.name, out, extras)
        claim_views(out, reconstructs.name)
        return 0
    if workers is None:
        workers = 1 if device == "cuda" else cores()
    assert index is not None and root is not None  # refused above
    failed = reconstruct_index(index, root, out, engine, extras, four_frames, workers)
    return 1 if failed and strict else 0


if __name__ == "__main__":
    run_script(main)
