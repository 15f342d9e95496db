"""An experiment from its settings to its fold records."""

from contextlib import closing
from dataclasses import dataclass, replace

import torch

from common.errors import warn
from common.files import write_whole

from .checkpoints import check_start, weights_path
from .config import check_claim, check_folder, claim_folder, describe, held_out_subjects
from .device import resolve_device
from .fold_job import Launcher, Trained, load_job
from .folds import Fold, choose_folds, inner_folds, plan_folds
from .inputs import load_inputs, with_index_task
from .launch.local import check_launcher, make_launcher
from .networks import check_weights
from .progress import RunProgress
from .records import only_class, pooled_uf1, read_records, record_path, write_json
from .selection.candidates import candidates
from .settings import Settings


@dataclass(frozen=True)
class _Plan:
    """What is to be done: the launcher of the folds that have no record (None: all have one)."""

    launcher: Launcher | None
    config: dict  # config.json's content
    records: dict[str, dict]  # of folds done before
    chosen: int
    todo: int
    passes: int  # of each fold


def run_experiment(settings: Settings) -> None:
    """Train and score every fold that has no record yet, with one seed after the other."""
    settings = with_index_task(settings)
    runs = by_seed(settings)
    for run in runs:
        check_folder(run, {"settings": run.facts()})  # what is quick to find comes first
    for run in runs:
        plan = _prepare(run)
        if plan.launcher:
            _run_folds(run, plan, plan.launcher)
        if only := only_class(plan.records.values()):
            warn(f"{run.name}: every clip is predicted {only}: the network tells nothing apart")
    print(f"records in {settings.folder}; python get_result_log.py makes the tables")


def by_seed(settings: Settings) -> list[Settings]:
    """The runs of --seeds: the experiment's own, and seed_<seed> in its folder for each further."""
    first = settings.seed
    further = [
        replace(settings, seed=seed, seeds=1, experiment=f"{settings.name}/seed_{seed}")
        for seed in range(first + 1, first + settings.seeds)
    ]
    return [replace(settings, seeds=1), *further]


def _prepare(settings: Settings) -> _Plan:
    """Load all that the run reads, and take the experiment's name only then."""
    device = resolve_device(settings.device)
    check_launcher(settings)
    kinds = _kinds(settings)
    for one in kinds:
        check_start(one)
        check_weights(one)
    clips = load_inputs(settings)
    folds = plan_folds(clips.index, settings)
    chosen = choose_folds(folds, settings.subjects)
    for one in kinds:
        check_start(one, held_out_subjects(folds, clips.index))
    for fold in chosen if settings.inner else ():
        inner_folds(fold, clips.index, settings)  # that there are such
    config = describe(settings, clips, folds, device)
    check_folder(settings, config)
    old = [] if settings.overwrite else read_records(settings.folder)
    records = {record["data_sub"]: record for record in old}
    todo = [fold for fold in chosen if not _is_done(fold, records, settings)]
    subjects = clips.index["data_sub"].nunique()
    print(
        f"{settings.name}: {len(clips.index)} clips, {subjects} subjects; {len(chosen)} folds "
        f"chosen, {len(chosen) - len(todo)} of them done before; on {_device_name(device)}"
    )
    launcher, passes = None, settings.passes
    if todo:
        job = load_job(settings, clips, device)
        claim_folder(settings, config)
        launcher, passes = make_launcher(job, todo, device), job.passes
    return _Plan(launcher, config, records, len(chosen), len(todo), passes)


def _kinds(settings: Settings) -> list[Settings]:
    """The settings as they stand and what --choose adds, one of each network and first weights."""
    every = [settings, *(one for _, one in candidates(settings))]
    return list({(one.built, one.plan, one.first_weights): one for one in every}.values())


def _is_done(fold: Fold, records: dict[str, dict], settings: Settings) -> bool:
    if fold.data_sub not in records:
        return False
    return not settings.save_weights or weights_path(settings.folder, fold.data_sub).is_file()


def _run_folds(settings: Settings, plan: _Plan, launcher: Launcher) -> None:
    records = plan.records
    with (
        RunProgress(plan.chosen, plan.chosen - plan.todo, plan.passes, settings.passes) as progress,
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
