"""An experiment from its settings to its fold records."""

from contextlib import closing

import torch

from data.files import write_whole

from .claim import claim_folder
from .folds import Fold, choose_folds, make_folds
from .inputs import Inputs, find_inputs
from .launch import Trained, make_launcher
from .progress import RunProgress
from .records import pooled_uf1, read_records, record_path, write_json
from .saved import check_start, weights_path
from .settings import Settings, resolve_device


def run_experiment(settings: Settings) -> None:
    """Train and score every fold that has no record yet."""
    device = resolve_device(settings.device)
    inputs = find_inputs(settings)
    folds = make_folds(inputs.index, settings.classes)
    chosen = choose_folds(folds, settings.subjects)
    check_start(settings, [fold.data_sub for fold in folds])
    if settings.overwrite:
        _clear(settings)
    claim_folder(settings, inputs, folds, device)
    records = {r["data_sub"]: r for r in read_records(settings.folder)}
    todo = [fold for fold in chosen if not _is_done(fold, records, settings)]
    print(
        f"{settings.name}: {len(inputs.index)} clips, {len(folds)} subjects; {len(chosen)} folds "
        f"chosen, {len(chosen) - len(todo)} of them done before; on {_device_name(device)}"
    )
    if todo:
        _run_folds(settings, inputs, todo, records, device, len(chosen))
    print(f"records in {settings.folder}; python get_result_log.py makes the tables")


def _clear(settings: Settings) -> None:
    folder = settings.folder
    weights = folder.glob("weights/*.safetensors")
    for old in (*folder.glob("fold_*.json"), *weights, folder / "config.json"):
        old.unlink(missing_ok=True)


def _is_done(fold: Fold, records: dict[str, dict], settings: Settings) -> bool:
    if fold.data_sub not in records:
        return False
    return not settings.save_weights or weights_path(settings.folder, fold.data_sub).is_file()


def _run_folds(
    settings: Settings,
    inputs: Inputs,
    todo: list[Fold],
    records: dict[str, dict],
    device: torch.device,
    total: int,
) -> None:
    launcher = make_launcher(settings, inputs, todo, device)
    with (
        RunProgress(total, total - len(todo), settings.passes) as progress,
        closing(launcher(progress)) as finished,
    ):
        try:
            for done in finished:
                _keep(settings, done)
                records[done.record["data_sub"]] = done.record
                progress.finish_fold(done.record, pooled_uf1(records.values()))
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"{len(records)} whole folds are in {settings.folder}; "
                "the same command goes on with the next"
            ) from None


def _keep(settings: Settings, done: Trained) -> None:
    """Write a fold's network, where asked for, and then the record that says it is done."""
    data_sub = done.record["data_sub"]
    if done.weights is not None:
        with write_whole(weights_path(settings.folder, data_sub)) as part:
            part.write_bytes(done.weights)
    write_json(record_path(settings.folder, data_sub), done.record)


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
