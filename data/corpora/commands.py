"""The commands of prepare_data.py that make an index: of a corpus, of one's own clips, joined."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

from common.errors import UserError
from common.parallel import cores
from data.apex.batch import forget_kept
from data.disk.frames import ClipFolders
from data.index import index_path

from .description import Corpus
from .indexing import Asked, index_corpus, join, say_made
from .known import AU, CORPORA, MEGC2019, OWN
from .spotted import Spot, read_smic, write_spotted


def corpus_command(corpus: Corpus) -> Callable[..., int]:
    """The command that indexes a corpus."""
    tasks = [*corpus.tasks, *([AU] if "units" in corpus.columns else [])]
    name = corpus.name
    several = " Several tables are read as one." if corpus.lists else ""

    def command(
        root: Path,
        annotation: tuple[Path, ...],
        out: Path = Path("data"),
        task: str = "3",
        classes: Literal[3, 5] | None = None,
        sheet: str | None = None,
        objective: Path | None = None,
        apex: Path | None = None,
        spot: bool = False,
        strict: bool = False,
        workers: int = cores(),
    ) -> int:
        chosen = task if classes is None else str(classes)
        if spot and "apex_frame" in corpus.columns:
            raise UserError(f"--spot: {name}'s annotation has the apexes")
        keep = index_path(out, name, chosen).with_name(f".{name}")
        found = spotting(keep, workers) if spot else None
        asked = Asked(root, annotation, out, chosen, sheet, objective, apex, strict)
        made = index_corpus(corpus, asked, found)
        if spot:
            forget_kept(keep)
        return made

    command.__doc__ = f"""Index {corpus.title}: <out>/{name}_apex.csv, <name>_<task>_apex.csv.

    Args:
        root: folder that holds the datasets; clips are found below it in any released layout.
        annotation: the released table, .xlsx, .xls or .csv.{several}
        out: folder of the index.
        task: {", ".join(tasks)}: 3 is negative, positive, surprise.
        classes: an older way to say --task.
        sheet: the annotation's sheet, where it has another name.
        objective: a table of objective classes, where the annotation has none.
        apex: an index with apexes that were spotted before (of corpora without apexes).
        spot: look for apexes where the annotation has none; else the middle frame is taken.
        strict: a row that is no clip is an error; exit code 1 if a clip was skipped.
        workers: processes that look for apexes.
    """
    command.__name__ = name
    return command


def spotting(keep: Path, workers: int) -> Spot:
    """How apexes are looked for, with the results kept until all are there."""
    from data.apex.batch import spot_clips
    from data.apex.spotting import ApexSettings
    from data.faces import face_cache
    from data.landmarks import choose_finder

    settings = ApexSettings(choose_finder(None))
    return partial(spot_clips, settings=settings, workers=workers, keep=keep, cache=face_cache())


def smic(
    root: Path,
    annotation: Path | None = None,
    out: Path = Path("data"),
    task: Literal["3"] = "3",
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
        task: 3; SMIC has no other task.
        classes: an older way to say --task.
        apex: CSV of smic_processing.py with the apex frames, besides <out>/smic_apex.csv.
        sheet: the annotation's sheet, where it is not called HS.
        strict: a row that is no clip is an error; exit code 1 if a clip was skipped.
    """
    path = index_path(out, "smic")
    folders = ClipFolders(root)
    source = read_smic(folders, annotation, classes, strict, sheet)
    written = write_spotted(source, folders, path, apex)
    return say_made(written.index, written.skipped, source, path, strict)


def casme3(
    root: Path,
    annotation: Path,
    out: Path = Path("data"),
    part: Literal["A", "C"] = "A",
    task: Literal["3", "4", "7", "objective", "au"] = "3",
    sheet: str | None = None,
    apex: Path | None = None,
    spot: bool = False,
    strict: bool = False,
    workers: int = cores(),
) -> int:
    """Index CAS(ME)³: <out>/casme3_apex.csv, of part C <out>/casme3_c_apex.csv.

    Args:
        root: folder that holds the datasets; clips are found below it in any released layout.
        annotation: cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx, or CAS(ME)3_part_C_ME.xlsx.
        out: folder of the index.
        part: A, or C (mock crime), which has no apexes and the tasks 3, 4 and au.
        task: 3 is negative, positive, surprise; 4 has others too; 7 is of single emotions.
        sheet: the annotation's sheet, where it has another name.
        apex: an index with apexes that were spotted before (of part C).
        spot: look for part C's apexes; else the middle frame is taken.
        strict: a row that is no clip is an error; exit code 1 if a clip was skipped.
        workers: processes that look for apexes.
    """
    command = corpus_command(CORPORA["casme3" if part == "A" else "casme3_c"])
    rest = {"apex": apex, "spot": spot, "strict": strict, "workers": workers}
    return command(root, (annotation,), out, task, sheet=sheet, **rest)


def own(
    root: Path,
    table: Path | None = None,
    out: Path = Path("data"),
    name: str = OWN,
    fps: float | None = None,
    strict: bool = False,
    workers: int = cores(),
) -> int:
    """Index clips of your own: <out>/<name>_apex.csv.

    Without a table a folder is a subject and a folder or video in it a clip; a folder between both
    is the clips' label (anna/happy/clip3.mp4). Onsets and apexes that are not given are looked for.

    Args:
        root: folder that holds the clips.
        table: CSV or spreadsheet with the columns subject, path and label, and what there is of
            onset, apex, offset (frames, or seconds: onset_s, 1.2s, 0:01.2), units, fps.
        out: folder of the index.
        name: what the clips are called as a corpus: `--dataset NAME` in training.
        fps: frames a second of folders of pictures, where onset, apex, offset are in seconds.
        strict: a row that is no clip is an error; exit code 1 if a clip was skipped.
        workers: processes that look for apexes; the index does not depend on their number.
    """
    from .own import read_own

    folders = ClipFolders(root)
    source = read_own(folders, table, name, fps, strict)
    path = index_path(out, name, OWN)
    keep = path.with_name(f".{name}")
    given = source.clips["apex_frame"].notna().all()
    written = write_spotted(source, folders, path, spot=None if given else spotting(keep, workers))
    forget_kept(keep)
    lines = [*written.skipped, *written.middle]
    return say_made(written.index, lines, source, path, strict)


def composite(out: Path = Path("data")) -> None:
    """Join the three indexes of <out> into the MEGC 2019 composite.

    Args:
        out: folder of the three indexes, and of the composite's.
    """
    join(out, MEGC2019, "composite")


def join_corpora(
    corpora: tuple[str, ...],
    out: Path = Path("data"),
    task: str = "3",
    name: str | None = None,
) -> None:
    """Join the indexes of any corpora: <out>/<name>_apex.csv.

    Args:
        corpora: their names, two or more, as their indexes have them.
        out: folder of their indexes, and of the joined one.
        task: whose indexes are joined; its classes must be the same in all of them.
        name: of the joined index (default: the corpora's, joined by _).
    """
    if len(set(corpora)) < 2:
        raise UserError(f"--corpora {' '.join(corpora)}: two or more different ones")
    if set(corpora) == {name} or name == "composite":
        raise UserError(f"--name {name}: the composite is MEGC 2019's; choose another name")
    join(out, corpora, name or "_".join(corpora), task)


_OF_THEIR_OWN = ("smic", "casme3", "casme3_c")  # corpora whose command differs from the others'
COMMANDS: dict[str, Callable] = {
    "smic": smic,
    **{n: corpus_command(corpus) for n, corpus in CORPORA.items() if n not in _OF_THEIR_OWN},
    "casme3": casme3,
    "own": own,
    "composite": composite,
    "join": join_corpora,
}
