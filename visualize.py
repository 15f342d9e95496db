"""Pictures of a run: heat maps (cam), glasses taken off (glasses), learning curves (curves).

python visualize.py cam --experiment NAME
python visualize.py glasses --index data/smic_apex.csv --root DATA
python visualize.py cam --weights FILE --clip FOLDER_OR_VIDEO_OR_IMAGE
"""

from pathlib import Path

import pandas as pd

from common.cli import run_script
from common.errors import UserError
from data.views import BackendName
from report.curves import write_curves
from report.figures import Format, save_figure


def cam(
    experiment: str | None = None,
    result: Path = Path("result"),
    weights: Path | None = None,
    clip: Path | None = None,
    onset: int | None = None,
    apex: int | None = None,
    face: int | None = None,
    assets: Path | None = None,
    out: Path | None = None,
    limit: int | None = None,
    format: Format = "png",
) -> None:
    """Draw what networks look at: one panel a clip, with heat over each stream's pictures.

    Args:
        experiment: a run with --save-weights; each clip is seen by the fold that held it out.
        result: folder that holds the experiments' folders.
        weights: one network's file instead (default: the one that learned from synthetic motion).
        clip: and the clip that it looks at: a folder of frames, a video, an image.
        onset: number of the clip's onset frame (default: the first that shows the face).
        apex: number of the clip's apex frame (default: it is looked for).
        face: which of a clip's faces to follow, counted from the left (default: the largest).
        assets: DECA's and FLAME's files, for networks that learned from DECA's views.
        out: the panel's file (default: cam.png or cam.pdf).
        limit: at most so many clips a fold.
        format: png, or pdf for papers (fonts embedded).
    """
    # Here: torch and captum take seconds that the other pictures have no use for.
    from data.faces import face_cache, load_face_finder
    from data.landmarks import choose_finder
    from report.heat_maps import CPU, look, write_attention

    if (experiment is None) == (clip is None):
        raise UserError("give --experiment for a whole run, or --clip (and --weights) for one clip")
    if experiment is not None:
        faces = load_face_finder(choose_finder(), cache=face_cache())
        table = write_attention(result / experiment, faces, format, limit)
        _print_attention(table)
        print(f"panels in {result / experiment / 'cam'}, figures in attention.csv beside it")
        return
    assert clip is not None  # exactly one of the two
    from deca.clip_views import make_views
    from loso.predict import load_classifier, pick_frames, read_clip

    for path in (clip, *([weights] if weights else [])):
        if not path.exists():
            raise UserError(f"{path}: no such file or folder")
    classifier = load_classifier(weights)
    if len(classifier.networks) > 1:
        raise UserError(f"--weights {weights}: a heat map is of one network; name a file")
    faces = load_face_finder(choose_finder(), face)
    picked = pick_frames(clip, onset, apex, faces)
    shown = classifier.settings.views_show
    views = make_views(classifier.views_by, assets, str(CPU), shown)
    readings = read_clip(classifier, picked, views, str(clip))
    out = out or Path(f"cam.{format}")
    seen = look(classifier, picked, readings, faces, clip.name)
    seen.save(out)
    print(f"{seen.shown.title}; wrote {out}")


def _print_attention(table: pd.DataFrame) -> None:
    for stream, rows in table.groupby("stream"):
        rows = rows.dropna(subset="heat_in_cells")
        if rows.empty:
            print(f"{stream}: no face found in its pictures")
            continue
        mean = rows.mean(numeric_only=True)
        print(
            f"{stream}: {mean['heat_in_cells']:.0%} of the face's heat lies in the ten cells, "
            f"which are {mean['cells_of_face']:.0%} of the face ({len(rows)} clips)"
        )
    clips = table.drop_duplicates(["data", "subject", "clip"])
    print(
        f"erasing the hottest fifth takes {clips['fall_hottest'].mean():.3f} off the class score, "
        f"a random fifth {clips['fall_random'].mean():.3f}"
    )


def glasses(
    index: Path,
    root: Path,
    backend: BackendName = "auto",
    assets: Path | None = None,
    result: Path = Path("result"),
    format: Format = "png",
) -> None:
    """Draw input, reconstruction and frontal view of each subject with glasses.

    The demo set knows the same frames without glasses: there the truth stands beside them, and
    the figures say how far frames and views differ.

    Args:
        index: an index that prepare_data.py or smic_processing.py wrote.
        root: the folder that the index's paths start from.
        backend: auto: DECA if --assets has its files, else anny.
        assets: DECA's and FLAME's files; python -m deca.assets where.
        result: folder for glasses.png (or .pdf) and glasses.csv.
        format: png, or pdf for papers (fonts embedded).
    """
    from data.faces import load_face_finder
    from data.index import read_index
    from data.landmarks import choose_finder
    from deca.frame import load_backend
    from loso.results import write_tables
    from report.glasses import draw_wearers, look_at_wearers, tabulate

    clips = read_index(index)
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; --root names the one that holds the datasets")
    faces = load_face_finder(choose_finder())
    wearers = list(look_at_wearers(clips, root, load_backend(backend, assets), faces))
    table = tabulate(wearers)
    write_tables(result, {"glasses.csv": table})
    path = result / f"glasses.{format}"
    save_figure(draw_wearers(wearers), path)
    if table["views_differ"].notna().any():
        print(
            f"with and without glasses, frames differ by {table['frames_differ'].mean():.2%} of "
            f"the grey range, views by {table['views_differ'].mean():.2%} "
            f"({table['views_differ'].notna().sum()} subjects)"
        )
    print(f"wrote {path} and {result / 'glasses.csv'}")


def curves(
    result: Path = Path("result"), experiment: str | None = None, format: Format = "png"
) -> None:
    """Draw losses and running UF1 by epoch, with `last` and the optimistic `best` marked.

    Args:
        result: folder that holds the experiments' folders.
        experiment: one experiment's name; all that have a finished fold if not given.
        format: png, or pdf for papers (fonts embedded).
    """
    if experiment is not None:
        folders = [result / experiment]
    else:
        folders = sorted({path.parent for path in result.glob("*/fold_*.json")})
    if not folders:
        raise UserError(f"{result}: no fold record in any folder; run a train_me_loso script first")
    for folder in folders:
        print(f"wrote {write_curves(folder, format)}")


if __name__ == "__main__":
    run_script({"cam": cam, "glasses": glasses, "curves": curves})
