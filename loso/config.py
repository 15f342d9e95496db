"""config.json: what an experiment's folder holds, and that it stays of one kind."""

import hashlib
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import torch

from common.cli import flag
from common.errors import UserError
from common.version import VERSION
from data.clip_set import ClipSet
from data.corpora.known import CORPORA

from .folds import Fold
from .names import modern_facts
from .records import read_json, seed_folders, write_json
from .settings import FREE, Settings, first_difference


def describe(settings: Settings, clips: ClipSet, folds: list[Fold], device: torch.device) -> dict:
    """The content of config.json: what the experiment is, and of what."""
    return {
        "settings": settings.facts(),
        "clips": hashlib.sha256(clips.index.to_csv(index=False).encode()).hexdigest(),
        "left_out": list(clips.left_out),
        "device": device.type,
        "views_by": clips.views_by,
        "maps_by": clips.motion_by,
        "subjects": {fold.data_sub: len(fold.test) for fold in folds},  # of each fold, the clips
        "held_out": len(held_out_subjects(folds, clips.index)),
        "versions": {
            name: version(name) for name in ("torch", "torchvision", "numpy", "scikit-learn")
        }
        | {"python": platform.python_version(), "dsnca": VERSION},
        "git_commit": _git_commit(),
    }


def held_out_subjects(folds: list[Fold], index: pd.DataFrame) -> list[str]:
    """The subjects that folds hold out, of folds that hold out corpora every one in these."""
    return sorted({name for fold in folds for name in index["data_sub"].iloc[fold.test]})


def check_folder(settings: Settings, config: dict) -> None:
    """UserError where the experiment's folder holds folds of another config than this one.

    Of `config` (from describe) what is there is compared: {"settings": …} says as much before
    anything is read. A folder without folds is free, and so is one that --overwrite empties.
    """
    folder, path = settings.folder, settings.folder / "config.json"
    if settings.overwrite or not _has_folds(folder):
        return
    if not path.is_file():
        raise UserError(
            f"{folder}: has fold records but no config.json that says of which "
            "settings; --overwrite deletes them, --experiment NAME goes elsewhere"
        )
    difference = _difference(read_json(path), config, Settings().facts())
    if difference:
        raise UserError(
            f"{path}: its folds are of other settings ({difference}); --overwrite deletes them, "
            "--experiment NAME goes elsewhere"
        )


def claim_folder(settings: Settings, config: dict) -> None:
    """Take the experiment's folder: write config.json where no fold of this config is there yet.

    What a run of another config without a fold left goes first, with --overwrite what any left,
    further seeds too.
    """
    check_folder(settings, config)
    if not settings.overwrite and _has_folds(settings.folder):
        return
    if settings.overwrite or not _is_ours(settings, config):  # else it may be running now
        made = made_files if settings.overwrite else _made_by_run
        for path in made(settings.folder):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise UserError(f"cannot delete {path}: {error.strerror or error}") from error
    write_json(settings.folder / "config.json", config)


def check_claim(settings: Settings, config: dict) -> None:
    """UserError where another run has taken the folder since: its folds are not to be mixed."""
    if not _is_ours(settings, config):
        raise UserError(
            f"{settings.folder}: another run has taken this folder since this one began, so "
            "the fold that was finished now is not kept; --experiment NAME goes elsewhere"
        )


def _is_ours(settings: Settings, config: dict) -> bool:
    try:
        theirs = read_json(settings.folder / "config.json")
    except UserError:  # none, or cut off
        return False
    return _difference(theirs, config, Settings().facts()) is None


_CORPUS = "|".join(CORPORA)
# Names that this project gives to files below an experiment's folder, by the folder in it.
_MADE = {
    ".": r"fold_.+\.json|config\.json|attention\.csv|views\.u8|\.(shared|views)_\d+(\.u8)?"
    r"|(curves|confusion_(last|nested|best))\.(png|pdf)",
    "cam": rf"({_CORPUS})_.+\.(png|pdf)",
    "weights": rf"({_CORPUS})([_+].+)?\.safetensors",
}
_HALF_WRITTEN = re.compile(r"\.(.+)\.\d+(\.\w+)?")  # of write_whole, in a run that was killed


def made_files(folder: Path) -> list[Path]:
    """What this project has written below an experiment's folder, and nothing else there.

    Known by name: records, networks, config.json, the figures and tables of get_result_log.py
    and visualize.py; of further seeds too.
    """
    return [path for run in (folder, *seed_folders(folder)) for path in _made_by_run(run)]


def _made_by_run(folder: Path) -> list[Path]:
    """The same of one seed."""
    made = []
    folds = "|".join(map(re.escape, _fold_names(folder))) or _CORPUS
    for place, names in _MADE.items():
        names = names.replace(_CORPUS, f"{_CORPUS}|{folds}")
        for path in sorted((folder / place).glob("*")):
            half = _HALF_WRITTEN.fullmatch(path.name)
            whole = half[1] + (half[2] or "") if half else path.name
            if re.fullmatch(names, whole) and (path.is_file() or path.is_symlink()):
                made.append(path)
    return made


def _fold_names(folder: Path) -> list[str]:
    """The folds that a folder's config.json names: of corpora of one's own they begin anyhow."""
    try:
        return list(read_json(folder / "config.json").get("subjects", {}))
    except UserError:
        return []


def _has_folds(folder: Path) -> bool:
    return any(folder.glob("fold_*.json"))


def _difference(before: dict, now: dict, defaults: dict) -> str | None:
    # Settings that came later had their defaults.
    old, new = defaults | modern_facts(before.get("settings", {})), now["settings"]
    name = first_difference(old, new, [name for name in new if name not in FREE])
    if name:
        return f"{flag(name)} was {old[name]}, now {new[name]}"
    if "clips" in now and before.get("clips") != now["clips"]:
        one, other = set(before.get("left_out", ())), set(now["left_out"])
        if changed := sorted(one ^ other):
            return f"{changed[0]} {'cannot' if changed[0] in other else 'can'} be read now"
        return "the index has changed"
    for name, what in (
        ("device", "the kind of device"),
        ("views_by", "the views' backend"),
        ("maps_by", "what made the motion maps"),
    ):
        if name in now and before.get(name) != now[name]:
            return f"{what} was {before.get(name)}, now {now[name]}"
    return None


def _git_commit() -> str | None:
    """The commit of the code, with + where it was changed since; None outside a checkout."""
    here = Path(__file__).parent

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=here, capture_output=True, text=True, check=True, timeout=10
        )
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "-uno")
        return git("rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return None
