"""Processes that share a job's work: one thread each, quiet on Ctrl-C, gone with their parent."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from typing import TypeVar

import cv2
from threadpoolctl import threadpool_limits

from .errors import UserError

Item = TypeVar("Item")
Found = TypeVar("Found")


def cores() -> int:
    """The cores that this process may use: how many worker processes there are by default."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def worker_pool(
    workers: int, start: Callable[..., object], *arguments: object
) -> Iterator[ProcessPoolExecutor]:
    """A pool whose processes each call start(*arguments) first, on one thread.

    Work that was not begun is dropped when the block ends early; UserError if a process dies.
    """
    # spawn: dlib, torch and OpenCV do not survive a fork with threads running.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _start, (start, arguments))
    try:
        yield pool
    except BrokenProcessPool as error:
        raise UserError(
            "a worker process died (out of memory?); the same command goes on from there, with "
            "--workers 1 it takes the least memory"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def as_done(
    work: Callable[[Item], Found],
    items: Sequence[Item],
    workers: int,
    start: Callable,
    *arguments: object,
) -> Iterator[tuple[int, Found]]:
    """Do what is to be done with each item -> its place and what came of it, as it is done.

    workers: at once, in a worker_pool of `start` and its arguments; with one, or for one item,
    here, in order, and on one thread as there.
    """
    if workers == 1 or len(items) < 2:
        with fixed_threads(1):
            for i, item in enumerate(items):
                yield i, work(item)
        return
    with worker_pool(min(workers, len(items)), start, *arguments) as pool:
        jobs = {pool.submit(work, item): i for i, item in enumerate(items)}
        for job in as_completed(jobs):
            yield jobs.pop(job), job.result()


@contextmanager
def fixed_threads(number: int) -> Iterator[None]:
    """As many threads as a worker process has, for work in this one: restored at the end."""
    torch = sys.modules.get("torch")  # importing it takes seconds that not every job has
    before = cv2.getNumThreads(), torch and torch.get_num_threads()
    with threadpool_limits(number):  # NumPy's products: with more threads their last bits differ
        cv2.setNumThreads(number)
        if torch:
            torch.set_num_threads(number)
        try:
            yield
        finally:
            cv2.setNumThreads(before[0])
            if torch:
                torch.set_num_threads(before[1])


def settle_worker() -> None:
    """In a new worker process: quiet on Ctrl-C, gone with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _start(start: Callable[..., object], arguments: tuple[object, ...]) -> None:
    settle_worker()
    threadpool_limits(1)
    cv2.setNumThreads(1)
    start(*arguments)


def _end_with_parent() -> None:
    # A parent that is killed cannot tell its workers to stop.
    parent = parent_process()
    assert parent is not None  # in a worker there is one
    parent.join()
    os._exit(1)
