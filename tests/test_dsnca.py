"""Coordinate attention, two streams, 3D views as data, and their experiments end to end."""

import json

import numpy as np
import pytest
import torch
from conftest import FAST, GOLDEN, call, run, write_views

from common.errors import UserError
from data.clip_set import load_clips
from data.index import read_index
from data.transforms import apply_geometry_to_views, sample_augmentation
from data.view_pictures import load_views, view_rows
from data.views import claim_views, view_folder
from loso.networks import build_network, read_weights
from loso.settings import Settings
from models.attention import CoordinateAttention
from models.dsnca import DSNCA, FUSIONS
from models.mecapsulenet import MECapsuleNet
from models.registry import TRUNKS, make_trunk


def test_coordinate_attention_equals_golden():
    with np.load(GOLDEN / "capsule_small.npz") as numbers:
        golden = {n: torch.from_numpy(numbers[n]) for n in numbers if n.startswith("ca_")}
    layer = CoordinateAttention(64).eval()
    state = {
        name.removeprefix("ca_").replace("_", ".", 1): value
        for name, value in golden.items()
        if name not in ("ca_in", "ca_out")
    }
    layer.load_state_dict(state | {"bn1.num_batches_tracked": torch.tensor(0)})
    out = layer(golden["ca_in"])
    assert torch.allclose(out, golden["ca_out"], rtol=0, atol=1e-5)
    assert (out - golden["ca_in"]).abs().max() > 0.1


@pytest.mark.parametrize("name", TRUNKS)
def test_a_widened_trunk_equals_the_rgb_trunk_on_equal_pictures(name, tmp_path):
    torch.manual_seed(0)
    plain, path = make_trunk(name).eval(), tmp_path / "plain.pth"
    torch.save(plain.model.state_dict(), path)
    settings = Settings(trunk=name, weights=str(path), streams="3d", image_size=97)
    wide = build_network(settings, read_weights(settings)).conv.eval()
    image = torch.rand(1, 3, 97, 97)
    with torch.no_grad():
        expected, out = plain(image), wide(image.repeat(1, 13, 1, 1))
    assert torch.allclose(out, expected, atol=1e-4 * float(expected.abs().max()))


def dual(trunk, classes=3, fusion="attention"):
    return DSNCA((make_trunk(trunk), make_trunk(trunk, 13)), 97, classes, fusion)


def of_views(views):
    return MECapsuleNet(make_trunk("efficientnet_lite0", views), 97)


@pytest.mark.parametrize(
    ("build", "arguments", "channels"),
    [
        *((dual, ("efficientnet_lite0", 3, fusion), (3, 39)) for fusion in FUSIONS),
        (dual, ("resnet18", 5), (3, 39)),
        *((of_views, (views,), (3 * views,)) for views in (13, 14)),
    ],
)
def test_each_ablation_overfits_one_batch(build, arguments, channels):
    torch.manual_seed(0)
    network = build(*arguments)
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    inputs = [torch.rand(6, c, 97, 97) * 0.2 for c in channels]
    for stream in inputs:
        for image, label in zip(stream, labels):
            image[label::3] += 0.6
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-4)
    network.train()
    for _ in range(12):
        loss = network.loss(network(*inputs), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert (network(*inputs).argmax(1) == labels).all()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, f"{name} takes no part"
    assert "parameters" in repr(network)
    assert f"{channels[-1]}x97x97" in repr(network)


def test_an_unknown_fusion_is_refused():
    with pytest.raises(ValueError, match="no fusion 'product'"):
        DSNCA([make_trunk("resnet18"), make_trunk("resnet18", 13)], 97, 3, "product")


def test_views_are_read_once_in_order_of_the_yaw(tiny, root3d, tmp_path, capsys):
    index = read_index(tiny / "index/smic_apex.csv")
    four = read_index(tiny / "index/smic_four_frames.csv", companion=True)
    slots = load_clips(index, four, tiny, (97, 97)).slots
    folders, rows = view_rows(index, four, root3d, own=True)
    assert len(folders) == len(index) * 5
    assert ((rows >= 0) == (slots >= 0)).all()
    in_memory = load_views(folders, (97, 97), 10**9, tmp_path / "v.u8")
    mapped = load_views(folders, (97, 97), 10, tmp_path / "v.u8")
    printed = capsys.readouterr().out
    assert "MiB in memory" in printed
    assert f"MiB mapped from {tmp_path / 'v.u8'}" in printed
    assert torch.equal(in_memory, mapped)
    assert in_memory.dtype == torch.uint8
    first = in_memory[rows[0, 0]].float().flatten(1)  # (13, pixels)
    places = [int((view.view(97, 97) > 150).float().sum(0).argmax()) for view in first]
    assert places == sorted(places) and places[0] < places[-1]
    shared, rows = view_rows(index, four, root3d, own=False)
    assert len(shared) == len(index)
    assert (rows == rows[:, :1]).all()


def test_a_flip_mirrors_the_views_and_reverses_their_order():
    views = torch.rand(2, 13, 20, 20)
    made = sample_augmentation(2, "flip", torch.Generator())
    made.flip.copy_(torch.tensor([True, False]))
    out = apply_geometry_to_views(views, made, 20)
    assert torch.equal(out[1], views[1])
    assert torch.equal(out[0, 0], views[0, 12].flip(-1))
    assert torch.equal(out[0, 12], views[0, 0].flip(-1))


SCRIPT = "train_me_loso_composite_dual_3d.py"


def command(tiny, root3d, result, *more):
    return [
        SCRIPT, "--index", tiny / "index/smic_apex.csv", "--root", tiny, "--root3d", root3d,
        "--result", result, *FAST, "--subjects", 1, *more,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ((), "composite_dual_3d"),
        (("--streams", "3d", "--views", 14, "--dataset", "smic"), "smic_3d"),
        (
            (
                "--freeze", "early", "--augment", "full", "--epochs", 1, "--fusion", "sum",
                "--neighbour-views", "apex", "--dataset", "samm",
            ),
            "samm_dual_3d",
        ),
    ],
)  # fmt: skip
def test_experiments_end_to_end(tiny, root3d, tmp_path, more, name):
    done = (call if more else run)(*command(tiny, root3d, tmp_path, *more))
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / name / "fold_smic_01.json").read_text())
    assert len(record["clips"]) == 6
    config = json.loads((tmp_path / name / "config.json").read_text())
    assert config["views_by"] == "anny"
    assert ("--neighbour-views apex" in done.stdout) == ("apex" in more)


def test_five_classes_through_the_dual_network():
    settings = Settings(
        dataset="casme2", classes=5, streams="dual", trunk="efficientnet_lite0",
        weights="package", image_size=97,
    )  # fmt: skip
    network = build_network(settings, read_weights(settings)).eval()
    assert network(torch.rand(2, 3, 97, 97), torch.rand(2, 39, 97, 97)).shape == (2, 5)
    assert settings.name == "casme2_5_dual_3d"


def test_missing_views_name_the_command_before_anything_else(tiny, tmp_path):
    done = call(*command(tiny, tmp_path / "nowhere", tmp_path))
    assert done.returncode == 2
    assert "make them with: python reconstruct_3d.py --index" in done.stderr
    assert "--four-frames" in done.stderr
    assert not (tmp_path / "composite_dual_3d").exists()


@pytest.fixture
def broken(tiny, tmp_path):
    """Views of the apexes alone, to be broken: (root3d, first clip's folder)."""
    root = tmp_path / "views"
    claim_views(root, "anny")
    clips = read_index(tiny / "index/smic_apex.csv").to_dict("records")
    for clip in clips:
        write_views(view_folder(root, clip), clip["label"])
    return root, view_folder(root, clips[0])


def test_bad_views_are_one_line(tiny, broken, tmp_path):
    root, first = broken

    def fault(*more):
        done = call(*command(tiny, root, tmp_path / "r", "--neighbour-views", "apex", *more))
        assert done.returncode == 2, done.stdout
        assert not list((tmp_path / "r").rglob("fold_*"))
        return done.stderr.strip().splitlines()[-1]

    (first / "5.jpg").unlink()
    assert f"error: {first}: no view 5.jpg" in fault()
    write_views(first, 0)
    write_views(first, 0, ["35.jpg"])
    assert "an extra view 35.jpg" in fault()
    (first / "35.jpg").unlink()
    write_views(first, 0, ["0.jpg"], side=100)
    assert f"{first / '0.jpg'}: 100x100 pixels, a view has 224x224" in fault()


def test_views_of_another_backend_are_refused(tiny, broken, tmp_path):
    root, _ = broken
    result = tmp_path / "r"
    more = ("--neighbour-views", "apex", "--epochs", 1)
    assert call(*command(tiny, root, result, *more)).returncode == 0
    (root / "views.json").write_text('{"format": 1, "backend": "deca", "size": 224}')
    done = call(*command(tiny, root, result, *more))
    assert done.returncode == 2
    assert "the views' backend was anny, now deca" in done.stderr
    with pytest.raises(UserError, match="deca"):
        claim_views(root, "anny")


def test_settings_of_streams_that_contradict():
    with pytest.raises(UserError, match="--network baseline reads --streams 2d, not dual"):
        Settings(network="baseline", streams="dual")
    with pytest.raises(UserError, match="--views 14 goes with"):
        Settings(streams="dual", views=14)
