"""Launchers: folds one after the other, several at once on this machine, or on a Ray cluster.

They hand finished folds to the driver, which alone writes files.
"""

import os
import signal
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

from common.errors import UserError, warn
from common.memory import free_memory
from common.parallel import cores, settle_worker
from loso.fold_job import (
    Job,
    Launcher,
    Trained,
    Watch,
    checked,
    in_groups,
    names,
    prepare_process,
    train_in_turn,
    try_train,
)
from loso.folds import Fold
from loso.settings import Settings

from .sharing import SharedFile, read_shared, write_shared

# Memory that one more process takes. Measured at its peak: 3.2 GB for ResNet18, 224 px, batch 32,
# all layers trained; 1.1 GB for the demo's settings.
WORKER_MEMORY, FROZEN_WORKER_MEMORY = 4 * 2**30, 3 * 2**29


def check_launcher(settings: Settings) -> None:
    """UserError where what --launcher names is not installed."""
    if settings.launcher == "ray":
        from .ray import require_ray

        require_ray()


def make_launcher(job: Job, folds: list[Fold], device: torch.device) -> Launcher:
    """The function that trains folds, as --launcher says.

    It yields each fold as it is finished, in any order; closing it stops what it started. It
    raises a UserError for what goes wrong in a fold.
    """
    settings = job.settings
    if settings.launcher == "ray":
        from .ray import ray_folds

        return partial(ray_folds, job, folds, device)
    groups = in_groups(folds, settings)
    workers = choose_workers(settings, device, len(groups))
    if workers == 1:
        return partial(train_in_turn, job, folds)
    what = "folds" if settings.stack == 1 else f"stacks of {settings.stack} folds"
    print(f"{workers} {what} at once, each on {settings.cpus_per_fold} of the cores")
    shared = write_shared(job, settings.folder / f".shared_{os.getpid()}")
    return partial(_in_processes, shared, workers, groups)  # this process need not hold the job


def choose_workers(settings: Settings, device: torch.device, folds: int) -> int:
    """How many folds, or stacks, to train at once: --workers, or as cores and memory allow."""
    if settings.workers is not None:
        wanted = min(settings.workers, folds)
        if wanted * settings.cpus_per_fold > cores() and device.type == "cpu":
            warn(
                f"--workers {wanted} with --cpus-per-fold {settings.cpus_per_fold} on {cores()} "
                "cores: the folds wait for each other"
            )
        return wanted
    quick = settings.streams == "motion" and settings.passes == 1 and not settings.inner
    if device.type != "cpu" or quick:
        return 1  # quick folds take less time than a process does to start
    frozen = settings.freeze == "trunk" or settings.streams == "motion"
    room = free_memory() // (FROZEN_WORKER_MEMORY if frozen else WORKER_MEMORY)
    # torch's threads, not the cores: OMP_NUM_THREADS may say that not all are meant for this.
    return max(1, min(torch.get_num_threads() // settings.cpus_per_fold, folds, room))


@dataclass
class _Worker:
    process: BaseProcess
    group: list[Fold] | None = None  # what it trains


def _in_processes(
    shared: SharedFile, number: int, groups: list[list[Fold]], watch: Watch
) -> Generator[Trained, None, None]:
    waiting = list(reversed(groups))
    workers: dict[Connection, _Worker] = {}
    starting = number
    try:
        for _ in range(number):
            connection, process = _start(shared)
            workers[connection] = _Worker(process)
        while starting or any(worker.group for worker in workers.values()):
            for connection in _ready(workers):
                worker = workers[connection]
                with _alive(worker):
                    message = connection.recv()
                    if isinstance(message, tuple):
                        watch.epoch(*message)
                        continue
                    if message is None:  # it has mapped what the folds share
                        starting -= 1
                        if not starting:
                            _discard(shared.path)  # nothing stays, however this run ends
                    else:
                        yield from checked(message)
                    worker.group = waiting.pop() if waiting else None
                    if worker.group:
                        for fold in worker.group:
                            watch.start_fold(fold.data_sub)
                        connection.send(worker.group)
    finally:
        _discard(shared.path)
        _stop(workers)
        shared.path.unlink(missing_ok=True)


def _ready(workers: dict[Connection, _Worker]) -> list[Connection]:
    """Wait until workers have sent something, or have died; their connections."""
    ready = wait(list(workers))
    return [connection for connection in workers if connection in ready]


@contextmanager
def _alive(worker: _Worker) -> Iterator[None]:
    """UserError where the worker has died."""
    try:
        yield
    except (EOFError, ConnectionError) as error:
        raise _lost(worker) from error


def _stop(workers: dict[Connection, _Worker]) -> None:
    for connection, worker in workers.items():
        worker.process.terminate()
        worker.process.join()
        connection.close()


def _discard(mapped: Path) -> None:
    """Delete a file that processes may have mapped; on Windows it stays until they have ended."""
    with suppress(PermissionError):
        mapped.unlink(missing_ok=True)


def _lost(worker: _Worker) -> UserError:
    worker.process.join(5)
    code = worker.process.exitcode
    how = f"killed by signal {-code}" if code and code < 0 else f"exit code {code}"
    what = f"training fold {names(worker.group)}" if worker.group else "starting"
    return UserError(
        f"a worker process died {what} ({how}; out of memory?); whole folds are kept and the same "
        "command goes on, with --workers 1 it takes the least memory"
    )


def _start(shared: SharedFile) -> tuple[Connection, BaseProcess]:
    # spawn: torch does not survive a fork with threads running.
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, shared), daemon=True)
    with _no_ctrl_c():
        process.start()
    theirs.close()  # so that the end of the process is the end of the connection
    return ours, process


@contextmanager
def _no_ctrl_c() -> Iterator[None]:
    """Processes started here never see Ctrl-C; in this one it is held back for so long.

    Windows has no signal masks: there a process sees it until settle_worker.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker  # of POSIX

    resource_tracker.ensure_running()  # its start would let Ctrl-C through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(connection: Connection, shared: SharedFile) -> None:
    """A worker process: groups of folds come in; epochs (tuples) and outcomes go out."""
    settle_worker()
    prepare_process()
    job = read_shared(shared)
    connection.send(None)

    def tell(data_sub: str, epoch: dict) -> None:
        connection.send((data_sub, epoch))

    while True:
        try:
            group = connection.recv()
        except EOFError:
            return
        connection.send(try_train(job, group, tell))
