"""Batched augmentation agrees with torchvision's v2 functions, image by image."""

import dataclasses
from typing import get_args

import pytest
import torch
import torchvision.transforms.v2.functional as v2
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms import InterpolationMode

from data.augmentation import Augment, stored_size
from data.transforms import (
    apply_colour,
    apply_geometry,
    centre_crop,
    sample_augmentation,
)

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
