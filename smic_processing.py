"""Find the apex frames of SMIC, which its annotation leaves out: annotation -> data/smic_apex.csv.

python smic_processing.py --root DATA --annotation SMIC-HS-E_annotation.xlsx
python smic_processing.py --clip FOLDER_OR_VIDEO
"""

import os
from pathlib import Path

from data.apex import ApexSettings, Method, process_clip
from data.apex_run import process_smic
from data.errors import UserError, run_script
from data.landmarks import FinderName, choose_finder


def main(
    root: Path | None = None,
    annotation: Path | None = None,
    out: Path = Path("data/smic_apex.csv"),
    plots: Path | None = Path("result/apex_plots"),
    workers: int = os.cpu_count() or 1,
    method: Method = "pattern",
    landmarks: FinderName | None = None,
    landmarks_every: int = 0,
    face: int | None = None,
    strict: bool = False,
    clip: Path | None = None,
) -> int:
    """Find the apex frames of SMIC, or of one clip.

    Args:
        root: the folder that holds SMIC's frames, in any of the released layouts.
        annotation: SMIC-HS-E_annotation.xlsx.
        out: the index to write; its four-frames companion goes beside it.
        plots: a folder for one curve a clip (None: no plots).
        workers: processes; the result does not depend on their number.
        method: pattern, or cells: the published measure.
        landmarks: fan or dlib (default: fan if its weights are here, else dlib).
        landmarks_every: find landmarks in every Nth frame (0: once a clip).
        face: which face to follow where there are several, counted from the left (default: the
            largest).
        strict: exit code 1 if a clip was skipped.
        clip: a folder of frames or a video file: print its apex instead.
    """
    settings = ApexSettings(choose_finder(landmarks), method, landmarks_every, face)
    if clip:
        process_clip(clip, settings, plots)
        return 0
    if root is None or annotation is None:
        raise UserError("give --root and --annotation, or --clip for one clip")
    skipped = process_smic(root, annotation, out, settings, workers, plots)
    return 1 if skipped and strict else 0


if __name__ == "__main__":
    run_script(main)
