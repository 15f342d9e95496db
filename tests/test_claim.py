"""An experiment's folder: whose it is, when it is taken, and what --overwrite takes away."""

import json
import shutil

import pandas as pd
import pytest
import torch
from conftest import call
from experiments import records_of, settings_of

from common.errors import UserError
from data.corpora.known import CORPORA
from loso import experiment
from loso.config import made_files
from loso.experiment import run_experiment
from loso.progress import RunProgress
from loso.records import read_records
from loso.settings import Settings


def contents(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def bad_weights(tmp_path):
    torch.save({"conv.model.foo": torch.zeros(1)}, tmp_path / "other.pth")
    (tmp_path / "page.pth").write_text("<!doctype html>")
    return [tmp_path / name for name in ("nowhere.pth", "other.pth", "page.pth")]


def test_what_fails_before_training_leaves_the_name_free(tiny, tmp_path, bad_weights):
    result = tmp_path / "result"
    cut = pd.read_csv(tiny / "index/smic_apex.csv", dtype=str).query("data_sub == 'smic_01'")
    cut.to_csv(tmp_path / "one_apex.csv", index=False)
    wrong = [{"weights": str(path)} for path in bad_weights]
    wrong += [{"streams": "motion", "weights": str(path)} for path in bad_weights]
    wrong += [
        {"root": tmp_path / "nowhere"}, {"root": tmp_path}, {"index": tmp_path / "one_apex.csv"},
        {"subjects": ("smic_77",)}, {"image_size": 30}, {"streams": "3d", "root3d": tmp_path},
    ]  # fmt: skip
    plain = {"experiment": "x", "epochs": 1, "subjects": ("1",)}
    for changes in wrong:
        if changes.get("streams") == "motion":
            changes |= {"freeze": "none", "trunk": "resnet18"}
        with pytest.raises(UserError) as caught:
            run_experiment(settings_of(tiny, result, **plain | changes))
        assert "\n" not in str(caught.value)
        assert not (result / "x").exists()
    run_experiment(settings_of(tiny, result, **plain))
    assert contents(result / "x") == ["config.json", "fold_smic_01.json"]


def test_a_run_that_fails_leaves_what_was_there_even_with_overwrite(tiny, tmp_path, bad_weights):
    run_experiment(settings_of(tiny, tmp_path, subjects=("1",), epochs=1))
    before = records_of(tmp_path / "smic")
    for path in bad_weights:
        with pytest.raises(UserError, match=path.name):
            run_experiment(settings_of(tiny, tmp_path, weights=str(path), overwrite=True))
    assert records_of(tmp_path / "smic") == before


def test_a_folder_without_folds_is_free_for_other_settings(tiny, tmp_path):
    folder = tmp_path / "smic"
    with pytest.raises(UserError, match=r"fold smic_01, epoch .*lower --lr"):
        run_experiment(settings_of(tiny, tmp_path, lr=1e30, epochs=4))
    assert contents(folder) == ["config.json"]
    (folder / "weights").mkdir()
    (folder / "weights/smic_02.safetensors").touch()  # of a run that was killed before its record
    run_experiment(settings_of(tiny, tmp_path, epochs=1, subjects=("1",)))
    assert contents(folder) == ["config.json", "fold_smic_01.json"]
    assert json.loads((folder / "config.json").read_text())["settings"]["epochs"] == 1
    (folder / "fold_smic_01.json").unlink()
    (folder / "config.json").write_text("cut o")
    run_experiment(settings_of(tiny, tmp_path, epochs=2, subjects=("1",)))
    assert len(read_records(folder)[0]["epochs"]) == 2


MADE = (
    "fold_smic_03.json", "config.json", "attention.csv", "curves.png", "curves.pdf", "views.u8",
    "confusion_last.png", "confusion_best.pdf", "weights/smic_03.safetensors", ".shared_77",
    "cam/smic_03_s03_ne_00.png", "cam/samm_006_006_1_2.pdf", ".fold_smic_03.123.json",
    "cam/.smic_03_s03_ne_00.9.png", "weights/.smic_03.55.safetensors", ".curves.7.pdf",
    "..shared_77.78",
)  # fmt: skip
OTHERS = (
    "notes.txt", "curves.svg", "my_curves.png", "cam/talk.png", "cam/old/smic_01_x.png",
    "weights/ensemble.safetensors", "weights/smic_03.pth", "confusion.png", "plots/curves.png",
    "fold_smic_03.json.bak", ".config",
)  # fmt: skip


def test_overwrite_takes_away_what_the_project_made_and_nothing_else(tiny, tmp_path):
    run_experiment(settings_of(tiny, tmp_path, epochs=1, save_weights=True))
    folder = tmp_path / "smic"
    for name in (*MADE, *OTHERS):
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).touch()
    run_experiment(settings_of(tiny, tmp_path, epochs=2, subjects=("1",), overwrite=True))
    assert contents(folder) == sorted({"config.json", "fold_smic_01.json", *OTHERS})


def test_what_the_scripts_write_is_known_as_made(tiny, tmp_path):
    """Run what writes below an experiment's folder: all of it is of the names that go."""
    run_experiment(settings_of(tiny, tmp_path, epochs=1, save_weights=True, subjects=("2",)))
    for form in ("png", "pdf"):
        for words in (
            ("get_result_log.py", "--html"),
            ("visualize.py", "curves"),
            ("visualize.py", "cam", "--experiment", "smic", "--limit", 1),
        ):
            done = call(*words, "--result", tmp_path, "--format", form)
            assert done.returncode == 0, done.stderr
    folder = tmp_path / "smic"
    assert contents(folder) == sorted(str(p.relative_to(folder)) for p in made_files(folder))
    assert any((folder / "cam").iterdir())


def test_names_of_every_corpus_are_known(tmp_path):
    for data in CORPORA:
        (tmp_path / "cam").mkdir(exist_ok=True)
        (tmp_path / f"cam/{data}_1_c.png").touch()
    assert len(made_files(tmp_path)) == len(CORPORA)
    assert made_files(tmp_path / "nowhere") == []


def test_a_clip_that_could_not_be_read_is_what_differs(tiny, tmp_path):
    root = tmp_path / "root"
    shutil.copytree(tiny, root)
    run_experiment(settings_of(root, tmp_path, epochs=1, subjects=("1",)))
    index = pd.read_csv(root / "index/smic_apex.csv", dtype=str)
    (root / index["apex_frame_path"][3]).write_bytes(b"")
    with pytest.raises(UserError, match=f"smic_01 {index['clip'][3]} cannot be read now"):
        run_experiment(settings_of(root, tmp_path, epochs=1, subjects=("2",)))


def test_an_experiment_of_the_earlier_word_for_synthetic_goes_on(worlds, tmp_path, capsys):
    root = worlds[0]
    settings = Settings(
        index=root / "index/smic_apex.csv", root=root, result=tmp_path, streams="motion",
        adapt="none", device="cpu",
    )  # fmt: skip
    run_experiment(settings)
    path = settings.folder / "config.json"
    config = json.loads(path.read_text())
    assert config["settings"]["weights"] == "synthetic"
    config["settings"]["weights"] = "drawn"
    path.write_text(json.dumps(config))
    capsys.readouterr()
    run_experiment(settings)
    assert "3 of them done before" in capsys.readouterr().out


def test_two_runs_of_one_name_never_mix_their_folds(tiny, tmp_path, monkeypatch):
    """A folder without folds may be taken; the first run then keeps no fold there."""
    inside = []

    class OtherRun(RunProgress):
        def start_fold(self, data_sub):
            super().start_fold(data_sub)
            if not inside:
                inside.append(data_sub)
                run_experiment(settings_of(tiny, tmp_path, epochs=1, subjects=("smic_02",)))

    monkeypatch.setattr(experiment, "RunProgress", OtherRun)
    with pytest.raises(UserError, match="another run has taken this folder since"):
        run_experiment(settings_of(tiny, tmp_path, epochs=2))
    assert contents(tmp_path / "smic") == ["config.json", "fold_smic_02.json"]


def test_two_runs_of_one_config_share_the_folder(tiny, tmp_path):
    folder = tmp_path / "smic"
    run_experiment(settings_of(tiny, tmp_path, epochs=1, subjects=("1",)))
    (folder / "fold_smic_01.json").unlink()
    (folder / ".shared_77").touch()  # of the other, which has finished no fold yet
    run_experiment(settings_of(tiny, tmp_path, epochs=1, subjects=("smic_02",)))
    assert contents(folder) == [".shared_77", "config.json", "fold_smic_02.json"]
