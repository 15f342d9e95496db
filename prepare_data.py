"""From raw annotations and frames to the index that training reads; and the demo set.

python prepare_data.py demo --out demo
python prepare_data.py casme2 --root datasets --annotation CASME2-coding-20140508.xlsx
python prepare_data.py smic --root datasets/SMIC_all_cropped
python prepare_data.py composite
python prepare_data.py maps --index data/composite_apex.csv --root datasets --out maps
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pandas as pd
from rich.console import Console
from rich.table import Table

from common.cli import run_script
from common.errors import UserError
from common.parallel import cores
from data.corpora.annotation import Annotation, read_annotation
from data.corpora.description import CLASSES, CORPORA, MEGC2019
from data.corpora.smic import read_smic, write_smic
from data.disk.frames import ClipFolders
from data.index import build_index, four_frames_path, index_path, join_indexes, write_index
from data.index_file import read_index
from data.landmarks import FinderName
from data.motion.flow import MOTION_SIZE, Flow


def demo(
    out: Path,
    seed: int = 0,
    workers: int = cores(),
    glasses: Literal["clear", "hiding"] = "clear",
    long: bool = False,
    look: Literal["plain", "far"] = "plain",
    files: Literal["frames", "avi"] = "frames",
) -> None:
    """Draw the demo set: synthetic faces in the layouts of all three corpora.

    With --long: videos of minutes in the layouts of CAS(ME)² and SAMM long videos instead.

    Args:
        out: folder to draw into.
        seed: another seed draws other faces.
        workers: processes that draw; the pictures do not depend on it.
        glasses: of their wearers: clear, or hiding (rims over the brows, dark and mirroring).
        long: long videos with expressions, blinks, speech, turns and changes of light.
        look: of long videos: plain, or far (a smaller face, hard light, noise, another rate).
        files: of long videos: a folder of frames each, or an .avi file.
    """
    if long:
        from synthetic.long.draw import draw_long

        if glasses != "clear":
            raise UserError("--glasses: of the demo set of clips, not of --long")
        draw_long(out, seed, workers, look=look, files=files)
        return
    if (look, files) != ("plain", "frames"):
        raise UserError("--look and --files: of long videos, with --long")
    from synthetic.demo.corpora import make_demo

    make_demo(out, seed=seed, workers=workers, glasses=glasses)


def smic(
    root: Path,
    annotation: Path | None = None,
    out: Path = Path("data"),
    classes: Literal[3, 5] = 3,
    apex: Path | None = None,
    sheet: str | None = None,
    strict: bool = False,
) -> int:
    """Index SMIC-HS: <out>/smic_apex.csv and <out>/smic_four_frames.csv.

    Apexes that smic_processing.py has spotted are kept; other clips get their middle frame.

    Args:
        root: folder that holds the datasets; clips are found below it in any released layout.
        annotation: SMIC-HS-E_annotation.xlsx, .xls or .csv; without it the clips are those of
            SMIC's cropped release (HS/s1/micro/negative/s1_ne_01).
        out: folder of the index.
        classes: 3; SMIC has no other task.
        apex: CSV of smic_processing.py with the apex frames, besides <out>/smic_apex.csv.
        sheet: the annotation's sheet, where it is not called HS.
        strict: a row that is no clip is an error; exit code 1 if a clip was skipped.
    """
    path = index_path(out, "smic")
    folders = ClipFolders(root)
    source = read_smic(folders, annotation, classes, strict, sheet)
    written = write_smic(source, folders, path, apex)
    return _finish(written.index, written.skipped, source, path, classes, strict)


def casme2(
    root: Path,
    annotation: Path,
    out: Path = Path("data"),
    classes: Literal[3, 5] = 3,
    sheet: str | None = None,
    strict: bool = False,
) -> int:
    """Index CASME II: <out>/casme2_apex.csv, or casme2_5_apex.csv for five classes.

    Args:
        root: folder that holds the datasets; clips are found below it in any released layout.
        annotation: CASME2-coding-*.xlsx, .xls or .csv.
        out: folder of the index.
        classes: 3 (MEGC 2019) or 5 (disgust, happiness, repression, surprise, others).
        sheet: the annotation's sheet, where it is not the first.
        strict: a row that is no clip is an error; exit code 1 if a clip was skipped.
    """
    return _index("casme2", root, annotation, out, classes, sheet, strict)


def samm(
    root: Path,
    annotation: Path,
    out: Path = Path("data"),
    classes: Literal[3, 5] = 3,
    sheet: str | None = None,
    strict: bool = False,
) -> int:
    """Index SAMM: <out>/samm_apex.csv and <out>/samm_four_frames.csv.

    Args:
        root: folder that holds the datasets; clips are found below it in any released layout.
        annotation: SAMM_Micro_FACS_Codes_v2.xlsx, .xls or .csv.
        out: folder of the index.
        classes: 3; SAMM has no other task here.
        sheet: the annotation's sheet, where it is not called MICRO_ONLY.
        strict: a row that is no clip is an error; exit code 1 if a clip was skipped.
    """
    return _index("samm", root, annotation, out, classes, sheet, strict)


def composite(out: Path = Path("data")) -> None:
    """Join the three indexes of <out> into the MEGC 2019 composite.

    Args:
        out: folder of the three indexes, and of the composite's.
    """
    path = index_path(out, "composite")
    index, four_frames = join_indexes(index_path(out, name) for name in MEGC2019)
    write_index(index, four_frames, path)
    _report(index, path, classes=3)


def motion(
    out: Path,
    samples: int = 6000,
    seed: int = 0,
    domains: Literal["training", "held_out"] = "training",
    workers: int = cores(),
) -> None:
    """Draw motion: onset-to-apex maps of synthetic faces with action units and class.

    Args:
        out: folder of motion.npz.
        samples: pairs to draw.
        seed: another seed draws other faces and movements.
        domains: the generator settings to learn from, or those that models are chosen on.
        workers: processes that draw; the maps do not depend on it.
    """
    from synthetic.motion.domains import HELD_OUT, TRAINING
    from synthetic.motion.pairs import make_motion, write_motion

    started = time.monotonic()
    chosen = TRAINING if domains == "training" else HELD_OUT
    pairs = make_motion(samples, seed, chosen, workers=workers)
    rate = samples / (time.monotonic() - started)
    path = write_motion(out, pairs, seed)
    names = ", ".join(domain.name for domain in chosen)
    print(f"wrote {path}: {samples} pairs ({rate:.0f} a second) of the domains {names}")


def maps(
    index: Path,
    root: Path,
    out: Path,
    classes: Literal[3, 5] = 3,
    size: int = MOTION_SIZE,
    flow: Flow = "dis",
    landmarks: FinderName | None = None,
    workers: int = cores(),
    strict: bool = False,
) -> int:
    """Make motion maps: u, v, strain of onset to apex and apex to offset, for any network.

    Args:
        index: an index that this script or smic_processing.py wrote.
        root: the folder that the index's paths start from.
        out: folder of arrays (.npy), pictures as STSTNet, HTNet and CausalNet read them, and an
            index of each.
        classes: of the index.
        size: side of the arrays in pixels; the pictures have 28.
        flow: dis (10 ms a clip) or tvl1 (about a second).
        landmarks: fan or dlib (default: fan if its weights are here, else dlib).
        workers: processes; the files do not depend on their number.
        strict: exit code 1 if a clip was left out.
    """
    from data.landmarks import choose_finder
    from data.motion.writing import Making, motion_cache, say_written, write_maps

    if size < 8:
        raise UserError(f"--size {size}: at least 8")
    clips = read_index(index, classes)
    if "motion_path" in clips:
        raise UserError(f"{index}: names ready maps (motion_path); maps are made from frames")
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; --root names the one that holds the datasets")
    making = Making(root, choose_finder(landmarks), size, flow, motion_cache())
    lost = write_maps(clips, making, out, workers)
    if lost:
        print(f"{len(lost)} of {len(clips)} clips have none:", *lost, sep="\n  ")
    say_written(out, len(clips) - len(lost), len(clips))
    return 1 if strict and lost else 0


def _index(
    data: str,
    root: Path,
    annotation: Path,
    out: Path,
    classes: int,
    sheet: str | None,
    strict: bool,
) -> int:
    source = read_annotation(CORPORA[data], annotation, classes, strict, sheet)
    index, four_frames, skipped = build_index(source.clips, ClipFolders(root))
    path = index_path(out, data, classes)
    write_index(index, four_frames, path)
    return _finish(index, skipped, source, path, classes, strict)


def _finish(
    index: pd.DataFrame,
    skipped: list[str],
    source: Annotation,
    path: Path,
    classes: int,
    strict: bool,
) -> int:
    """Print what became of every row and clip; the exit code."""
    _report(index, path, classes)
    print(f"{len(index)} of {len(source.clips)} clips used")
    if source.skipped:
        rows = f"{len(source.skipped)} of {source.rows} {source.source} skipped:"
        print(rows, *source.skipped, sep="\n  ")
    if skipped:
        print(f"{len(skipped)} of {len(source.clips)} clips skipped:", *skipped, sep="\n  ")
    return 1 if strict and skipped else 0


def _report(index: pd.DataFrame, path: Path, classes: int) -> None:
    """Print the counts by subject and class, and where the index went."""
    names = CLASSES[classes]
    table = Table("data", "subject", *names, "clips", title=str(path))
    counts = pd.crosstab([index["data"], index["subject"]], index["label"])
    counts = counts.reindex(columns=range(classes), fill_value=0)
    for (data, subject), row in zip(counts.index, counts.to_numpy()):
        table.add_row(data, subject, *map(str, row), str(row.sum()))
    table.add_section()
    for data, rows in counts.groupby(level="data"):
        subjects = f"{len(rows)} subjects"
        table.add_row(str(data), subjects, *map(str, rows.sum()), str(rows.to_numpy().sum()))
    if index["data"].nunique() > 1:
        subjects = f"{len(counts)} subjects"
        table.add_row("all", subjects, *map(str, counts.sum()), str(len(index)))
    Console(width=100).print(table)
    print(f"wrote {path} and {four_frames_path(path)}")


if __name__ == "__main__":
    commands: dict[str, Callable] = {"demo": demo, "smic": smic, "casme2": casme2, "samm": samm}
    run_script(commands | {"composite": composite, "motion": motion, "maps": maps})
