"""Find micro- and macro-expressions in long videos, or score what was found.

python spot.py --video FILE_OR_FOLDER_OR_LIST [--out FOLDER] [--workers N]
python spot.py score --predicted CSV --annotation FILE
"""

import sys
from pathlib import Path
from typing import Literal

from common.cli import run_script
from common.errors import UserError


def main(
    video: Path,
    out: Path = Path("result/spotting"),
    workers: int = 1,
    fps: float | None = None,
    first: int = 0,
    face: int | None = None,
    strict: bool = False,
    page: bool = True,
    thumbnails: bool = False,
    overlay: bool = False,
) -> int:
    """Look through videos for expressions: onset, apex, offset, class scores, action units.

    A run that was stopped goes on from where it was; `python spot.py score --help` is about scores.

    Args:
        video: a video, a folder of frames, a folder of either, or a .txt with one of them a line.
        out: folder for intervals.csv, spotting.json and a folder a video.
        workers: videos that are looked through at once; the results do not depend on it.
        fps: frames a second of folders of frames, or instead of what a video's header says.
        first: number of a video file's first frame (CAS(ME)² and SAMM count from 1).
        face: which face to follow where there are several, counted from the left (default: the
            largest).
        strict: exit with code 1 if a video could not be read.
        page: write report.html for each video, without a picture of the person.
        thumbnails: put onsets, apexes and offsets on the page: they show the person's face.
        overlay: write overlay.mp4, the video with what was found drawn on it.
    """
    if not video.exists():
        raise UserError(f"--video {video}: no such file or folder")
    if workers < 1:
        raise UserError(f"--workers {workers}: at least 1")
    if face is not None and face < 1:
        raise UserError(f"--face {face}: faces are counted from 1")
    # Here, so that --help and a mistyped path need no second of imports.
    from loso.spot_run import SpotSettings, list_videos, say_spotted, spot_videos

    settings = SpotSettings(fps, first, face)
    videos, failed = spot_videos(list_videos(video), out, settings, workers)
    say_spotted(videos, failed, out)
    if page or overlay:
        from report.spotting.files import write_files

        folders = [out / found["name"] for found in videos]
        for path in write_files(folders, page, thumbnails, overlay):
            print(f"wrote {path}", flush=True)
    return 1 if failed and strict else 0


def score(
    predicted: Path,
    annotation: Path,
    corpus: Literal["casme_sq", "samm_lv", "smic_hs", "smic_vis", "drawn"] | None = None,
    emotions: Path | None = None,
    no_offset: Literal["apex", "mirror", "leave"] = "apex",
    classes: int = 3,
    train_threshold: bool = False,
    json: Path | None = None,
) -> None:
    """Score spotted intervals by MEGC's rules.

    Args:
        predicted: intervals.csv of a run, or anybody's table of video, onset, offset.
        annotation: the corpus's spreadsheet, truth_long.csv of drawn videos, or the log itself that
            --predicted names.
        corpus: whose annotation it is (default: told by its columns).
        emotions: SAMM's micro-expression table, which alone has its emotions.
        no_offset: what CAS(ME)²'s offset 0 stands for: the apex (as MEGC 2020), as long after it as
            the onset lies before it, or a row to leave out.
        classes: 3, or 4 with others.
        train_threshold: choose the least score on all other subjects (LOSO).
        json: a file for the same as JSON.
    """
    from loso.spot_score import print_score, score_files

    found = score_files(
        predicted, annotation, corpus, emotions, no_offset, classes, train_threshold
    )
    print_score(found)
    if json is not None:
        import json as jsonlib

        from common.files import write_whole

        with write_whole(json) as part:
            part.write_text(jsonlib.dumps(found.as_json(), indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["score"]:
        sys.argv[:2] = [sys.argv[0]]
        run_script(score)
    run_script(main)
