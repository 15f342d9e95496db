"""What Linux has and other systems lack, taken away: nothing here stops for it."""

import os
import signal
import sys
from pathlib import Path

import pytest
import torch

from common import memory
from common import parallel as workers
from common.memory import UNKNOWN_MEMORY, free_memory
from loso.device import resolve_device
from loso.launch import local as launch
from loso.launch.local import choose_workers
from loso.settings import Settings


@pytest.fixture
def no_proc(monkeypatch):
    def missing(path, *arguments, **more):
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(Path, "read_text", missing)


def test_memory_without_proc_is_what_sysconf_says(no_proc, monkeypatch):
    said = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 1000}
    monkeypatch.setattr(os, "sysconf", said.__getitem__)
    assert free_memory() == 4096 * 1000 // 2  # macOS


def test_memory_without_sysconf_is_a_guess(no_proc, monkeypatch):
    monkeypatch.delattr(os, "sysconf")  # Windows
    assert free_memory() == UNKNOWN_MEMORY
    assert choose_workers(Settings(), torch.device("cpu"), 10) == 1


def test_memory_that_sysconf_does_not_know(no_proc, monkeypatch):
    def unknown(name):
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(memory.os, "sysconf", unknown)
    assert free_memory() == UNKNOWN_MEMORY


def test_cores_without_affinity(monkeypatch, capsys):
    monkeypatch.delattr(os, "sched_getaffinity")
    for cores in (3, None):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        assert choose_workers(Settings(workers=9), torch.device("cpu"), 9) == 9
        assert f"on {cores or 1} cores" in capsys.readouterr().err


def test_ctrl_c_without_signal_masks(monkeypatch):
    monkeypatch.delattr(signal, "pthread_sigmask")
    monkeypatch.setitem(sys.modules, "multiprocessing.resource_tracker", None)
    entered = False
    with launch._no_ctrl_c():
        entered = True
    assert entered


def test_a_mapped_file_that_cannot_go_yet(tmp_path, monkeypatch):
    def in_use(path, missing_ok=False):
        raise PermissionError(13, "The process cannot access the file")

    monkeypatch.setattr(Path, "unlink", in_use)
    launch._discard(tmp_path / "shared")


def test_a_worker_settles_with_the_signals_that_every_system_has(monkeypatch):
    for name in ("pthread_sigmask", "SIGKILL", "SIGALRM", "SIGUSR1"):
        monkeypatch.delattr(signal, name)
    handled = []
    monkeypatch.setattr(signal, "signal", lambda *what: handled.append(what))
    monkeypatch.setattr(workers, "_end_with_parent", lambda: None)
    workers.settle_worker()
    assert handled == [(signal.SIGINT, signal.SIG_IGN)]


def test_auto_is_cuda_or_the_cpu_and_never_mps(monkeypatch, capsys):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    for there, kind in ((False, "cpu"), (True, "cuda")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert resolve_device("auto").type == kind
    assert capsys.readouterr().err == ""


def test_mps_by_name_is_warned_of(monkeypatch, capsys):
    monkeypatch.setattr(torch, "empty", lambda *size, device: None)
    assert resolve_device("mps").type == "mps"
    assert "--device mps: nothing here has been tested on it" in capsys.readouterr().err
