"""Batched augmentation agrees with torchvision's v2 functions, image by image."""

import dataclasses
import itertools
import sys
from typing import get_args

import pytest
import torch
import torchvision.transforms.v2.functional as v2
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms import InterpolationMode

from data import transforms
from data.augmentation import Augment, stored_size
from data.transforms import (
    apply_colour,
    apply_geometry,
    augment_at_once,
    centre_crop,
    sample_augmentation,
)
from data.transforms import augment as augment_batch

PLAIN = torch.tensor([1.0, 1.0, 1.0, 0.0])
V2 = (v2.adjust_brightness, v2.adjust_contrast, v2.adjust_saturation, v2.adjust_hue)


def made(size=6, augment="full", seed=0, **changes):
    return dataclasses.replace(
        sample_augmentation(size, augment, torch.Generator().manual_seed(seed)), **changes
    )


@pytest.mark.parametrize("which", range(4), ids=lambda i: V2[i].__name__)
def test_colour_equals_torchvision(which):
    images = torch.rand(6, 3, 20, 24)
    images[0] = 0.5  # grey has no hue
    colour = PLAIN.repeat(6, 1)
    colour[:, which] = made().colour[:, which]
    ours = apply_colour(images, made(colour=colour))
    theirs = torch.stack([V2[which](i, float(c[which])) for i, c in zip(images, colour)])
    assert torch.allclose(ours, theirs, atol=1e-5)
    assert (ours - images)[1:].abs().max() > 0.01


def test_rotation_and_flip_equal_torchvision():
    images = torch.rand(6, 5, 32, 32)
    mine = made(shift=torch.zeros(6, 2))
    assert 0 < mine.flip.sum() < 6
    theirs = [
        v2.rotate(image, float(angle), interpolation=InterpolationMode.BILINEAR)
        for image, angle in zip(images, mine.angle)
    ]
    theirs = [v2.horizontal_flip(i) if flip else i for i, flip in zip(theirs, mine.flip)]
    assert torch.allclose(apply_geometry(images, mine, 32), torch.stack(theirs), atol=1e-4)


def test_crop_at_the_corner_equals_slicing():
    height, width = stored_size(224, "crop")
    assert (height, width) == (234, 240)
    images = torch.rand(2, 3, height, width)
    corner = made(
        2, flip=torch.tensor([False, True]), angle=torch.zeros(2), shift=-torch.ones(2, 2)
    )
    out = apply_geometry(images, corner, 224)
    assert torch.allclose(out[0], images[0, :, :224, :224], atol=1e-4)
    # The image is flipped before the crop, as in the published order.
    assert torch.allclose(out[1], images[1].flip(-1)[:, :224, :224], atol=1e-4)


def test_evaluation_is_the_centre():
    images = torch.rand(1, 1, 234, 240)
    assert torch.equal(centre_crop(images, 224), images[..., 5:229, 8:232])
    nothing = made(1, augment="none")
    assert torch.equal(apply_geometry(images, nothing, 224), images[..., 5:229, 8:232])


@given(st.sampled_from(get_args(Augment)), st.integers(0, 1000))
def test_draws_stay_in_their_ranges(augment, seed):
    d = sample_augmentation(64, augment, torch.Generator().manual_seed(seed))
    assert d.angle.abs().max() <= (8 if augment in ("full", "crop") else 0)
    assert (d.colour - PLAIN).abs().max() <= 0.2 + 1e-6
    assert bool(d.shift.any()) == (augment == "crop")
    assert bool(d.flip.any()) == (augment != "none")


def test_images_of_a_batch_have_draws_of_their_own():
    image = torch.rand(1, 3, 24, 24).repeat(4, 1, 1, 1)
    out = apply_colour(apply_geometry(image, made(4), 24), made(4))
    assert all((out[0] - other).abs().mean() > 0.01 for other in out[1:])
    assert ((out >= 0) & (out <= 1)).all()


@pytest.mark.parametrize(("augment", "stored"), [("full", (40, 40)), ("crop", (53, 61))])
def test_what_is_compiled_for_a_cpu_is_torch_s_augmentation(augment, stored):
    """In every order of the colours; noise is the hardest picture to turn."""
    pictures = torch.randint(0, 256, (4, *stored, 3), dtype=torch.uint8).movedim(-1, 1)
    pictures[0] = 90  # grey has no hue
    for order in itertools.permutations(range(4)):
        sample = made(4, augment, seed=sum(order[:2]), order=list(order))
        expected = augment_at_once(pictures, sample, 40)
        assert torch.allclose(augment_batch(pictures, sample, 40), expected, atol=1e-4)
    contiguous = augment_batch(pictures.contiguous(), sample, 40)
    assert contiguous.is_contiguous() and torch.allclose(contiguous, expected, atol=1e-4)


def test_without_numba_torch_augments_and_a_warning_says_so(monkeypatch, capsys):
    pictures = torch.randint(0, 256, (3, 30, 30, 3), dtype=torch.uint8).movedim(-1, 1)
    ours = augment_batch(pictures, made(3), 30)
    monkeypatch.setitem(sys.modules, "data.augment_cpu", None)
    monkeypatch.setattr(transforms, "_compiled", transforms._compiled.__wrapped__)
    assert torch.allclose(augment_batch(pictures, made(3), 30), ours, atol=1e-4)
    assert "warning: Numba is not installed" in capsys.readouterr().err


def test_what_cannot_be_kept_is_compiled_anew(monkeypatch, capsys):
    import numba

    from data.augment_cpu import _compiled

    njit = numba.njit

    def no_folder(*function, cache=False, **rest):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(*function, **rest)

    monkeypatch.setattr(numba, "njit", no_folder)
    assert _compiled(lambda x: x + 1)(2) == 3
    assert "set NUMBA_CACHE_DIR to a folder" in capsys.readouterr().err
