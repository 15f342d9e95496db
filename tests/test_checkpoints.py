"""Checkpoints as people have them: wrapped, renamed, annotated, damaged, or something else."""

import argparse
import gzip
import pickle
import zipfile

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from common.checkpoints import load_checkpoint, named_as, one_line, tensors_of
from common.errors import UserError
from loso.checkpoints import read_state_dict
from loso.networks import build_network, read_weights
from loso.settings import Settings
from loso.synthetic_weights import load_synthetic

LITE = {"trunk": "efficientnet_lite0", "image_size": 97}


@pytest.fixture(scope="module")
def backbone():
    """ResNet18 with weights of its own, and its state dict."""
    torch.manual_seed(1)
    network = torchvision.models.resnet18()
    return network, network.state_dict()


def first_filters(path):
    settings = Settings(weights=str(path), image_size=97)
    return build_network(settings, read_weights(settings)).conv.model.conv1.weight


@pytest.mark.parametrize(
    "prefix",
    ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "backbone.", "model.",
     "net.", "encoder.", "module.backbone.", "model._orig_mod.encoder.", "trunk.body."],
)  # fmt: skip
def test_prefixes_of_names(tmp_path, backbone, prefix):
    state = {prefix + name: tensor for name, tensor in backbone[1].items()}
    torch.save(state | {"head.weight": torch.ones(3, 512)}, tmp_path / "w.pth")
    assert torch.equal(first_filters(tmp_path / "w.pth"), backbone[1]["conv1.weight"])
    save_file(state, tmp_path / "w.safetensors")
    assert torch.equal(first_filters(tmp_path / "w.safetensors"), backbone[1]["conv1.weight"])


def test_names_as_parallel_and_compiled_networks_give_them(tmp_path, backbone):
    network, state = backbone
    parallel = nn.DataParallel(network)
    compiled = torch.compile(network)
    inner = nn.Sequential()
    inner.add_module("backbone", nn.DataParallel(network))
    for wrapped in (parallel, compiled, torch.compile(parallel), nn.DataParallel(compiled), inner):
        torch.save(wrapped.state_dict(), tmp_path / "w.pth")
        assert torch.equal(first_filters(tmp_path / "w.pth"), state["conv1.weight"])


@pytest.mark.parametrize(
    "wrap",
    [
        *(lambda s, k=k: {k: s} for k in ("model", "state_dict", "model_state_dict", "net",
                                          "weights", "network", "module")),
        lambda s: {"epoch": 3, "model": {"state_dict": s}},
        lambda s: {"checkpoint": {"resnet": s}, "config": {"name": "r18"}},
        lambda s: s | {"epoch": 3, "loss": 0.5, "note": "flat"},
    ],
)  # fmt: skip
def test_wrappers(tmp_path, backbone, wrap):
    torch.save(wrap(dict(backbone[1])), tmp_path / "w.pth")
    assert torch.equal(first_filters(tmp_path / "w.pth"), backbone[1]["conv1.weight"])


def test_what_training_scripts_keep_beside_the_weights(tmp_path, backbone):
    network = backbone[0]
    optimiser = torch.optim.Adam(network.parameters())
    sum(p.sum() for p in network.parameters()).backward()
    optimiser.step()
    content = {
        "state": network.state_dict(), "optimizer": optimiser.state_dict(), "epoch": np.int64(3),
        "best": np.float64(0.71), "half": np.float16(2), "flag": np.bool_(True),
        "text": np.str_("a"), "confusion": np.eye(3), "args": argparse.Namespace(lr=1e-3),
    }  # fmt: skip
    for legacy in (False, True):
        torch.save(content, tmp_path / "w.pth", _use_new_zipfile_serialization=not legacy)
        assert load_checkpoint(tmp_path / "w.pth")["best"] == 0.71
        wanted = network.state_dict()["conv1.weight"]
        assert torch.equal(first_filters(tmp_path / "w.pth"), wanted)
    torch.save(optimiser.state_dict(), tmp_path / "optimiser.pth")
    with pytest.raises(UserError, match="holds no state dict"):
        read_state_dict(tmp_path / "optimiser.pth")


def test_files_without_batch_counts(tmp_path, backbone):
    older = {n: t for n, t in backbone[1].items() if not n.endswith("num_batches_tracked")}
    torch.save(older, tmp_path / "w.pth")
    assert torch.equal(first_filters(tmp_path / "w.pth"), older["conv1.weight"])
    network = build_network(Settings(**LITE, weights="none"), None)
    older = {f"module.{n}": t for n, t in network.state_dict().items()
             if not n.endswith("num_batches_tracked")}  # fmt: skip
    torch.save({"net": older}, tmp_path / "whole.pth")
    settings = Settings(**LITE, weights=str(tmp_path / "whole.pth"))
    again = build_network(settings, read_weights(settings))
    assert torch.equal(again.digitcaps.weight, network.digitcaps.weight)


@pytest.mark.parametrize("prefix", ["module.", "net._orig_mod.", ""])
def test_motion_networks_too(tmp_path, prefix):
    state = {prefix + n: t for n, t in load_synthetic("lean").state_dict().items()
             if not n.endswith("num_batches_tracked")}  # fmt: skip
    torch.save({"model": state, "acc": np.float32(0.5)}, tmp_path / "m.pth")
    settings = Settings(streams="motion", motion_net="lean", weights=str(tmp_path / "m.pth"))
    net = build_network(settings, read_weights(settings))
    assert torch.equal(net.units.weight, load_synthetic("lean").units.weight)


def test_the_content_decides_and_not_the_suffix(tmp_path, backbone):
    save_file(dict(backbone[1]), tmp_path / "w.pth")
    torch.save(backbone[1], tmp_path / "w.safetensors")
    for name in ("w.pth", "w.safetensors"):
        assert torch.equal(first_filters(tmp_path / name), backbone[1]["conv1.weight"])


def test_two_networks_in_one_file_are_not_guessed_between(tmp_path, backbone):
    both = {f"{part}.{n}": t for part in ("query", "key") for n, t in backbone[1].items()}
    torch.save(both, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"several such networks \(query\., key\.\); keep one"):
        first_filters(tmp_path / "w.pth")
    torch.save({"student": dict(backbone[1]), "teacher": dict(backbone[1])}, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"several sets of weights \(student, teacher\)"):
        first_filters(tmp_path / "w.pth")


class Whole(nn.Module):
    """A network of somebody's own, pickled as a whole."""


class Bomb:
    def __reduce__(self):
        return print, ("a pickle ran code",)


def zipped(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "weights are elsewhere")


def cut(path, share):
    torch.save({"w": torch.zeros(5000)}, path)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])


BAD = {
    "empty": (lambda p: p.write_bytes(b""), "is empty"),
    "page": (lambda p: p.write_text("\n <!DOCTYPE html>\n<title>Drive</title>"), "is a web page"),
    "page 2": (lambda p: p.write_text("<html>quota"), "is a web page"),
    "lfs": (lambda p: p.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
            "is a git-lfs pointer and not the file itself; fetch that with: git lfs pull"),
    "cut early": (lambda p: cut(p, 0.1), "cut off or damaged; copy it anew"),
    "cut late": (lambda p: cut(p, 0.97), "cut off or damaged; copy it anew"),
    "zip": (zipped, r"is a zip archive of something else \(readme.txt …\); unpack it"),
    "gzip": (lambda p: p.write_bytes(gzip.compress(b"x")), "is a gzip archive; unpack it"),
    "script": (lambda p: torch.jit.script(nn.Linear(1, 1)).save(p), "is a TorchScript program"),
    "whole": (lambda p: torch.save(Whole(), p), r"it names test_checkpoints.Whole, .*state_dict"),
    "bomb": (lambda p: torch.save({"w": Bomb()}, p), "refused, not read: it names print"),
    "pickle": (lambda p: p.write_bytes(pickle.dumps({"w": 1})), "torch.save it again"),
    "text": (lambda p: p.write_text("no weights"), "not readable as weights"),
    "numbers": (lambda p: torch.save([1, 2], p), "holds no state dict"),
    "folder": (lambda p: p.mkdir(), "is a folder; name one file in it"),
    "missing": (lambda p: None, "no such file"),
    "nan": (lambda p: torch.save({"w": torch.tensor([1.0, np.nan])}, p), "'w' holds numbers that"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("kind", BAD)
def test_what_does_not_load_is_one_plain_line(tmp_path, capsys, kind, suffix):
    make, fault = BAD[kind]
    path = tmp_path / f"w{suffix}"
    make(path)
    with pytest.raises(UserError, match=fault) as caught:
        read_state_dict(path)
    text = str(caught.value)
    assert text.startswith(f"--weights {path}")
    assert text.isprintable()  # no second line, no codes of a terminal
    for word in ("weights_only", "Weights only", "Re-running", "add_safe_globals"):
        assert word not in text
    printed = capsys.readouterr()
    assert "a pickle ran code" not in printed.out + printed.err


def test_a_cut_off_safetensors(tmp_path):
    save_file({"w": torch.zeros(100)}, tmp_path / "w.safetensors")
    data = (tmp_path / "w.safetensors").read_bytes()
    (tmp_path / "w.safetensors").write_bytes(data[:200])
    with pytest.raises(UserError, match="not readable as weights: cut off or damaged; copy it"):
        read_state_dict(tmp_path / "w.safetensors")


def test_one_line_of_an_exception():
    assert one_line(ValueError("\x1b[1mfirst\x1b[0m\nsecond")) == "first"
    assert one_line(ValueError("")) == "ValueError"
    assert len(one_line(ValueError("x" * 999))) == 200


def test_names_that_fit_as_they_are_stay():
    state = {"a.w": torch.zeros(1), "b.a.w": torch.ones(1), "w": torch.ones(1)}
    assert named_as(state, ["a.w", "w"]) == state
    assert tensors_of({"a": 1}) is None
    assert tensors_of("text") is None
