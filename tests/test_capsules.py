"""The capsule layers equal the published numbers; what else defines them."""

import numpy as np
import pytest
import torch
from conftest import GOLDEN
from hypothesis import given
from hypothesis import strategies as st

from models.capsules import (
    PrimaryCapsules,
    RoutedCapsules,
    capsule_lengths,
    margin_loss,
    squash,
)


@pytest.fixture(scope="module")
def golden() -> dict[str, torch.Tensor]:
    with np.load(GOLDEN / "capsule_small.npz") as numbers:
        return {name: torch.from_numpy(numbers[name]) for name in numbers}


def close(a: torch.Tensor, b: torch.Tensor) -> bool:
    return torch.allclose(a, b, rtol=0, atol=1e-5)


def test_squash_equals_golden(golden):
    assert close(squash(golden["squash_in"]), golden["squash_out"])


def test_primary_capsules_equal_golden(golden):
    layer = PrimaryCapsules(6, 16, kernel_size=3, stride=2)
    layer.load_state_dict(
        {"conv2d.weight": golden["primary_weight"], "conv2d.bias": golden["primary_bias"]}
    )
    assert close(layer(golden["primary_in"]), golden["primary_out"])


def test_routed_capsules_loss_and_gradient_equal_golden(golden):
    layer = RoutedCapsules(32, 3)
    layer.load_state_dict({"weight": golden["digit_weight"]})
    out = layer(golden["primary_out"])
    assert close(out, golden["digit_out"])
    lengths = capsule_lengths(out)
    assert close(lengths, golden["lengths"])
    loss = margin_loss(lengths, golden["loss_targets"])
    assert close(loss, golden["loss"])
    loss.backward()
    assert close(layer.weight.grad, golden["digit_weight_grad"])
    assert layer.weight.grad.abs().max() > 1e-4  # 1e-5 would not tell it from nothing


@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=2, max_size=8))
def test_squash_keeps_direction_and_bounds_length(values):
    vector = torch.tensor(values)
    out = squash(vector)
    assert out.norm() < 1 + 1e-6
    assert (out * vector >= 0).all()


def test_squash_of_nothing_is_nothing_with_a_finite_gradient():
    zero = torch.zeros(2, 4, requires_grad=True)
    squash(zero).sum().backward()
    assert squash(zero).abs().sum() == 0
    assert torch.isfinite(zero.grad).all()


def test_margin_loss_is_zero_when_certain_and_right():
    labels = torch.tensor([0, 2])
    lengths = torch.tensor([[0.995, 0.0, 0.005], [0.0, 0.01, 1.0]])
    assert margin_loss(lengths, labels) == 0
    # One absent class at 0.51: 0.5 x 0.5^2, over two samples.
    lengths[0, 1] = 0.51
    assert margin_loss(lengths, labels) == pytest.approx(0.5 * 0.25 / 2, abs=1e-6)
