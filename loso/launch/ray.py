"""Folds as tasks on a Ray cluster: one that RAY_ADDRESS names, or one on this machine for the run.

Ray tries a fold again elsewhere when its worker or its node is lost. What the folds share goes into
the object store once; epochs come back through an actor on the driver's node, and records as the
tasks' results: nothing but the driver needs the datasets or writes a file.
"""

import functools
import logging
import os
import re
import socket
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from common.checkpoints import one_line
from common.errors import UserError, warn
from loso.fold_job import (
    Failed,
    Job,
    Trained,
    Watch,
    checked,
    in_groups,
    names,
    prepare_process,
    try_train,
)
from loso.folds import Fold

from .sharing import pack, unpack

RETRIES = 3  # of a fold whose worker was lost
POLL_SECONDS = 0.5
PACKAGES = ("common", "data", "loso", "models")  # what a fold's worker imports of this project


def require_ray() -> None:
    """UserError unless Ray can be imported."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # its coming default
    try:
        import ray  # noqa: F401
    except ImportError as error:
        raise UserError(
            "--launcher ray: Ray is not installed; pip install -r requirements-distributed.txt"
        ) from error


def ray_folds(
    job: Job, folds: list[Fold], device: torch.device, watch: Watch
) -> Generator[Trained, None, None]:
    """Train folds on the cluster and yield each as it is finished, in any order.

    UserError if no cluster can be reached or a fold was lost RETRIES times. Closing the generator
    cancels what runs and ends a cluster that was started here.
    """
    import ray

    settings = job.settings
    gpus = settings.gpus_per_fold
    if gpus is None:
        gpus = 1 if device.type == "cuda" else 0
    _connect()
    try:
        _check_room(settings.cpus_per_fold, gpus)
        head, buffers = pack(job)
        arrays = [np.frombuffer(buffer, np.uint8) for buffer in buffers]
        shared = ray.put((head, arrays))
        events = ray.remote(_Events).options(num_cpus=0, **_here()).remote()
        task = ray.remote(_train).options(
            num_cpus=settings.cpus_per_fold, num_gpus=gpus, max_retries=RETRIES
        )
        # The reference in a list: a task is handed it as it is, not what it stands for.
        running = {
            task.remote([shared], group, events): group for group in in_groups(folds, settings)
        }
        try:
            while running:
                finished, _ = ray.wait(list(running), timeout=POLL_SECONDS)
                _tell(watch, ray.get(events.take.remote()))
                for reference in finished:
                    yield from checked(_outcome(reference, running.pop(reference)))
        finally:
            for reference in running:
                ray.cancel(reference, force=True)
    finally:
        ray.shutdown()


def _connect() -> None:
    import ray

    address = os.environ.get("RAY_ADDRESS") or "local"
    root = Path(__file__).parents[2]
    options = {"include_dashboard": False} if address == "local" else {}
    try:
        if match := re.fullmatch(r"\[?([^/]+?)\]?:(\d+)", address):  # Ray would wait for minutes
            socket.create_connection((match[1], int(match[2])), timeout=10).close()
        ray.init(
            address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            # Nodes run this checkout's code, wherever they are; only its packages must be there.
            runtime_env={"py_modules": [str(root / name) for name in PACKAGES]},
            **options,
        )
    except (OSError, OverflowError, RuntimeError, ValueError) as error:
        raise UserError(
            f"RAY_ADDRESS {address}: no Ray cluster to be had there ({one_line(error)})"
        ) from error
    nodes = [node for node in ray.nodes() if node["Alive"]]
    cpus, gpus = (sum(node["Resources"].get(kind, 0) for node in nodes) for kind in ("CPU", "GPU"))
    print(f"Ray at {address}: {len(nodes)} nodes, {cpus:g} CPUs, {gpus:g} GPUs")


def _here() -> dict[str, Any]:
    """Options that keep an actor on the driver's node: it is there as long as the driver is."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    node = ray.get_runtime_context().get_node_id()
    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}


def _check_room(cpus: float, gpus: float) -> None:
    import ray

    for node in ray.nodes():
        has = node["Resources"]
        if node["Alive"] and has.get("CPU", 0) >= cpus and has.get("GPU", 0) >= gpus:
            return
    warn(
        f"no node of the cluster has {cpus:g} CPUs and {gpus:g} GPUs for a fold (--cpus-per-fold, "
        "--gpus-per-fold): the folds wait for one that does"
    )


def _outcome(reference: Any, group: list[Fold]) -> list[Trained] | Failed:
    import ray

    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError:
        raise  # a bug: its traceback is the task's
    except ray.exceptions.RayError as error:
        raise UserError(
            f"fold {names(group)} was lost {RETRIES + 1} times on the cluster "
            f"({one_line(error)}); whole folds are kept and the same command goes on with the next"
        ) from error


_Event = tuple[str, dict | None]  # a fold and the record of its epoch; None: the fold begins


class _Events:
    """What the folds tell a Watch, until the driver takes it."""

    def __init__(self) -> None:
        self.held: list[_Event] = []

    def add(self, data_sub: str, epoch: dict | None) -> None:
        self.held.append((data_sub, epoch))

    def take(self) -> list[_Event]:
        held, self.held = self.held, []
        return held


def _tell(watch: Watch, events: list[_Event]) -> None:
    for data_sub, epoch in events:
        if epoch is None:
            watch.start_fold(data_sub)
        else:
            watch.epoch(data_sub, epoch)


def _train(shared: list, group: list[Fold], events: Any) -> list[Trained] | Failed:
    """A task: one fold, or --stack of them."""
    for fold in group:
        events.add.remote(fold.data_sub, None)
    return try_train(_job(shared[0]), group, events.add.remote)


@functools.cache
def _job(reference: Any) -> Job:
    """What the folds share, from the object store: once a worker process, and not copied."""
    import ray

    prepare_process()
    return unpack(*ray.get(reference))
