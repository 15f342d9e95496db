"""What is fast gives what the plain way gives; --precision; the speed table."""

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as v2
from conftest import ROOT
from torchvision.transforms import InterpolationMode

from benchmarks.bench_composite import composite_clips
from benchmarks.plain import make_optimiser, plain_network, step
from common.errors import UserError
from data.clip_set import load_clips
from data.index import read_index
from data.sampling import sample_epoch
from data.transforms import augment, sample_augmentation, to_float
from loso.batches import Features, Images
from loso.folds import make_folds
from loso.networks import build_network, read_weights
from loso.settings import Settings
from loso.training import PictureRecipe, half_precision, train_fold
from models.registry import TRUNKS, make_trunk

CPU = torch.device("cpu")
V2 = (v2.adjust_brightness, v2.adjust_contrast, v2.adjust_saturation, v2.adjust_hue)


def one_by_one(image, drawn, jitter):
    """An image (3, S, S) in [0, 1] augmented by torchvision, one operation after the other."""
    image = v2.rotate(image, float(drawn.angle), interpolation=InterpolationMode.BILINEAR)
    image = v2.horizontal_flip(image) if drawn.flip else image
    for which in drawn.order if jitter else ():
        image = V2[which](image, float(drawn.colour[0, which]))
    return image


@pytest.mark.parametrize("kind", ["flip", "full"])
def test_a_batch_is_augmented_as_torchvision_does_it_image_by_image(kind):
    pictures = torch.randint(0, 256, (5, 3, 40, 40), dtype=torch.uint8)
    made = sample_augmentation(5, kind, torch.Generator().manual_seed(1))
    expected = [
        one_by_one(to_float(picture), made.part(i), kind == "full")
        for i, picture in enumerate(pictures)
    ]
    assert torch.allclose(augment(pictures, made, 40), torch.stack(expected), atol=1e-4)


@pytest.mark.parametrize("grey", [13, 2])
@pytest.mark.parametrize("name", TRUNKS)
def test_grey_pictures_are_read_like_three_equal_channels(name, grey):
    """In float64, where no rounding moves a value past the bend of a ReLU."""
    torch.manual_seed(0)
    trunk = make_trunk(name, 14 if grey == 13 else 2).eval().double()
    colour, views = torch.rand(2, 3 * (grey == 13), 65, 65), torch.rand(2, grey, 65, 65)
    colour, views = colour.double(), views.double()
    whole = torch.cat([colour, views.repeat_interleave(3, 1)], 1)
    first = next(trunk.model.parameters())
    results = []
    for images in (whole, torch.cat([colour, views], 1)):
        out = trunk(images)
        (gradient,) = torch.autograd.grad(out.square().mean(), first)
        results.append((out.detach(), gradient))
    for expected, got in zip(*results):
        assert torch.allclose(got, expected, rtol=0, atol=1e-9 * float(expected.abs().max()))


@pytest.mark.parametrize("freeze", ["trunk", "none"])
def test_ten_steps_have_the_losses_of_the_plain_way(tiny, monkeypatch, freeze):
    settings = Settings(
        index=tiny / "index/smic_apex.csv", root=tiny, trunk="efficientnet_lite0",
        weights="package", freeze=freeze, image_size=97, epochs=10, batch_size=8, device="cpu",
        augment="flip" if freeze == "trunk" else "full", precision="float32",
    )  # fmt: skip
    clips = load_clips(read_index(settings.index), None, tiny, (97, 97))
    fold = make_folds(clips.index, 3)[0]
    network = build_network(settings, read_weights(settings))
    theirs = plain_network(network)
    source = Images(clips, settings, CPU)
    if freeze == "trunk":
        source = Features(source, network)
    # Ours, each step's loss noted.
    losses, loss = [], network.loss

    def noted(output, labels):
        losses.append(loss(output, labels).item())
        return loss(output, labels)

    monkeypatch.setattr(network, "loss", noted)
    recipe = PictureRecipe(network, source, fold, settings)
    monkeypatch.setattr(recipe, "evaluate", lambda: (0.0, [[0.0] * 3]))  # the steps alone
    train_fold(recipe, "fold", settings.epochs, lambda _: None)
    # The plain way on the same draws.
    seed = fold.seed(settings.seed)
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    optimiser = make_optimiser(theirs, settings.learning.lr)
    theirs.train()
    plain = []
    labels, available = clips.labels, np.zeros(len(fold.train), int)
    while len(plain) < 10:
        pairs = sample_epoch(labels[fold.train].numpy(), available, rng)
        for part in torch.from_numpy(pairs).split(settings.batch_size):
            rows = torch.from_numpy(fold.train)[part[:, 0]]
            made = sample_augmentation(len(part), settings.augment, generator)
            images = to_float(clips.frames[clips.slots[rows, 0]])
            images = [
                one_by_one(image, made.part(i), freeze == "none") for i, image in enumerate(images)
            ]
            plain.append(step(theirs, optimiser, [torch.stack(images)], labels[rows]))
        for group in optimiser.param_groups:
            group["lr"] *= 0.9
    assert len(losses) >= 10
    assert losses[:10] == pytest.approx(plain[:10], rel=1e-4)
    assert losses[9] < losses[0]


def test_what_a_precision_means(capsys, monkeypatch):
    assert half_precision("auto", CPU) is None
    assert half_precision("float32", torch.device("cuda")) is None
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    assert half_precision("bf16", CPU) == torch.bfloat16
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    assert half_precision("bf16", CPU) == torch.bfloat16
    half_precision("bf16", CPU)
    assert capsys.readouterr().err.count("warning: --precision bf16: this CPU") == 1
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    assert half_precision("auto", torch.device("cuda")) == torch.float16
    assert capsys.readouterr().err == ""
    with pytest.raises(UserError, match="--precision bf16: networks of --streams motion"):
        Settings(streams="motion", precision="bf16")


def test_bf16_trains_nearly_as_float32_and_is_recorded(tiny, tmp_path):
    losses = {}
    for precision in ("float32", "bf16"):
        settings = Settings(
            index=tiny / "index/smic_apex.csv", root=tiny, trunk="efficientnet_lite0",
            weights="package", freeze="trunk", image_size=97, augment="none", epochs=3,
            device="cpu", precision=precision,
        )  # fmt: skip
        assert settings.facts()["precision"] == precision
        clips = load_clips(read_index(settings.index), None, tiny, (97, 97))
        fold = make_folds(clips.index, 3)[0]
        torch.manual_seed(0)
        network = build_network(settings, read_weights(settings))
        source = Features(Images(clips, settings, CPU), network)
        recipe = PictureRecipe(network, source, fold, settings)
        epochs = train_fold(recipe, "fold", settings.epochs, lambda _: None)
        losses[precision] = [epoch["train_loss"] for epoch in epochs]
    assert losses["bf16"] != losses["float32"]
    assert losses["bf16"] == pytest.approx(losses["float32"], rel=0.05)


def test_the_speed_table_needs_the_demo_set(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--demo", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == f"error: {tmp_path}: no demo set with views; `make bench` makes them\n"


def test_the_composite_that_is_timed_is_as_large_as_the_real_one():
    clips = composite_clips()
    counts = Counter((clip.data, clip.label) for clip in clips)
    assert sum(counts.values()) == 442 == len({clip.folder for clip in clips})
    assert [counts["samm", label] for label in range(3)] == [92, 26, 15]
    per_subject = Counter((clip.data, clip.subject) for clip in clips)
    assert len(per_subject) == 68 and min(per_subject.values()) >= 3
