"""Networks: sizes, freezing, learning, published state dicts, weights from files."""

from urllib.error import URLError

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from common.errors import UserError
from loso.checkpoints import read_state_dict
from loso.networks import build_network, read_weights
from loso.settings import Settings
from models.baselines import Baseline
from models.mecapsulenet import MECapsuleNet, head_sizes
from models.registry import TRUNKS, make_trunk


@pytest.mark.parametrize("name", TRUNKS)
@pytest.mark.parametrize("size", [97, 128, 225])
def test_trunk_gives_the_feature_map_it_announces(name, size):
    trunk = make_trunk(name).eval()
    with torch.no_grad():
        out = trunk(torch.rand(1, 3, size, size))
    assert out.shape == (1, trunk.channels, trunk.side(size), trunk.side(size))


def test_paper_sizes():
    network = MECapsuleNet(make_trunk("resnet18"), 224)
    assert network.sizes == (
        "image 3x224x224 -> trunk 256x28x28 -> conv 9x9 256x20x20 -> "
        "1152 primary capsules x 8 (6x6 grid) -> 3 capsules x 16"
    )
    assert network.sizes in repr(network)
    assert network(torch.rand(1, 3, 224, 224)).shape == (1, 3)


@pytest.mark.parametrize(
    ("side", "expected"), [(28, (9, 20, 6)), (14, (5, 10, 3)), (7, (3, 5, 2)), (6, None)]
)
def test_kernels_shrink_with_the_image(side, expected):
    assert head_sizes(side) == expected


def test_too_small_an_image_names_the_smallest():
    with pytest.raises(ValueError, match=r"40 px are too small: 49 at least"):
        MECapsuleNet(make_trunk("resnet18"), 40)
    MECapsuleNet(make_trunk("resnet18"), 49)


def test_published_state_dict_loads_strictly():
    """Names and shapes of the published 3-class ResNet18 checkpoint."""
    backbone = torchvision.models.resnet18().state_dict()
    published = {
        f"conv.model.{name}": torch.randn_like(value.float()).to(value.dtype)
        for name, value in backbone.items()
        if not name.startswith(("layer4", "fc"))
    }
    published |= {
        "conv1.weight": torch.randn(256, 256, 9, 9),
        "conv1.bias": torch.randn(256),
        "primarycaps.conv2d.weight": torch.randn(256, 256, 9, 9),
        "primarycaps.conv2d.bias": torch.randn(256),
        "digitcaps.weight": torch.randn(3, 1152, 16, 8),
    }
    network = MECapsuleNet(make_trunk("resnet18"), 224)
    network.load_state_dict(published, strict=True)
    assert torch.equal(network.digitcaps.weight, published["digitcaps.weight"])


@pytest.mark.parametrize(
    ("trunk", "depth", "fixed"),
    [("resnet18", "early", 15), ("resnet18", "none", 0), ("vgg11", "early", 4)],
)
def test_freeze_fixes_the_published_parameters(trunk, depth, fixed):
    module = make_trunk(trunk)
    module.freeze(depth)
    flags = [p.requires_grad for p in module.parameters()]
    assert flags == [False] * fixed + [True] * (len(flags) - fixed)


def test_a_frozen_trunk_never_changes_its_features():
    trunk = make_trunk("efficientnet_lite0")
    trunk.freeze("trunk")
    images = torch.rand(2, 3, 97, 97)
    trunk.eval()
    before = trunk(images)
    trunk.train()
    trunk(torch.rand(4, 3, 97, 97))  # would move batch-norm statistics
    assert torch.equal(trunk(images), before)


@pytest.mark.parametrize("name", TRUNKS)
@pytest.mark.parametrize("kind", ["capsules", "baseline"])
def test_network_learns_one_batch(kind, name):
    torch.manual_seed(0)
    network = MECapsuleNet(make_trunk(name), 97) if kind == "capsules" else Baseline(name)
    images = torch.rand(6, 3, 97, 97) * 0.2
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    for image, label in zip(images, labels):
        image[label] += 0.6  # a colour a class
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-4)
    network.train()
    for _ in range(15):
        output = network(images)
        loss = network.loss(output, labels)
        learned = (network.scores(output).argmax(1) == labels).all()
        if learned and loss < 0.3:  # VGG's steps take a second each
            break
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    scores = network.scores(network(images))
    assert (scores.argmax(1) == labels).all()
    assert ((scores >= 0) & (scores <= 1)).all()


def test_softmax_twice_is_the_published_loss():
    logits, labels = torch.tensor([[2.0, -1.0, 0.5]]), torch.tensor([0])
    plain, twice = Baseline("resnet18"), Baseline("resnet18", softmax_twice=True)
    cross_entropy = torch.nn.functional.cross_entropy
    assert plain.loss(logits, labels) == cross_entropy(logits, labels)
    assert twice.loss(logits, labels) == cross_entropy(logits.softmax(1), labels)


PACKAGE = Settings(trunk="efficientnet_lite0", weights="package", image_size=97)


def test_package_weights_reach_the_trunk():
    state = read_weights(PACKAGE)
    network = build_network(PACKAGE, state)
    assert torch.equal(network.conv.model._conv_stem.weight, state["_conv_stem.weight"])


def test_weights_survive_safetensors_and_pth(tmp_path):
    network = build_network(PACKAGE, None)
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    torch.save({"model": network.state_dict()}, tmp_path / "w.pth")
    for name in ("w.safetensors", "w.pth"):
        settings = Settings(trunk="efficientnet_lite0", weights=str(tmp_path / name), image_size=97)
        again = build_network(settings, read_weights(settings))
        assert all(
            torch.equal(a, b)
            for a, b in zip(again.state_dict().values(), network.state_dict().values())
        )


def test_backbone_file_loads_into_trunk_and_baseline_but_not_the_last_layer(tmp_path):
    backbone = torchvision.models.resnet18()
    torch.save(backbone.state_dict(), tmp_path / "r.pth")
    for network in ("capsule", "baseline"):
        settings = Settings(network=network, weights=str(tmp_path / "r.pth"), image_size=97)
        built = build_network(settings, read_weights(settings))
        assert torch.equal(built.conv.model.conv1.weight, backbone.conv1.weight)
    assert built.conv.model.fc.weight.shape == (3, 512)


class Bomb:
    def __reduce__(self):
        return print, ("a pickle ran code",)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"not weights", "not readable as weights"),
        ({"x": 1}, "holds no state dict"),
        (Bomb(), "refused, not read: it names print"),
        ({"foo": torch.zeros(1)}, "no '.*' in it; it is of another network"),
    ],
)
def test_bad_weight_files_are_one_line(tmp_path, capsys, content, fault):
    path = tmp_path / "w.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    settings = Settings(weights=str(path), image_size=97)
    with pytest.raises(UserError, match=fault) as error:
        build_network(settings, read_weights(settings))
    assert "\n" not in str(error.value)
    assert "a pickle ran code" not in capsys.readouterr().out


def test_weights_of_other_settings_name_what_differs(tmp_path):
    five = Settings(
        dataset="casme2", classes=5, trunk="efficientnet_lite0", weights="none", image_size=97
    )
    save_file(build_network(five, None).state_dict(), tmp_path / "five.safetensors")
    three = Settings(
        trunk="efficientnet_lite0", weights=str(tmp_path / "five.safetensors"), image_size=97
    )
    with pytest.raises(UserError, match=r"digitcaps.weight.*check --classes"):
        build_network(three, read_weights(three))


def test_missing_file():
    with pytest.raises(UserError, match="no such file"):
        read_state_dict(Settings().root / "nothing.pth")


def test_no_network_says_what_to_do(monkeypatch, tmp_path):
    def no_network(*args, **kwargs):
        raise URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "urlopen", no_network)
    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    with pytest.raises(UserError, match=r"--trunk efficientnet_lite0 --weights package"):
        read_weights(Settings())


def test_imagenet_has_no_lite0():
    with pytest.raises(UserError, match="use --weights package"):
        read_weights(Settings(trunk="efficientnet_lite0", weights="imagenet"))
