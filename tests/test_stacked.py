"""--stack: folds trained as one are the folds trained alone; what it is refused for."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from experiments import records_of, settings_of
from safetensors.torch import load_file

from benchmarks.bench_stack import operations
from benchmarks.gpu.inputs import made_clips
from common.errors import UserError
from loso import batches, stacked
from loso.experiment import run_experiment
from loso.fold_job import in_groups, load_job, train_in_turn
from loso.folds import make_folds
from loso.launch import ray
from loso.launch.local import _in_processes
from loso.launch.sharing import write_shared
from loso.settings import Settings

CPU = torch.device("cpu")


def plan(**changes):
    """Settings whose trunk is frozen, tiny."""
    plain = {
        "trunk": "efficientnet_lite0", "freeze": "trunk", "augment": "flip", "image_size": 97,
        "epochs": 2, "batch_size": 4, "balance": "frames",
    }  # fmt: skip
    return Settings(**plain | changes)


class Silent:
    def start_fold(self, data_sub):
        pass

    def epoch(self, data_sub, record):
        pass


def epochs_of(settings, clips, folds):
    """Each fold's epoch records."""
    done = train_in_turn(load_job(settings, clips, CPU), folds, Silent())
    return {one.record["data_sub"]: one.record["epochs"] for one in done}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"streams": "dual", "stream_loss": 0.5, "task": "au"},  # batch norm
        {"network": "baseline", "trunk": "resnet18", "weights": "resnet18.pth", "image_size": 49},
    ],
    ids=str,
)
def test_a_fold_in_a_stack_is_the_fold_alone(changes, tmp_path, monkeypatch):
    if changes.get("weights"):
        import torchvision

        monkeypatch.chdir(tmp_path)
        torch.save(torchvision.models.resnet18().state_dict(), changes["weights"])
    settings = plan(**changes)
    clips = made_clips(settings, subjects=3, clips=3.5, frames=2)
    folds = make_folds(clips.index, settings.classes)
    assert len({len(fold.train) for fold in folds}) > 1  # not as many batches, nor as full
    alone = epochs_of(settings, clips, folds)
    found = [epochs_of(replace(settings, stack=stack), clips, folds) for stack in (2, 3)]
    assert found[0] == found[1]  # whatever it is stacked with: to the last bit
    for name, expected in alone.items():
        for ours, theirs in zip(found[0][name], expected, strict=True):
            for loss in ("train_loss", "test_loss"):
                assert ours[loss] == pytest.approx(theirs[loss], rel=1e-5)
            assert ours["scores"] == pytest.approx(np.array(theirs["scores"]), abs=1e-5)
            assert np.argmax(ours["scores"], 1).tolist() == np.argmax(theirs["scores"], 1).tolist()


def test_networks_of_a_stack_are_those_of_folds_alone():
    """Weights, and batch norm's statistics and count of batches."""
    settings = plan(streams="dual")
    clips = made_clips(settings, subjects=3, clips=3.5, frames=2)
    folds = make_folds(clips.index, settings.classes)
    runner = load_job(settings, clips, CPU).runner
    together = runner.run_stacked(folds, lambda name, record: None)
    for fold, (_, ours) in zip(folds, together, strict=True):
        start = {n: v.clone() for n, v in runner.recipe(fold).network.state_dict().items()}
        theirs = runner.run(fold, lambda record: None)[1].state_dict()
        for name, value in ours.state_dict().items():
            # Ahead of batch norm a bias has no gradient: Adam enlarges what rounding leaves of it.
            if name != "fuse.0.bias" and not name.endswith(".conv1.bias"):
                way, apart = (theirs[name] - x for x in (start[name], value))
                assert apart.double().abs().mean() <= 0.03 * way.double().abs().mean(), name


def test_a_run_that_was_stopped_goes_on_with_other_stacks(tiny, tmp_path):
    how = {"stack": 2, "save_weights": True}
    run_experiment(settings_of(tiny, tmp_path, workers=1, **how))
    folder = tmp_path / "smic"
    expected, kept = records_of(folder), folder / "weights/smic_03.safetensors"
    weights = load_file(kept)
    assert len(expected) == 4
    for subject in (2, 3, 4):  # stacked 2 with 3, and 4 alone
        (folder / f"fold_smic_0{subject}.json").unlink()
    run_experiment(settings_of(tiny, tmp_path, workers=1, **how))
    assert records_of(folder) == expected
    again = load_file(kept)
    assert all(torch.equal(again[name], value) for name, value in weights.items())
    with pytest.raises(UserError, match="--stack was 2, now 1"):
        run_experiment(settings_of(tiny, tmp_path))


def test_a_worker_process_and_a_task_train_stacks(tmp_path, monkeypatch):
    settings = plan(stack=2)
    clips = made_clips(settings, subjects=3, clips=3, frames=2)
    folds = make_folds(clips.index, settings.classes)
    job = load_job(settings, clips, CPU)
    told = []

    class Watch(Silent):
        def epoch(self, data_sub, record):
            told.append((data_sub, record["epoch"]))

    shared = write_shared(job, tmp_path / "shared")
    groups = in_groups(folds, settings)
    done = list(_in_processes(shared, 1, groups, Watch()))
    assert told == [(name, n) for names in (("smic_01", "smic_02"), ("smic_03",)) for n in (1, 2)
                    for name in names]  # fmt: skip
    expected = [one.record["epochs"] for one in train_in_turn(job, folds, Silent())]
    assert [one.record["epochs"] for one in done] == expected

    heard = []
    events = SimpleNamespace(add=SimpleNamespace(remote=lambda *what: heard.append(what)))
    monkeypatch.setattr(ray, "_job", lambda reference: job)
    tasks = [ray._train([None], group, events) for group in groups]  # as Ray would run them
    assert [one.record["epochs"] for task in tasks for one in task] == expected
    assert heard[:2] == [("smic_01", None), ("smic_02", None)] and len(heard) == 3 + 6


def test_one_fold_that_diverges_is_named(tiny, tmp_path):
    with pytest.raises(UserError, match=r"fold smic_0\d, epoch .*lower --lr"):
        run_experiment(settings_of(tiny, tmp_path, lr=1e30, epochs=4, stack=2, workers=1))
    assert not list(tmp_path.glob("smic/fold_*"))


def test_folds_are_stacked_in_their_order():
    assert in_groups([1, 2, 3, 4, 5], plan(stack=2)) == [[1, 2], [3, 4], [5]]
    assert in_groups([1, 2], plan()) == [[1], [2]]


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ({"stack": 0}, "--stack 0: at least 1"),
        ({"freeze": "early"}, "--stack 2 goes with --freeze trunk and --augment flip or none"),
        ({"augment": "full"}, "--stack 2 goes with --freeze trunk and --augment flip or none"),
        ({"streams": "2d+motion"}, "--stack 2 goes with --streams 2d, 3d or dual"),
        ({"streams": "motion", "freeze": "none"}, "--stack 2 goes with"),
        ({"inner": 2}, "--stack 2 goes without --inner"),
    ],
)
def test_settings_that_no_stack_goes_with(wrong, fault):
    with pytest.raises(UserError, match=fault):
        plan(**{"stack": 2} | wrong)


def test_the_benchmark_of_stacks_counts_fewer_operations():
    settings = plan(epochs=1)
    clips = made_clips(settings, subjects=3, clips=3, frames=1)
    job, folds = load_job(settings, clips, CPU), make_folds(clips.index, settings.classes)
    alone = operations(job, [[fold] for fold in folds])
    assert operations(job, [folds]) < 0.6 * alone


def test_what_cannot_be_stacked_is_told_before_training(monkeypatch):
    def refused(fault, **changes):
        settings = plan(stack=2, **changes)
        clips = made_clips(settings, subjects=2, clips=3, frames=1)
        with pytest.raises(UserError, match=fault):
            load_job(settings, clips, CPU)

    refused("--stack 2: this network drops values at random", network="baseline")
    with monkeypatch.context() as patch:
        patch.setattr(stacked, "half_precision", lambda precision, device: torch.float16)
        refused("--stack 2: float16 goes fold by fold")
    monkeypatch.setattr(batches, "CACHE_LIMIT", 1000)
    refused("--stack 2: the frozen trunk's features take too much memory")
