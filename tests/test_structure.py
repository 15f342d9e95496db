"""How the house hangs together: a new network, every setting's mark, presets, one list each."""

import subprocess
import sys
import types
from typing import Literal, get_args, get_origin, get_type_hints

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import CHANGED, ROOT, call
from torch import Tensor, nn

from common.errors import UserError
from data.augmentation import Augment
from data.motion.flow import Flow
from data.transforms import sample_augmentation
from loso import script
from loso.experiment import run_experiment
from loso.marks import Of
from loso.presets import PRESETS, Preset, preset
from loso.records import read_records
from loso.settings import FREE, SHAPING, Settings, settings_of
from models import registry
from models.dsnca import FUSIONS
from models.network import Network
from models.registry import NETWORKS, STREAMS, TRUNKS, NetworkEntry, Plan, Streams, TrunkEntry


class Toy(Network[Tensor]):
    """All that a network needs: a linear layer on the mean of the picture's rows."""

    trunks = ()
    motion = None

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.rows = nn.AdaptiveAvgPool2d((8, 1))
        self.classes = nn.Linear(24, plan.classes)

    def features(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return inputs

    def head(self, *features: Tensor) -> Tensor:
        return self.classes(self.rows(*features).flatten(1))

    def loss(self, output: Tensor, labels: Tensor) -> Tensor:
        return nn.functional.cross_entropy(output, labels)

    def scores(self, output: Tensor) -> Tensor:
        return output.softmax(1)

    def heat_layers(self) -> tuple[nn.Module | None, ...]:
        return (None,)


@pytest.fixture
def toy(monkeypatch):
    """A network in one file, and one line in the registry."""
    file = types.ModuleType("toy_network")
    file.build = Toy
    monkeypatch.setitem(sys.modules, "toy_network", file)
    monkeypatch.setitem(NETWORKS, "toy", NetworkEntry("toy_network:build", trunks_at=()))


def test_a_network_is_one_file_and_one_line(toy, worlds, tmp_path):
    """Through the script: trained, kept, scored again from its file, looked at, started from."""
    root = worlds[0]
    common = ("--index", root / "index/smic_apex.csv", "--root", root, "--image-size", 40,
              "--epochs", 4, "--device", "cpu", "--save-weights", "--network", "toy",
              "--lr", 0.01, "--augment", "none")  # fmt: skip
    done = call("train_me_loso.py", *common, "--result", tmp_path, "--workers", 1)
    assert done.returncode == 0, done.stderr
    records = read_records(tmp_path / "toy_smic")
    assert len(records) == 3
    losses = [epoch["train_loss"] for epoch in records[0]["epochs"]]
    assert losses[-1] < losses[0]
    scores = _scores_of_kept(tmp_path / "toy_smic", CHANGED, root)
    record = next(record for record in records if record["data_sub"] == CHANGED)
    assert scores == pytest.approx(np.array(record["epochs"][-1]["scores"]), abs=1e-5)
    done = call("visualize.py", "cam", "--experiment", "toy_smic", "--result", tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "toy_smic/cam").glob("*.png"))) == 9
    falls = pd.read_csv(tmp_path / "toy_smic/attention.csv")
    assert set(falls["stream"]) == {"frame"}
    start = tmp_path / f"toy_smic/weights/{CHANGED}.safetensors"
    done = call("train_me_loso.py", *common, "--result", tmp_path / "r", "--weights", start)
    assert done.returncode == 2
    assert "was trained on smic_01 and 1 more" in done.stderr


def _scores_of_kept(folder, data_sub, root):
    from data.disk.frames import read_image
    from data.index import read_index
    from loso.predict import ClipFrames, Readings, clip_batch, load_classifier, predict

    classifier = load_classifier(folder / f"weights/{data_sub}.safetensors")
    assert isinstance(classifier.networks[0], Toy)
    index = read_index(root / "index/smic_apex.csv")
    found = []
    for path in index["apex_frame_path"][index["data_sub"] == data_sub]:
        clip = ClipFrames(read_image(root / path), None)
        batch = clip_batch(clip, Readings(), classifier.settings, torch.device("cpu"))
        found.append(list(predict(classifier, batch, torch.device("cpu")).classes.values()))
    return np.array(found)


def test_a_network_that_lacks_a_part_cannot_be_built():
    class Half(Network[Tensor]):
        motion = None

        def head(self, *features: Tensor) -> Tensor:
            return features[0]

    with pytest.raises(TypeError, match=r"features.*heat_layers.*loss.*scores.*trunks"):
        Half()


def test_a_network_without_a_trunk_starts_from_nothing(toy):
    assert Settings(network="toy").first_weights == "none"
    assert Settings(network="toy").name == "toy_smic"
    with pytest.raises(UserError, match="--network toy reads --streams 2d, not dual"):
        Settings(network="toy", streams="dual")
    with pytest.raises(UserError, match="never train the trunk"):
        Settings(network="toy", freeze="trunk")


def test_weights_for_a_trunk_that_is_not_there(toy, worlds, tmp_path):
    torch.save({"conv1.weight": torch.zeros(3)}, tmp_path / "w.pth")
    settings = Settings(network="toy", weights=str(tmp_path / "w.pth"), result=tmp_path / "r")
    with pytest.raises(UserError, match=r"no 'classes\.weight' in it; it is of another network"):
        run_experiment(settings)
    assert not (tmp_path / "r").exists()


def test_a_trunk_is_one_entry(monkeypatch, worlds, tmp_path):
    """Under a name of its own: chosen, built, frozen, and without a baseline refused as one."""
    entry = TrunkEntry("models.trunks:lite0", "package")
    monkeypatch.setitem(TRUNKS, "mine", entry)
    root = worlds[0]
    common = ("--index", root / "index/smic_apex.csv", "--root", root, "--preset", "demo",
              "--trunk", "mine", "--image-size", 97, "--epochs", 1, "--subjects", 1)  # fmt: skip
    done = call("train_me_loso.py", *common, "--result", tmp_path)
    assert done.returncode == 0, done.stderr
    done = call("train_me_loso_baseline.py", *common, "--result", tmp_path)
    assert done.returncode == 2
    fault = "--network baseline goes with --trunk resnet18 or vgg11 or efficientnet_lite0"
    assert done.stderr == f"error: {fault}\n"


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"network": "resnet"}, "--network resnet: no such one; there are capsule, baseline"),
        ({"network": "lean"}, "--network lean: no such one; there are capsule, baseline"),
        (
            {"motion_net": "capsule"},
            "--motion-net capsule: no such one; there are directed, linear, lean",
        ),
        ({"trunk": "vgg"}, "--trunk vgg: no such one; there are resnet18, vgg11, efficient"),
        ({"network": "baseline", "streams": "motion"}, "reads --streams 2d, not motion"),
    ],
)
def test_names_that_there_are_not_list_those_that_there_are(changes, fault):
    with pytest.raises(UserError, match=fault):
        Settings(**changes)
    (name, value), *_ = changes.items()
    done = call("train_me_loso.py", f"--{name.replace('_', '-')}", value, "--streams",
                changes.get("streams", "2d"))  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert fault in done.stderr


def test_help_lists_the_registries():
    for name in ("train_me_loso.py", "train_me_loso_composite_dual_3d.py"):
        done = call(name, "--help")
        assert "--network {capsule,baseline}" in done.stdout
        assert f"--trunk {{{','.join(TRUNKS)}}}" in done.stdout
        assert "--preset {paper,demo}" in done.stdout


def test_a_command_line_is_read_without_torch():
    code = "import sys, loso.script; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_every_setting_is_marked_once():
    marked = [name for kind in Of for name in settings_of(kind)]
    assert sorted(marked) == sorted(get_type_hints(Settings))
    assert set(marked) == set(Settings.__dataclass_fields__)
    assert len(marked) == len(set(marked))
    assert set(settings_of(Of.RUN)) == FREE
    decided = set(Plan.__dataclass_fields__) - {"softmax_twice", "adapt", "fusion_gain"}
    assert set(SHAPING) == decided | {"network", "motion_net", "views_show"}


def test_a_settings_choices_are_its_owners():
    hints = get_type_hints(Settings)
    assert hints["augment"] == Augment and hints["flow"] == Flow
    assert get_args(hints["freeze"]) == ("none", "early", "trunk")
    assert get_args(hints["fusion"]) == FUSIONS
    assert (
        get_args(hints["streams"])
        == get_args(Streams)
        == tuple(sorted(STREAMS, key=get_args(Streams).index))
    )
    for kind in get_args(Augment):  # each samples something of its own
        sample_augmentation(3, kind, torch.Generator())
    for depth in get_args(hints["freeze"]):
        registry.make_trunk("efficientnet_lite0").freeze(depth)
    assert all(get_origin(hints[name]) is Literal for name in ("freeze", "fusion", "streams"))


@pytest.mark.parametrize("name", [*NETWORKS, *TRUNKS])
def test_every_entry_is_of_something_that_is_there(name):
    entry = NETWORKS.get(name) or TRUNKS[name]
    assert callable(registry.load(entry.build))
    if isinstance(entry, TrunkEntry):
        assert registry.load(entry.baseline).last
        return
    assert set(entry.streams) <= set(STREAMS)
    plans = [Plan(streams=s, trunk="efficientnet_lite0", image_size=97) for s in entry.streams]
    for plan in plans:
        network = registry.make_network(name, plan)
        streams = STREAMS[plan.streams]
        assert len(network.heat_layers()) == len(streams)
        assert len(network.trunks) == len(streams) - ("motion" in streams)
        assert isinstance(network, Network)
        assert (network.motion is not None) == ("motion" in streams and len(streams) > 1)


@pytest.fixture
def parsed(monkeypatch):
    """Settings that a script's command line comes to."""
    from loso import experiment

    def parse(name, *words):
        caught = []

        def catch(settings):
            caught.append(settings)

        monkeypatch.setattr(experiment, "run_experiment", catch)
        done = call(name, *words)
        assert done.returncode == 0, done.stderr
        return caught[0], done.stdout

    return parse


def test_the_demo_is_what_it_was(parsed):
    """The settings that make demo's flags stood for, one by one."""
    spelled = ("--trunk", "efficientnet_lite0", "--weights", "package", "--freeze", "trunk",
               "--augment", "flip")  # fmt: skip
    ours, printed = parsed("train_me_loso.py", "--preset", "demo")
    theirs, silent = parsed("train_me_loso.py", *spelled, "--image-size", 160, "--epochs", 15)
    assert ours.facts() == theirs.facts()
    assert ours.name == theirs.name
    assert printed == (
        "preset demo: --trunk efficientnet_lite0 --freeze trunk --augment flip --image-size 160 "
        "--epochs 15\n"
    )
    assert silent == ""
    script_name = "train_me_loso_composite_dual_3d.py"
    more = ("--streams", "3d", "--image-size", 128, "--epochs", 12)
    ours, _ = parsed(script_name, *more, "--preset=demo")
    theirs, _ = parsed(script_name, *spelled, *more)
    assert ours.facts() == theirs.facts()
    assert (ours.image_size, ours.epochs, ours.batch_size) == (128, 12, 16)


def test_a_scripts_own_defaults_stay_under_a_preset(parsed):
    baseline, _ = parsed("train_me_loso_baseline.py", "--preset", "paper")
    assert (baseline.network, baseline.freeze, baseline.trunk) == ("baseline", "early", "resnet18")
    baseline, _ = parsed("train_me_loso_baseline.py", "--preset", "demo")
    assert (baseline.network, baseline.freeze) == ("baseline", "trunk")
    motion, _ = parsed("train_me_loso.py", "--preset", "demo", "--streams", "motion")
    assert motion.first_weights == "synthetic"


@pytest.mark.parametrize("words", [("--preset",), ("--preset", "small"), ("--preset=",)])
def test_a_preset_that_there_is_not(words):
    done = call("train_me_loso.py", *words)
    assert done.returncode == 2
    assert "--preset" in done.stderr
    assert done.stdout == ""


def test_presets_are_settings():
    assert set(PRESETS) == set(get_args(Preset))
    assert preset("paper") == Settings()
    assert preset("demo", epochs=3).epochs == 3
    assert not {name for values in PRESETS.values() for name in values} & FREE
    assert script._preset_of(["--result", "--preset", "--preset", "demo"]) in PRESETS


def test_the_demos_settings_stand_once():
    """Where the demo is trained, its preset is named and not spelled out again."""
    for name in ("Makefile", "benchmarks/bench_folds.py", "benchmarks/lines.py"):
        text = (ROOT / name).read_text()
        assert "preset" in text
        assert "efficientnet_lite0" not in text
