"""Folds trained one after the other, several at once on this machine, or on a Ray cluster.

Whatever the launcher, a fold computes with --cpus-per-fold threads and seeds itself, so that its
record is the same. Launchers hand finished folds to the driver, which alone writes files.
"""

import os
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Protocol

import torch

from common.errors import UserError, warn
from common.parallel import fixed_threads, settle_worker
from loso.checkpoints import network_bytes, seen_before
from loso.folds import Fold
from loso.inputs import Inputs, free_memory
from loso.runners import Runner, load_runner, run_fold
from loso.settings import Settings

from .sharing import SharedFile, read_shared, write_shared

# Memory that one more process takes. Measured at its peak: 3.2 GB for ResNet18, 224 px, batch 32,
# all layers trained; 1.1 GB for the demo's settings.
WORKER_MEMORY, FROZEN_WORKER_MEMORY = 4 * 2**30, 3 * 2**29


@dataclass(frozen=True)
class Job:
    """What every fold of an experiment needs, wherever it runs."""

    settings: Settings
    inputs: Inputs
    runner: Runner
    seen_before: frozenset[str] = frozenset()  # subjects, by the network of --weights


@dataclass(frozen=True)
class Trained:
    """A finished fold: its record and, with --save-weights, its network's file."""

    record: dict
    weights: bytes | None


@dataclass(frozen=True)
class Failed:
    """A fold that could not be trained. user: the message is one line for the user."""

    message: str
    user: bool


class Watch(Protocol):
    """Is told how folds go on: RunProgress."""

    def start_fold(self, data_sub: str) -> None:
        """A fold begins, or begins anew."""
        ...

    def epoch(self, data_sub: str, record: dict) -> None:
        """An epoch of a fold is over."""
        ...


Launcher = Callable[[Watch], Iterator[Trained]]


def check_launcher(settings: Settings) -> None:
    """UserError where what --launcher names is not installed."""
    if settings.launcher == "ray":
        from .ray import require_ray

        require_ray()


def load_job(settings: Settings, inputs: Inputs, device: torch.device) -> Job:
    """Load what every fold needs. UserError for what no fold could be trained with."""
    prepare_process()
    runner = load_runner(settings, inputs, device)
    # Of the inputs only what no runner holds.
    rest = replace(inputs, pictures=None, views=None, maps=None)
    return Job(settings, rest, runner, seen_before(settings))


def make_launcher(job: Job, folds: list[Fold], device: torch.device) -> Launcher:
    """The function that trains folds, as --launcher says.

    It yields each fold as it is finished, in any order; closing it stops what it started. It
    raises a UserError for what goes wrong in a fold.
    """
    settings = job.settings
    if settings.launcher == "ray":
        from .ray import ray_folds

        return partial(ray_folds, job, folds, device)
    workers = choose_workers(settings, device, len(folds))
    if workers == 1:
        return partial(_in_turn, job, folds)
    print(f"{workers} folds at once, each on {settings.cpus_per_fold} of the cores")
    shared = write_shared(job, settings.folder / f".shared_{os.getpid()}")
    return partial(_in_processes, shared, workers, folds)  # this process need not hold the job


def prepare_process() -> None:
    """Let this process compute the same each time."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it when it starts
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False


def train(job: Job, fold: Fold, on_epoch: Callable[[dict], None]) -> Trained:
    """Train and score one fold in this process, on --cpus-per-fold threads."""
    settings, inputs = job.settings, job.inputs
    with fixed_threads(settings.cpus_per_fold):
        done = run_fold(job.runner, settings, inputs, fold, on_epoch)
    if not settings.save_weights:
        return Trained(done.record, None)
    now = [] if settings.adapt == "none" else inputs.index["data_sub"].iloc[fold.train]
    trained_on = sorted(job.seen_before | set(now))
    weights = network_bytes(done.network, settings, fold.data_sub, trained_on, inputs.views_by)
    return Trained(done.record, weights)


def try_train(job: Job, fold: Fold, on_epoch: Callable[[dict], None]) -> Trained | Failed:
    """Train a fold in a worker: what goes wrong is returned, for the driver to raise."""
    try:
        return train(job, fold, on_epoch)
    except UserError as error:
        return Failed(str(error), user=True)
    except Exception:
        return Failed(f"fold {fold.data_sub}\n{traceback.format_exc()}", user=False)


def checked(outcome: Trained | Failed) -> Trained:
    """A worker's outcome; raises what went wrong there."""
    if isinstance(outcome, Failed):
        raise UserError(outcome.message) if outcome.user else RuntimeError(outcome.message)
    return outcome


def choose_workers(settings: Settings, device: torch.device, folds: int) -> int:
    """How many folds to train at once: --workers, or what the cores and the memory are for."""
    has_affinity = hasattr(os, "sched_getaffinity")  # on Linux alone
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    if settings.workers is not None:
        wanted = min(settings.workers, folds)
        if wanted * settings.cpus_per_fold > cores and device.type == "cpu":
            warn(
                f"--workers {wanted} with --cpus-per-fold {settings.cpus_per_fold} on {cores} "
                "cores: the folds wait for each other"
            )
        return wanted
    if device.type != "cpu" or (settings.streams == "motion" and settings.passes == 1):
        return 1  # the latter's folds take less time than a process does to start
    frozen = settings.freeze == "trunk" or settings.streams == "motion"
    room = free_memory() // (FROZEN_WORKER_MEMORY if frozen else WORKER_MEMORY)
    # torch's threads, not the cores: OMP_NUM_THREADS may say that not all are meant for this.
    return max(1, min(torch.get_num_threads() // settings.cpus_per_fold, folds, room))


def _in_turn(job: Job, folds: list[Fold], watch: Watch) -> Iterator[Trained]:
    for fold in folds:
        watch.start_fold(fold.data_sub)
        yield train(job, fold, lambda epoch, fold=fold: watch.epoch(fold.data_sub, epoch))


@dataclass
class _Worker:
    process: BaseProcess
    fold: Fold | None = None  # the one it trains


def _in_processes(
    shared: SharedFile, number: int, folds: list[Fold], watch: Watch
) -> Iterator[Trained]:
    waiting = list(reversed(folds))
    workers: dict[Connection, _Worker] = {}
    starting = number

    def hand_out(connection: Connection) -> None:
        worker = workers[connection]
        worker.fold = waiting.pop() if waiting else None
        if worker.fold:
            watch.start_fold(worker.fold.data_sub)
            connection.send(worker.fold)

    try:
        for _ in range(number):
            connection, process = _start(shared)
            workers[connection] = _Worker(process)
        while starting or any(worker.fold for worker in workers.values()):
            for connection in wait(list(workers)):
                worker = workers[connection]
                try:
                    message = connection.recv()
                    if isinstance(message, dict):
                        watch.epoch(worker.fold.data_sub, message)
                        continue
                    if message is None:  # it has mapped what the folds share
                        starting -= 1
                        if not starting:
                            _discard(shared.path)  # nothing stays, however this run ends
                    else:
                        yield checked(message)
                    hand_out(connection)
                except (EOFError, ConnectionError) as error:
                    raise _lost(worker) from error
    finally:
        _discard(shared.path)
        for connection, worker in workers.items():
            worker.process.terminate()
            worker.process.join()
            connection.close()
        shared.path.unlink(missing_ok=True)


def _discard(mapped: Path) -> None:
    """Delete a file that processes may have mapped; on Windows it stays until they have ended."""
    with suppress(PermissionError):
        mapped.unlink(missing_ok=True)


def _lost(worker: _Worker) -> UserError:
    worker.process.join(5)
    code = worker.process.exitcode
    how = f"killed by signal {-code}" if code and code < 0 else f"exit code {code}"
    what = f"training fold {worker.fold.data_sub}" if worker.fold else "starting"
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
    """A worker process: folds come in; epochs (dicts) and outcomes go out."""
    settle_worker()
    prepare_process()
    job = read_shared(shared)
    connection.send(None)
    while True:
        try:
            fold = connection.recv()
        except EOFError:
            return
        connection.send(try_train(job, fold, connection.send))
