"""config.json: what an experiment's folder holds, and that it stays of one kind."""

import hashlib
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import torch

from data.errors import UserError

from .folds import Fold
from .inputs import Inputs
from .records import read_json, write_json
from .settings import Settings, first_difference, flag

# What may differ between two runs of one experiment: it changes no record.
_FREE = {
    "subjects", "overwrite", "save_weights", "experiment", "result", "root", "root3d", "index",
    "four_frames", "device", "launcher", "workers", "gpus_per_fold",
}  # fmt: skip


def claim_folder(
    settings: Settings, inputs: Inputs, folds: list[Fold], device: torch.device
) -> None:
    """Write config.json, or check that the one there is of the same settings (UserError)."""
    path = settings.folder / "config.json"
    config = {
        "settings": settings.facts(),
        "clips": hashlib.sha256(inputs.index.to_csv(index=False).encode()).hexdigest(),
        "device": device.type,
        "views_by": inputs.views_by,
        "maps_by": inputs.maps_by,
        "subjects": {fold.data_sub: len(fold.test) for fold in folds},
        "versions": {
            name: version(name) for name in ("torch", "torchvision", "numpy", "scikit-learn")
        }
        | {"python": platform.python_version()},
        "git_commit": _git_commit(),
    }
    if not path.is_file():
        if any(settings.folder.glob("fold_*.json")):
            raise UserError(
                f"{settings.folder}: has fold records but no config.json that says of which "
                "settings; --overwrite deletes them, --experiment NAME goes elsewhere"
            )
        write_json(path, config)
        return
    difference = _difference(read_json(path), config, Settings().facts())
    if difference:
        raise UserError(
            f"{path}: its folds are of other settings ({difference}); --overwrite deletes them, "
            "--experiment NAME goes elsewhere"
        )


def _difference(before: dict, now: dict, defaults: dict) -> str | None:
    old, new = defaults | before.get("settings", {}), now["settings"]  # what came later had those
    name = first_difference(old, new, [name for name in new if name not in _FREE])
    if name:
        return f"{flag(name)} was {old[name]}, now {new[name]}"
    if before.get("clips") != now["clips"]:
        return "the index has changed"
    for name, what in (
        ("device", "the kind of device"),
        ("views_by", "the views' backend"),
        ("maps_by", "what made the motion maps"),
    ):
        if before.get(name) != now[name]:
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
        return git("rev-parse", "HEAD") + "+" * bool(git("status", "--porcelain", "-uno"))
    except (OSError, subprocess.SubprocessError):
        return None
