"""`nested`: what is chosen, on whom, and that the held-out subject has no part in it."""

import copy
import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import CHANGED, call
from experiments import LEAN, settings_of
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from common.errors import UserError
from data.augmentation import stored_size
from loso import fold_job, motion, progress
from loso.experiment import run_experiment
from loso.fold_job import Job, load_job, train
from loso.folds import inner_folds, plan_folds, subject_groups
from loso.inputs import load_inputs
from loso.metrics import uf1_by_epoch
from loso.progress import RunProgress
from loso.records import epoch_record, read_records, write_json
from loso.results import collect, summarise
from loso.selection.candidates import candidates
from loso.selection.nested import Candidate, choose
from loso.settings import Settings

# Groups of subjects


@given(
    st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=9), min_size=5, max_size=20),
    st.integers(2, 5),
    st.integers(0, 99),
)
def test_groups_are_of_whole_subjects_and_none_is_empty(clips, groups, seed):
    labels = np.concatenate(clips)
    subjects = np.repeat([f"s{i:02d}" for i in range(len(clips))], [len(own) for own in clips])
    group = subject_groups(labels, subjects, groups, seed)
    assert set(group) == set(range(groups))
    assert all(len(set(group[subjects == name])) == 1 for name in set(subjects))
    assert (group == subject_groups(labels, subjects, groups, seed)).all()


def test_groups_are_stratified_and_balanced_as_far_as_subjects_allow():
    """Twelve subjects of three clips, four of each class alone: every group gets one of each."""
    labels = np.repeat([0, 1, 2] * 4, 3)
    subjects = np.repeat([f"s{i:02d}" for i in range(12)], 3)
    drawn = [subject_groups(labels, subjects, 4, seed) for seed in (0, 1)]
    for group in drawn:
        for number in range(4):
            assert np.bincount(labels[group == number]).tolist() == [3, 3, 3]
    assert (drawn[0] != drawn[1]).any()


def index_of(labels, data=("smic",)):
    """An index of subjects by name with their labels."""
    rows = [
        {"data": data[i % len(data)], "subject": f"{i + 1:02d}", "clip": f"c{k}", "label": label}
        for i, own in enumerate(labels)
        for k, label in enumerate(own)
    ]
    index = pd.DataFrame(rows)
    return index.assign(data_sub=index["data"] + "_" + index["subject"])


def test_inner_folds_are_of_the_training_clips_alone():
    index = index_of([(0, 1, 2)] * 7)
    settings = Settings(streams="motion", inner=3)
    for fold in plan_folds(index, settings):
        inner = inner_folds(fold, index, settings)
        assert sorted(np.concatenate([one.test for one in inner])) == sorted(fold.train)
        for one in inner:
            assert sorted([*one.train, *one.test]) == sorted(fold.train)
            subjects = index["data_sub"].to_numpy()
            assert not set(subjects[one.train]) & set(subjects[one.test])


def test_inner_folds_that_cannot_be():
    settings = Settings(streams="motion", inner=5)
    index = index_of([(0, 1, 2)] * 4)
    with pytest.raises(UserError, match="--inner 5: fold smic_01 has 3 training subjects"):
        inner_folds(plan_folds(index, settings)[0], index, settings)
    index = index_of([(0, 1, 2), (0, 1, 2), (0, 1), (0, 1), (0, 1)])
    settings = Settings(streams="motion", inner=2)
    with pytest.raises(UserError, match=r"fold smic_01, inner group .: no clip of class surprise"):
        inner_folds(plan_folds(index, settings)[0], index, settings)


# Candidates


def chosen(*choose, **more):
    settings = Settings(streams="motion", inner=2, choose=choose, **more)
    return [values for values, _ in candidates(settings)]


def test_every_combination_is_a_candidate():
    assert chosen() == [{}]
    assert chosen("lr=0.001,1e-2", "epochs=3,5") == [
        {"lr": 0.001, "epochs": 3}, {"lr": 0.001, "epochs": 5},
        {"lr": 0.01, "epochs": 3}, {"lr": 0.01, "epochs": 5},
    ]  # fmt: skip
    assert chosen("--motion-net=lean,linear") == [{"motion_net": "lean"}, {"motion_net": "linear"}]
    assert candidates(Settings()) == []
    settings = candidates(Settings(streams="motion", inner=2, choose=("lr=0.5,0.25",)))[1][1]
    assert (settings.learning.lr, settings.choose) == (0.25, ())


@pytest.mark.parametrize(
    ("choose", "fault"),
    [
        ("streams=2d,3d", "--choose streams=2d,3d: no setting to choose; there are network"),
        ("dataset=samm", "no setting to choose"),
        ("lr", "NAME=V1,V2"),
        ("lr=fast", "--choose lr=fast: no value of --lr"),
        ("lr=", "--choose lr=: no value of --lr"),
        ("epochs=2.5", "--choose epochs=2.5: no value of --epochs"),
        ("epochs=0", "--choose epochs=0: --epochs 0: at least 1"),
        ("adapt=some", "--choose adapt=some: --adapt is all, head, none"),
        ("softmax_twice=yes", "--softmax-twice is true or false"),
        ("motion_net=huge", "--choose motion_net=huge: --motion-net huge: no such one"),
    ],
)
def test_choices_that_cannot_be(choose, fault):
    with pytest.raises(UserError) as error:
        chosen(choose)
    assert fault in str(error.value)
    assert "\n" not in str(error.value)


def test_a_setting_is_chosen_in_one_place():
    with pytest.raises(UserError, match="one --choose for all of its values"):
        chosen("lr=1", "lr=2")


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ({"inner": 1}, "--inner 1: at least 2 groups"),
        ({"inner": -2}, "--inner -2: at least 2 groups"),
        ({"choose": ("lr=1",)}, "--choose goes with --inner"),
        ({"inner": 2, "choose_ensemble": 2}, "--choose-ensemble goes with --choose"),
        ({"inner": 2, "choose": ("lr=1",), "choose_ensemble": -1}, "--choose-ensemble -1"),
    ],
)
def test_settings_of_choice_that_contradict(wrong, fault):
    with pytest.raises(UserError, match=fault):
        Settings(**wrong)


# The choice itself


def sure(predictions, by=1.0):
    return by * np.eye(3)[[int(one) for one in predictions]]


def test_the_highest_uf1_is_chosen_and_the_first_of_equals():
    labels = np.array([0, 1, 2])
    assert choose([(0.2, sure("000")), (0.7, sure("011")), (0.7, sure("012"))], labels, 0) == {1: 1}


def tried(labels, *scores):
    return [(float(uf1_by_epoch(labels, s.argmax(1)[None], 3)[0]), s) for s in scores]


def test_an_ensemble_takes_what_helps_and_may_take_one_twice():
    labels = np.array([0, 0, 1, 1, 2, 2])
    # The first is sure and wrong on the last; the second unsure and right there; the third is bad.
    first, second = sure("001120", 0.5), sure("110022", 0.4)
    second[:4] *= 0.1
    second[5] *= 2
    assert choose(tried(labels, first, second, sure("222200")), labels, 3) == {0: 1, 1: 1}
    weak = second * 0.4  # once is too little to turn the first's mistake: 0.5 against 0.32
    taken = choose(tried(labels, weak, first, sure("222200")), labels, 4)
    assert taken == {1: 1, 0: 2}


def test_an_ensemble_is_cut_where_it_was_best():
    labels = np.array([0, 1, 2])
    right = sure("012")
    assert choose(tried(labels, sure("000"), right), labels, 5) == {1: 1}


# Whole folds, of a runner that tells random scores: nothing can be learned from it


class Noise:
    """Random scores that depend on fold, epoch and settings, and on no label."""

    def __init__(self, settings, index):
        self.settings, self.index = settings, index

    def run(self, fold, on_epoch):
        epochs = []
        for number in range(1, self.settings.epochs + 1):
            rng = np.random.default_rng([fold.seed(self.settings.seed) % 2**32, number])
            scores = rng.dirichlet([1, 1, 1], len(fold.test))
            epochs.append(epoch_record(fold.data_sub, number, 0.5, 0.5, scores))
            on_epoch(epochs[-1])
        return epochs, torch.nn.Identity()


def test_labels_that_only_selection_could_exploit(tmp_path):
    """Random labels: last and nested stay at chance, best rises to what chance says."""
    rng = np.random.default_rng(0)
    index = index_of(rng.integers(0, 3, (16, 6)).tolist())
    settings = Settings(
        streams="motion", motion_net="linear", epochs=15, inner=3, choose=("seed=1,2,3,4",),
        choose_ensemble=3, result=tmp_path, experiment="noise",
    )  # fmt: skip
    runners = [
        Candidate(values, Noise(one, index), one.passes) for values, one in candidates(settings)
    ]
    job = Job(settings, index, Noise(settings, index), candidates=tuple(runners))
    folds = plan_folds(index, settings)
    for fold in folds:
        told = []
        record = train(job, fold, told.append).record
        assert len(told) <= job.passes
        write_json(tmp_path / f"noise/fold_{fold.data_sub}.json", record)
        assert all("stage" not in epoch for epoch in record["epochs"])
        assert max(one["uf1"] for one in record["nested"]["candidates"]) > 0.4  # it did exploit
    config = {"subjects": {fold.data_sub: len(fold.test) for fold in folds}}
    write_json(tmp_path / "noise/config.json", config)
    summary = summarise(*collect(tmp_path)).query("data == 'full'").set_index("protocol")
    assert summary.index.tolist() == ["last", "nested", "best"]
    for honest in ("last", "nested"):
        assert summary.loc[honest, "chance"] == pytest.approx(1 / 3, abs=0.02)
        assert summary.loc[honest, "uf1"] == pytest.approx(1 / 3, abs=0.1)
    best = summary.loc["best"]
    assert best["chance"] > 0.6
    assert best["uf1"] == pytest.approx(best["chance"], abs=0.06)


def test_nested_takes_its_epoch_of_the_stated_run_where_nothing_else_is_chosen():
    index = index_of([(0, 1, 2)] * 6)
    settings = Settings(streams="motion", motion_net="linear", epochs=9, inner=3)
    runner = Noise(settings, index)
    job = Job(settings, index, runner, candidates=(Candidate({}, runner, 9),))
    fold = plan_folds(index, settings)[2]
    told = []
    record = train(job, fold, told.append).record
    nested = record["nested"]
    assert len(told) == job.passes == 9 + 3 * 9
    assert {epoch.get("stage") for epoch in told[9:]} == {f"inner group {i}/3" for i in (1, 2, 3)}
    (only,) = nested["candidates"]
    # The epoch whose scores on all inner groups together have the highest UF1, later of equals.
    inner = inner_folds(fold, index, settings)
    every = [runner.run(one, lambda _: None)[0] for one in inner]
    labels = index["label"].to_numpy()[np.concatenate([one.test for one in inner])]
    pooled = [np.concatenate([np.array(epochs[e]["scores"]) for epochs in every]) for e in range(9)]
    uf1 = uf1_by_epoch(labels, np.argmax(pooled, axis=2), 3)
    assert only["uf1"] == pytest.approx(uf1.max())
    assert only["epoch"] == 9 - int(np.argmax(uf1[::-1]))
    assert nested["chosen"] == [{"settings": {}, "epoch": only["epoch"], "times": 1}]
    assert nested["uf1"] == only["uf1"]
    assert nested["scores"] == record["epochs"][only["epoch"] - 1]["scores"]
    assert sorted(name for group in nested["inner"] for name in group) == [
        f"smic_0{i}" for i in (1, 2, 4, 5, 6)
    ]


def test_an_ensembles_scores_are_the_mean_of_its_members():
    index = index_of([(0, 1, 2)] * 6)
    settings = Settings(
        streams="motion",
        motion_net="linear",
        epochs=4,
        inner=2,
        choose=("seed=1,2,3",),
        choose_ensemble=6,
    )
    runners = {values["seed"]: Noise(one, index) for values, one in candidates(settings)}
    members = tuple(Candidate({"seed": seed}, one, 4) for seed, one in runners.items())
    job = Job(settings, index, Noise(settings, index), candidates=members)
    mixed = 0
    for fold in plan_folds(index, settings):
        nested = train(job, fold, lambda _: None).record["nested"]
        parts, times = [], []
        for one in nested["chosen"]:
            epochs = runners[one["settings"]["seed"]].run(fold, lambda _: None)[0]
            parts.append(epochs[one["epoch"] - 1]["scores"])
            times.append(one["times"])
        assert np.allclose(nested["scores"], np.average(parts, axis=0, weights=times), atol=1e-6)
        assert nested["uf1"] >= max(one["uf1"] for one in nested["candidates"])
        mixed += len(parts) > 1
    assert mixed


def test_a_candidate_that_diverges_is_named():
    class Diverging(Noise):
        def run(self, fold, on_epoch):
            raise UserError(f"fold {fold.data_sub}, epoch 1: the loss is nan; lower --lr")

    index = index_of([(0, 1, 2)] * 4)
    settings = Settings(streams="motion", epochs=1, inner=2)
    wrong = Candidate({"lr": 10.0}, Diverging(settings, index), 1)
    job = Job(settings, index, Noise(settings, index), candidates=(wrong,))
    with pytest.raises(UserError, match=r"--choose lr=10.0: fold smic_01, inner group 1, epoch 1"):
        train(job, plan_folds(index, settings)[0], lambda _: None)


def test_progress_counts_what_is_trained_for_the_choice(capsys, monkeypatch):
    """Two stated epochs, two groups of four and a last training of four: 14 passes a fold."""
    index = index_of([(0, 1, 2)] * 4)
    settings = Settings(
        streams="motion", motion_net="linear", epochs=2, inner=2, choose=("epochs=4",)
    )
    (candidate,) = [
        Candidate(values, Noise(one, index), one.passes) for values, one in candidates(settings)
    ]
    job = Job(settings, index, Noise(settings, index), candidates=(candidate,))
    monkeypatch.setattr(progress, "QUIET_SECONDS", -1)
    seen = []
    with RunProgress(1, 0, job.passes, settings.passes) as shown:
        shown.start_fold("smic_01")

        def on_epoch(record):
            shown.epoch("smic_01", record)
            seen.append(shown.passed["smic_01"])

        record = train(job, plan_folds(index, settings)[0], on_epoch).record
        shown.finish_fold(record, 0.5)
    assert seen == list(range(1, 15))
    lines = capsys.readouterr().out.splitlines()
    assert "fold 1/1 smic_01  epoch 2/2" in lines[1]
    assert "fold 1/1 smic_01  inner group 2/2  epoch 4/4" in lines[9]
    assert "fold 1/1 smic_01  the chosen one  epoch 1/4" in lines[10]


# With real networks


def test_the_held_out_subject_has_no_part_in_the_choice(worlds, tmp_path, monkeypatch):
    """Other maps and labels of its: the same choice, and the same weights of every network."""
    left = []
    for root in worlds:
        networks = []
        run = motion.MotionRunner.run

        def noted(self, fold, on_epoch, run=run, networks=networks):
            epochs, network = run(self, fold, on_epoch)
            losses = [epoch["train_loss"] for epoch in epochs]
            networks.append((fold.data_sub, losses, copy.deepcopy(network.state_dict())))
            return epochs, network

        with monkeypatch.context() as patch:
            patch.setattr(motion.MotionRunner, "run", noted)
            settings = Settings(
                index=root / "index/smic_apex.csv", root=root, device="cpu", batch_size=16,
                result=tmp_path / root.name, subjects=(CHANGED,), save_weights=True, workers=1,
                inner=2, choose=("lr=2e-3,1e-2", "motion_net=lean,linear"), choose_ensemble=3,
                **LEAN,
            )  # fmt: skip
            run_experiment(settings)
        (record,) = read_records(settings.folder)
        stated = load_file(settings.folder / f"weights/{CHANGED}.safetensors")
        left.append((record["nested"], networks, stated))
    (one, ours, first), (other, theirs, second) = left
    for part in ("inner", "candidates", "chosen", "uf1"):
        assert one[part] == other[part]
    assert one["scores"] != other["scores"]
    assert all(CHANGED not in group for group in one["inner"])
    assert len(ours) == len(theirs) >= 1 + 4 * 2 + 1
    for (name, losses, state), (its_name, its_losses, its_state) in zip(ours, theirs):
        assert (name, losses) == (its_name, its_losses)
        assert all(torch.equal(state[key], its_state[key]) for key in state)
    # What is kept is the network of the settings as they stand.
    assert all(torch.equal(first[key], ours[0][2][key]) for key in first)
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.fixture(scope="module")
def nested_run(worlds, tmp_path_factory):
    """A run with a choice, through the command line: its experiment's folder."""
    result, root = tmp_path_factory.mktemp("nested"), worlds[0]
    words = [
        "train_me_loso.py", "--index", root / "index/smic_apex.csv", "--root", root,
        "--result", result, "--streams", "motion", "--motion-net", "lean", "--epochs", "2",
        "--inner", "2", "--choose", "lr=1e-3,1e-2", "--choose", "batch_size=4", "--device", "cpu",
        "--workers", "1",
    ]  # fmt: skip
    done = call(*words)
    assert done.returncode == 0, done.stderr
    return result / "smic_motion_lean_tuned", words


def without_clock(folder: Path) -> list[dict]:
    return [record | {"seconds": None} for record in read_records(folder)]


def test_last_and_best_are_those_of_the_stated_settings(nested_run, worlds, tmp_path):
    plain = Settings(
        index=worlds[0] / "index/smic_apex.csv", root=worlds[0], device="cpu", result=tmp_path,
        **LEAN,
    )  # fmt: skip
    run_experiment(plain)
    ours = [
        {key: value for key, value in record.items() if key != "nested"}
        for record in without_clock(nested_run[0])
    ]
    assert ours == without_clock(plain.folder)


def test_what_a_choice_reads_otherwise_is_read_for_it(tiny, tmp_path, monkeypatch):
    """Pictures with a margin for crops, and once for all of these; else what is there is shared."""
    read = []

    def noted(settings):
        read.append((settings.augment, settings.lr))
        return load_inputs(settings)

    monkeypatch.setattr(fold_job, "load_inputs", noted)
    settings = settings_of(
        tiny, tmp_path, inner=2, choose=("augment=flip,none,crop", "lr=1e-3,2e-3"), epochs=1
    )
    clips = load_inputs(settings)
    job = load_job(settings, clips, torch.device("cpu"))
    assert read == [("crop", 1e-3)]
    sizes = [
        one.runner.source.frames.shape[-2:]
        for one in job.candidates
        if "crop" in one.values.values()
    ]
    assert sizes == [stored_size(97, "crop")] * 2
    first, second = job.candidates[:2]
    assert first.runner.source is second.runner.source is job.runner.source
    assert (first.runner.settings.lr, second.runner.settings.lr) == (1e-3, 2e-3)
    assert job.runner.settings.lr is None


def test_a_choice_needs_the_same_clips(tiny, tmp_path, monkeypatch):
    def fewer(settings):
        return dataclasses.replace(load_inputs(settings), left_out=("smic_01 s01_ne_00",))

    monkeypatch.setattr(fold_job, "load_inputs", fewer)
    settings = settings_of(tiny, tmp_path, inner=2, choose=("augment=crop",), epochs=1)
    with pytest.raises(UserError, match="--choose augment=crop: smic_01 s01_ne_00 can be read"):
        load_job(settings, load_inputs(settings), torch.device("cpu"))


def test_a_run_goes_on_where_it_was_interrupted(nested_run):
    folder, words = nested_run
    before = without_clock(folder)
    (folder / "fold_smic_02.json").unlink()
    done = call(*words)
    assert done.returncode == 0, done.stderr
    assert "2 of them done before" in done.stdout
    assert without_clock(folder) == before
    refused = call(*[word if word != "lr=1e-3,1e-2" else "lr=1e-3" for word in words])
    assert refused.returncode == 2
    assert "--choose was" in refused.stderr


def test_tables_and_page_have_rows_of_nested(nested_run):
    folder, _ = nested_run
    done = call("get_result_log.py", "--result", folder.parent, "--html")
    assert done.returncode == 0, done.stderr
    log = pd.read_csv(folder.parent / "result_log.csv", dtype={"subject": str})
    for record in read_records(folder):
        mine = log[(log["protocol"] == "nested") & (log["subject"] == record["data_sub"][5:])]
        mine = mine.set_index("clip")["prediction"]
        expected = np.argmax(record["nested"]["scores"], axis=1).tolist()
        assert [mine[clip["clip"]] for clip in record["clips"]] == expected
    assert "nested: what is chosen" in done.stdout
    assert (folder / "confusion_nested.png").is_file()
    assert '"nested"' in (folder.parent / "index.html").read_text()


@pytest.mark.parametrize(
    ("nested", "fault"),
    [([1], "'nested' is no object"), ({"scores": [[0.5]]}, "nested has no 3 x 3 scores")],
)
def test_a_broken_choice_is_named(nested_run, tmp_path, nested, fault):
    record = read_records(nested_run[0])[0] | {"nested": nested}
    (tmp_path / "fold_smic_01.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match=fault):
        read_records(tmp_path)


def test_weights_that_have_seen_a_held_out_subject_are_refused_as_a_choice(worlds, tmp_path):
    root = worlds[0]
    settings = Settings(
        index=root / "index/smic_apex.csv", root=root, device="cpu", result=tmp_path,
        subjects=("1",), save_weights=True, **LEAN,
    )  # fmt: skip
    run_experiment(settings)
    file = settings.folder / "weights/smic_01.safetensors"
    again = dataclasses.replace(
        settings, experiment="again", inner=2, choose=(f"weights=none,{file}",)
    )
    with pytest.raises(UserError, match="was trained on smic_02"):
        run_experiment(again)
    assert not again.folder.exists()
