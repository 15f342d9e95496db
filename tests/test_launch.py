"""Launchers: the same records whatever trains the folds, and what happens when a worker is lost."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import FAST, ROOT, call, start
from experiments import records_of, settings_of
from safetensors.torch import load_file

from common.errors import UserError
from data.index import read_index
from loso import experiment
from loso.experiment import run_experiment
from loso.fold_job import Job, load_job
from loso.folds import make_folds
from loso.inputs import load_inputs
from loso.launch import local as launch
from loso.launch import ray as launch_ray
from loso.launch.local import choose_workers
from loso.launch.sharing import pack, read_shared, unpack, write_shared
from loso.progress import RunProgress
from loso.records import read_records
from loso.settings import Settings

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None,
    reason="Ray is not installed: pip install -r requirements-distributed.txt",
)


def longer(tiny, result, **changes):
    """Folds that take about a second: to be stopped in their midst."""
    return settings_of(tiny, result, **({"epochs": 15} | changes))


@pytest.fixture(scope="module")
def alone(tiny, tmp_path_factory):
    """A finished run in one process, networks kept: its experiment's folder."""
    result = tmp_path_factory.mktemp("alone")
    run_experiment(longer(tiny, result, save_weights=True, workers=1))
    return result / "smic"


def assert_same_networks(ours, theirs):
    files = sorted(theirs.glob("weights/*"))
    assert files
    for file in files:
        got, wanted = load_file(ours / "weights" / file.name), load_file(file)
        assert all(torch.equal(got[name], wanted[name]) for name in wanted)


def command(tiny, result, *more):
    return [
        sys.executable, str(ROOT / "train_me_loso.py"), "--index",
        str(tiny / "index/smic_apex.csv"), "--root", str(tiny), "--result", str(result), *FAST,
        "--epochs", "15", *map(str, more),
    ]  # fmt: skip


def wait_for(what, seconds=90):
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)
    return found


def descendants(pid):
    """Processes below one, and below these."""
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []
    return [process for child in listed for process in (int(child), *descendants(child))]


def workers_of(pid):
    """Worker processes of multiprocessing below a process: not its resource tracker."""
    return [p for p in descendants(pid) if b"spawn_main" in command_line(p)]


def command_line(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""  # it has ended since it was listed


def is_there(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_several_folds_at_once_leave_the_same_records_and_networks(alone, tiny, tmp_path, capsys):
    run_experiment(longer(tiny, tmp_path, save_weights=True, workers=2))
    assert "2 folds at once" in capsys.readouterr().out
    assert records_of(tmp_path / "smic") == records_of(alone)
    assert_same_networks(tmp_path / "smic", alone)
    left = {path.name for path in (tmp_path / "smic").iterdir() if path.suffix != ".json"}
    assert left == {"weights"}  # what the folds shared is gone


def test_the_number_of_threads_does_not_leak_into_a_record(alone, tiny, tmp_path):
    """A process with more threads than a fold's --cpus-per-fold computes the same bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        run_experiment(longer(tiny, tmp_path, workers=1, subjects=("1",)))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    name = "fold_smic_01.json"
    assert records_of(tmp_path / "smic")[name] == records_of(alone)[name]


def test_cpus_per_fold_belongs_to_the_record_and_workers_do_not(alone, tiny, tmp_path):
    run_experiment(longer(tiny, tmp_path, workers=1, subjects=("1",)))
    run_experiment(longer(tiny, tmp_path, subjects=("1",)))
    with pytest.raises(UserError, match="--cpus-per-fold was 1, now 2"):
        run_experiment(longer(tiny, tmp_path, cpus_per_fold=2))


def test_ctrl_c_keeps_whole_folds_ends_the_workers_and_goes_on(alone, tiny, tmp_path):
    process = start(["setsid", *command(tiny, tmp_path, "--workers", 2)])
    wait_for(lambda: list(tmp_path.glob("smic/fold_*.json")) or process.poll() is not None)
    workers = workers_of(process.pid)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers too
    _, errors = process.communicate(timeout=60)
    done = len(read_records(tmp_path / "smic"))
    assert process.returncode == 130, errors
    assert f"interrupted: {done} whole folds are in" in errors
    assert_one_line(errors)
    assert not any(map(is_there, workers))
    again = call("train_me_loso.py", *command(tiny, tmp_path, "--workers", 2)[2:])
    assert again.returncode == 0, again.stderr
    assert f"{done} of them done before" in again.stdout
    assert records_of(tmp_path / "smic") == records_of(alone)


def test_ctrl_c_while_the_workers_start_is_one_line(tiny, tmp_path):
    process = start(["setsid", *command(tiny, tmp_path, "--workers", 2)])
    workers = wait_for(lambda: len(found := workers_of(process.pid)) == 2 and found)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "interrupted: 0 whole folds are in" in errors
    assert_one_line(errors)
    assert not any(map(is_there, workers))
    assert [path.name for path in (tmp_path / "smic").iterdir()] == ["config.json"]


def assert_one_line(errors):
    assert len([line for line in errors.splitlines() if not line.startswith("warning:")]) == 1


def test_a_killed_worker_is_one_line_and_nothing_half_written(tiny, tmp_path):
    long = command(tiny, tmp_path, "--workers", 2, "--epochs", 200, "--save-weights")
    process = start(long)
    workers = wait_for(lambda: len(found := workers_of(process.pid)) == 2 and found)
    # Both have begun once the file of what they share is gone.
    wait_for(lambda: list(tmp_path.glob("smic/.shared_*")))
    wait_for(lambda: not list(tmp_path.glob("smic/.shared_*")))
    os.kill(workers[0], signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert re.search(
        r"error: a worker process died training fold smic_0\d \(killed by signal 9", errors
    )
    assert_one_line(errors)
    assert not any(map(is_there, workers))
    assert {path.name for path in (tmp_path / "smic").rglob("*")} == {"config.json"}


def test_workers_of_a_killed_driver_end(tiny, tmp_path):
    process = start(command(tiny, tmp_path, "--workers", 2, "--epochs", 500))
    workers = wait_for(lambda: len(found := workers_of(process.pid)) == 2 and found)
    process.kill()
    process.communicate()
    wait_for(lambda: not any(map(is_there, workers)), 30)


def test_what_a_worker_finds_wrong_is_the_users_line(tiny, tmp_path):
    with pytest.raises(UserError, match=r"fold smic_0\d, epoch .*lower --lr"):
        run_experiment(settings_of(tiny, tmp_path, lr=1e30, epochs=4, workers=2))
    assert not list(tmp_path.glob("smic/fold_*"))
    assert not list(tmp_path.glob("smic/.*"))


class Broken:
    """A runner with a bug."""

    def run(self, fold, on_epoch):
        return fold.no_such_attribute


class Silent:
    def start_fold(self, data_sub):
        pass

    def epoch(self, data_sub, record):
        pass


def test_a_bug_in_a_worker_raises_with_the_workers_traceback(tiny, tmp_path):
    settings = settings_of(tiny, tmp_path)
    index = read_index(settings.index)
    job = Job(settings, index, Broken())
    shared = write_shared(job, tmp_path / "shared")
    with pytest.raises(RuntimeError, match=r"fold smic_01\n(?s:.*)no_such_attribute"):
        list(launch._in_processes(shared, 1, [make_folds(index, 3)[:1]], Silent()))


def test_packed_tensors_keep_values_strides_and_identity(tmp_path):
    rng = np.random.default_rng(0)
    plain = torch.randn(3, 4, 5, 6)
    tensors = {
        "channels last": plain.to(memory_format=torch.channels_last),
        "part": torch.arange(24).reshape(4, 6)[1:, ::2],
        "bfloat16": plain.bfloat16(),
        "empty": torch.empty(0, dtype=torch.uint8),
        "scalar": torch.tensor(3.5),
    }
    thing = {"tensors": tensors, "again": plain, "same": plain, "array": rng.random((7, 5))}
    head, buffers = pack(thing)
    assert len(head) < 4000  # the bytes are not in it
    read = read_shared(write_shared(thing, tmp_path / "shared"))
    for got in (unpack(head, buffers), read):
        for name, tensor in tensors.items():
            assert torch.equal(got["tensors"][name], tensor)
            assert got["tensors"][name].dtype == tensor.dtype
            assert got["tensors"][name].stride() == tensor.stride()
        assert got["again"] is got["same"]
        assert np.array_equal(got["array"], thing["array"])


def test_what_is_shared_is_mapped_not_copied(tmp_path):
    size = 2**26
    shared = write_shared({"pictures": torch.ones(size, dtype=torch.uint8)}, tmp_path / "shared")
    pictures = read_shared(shared)["pictures"]
    assert int(pictures.sum()) == size
    where = pictures.data_ptr()
    for block in re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text()):
        first, last = (int(end, 16) for end in block.split()[0].split("-"))
        if first <= where < last:
            assert str(shared.path) in block.splitlines()[0]
            assert re.search(r"^Anonymous: +0 kB", block, re.MULTILINE)
            return
    raise AssertionError("the tensor lies nowhere")


def test_frozen_features_leave_the_pictures_behind(tiny, tmp_path):
    """What goes to the workers is what they read."""
    settings = settings_of(tiny, tmp_path)
    runner = load_job(settings, load_inputs(settings), torch.device("cpu")).runner
    sizes = [len(buffer) for buffer in pack(runner)[1]]
    assert runner.source.streams[0][0].numel() * 4 in sizes
    frames = runner.source.streams[0][1].numel()
    assert frames * 3 * settings.image_size**2 not in sizes


GIB = 2**30


@pytest.mark.parametrize(
    ("changes", "threads", "free", "expected"),
    [
        ({}, 8, 64 * GIB, 8),
        ({"cpus_per_fold": 3}, 8, 64 * GIB, 2),
        ({"cpus_per_fold": 16}, 8, 64 * GIB, 1),
        ({}, 8, 9 * GIB, 2),
        ({"freeze": "trunk"}, 8, 9 * GIB, 6),
        ({}, 64, 640 * GIB, 10),  # folds
        ({}, 1, 64 * GIB, 1),
        ({"streams": "motion", "motion_net": "lean"}, 8, 64 * GIB, 8),
        ({"streams": "motion", "motion_net": "svm"}, 8, 64 * GIB, 1),
        ({"streams": "motion", "adapt": "none"}, 8, 64 * GIB, 1),
        ({"workers": 3}, 1, 0, 3),
        ({"workers": 30}, 1, 0, 10),
    ],
)
def test_the_number_of_workers_follows_cores_memory_and_folds(
    monkeypatch, changes, threads, free, expected
):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(launch, "free_memory", lambda: free)
    settings = Settings(**changes)
    assert choose_workers(settings, torch.device("cpu"), 10) == expected
    if settings.workers is None:
        assert choose_workers(settings, torch.device("cuda"), 10) == 1


def test_more_workers_than_cores_are_warned_of(capsys):
    cores = len(os.sched_getaffinity(0))
    choose_workers(Settings(workers=cores + 1), torch.device("cpu"), cores + 1)
    assert f"--workers {cores + 1}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ({"workers": 0}, "--workers 0: at least 1"),
        ({"cpus_per_fold": 0}, "--cpus-per-fold 0: at least 1"),
        ({"workers": 2, "launcher": "ray"}, "--workers goes with --launcher local"),
        ({"gpus_per_fold": 1}, "--gpus-per-fold goes with --launcher ray"),
        ({"gpus_per_fold": -1, "launcher": "ray"}, "--gpus-per-fold -1: at least 0"),
    ],
)
def test_launch_settings_that_cannot_be(wrong, fault):
    with pytest.raises(UserError, match=fault):
        Settings(**wrong)


def test_what_folds_tell_reaches_the_watch_in_order():
    events, heard = launch_ray._Events(), []

    class Ear:
        def start_fold(self, data_sub):
            heard.append(data_sub)

        def epoch(self, data_sub, record):
            heard.append((data_sub, record))

    events.add("smic_01", None)
    events.add("smic_01", {"epoch": 1})
    launch_ray._tell(Ear(), events.take())
    assert heard == ["smic_01", ("smic_01", {"epoch": 1})]
    assert events.take() == []


def test_without_ray_one_line_says_what_to_install(tiny, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install -r requirements-distributed\.txt"):
        run_experiment(settings_of(tiny, tmp_path, launcher="ray"))


@needs_ray
def test_a_ray_cluster_that_is_not_there_is_one_line(tiny, tmp_path):
    environment = os.environ | {"RAY_ADDRESS": "127.0.0.1:1"}
    words = command(tiny, tmp_path, "--launcher", "ray")
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    assert done.returncode == 2
    assert "error: RAY_ADDRESS 127.0.0.1:1: no Ray cluster to be had there" in done.stderr
    assert_one_line(done.stderr)


@pytest.fixture
def cluster(monkeypatch):
    """A Ray cluster of two nodes with a CPU each on this machine: (cluster, its second node)."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "include_dashboard": False}
    quick = {"health_check_period_ms": 500, "health_check_failure_threshold": 4}
    made = Cluster(initialize_head=True, head_node_args=node | {"_system_config": quick})
    try:
        second = made.add_node(**node)
        monkeypatch.setenv("RAY_ADDRESS", made.address)
        yield made, second
    finally:
        made.shutdown()


@needs_ray
def test_ray_tries_the_fold_of_a_lost_node_again_to_the_same_records(
    cluster, tiny, tmp_path, monkeypatch, capsys
):
    nodes, second = cluster
    long = {"epochs": 30, "save_weights": True}
    run_experiment(settings_of(tiny, tmp_path / "local", workers=1, **long))

    class KillsANode(RunProgress):
        """Both nodes train a fold: then the second one, where the driver is not, is lost."""

        def epoch(self, data_sub, record):
            super().epoch(data_sub, record)
            under_way = [name for name, at in self.passed.items() if 0 < at <= self.epochs // 2]
            if len(under_way) == 2 and second in nodes.worker_nodes:
                nodes.remove_node(second, allow_graceful=False)

    monkeypatch.setattr(launch_ray, "POLL_SECONDS", 0.05)  # to see them under way
    monkeypatch.setattr(experiment, "RunProgress", KillsANode)
    run_experiment(settings_of(tiny, tmp_path / "ray", launcher="ray", **long))
    printed = capsys.readouterr().out
    assert "2 nodes, 2 CPUs" in printed
    assert printed.count("its worker was lost: it begins anew") == 1
    assert second not in nodes.worker_nodes
    assert records_of(tmp_path / "ray/smic") == records_of(tmp_path / "local/smic")
    assert_same_networks(tmp_path / "ray/smic", tmp_path / "local/smic")


@needs_ray
def test_ctrl_c_ends_the_ray_cluster_that_the_run_started(tiny, tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    process = start(command(tiny, tmp_path, "--launcher", "ray", "--epochs", 60))
    wait_for(lambda: list(tmp_path.glob("smic/fold_*.json")) or process.poll() is not None)
    cluster = descendants(process.pid)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    done = len(read_records(tmp_path / "smic"))
    assert process.returncode == 130, errors
    assert errors.strip().splitlines()[-1].startswith(f"interrupted: {done} whole folds are in")
    assert "Traceback" not in errors
    assert len(cluster) >= 4  # store and scheduler, their keeper, two workers
    wait_for(lambda: not any(map(is_there, cluster)), 30)
