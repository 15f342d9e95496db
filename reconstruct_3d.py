"""Apex frames -> 13 views of a 3D head each, a frontal face without glasses, codes, meshes.

python reconstruct_3d.py --index data/smic_apex.csv --root DATA --out views
python reconstruct_3d.py --image FILE_OR_FOLDER_OR_VIDEO --out FOLDER
"""

from pathlib import Path
from typing import Literal

from common.cli import run_script
from common.errors import UserError
from data.landmarks import FinderName, choose_finder
from data.views import BackendName, MakerName


def main(
    out: Path,
    index: Path | None = None,
    root: Path | None = None,
    image: Path | None = None,
    onset: Path | None = None,
    backend: BackendName = "auto",
    assets: Path | None = None,
    landmarks: FinderName | Literal["file"] | None = None,
    landmarks_file: Path | None = None,
    views: tuple[Literal["original", "motion"], ...] = (),
    mesh: Literal["obj", "glb"] | None = None,
    detail: bool = False,
    posed: bool = False,
    panel: bool = False,
    overlay: bool = False,
    depth: bool = False,
    clean: bool = False,
    transfer_to: Path | None = None,
    people: Literal["one", "many"] = "one",
    every: int = 1,
    four_frames: bool = False,
    workers: int | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    face: int | None = None,
    strict: bool = False,
) -> int:
    """Reconstruct the apex frames of an index, or a picture, a folder of pictures, a video.

    Args:
        out: views go to OUT/<data>/<subject>/<clip>/<frame>, those of a picture to OUT itself,
            of a folder or a video to OUT/<name or number>.
        index: an index that prepare_data.py or smic_processing.py wrote.
        root: the folder that the index's paths start from.
        image: a picture, a folder of pictures or a video instead of an index.
        onset: the onset frame of the picture's clip, of the same size.
        backend: auto: DECA if --assets has its files, else anny.
        assets: DECA's and FLAME's files; python -m deca.assets where.
        landmarks: fan or dlib (default: fan if its weights are here, else dlib); file: 68 points
            from the .txt, .npy, .pts or .mat beside each picture.
        landmarks_file: the same for one picture, from this file.
        views: original: the grey views as DECA's published code frames them, for the backend deca
            alone (default: crown to chin fill 85% of the height); motion: besides the grey ones,
            how the surface moved since the onset.
        mesh: also write each head as a mesh.
        detail: also a mesh with wrinkles, and their normals as a picture (DECA alone).
        posed: also the meshes as the head lies in its picture.
        panel: also write input | reconstruction | frontal | its colours.
        overlay: also draw the head over its picture.
        depth: also write how near each of that picture's pixels is, as a 16-bit .png.
        clean: also write the frontal picture and the views in the photograph's colours without
            glasses, hair and hands, and a mask of what was filled in.
        transfer_to: a picture of another person, whose head takes on the expression and the pose
            of the one in --image.
        people: whether a folder's or video's pictures show one person, with one identity, or
            many.
        every: of a folder or a video take every so many pictures.
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
    maker = _maker(backend, "original" in views)
    # Here, so that --help and wrong flags need no seconds of imports.
    import torch

    from common.parallel import cores
    from data.faces import face_cache
    from deca.batch import Engine, reconstruct_index
    from deca.frame import Extras
    from deca.sequence import is_sequence, reconstruct_picture, reconstruct_sequence

    cuda = torch.cuda.is_available()
    if device == "cuda" and not cuda:
        raise UserError("--device cuda: PyTorch finds no GPU here; --device cpu works everywhere")
    device = "cuda" if cuda and device != "cpu" else "cpu"
    single = image is not None and not is_sequence(image)
    if single and out.exists():
        raise UserError(f"{out}: is there already; --out names a new folder for --image")
    if not single and (transfer_to or landmarks_file or onset):
        raise UserError(
            "--transfer-to, --landmarks-file and --onset are for one picture: --image FILE"
        )
    finder = "file" if landmarks == "file" else choose_finder(landmarks)
    engine = Engine(maker, assets, finder, device, face, face_cache())
    extras = Extras(
        mesh=mesh, panel=panel, motion="motion" in views, overlay=overlay, depth=depth,
        detail=detail, posed=posed, clean=clean,
    )  # fmt: skip
    failed: list[str] = []
    if index is not None and root is not None:
        if workers is None:
            workers = 1 if device == "cuda" else cores()
        failed = reconstruct_index(index, root, out, engine, extras, four_frames, workers)
    elif image is not None and single:
        reconstruct_picture(image, out, engine, extras, onset, transfer_to, landmarks_file)
    elif image is not None:
        failed = reconstruct_sequence(image, out, engine, extras, every, people)
    return 1 if failed and strict else 0


def _maker(backend: BackendName, original: bool) -> BackendName | MakerName:
    if not original:
        return backend
    if backend == "anny":
        raise UserError("--views original is DECA's framing: leave out --backend anny")
    return "deca_original"


if __name__ == "__main__":
    run_script(main)
