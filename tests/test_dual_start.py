"""How a dual network starts: at a scale where capsules learn, or from single streams."""

import json

import pytest
import torch
from conftest import FAST, call, write_views
from torch import Tensor

from common.errors import UserError
from data.index import read_index
from data.views import claim_views, view_folder
from loso.names import modern_facts
from loso.settings import Settings
from models.dsnca import DSNCA
from models.mecapsulenet import MECapsuleNet
from models.registry import make_trunk


def features() -> Tensor:
    """What EfficientNet-Lite0 makes of pictures, in scale."""
    trunk = make_trunk("efficientnet_lite0")
    shape = 16, trunk.channels, trunk.side(97), trunk.side(97)
    return 9 * torch.randn(shape, generator=torch.Generator().manual_seed(1))


def lengths(network, *maps: Tensor) -> float:
    with torch.no_grad():
        return float(network.train().head(*maps).mean())


def test_a_fused_map_starts_at_a_scale_where_capsules_have_lengths():
    torch.manual_seed(0)
    trunks = [make_trunk("efficientnet_lite0", pictures) for pictures in (1, 13)]
    maps = features()
    alone = lengths(MECapsuleNet(trunks[0], 97), maps)
    started, papers = (lengths(DSNCA(trunks, 97, gain=gain), maps, maps) for gain in (5.0, 1.0))
    assert started > alone / 100
    assert papers < started / 100  # what squash leaves of a map that small


def test_streams_losses_are_of_training_alone_and_reach_each_stream():
    torch.manual_seed(0)
    trunks = [make_trunk("efficientnet_lite0", pictures) for pictures in (1, 13)]
    network = DSNCA(trunks, 97, stream_loss=0.5).train()
    output = network.head(features(), features())
    assert [part.shape for part in output] == [(16, 3)] * 3
    labels = torch.arange(16) % 3
    own = [torch.nn.functional.cross_entropy(part, labels) for part in output[1:]]
    expected = network.loss(output[0], labels) + 0.5 * (own[0] + own[1]) / 2
    assert torch.allclose(network.loss(output, labels), expected)
    assert torch.equal(network.scores(output), output[0])
    network.loss(output, labels).backward()
    assert all(layer.weight.grad.abs().max() > 0 for layer in network.beside)
    assert isinstance(network.eval().head(features(), features()), Tensor)
    assert not list(DSNCA(trunks, 97).beside)


@pytest.fixture(scope="module")
def views(tiny, tmp_path_factory):
    root = tmp_path_factory.mktemp("apex_views")
    claim_views(root, "anny")
    for clip in read_index(tiny / "index/smic_apex.csv").to_dict("records"):
        write_views(view_folder(root, clip), clip["label"])
    return root


def train(tiny, views, result, *more):
    done = call(
        "train_me_loso_composite_dual_3d.py", "--index", tiny / "index/smic_apex.csv", "--root",
        tiny, "--root3d", views, "--neighbour-views", "apex", "--result", result, *FAST,
        "--subjects", 1, "--epochs", 1, *more,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    record = json.loads((result / "composite_dual_3d/fold_smic_01.json").read_text())
    return record["epochs"][0]["scores"]


def test_a_warm_start_is_another_start_and_the_same_each_time(tiny, views, tmp_path):
    cold = train(tiny, views, tmp_path / "cold")
    warm = train(tiny, views, tmp_path / "warm", "--warm-epochs", 1, "--stream-loss", 0.3)
    again = train(tiny, views, tmp_path / "again", "--warm-epochs", 1, "--stream-loss", 0.3)
    assert warm == again != cold


def test_experiments_of_earlier_versions_had_the_papers_start():
    old = modern_facts({"weights": "package"})
    assert old["fusion_gain"] == 1.0 and old["balance"] == "frames"
    assert modern_facts({"weights": "package", "fusion_gain": 5.0})["fusion_gain"] == 5.0


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ({"fusion_gain": 0.0}, "--fusion-gain 0.0: above 0"),
        ({"stream_loss": -1.0}, "--stream-loss -1.0: at least 0"),
        ({"warm_epochs": -1}, "--warm-epochs -1: at least 0"),
        ({"streams": "2d", "stream_loss": 1.0}, "--stream-loss goes with several streams, not 2d"),
        ({"streams": "3d", "warm_epochs": 2}, "--warm-epochs goes with several streams, not 3d"),
    ],
)
def test_starts_that_cannot_be(wrong, fault):
    with pytest.raises(UserError, match=fault):
        Settings(**({"streams": "dual"} | wrong))
