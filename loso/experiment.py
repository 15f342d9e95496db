"""An experiment from its settings to its fold records."""

from contextlib import closing
from dataclasses import dataclass

import torch

from common.errors import warn
from common.files import write_whole

from .checkpoints import check_start, weights_path
from .config import check_claim, check_folder, claim_folder, describe
from .device import resolve_device
from .fold_job import Launcher, Trained, load_job
from .folds import Fold, choose_folds, make_folds
from .inputs import load_inputs
from .launch.local import check_launcher, make_launcher
from .networks import check_weights
from .progress import RunProgress
from .records import only_class, pooled_uf1, read_records, record_path, write_json
from .settings import Settings


@dataclass(frozen=True)
class _Plan:
    """What is to be done: the launcher of the folds that have no record (None: all have one)."""

    launcher: Launcher | None
    config: dict  # config.json's content
    records: dict[str, dict]  # of folds done before
    chosen: int
    todo: int


def run_experiment(settings: Settings) -> None:
    """Train and score every fold that has no record yet."""
    plan = _prepare(settings)
    if plan.launcher:
        _run_folds(settings, plan, plan.launcher)
    if only := only_class(plan.records.values()):
        warn(f"{settings.name}: every clip is predicted {only}: the network tells nothing apart")
    print(f"records in {settings.folder}; python get_result_log.py makes the tables")


def _prepare(settings: Settings) -> _Plan:
    """Load all that the run reads, and take the experiment's name only then."""
    device = resolve_device(settings.device)
    check_folder(settings, {"settings": settings.facts()})  # what is quick to find comes first
    check_launcher(settings)
    check_start(settings)
    check_weights(settings)
    clips = load_inputs(settings)
    folds = make_folds(clips.index, settings.classes)
    chosen = choose_folds(folds, settings.subjects)
    check_start(settings, [fold.data_sub for fold in folds])
    config = describe(settings, clips, folds, device)
    check_folder(settings, config)
    old = [] if settings.overwrite else read_records(settings.folder)
    records = {record["data_sub"]: record for record in old}
    todo = [fold for fold in chosen if not _is_done(fold, records, settings)]
    print(
        f"{settings.name}: {len(clips.index)} clips, {len(folds)} subjects; {len(chosen)} folds "
        f"chosen, {len(chosen) - len(todo)} of them done before; on {_device_name(device)}"
    )
    launcher = None
    if todo:
        job = load_job(settings, clips, device)
        claim_folder(settings, config)
        launcher = make_launcher(job, todo, device)
    return _Plan(launcher, config, records, len(chosen), len(todo))


def _is_done(fold: Fold, records: dict[str, dict], settings: Settings) -> bool:
    if fold.data_sub not in records:
        return False
    return not settings.save_weights or weights_path(settings.folder, fold.data_sub).is_file()


def _run_folds(settings: Settings, plan: _Plan, launcher: Launcher) -> None:
    records = plan.records
    with (
        RunProgress(plan.chosen, plan.chosen - plan.todo, settings.passes) as progress,
        closing(launcher(progress)) as finished,
    ):
        try:
            for done in finished:
                check_claim(settings, plan.config)
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
