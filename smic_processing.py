"""Find the apex frames of SMIC, which its annotation leaves out: annotation -> data/smic_apex.csv.

python smic_processing.py --root DATA --annotation SMIC-HS-E_annotation.xlsx
python smic_processing.py --root DATA            (the cropped release, which needs no annotation)
python smic_processing.py --clip FOLDER_OR_VIDEO
"""

import sys
from functools import partial
from pathlib import Path

from common.cli import run_script
from common.errors import UserError
from common.parallel import cores
from data.apex.batch import forget_kept, spot_clips
from data.apex.plot import plot_apex
from data.apex.spotting import ApexSettings, Method, all_frames, find_apex
from data.corpora.spotted import SpottedIndex, read_smic, write_spotted
from data.disk.frames import ClipFolders
from data.faces import face_cache, load_face_finder
from data.landmarks import FinderName, choose_finder


def main(
    root: Path | None = None,
    annotation: Path | None = None,
    out: Path = Path("data/smic_apex.csv"),
    plots: Path | None = Path("result/apex_plots"),
    workers: int = cores(),
    method: Method = "pattern",
    landmarks: FinderName | None = None,
    landmarks_every: int = 0,
    face: int | None = None,
    strict: bool = False,
    clip: Path | None = None,
    sheet: str | None = None,
) -> int:
    """Find the apex frames of SMIC, or of one clip.

    Args:
        root: the folder that holds SMIC's frames, in any of the released layouts.
        annotation: SMIC-HS-E_annotation.xlsx, .xls or .csv; without it the clips are those of
            SMIC's cropped release below root.
        out: the index to write; its four-frames companion goes beside it. A clip whose apex
            cannot be found gets its middle frame (apex_source says which).
        plots: a folder for one curve a clip (None: no plots).
        workers: processes; the result does not depend on their number.
        method: pattern, or cells: the published measure.
        landmarks: fan or dlib (default: fan if its weights are here, else dlib).
        landmarks_every: find landmarks in every Nth frame (0: once a clip).
        face: which face to follow where there are several, counted from the left (default: the
            largest).
        strict: a row of the annotation that is no clip is an error; exit code 1 if a clip was
            skipped or its apex could not be found.
        clip: a folder of frames or a video file: print its apex instead.
        sheet: the annotation's sheet, where it is not called HS.
    """
    settings = ApexSettings(choose_finder(landmarks), method, landmarks_every, face)
    if clip:
        _process_clip(clip, settings, plots)
        return 0
    if root is None:
        raise UserError("give --root, and --annotation or SMIC's cropped release; or --clip")
    if not out.name.endswith("_apex.csv"):
        raise UserError(f"--out {out}: its name has to end in _apex.csv, as prepare_data.py reads")
    folders = ClipFolders(root)
    source = read_smic(folders, annotation, strict=strict, sheet=sheet)
    keep = out.with_name(f".{out.stem}")
    spot = partial(
        spot_clips,
        settings=settings,
        workers=workers,
        plots=plots,
        keep=keep,
        cache=face_cache(),
    )
    written = write_spotted(source, folders, out, spot=spot)
    forget_kept(keep)
    _report(written, out, len(source.clips))
    if source.skipped:
        print(f"{len(source.skipped)} of {source.rows} {source.source} skipped")
    return 1 if strict and (written.skipped or written.middle) else 0


def _process_clip(path: Path, settings: ApexSettings, plots: Path | None) -> None:
    """Print the apex of a folder of frames or a video file, and write its plot."""
    faces = load_face_finder(settings.landmarks, settings.face)
    apex = find_apex(all_frames(path), faces, settings, str(path))
    print(f"{path}: apex {apex.frame}, of frames {apex.numbers[0]} to {apex.numbers[-1]}")
    if plots:
        plot = plots / f"{path.stem}.png"
        plot_apex(apex, path.name, plot)
        print(f"curve: {plot}")


def _report(written: SpottedIndex, out: Path, clips: int) -> None:
    spotted = int((written.index["apex_source"] == "spotted").sum())
    print(f"{out}: {spotted} of {clips} clips have an apex")
    for what, lines in (
        ("{} clips have their middle frame instead:", written.middle),
        ("skipped {} clips:", written.skipped),
    ):
        if lines:
            print("\n  ".join([what.format(len(lines)), *lines]), file=sys.stderr)


if __name__ == "__main__":
    run_script(main)
