"""An experiment from its settings to its fold records."""

import os

import torch
import tyro

from data.errors import run_script

from .claim import claim_folder
from .folds import Fold, choose_folds, make_folds
from .inputs import Inputs, find_inputs
from .progress import RunProgress
from .records import pooled_uf1, read_records, record_path, write_json
from .runners import FoldResult, load_runner, run_fold
from .saved import check_start, save_network, weights_path
from .settings import Settings, resolve_device


def experiment_script(defaults: Settings, description: str) -> None:
    """The command line of a training script: the settings, with the script's own defaults."""

    def main(settings: tyro.conf.OmitArgPrefixes[Settings] = defaults) -> None:
        run_experiment(settings)

    main.__doc__ = description
    run_script(main)


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
        _make_deterministic()
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
    runner = load_runner(settings, inputs, device)
    with RunProgress(total, total - len(todo), settings.passes) as progress:
        try:
            for fold in todo:
                progress.start_fold(fold.data_sub)
                done = run_fold(runner, settings, inputs, fold, progress.epoch)
                _keep(settings, inputs, fold, done)
                records[fold.data_sub] = done.record
                progress.finish_fold(done.record, pooled_uf1(records.values()))
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"{len(records)} whole folds are in {settings.folder}; "
                "the same command goes on with the next"
            ) from None


def _keep(settings: Settings, inputs: Inputs, fold: Fold, done: FoldResult) -> None:
    """Write a fold's network, where asked for, and then the record that says it is done."""
    if settings.save_weights:
        trained_on = [] if settings.adapt == "none" else inputs.index["data_sub"].iloc[fold.train]
        save_network(
            weights_path(settings.folder, fold.data_sub),
            done.network,
            settings,
            fold.data_sub,
            sorted(set(trained_on)),
            inputs.views_by,
        )
    write_json(record_path(settings.folder, fold.data_sub), done.record)


def _make_deterministic() -> None:
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it when it starts
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return device.type if device.type == "mps" else f"cpu ({torch.get_num_threads()} threads)"
