"""An experiment from its settings to its fold records."""

import dataclasses
import hashlib
import os
import platform
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import torch
import tyro
from torch import Tensor, nn

from data.corpora import CLASSES
from data.errors import UserError, run_script, warn
from data.index import four_frames_path, read_index
from data.pictures import ClipPictures, load_pictures
from data.transforms import stored_size
from data.view_pictures import check_views, load_views, view_rows
from data.views import read_backend

from .batches import Features, Images
from .folds import Fold, choose_folds, glasses_only, make_folds
from .progress import RunProgress
from .records import (
    FORMAT,
    pooled_uf1,
    read_json,
    read_records,
    record_path,
    write_json,
)
from .settings import Settings, resolve_device
from .training import train_fold
from .weights import StateDict, build_network, read_weights

# What may differ between two runs of one experiment: it changes no record.
_FREE = {"subjects", "overwrite", "experiment", "result", "root", "root3d", "index", "device"}


def experiment_script(defaults: Settings, description: str) -> None:
    """The command line of a training script: the settings, with the script's own defaults."""

    def main(settings: tyro.conf.OmitArgPrefixes[Settings] = defaults) -> None:
        run_experiment(settings)

    main.__doc__ = description
    run_script(main)


def run_experiment(settings: Settings) -> None:
    """Train and score every fold that has no record yet."""
    device = resolve_device(settings.device)
    index = read_index(settings.index_file, settings.classes)
    if settings.glasses_only:
        index = glasses_only(index)
    folds = make_folds(index, settings.classes)
    chosen = choose_folds(folds, settings.subjects)
    four_frames = _companion(settings)
    views = None
    if settings.streams != "2d":
        views = _find_views(settings, index, four_frames)
    if settings.overwrite:
        for old in (*settings.folder.glob("fold_*.json"), settings.folder / "config.json"):
            old.unlink(missing_ok=True)
    _claim_folder(settings, index, folds, device)
    records = {r["data_sub"]: r for r in read_records(settings.folder)}
    todo = [fold for fold in chosen if fold.data_sub not in records]
    print(
        f"{settings.name}: {len(index)} clips, {len(folds)} subjects; {len(chosen)} folds "
        f"chosen, {len(chosen) - len(todo)} of them done before; on {_device_name(device)}"
    )
    if todo:
        _make_deterministic()
        state = read_weights(settings)
        network = build_network(settings, state)  # where it cannot be, no frame is read
        pictures = _load(settings, index, four_frames, views)
        source = _source(settings, pictures, network, device)
        _run_folds(settings, state, pictures, source, todo, records, device, len(chosen))
    print(f"records in {settings.folder}; python get_result_log.py makes the tables")


def _source(
    settings: Settings, pictures: ClipPictures, network: nn.Module, device: torch.device
) -> Images | Features:
    """Where batches come from: kept features where the trunk is frozen, else pictures."""
    source = Images(pictures, settings, device)
    if not Features.fit(pictures, network, settings):
        return source
    frames = int((pictures.slots >= 0).sum())
    print(f"the trunk is frozen: its features of {frames} frames are kept")
    return Features(source, network)


def _run_folds(
    settings: Settings,
    state: StateDict | None,
    pictures: ClipPictures,
    source: Images | Features,
    todo: list[Fold],
    records: dict[str, dict],
    device: torch.device,
    total: int,
) -> None:
    with RunProgress(total, total - len(todo), settings.epochs) as progress:
        try:
            for fold in todo:
                progress.start_fold(fold.data_sub)
                started = time.monotonic()
                torch.manual_seed(fold.seed(settings.seed))
                network = build_network(settings, state)
                epochs = train_fold(
                    network, source, pictures, fold, settings, device, progress.epoch
                )
                record = _record(settings, pictures.index, fold, epochs, time.monotonic() - started)
                write_json(record_path(settings.folder, fold.data_sub), record)
                records[fold.data_sub] = record
                progress.finish_fold(record, pooled_uf1(records.values()))
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"{len(records)} whole folds are in {settings.folder}; "
                "the same command goes on with the next"
            ) from None


def _companion(settings: Settings) -> pd.DataFrame | None:
    """The four-frames companion of the experiment's index; None where there is none."""
    companion = four_frames_path(settings.index_file)
    if companion != settings.index_file and companion.is_file():
        return read_index(companion, settings.classes, companion=True)
    warn(f"{companion}: not there, so training has no neighbouring frames of the apex")
    return None


def _find_views(
    settings: Settings, index: pd.DataFrame, four_frames: pd.DataFrame | None
) -> tuple[list[Path], Tensor]:
    """The folders of the views, and which one each frame reads.

    UserError, with the command that makes them, unless all views are there.
    """
    own = settings.neighbour_views == "own"
    command = (
        f"python reconstruct_3d.py --index {settings.index_file} --root {settings.root} "
        f"--out {settings.root3d}{' --four-frames' * own}"
    )
    if not (settings.root3d / "views.json").is_file():
        raise UserError(f"no 3D views below {settings.root3d}; make them with: {command}")
    if not own:
        print("frames beside an apex are given the apex's views (--neighbour-views apex)")
    folders, rows = view_rows(index, four_frames, settings.root3d, own)
    check_views(folders, settings.root3d, command)
    return folders, rows


def _load(
    settings: Settings,
    index: pd.DataFrame,
    four_frames: pd.DataFrame | None,
    views: tuple[list[Path], Tensor] | None,
) -> ClipPictures:
    size = stored_size(settings.image_size, settings.augment)
    pictures = load_pictures(index, four_frames, settings.root, size)
    if views is None:
        return pictures
    folders, rows = views
    kept = load_views(folders, size, _free_memory() // 2, settings.folder / "views.u8")
    return dataclasses.replace(pictures, views=kept, view_slots=rows)


def _free_memory() -> int:
    """Bytes of memory that the system could still hand out."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024 * int(next(line.split()[1] for line in lines if "MemAvailable" in line))
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def _record(
    settings: Settings, index: pd.DataFrame, fold: Fold, epochs: list[dict], seconds: float
) -> dict:
    clips = index.iloc[fold.test][["data", "subject", "clip", "label"]]
    return {
        "format": FORMAT,
        "experiment": settings.name,
        "data_sub": fold.data_sub,
        "classes": list(CLASSES[settings.classes]),
        "clips": [row | {"label": int(row["label"])} for row in clips.to_dict("records")],
        "epochs": epochs,
        "seconds": round(seconds, 1),
    }


def _claim_folder(
    settings: Settings, index: pd.DataFrame, folds: list[Fold], device: torch.device
) -> None:
    """Write config.json, or check that the one there is of the same settings."""
    path = settings.folder / "config.json"
    config = {
        "settings": {
            name: str(value) if isinstance(value, Path) else value
            for name, value in dataclasses.asdict(settings).items()
        },
        "clips": hashlib.sha256(index.to_csv(index=False).encode()).hexdigest(),
        "device": device.type,
        "views_by": None if settings.streams == "2d" else read_backend(settings.root3d),
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
    before = read_json(path)
    difference = _difference(before, config)
    if difference:
        raise UserError(
            f"{path}: its folds are of other settings ({difference}); --overwrite deletes them, "
            "--experiment NAME goes elsewhere"
        )


def _difference(before: dict, now: dict) -> str | None:
    old, new = before.get("settings", {}), now["settings"]
    for name in [name for name in new if name not in _FREE]:
        if old.get(name) != new[name]:
            flag = f"--{name.replace('_', '-')}"
            return f"{flag} was {old.get(name)}, now {new[name]}"
    if before.get("clips") != now["clips"]:
        return "the index has changed"
    for name, what in (("device", "the kind of device"), ("views_by", "the views' backend")):
        if before.get(name) != now[name]:
            return f"{what} was {before.get(name)}, now {now[name]}"
    return None


def _make_deterministic() -> None:
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it when it starts
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return device.type if device.type == "mps" else f"cpu ({torch.get_num_threads()} threads)"


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
