"""DECA's networks, the crop they see, and the normals with detail."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deca.crop import Square, crop, face_square
from deca.flame.detail import DetailDecoder, detail_maps
from deca.flame.encoder import CODES, detail_encoder, flame_encoder, split_codes


def test_state_dict_names_of_the_published_files():
    with torch.device("meta"):
        flame, detail, decoder = flame_encoder(), detail_encoder(), DetailDecoder()
    names = flame.state_dict()
    assert names["encoder.conv1.weight"].shape == (64, 3, 7, 7)
    assert names["encoder.layer4.2.conv3.weight"].shape == (2048, 512, 1, 1)
    assert names["layers.0.weight"].shape == (1024, 2048)
    assert names["layers.2.weight"].shape == (236, 1024)
    assert not any("fc" in name for name in names)
    assert detail.state_dict()["layers.2.weight"].shape == (128, 1024)
    shapes = {
        name: tuple(value.shape)
        for name, value in decoder.state_dict().items()
        if name.endswith("weight")
    }
    channels = {2: (128, 128), 6: (64, 128), 10: (64, 64), 14: (32, 64), 18: (16, 32), 21: (1, 16)}
    assert shapes == (
        {"l1.0.weight": (8192, 181)}
        | {f"conv_blocks.{i}.weight": (*size, 3, 3) for i, size in channels.items()}
        | {
            f"conv_blocks.{i}.weight": (size,)
            for i, size in {0: 128, 3: 128, 7: 64, 11: 64, 15: 32, 19: 16}.items()
        }
    )


def test_the_order_of_the_codes():
    codes = split_codes(torch.arange(2 * 236.0).view(2, 236))
    assert {name: code.shape[1:].numel() for name, code in codes.items()} == CODES
    starts = {name: int(code[0].flatten()[0]) for name, code in codes.items()}
    assert starts == {
        "shape": 0,
        "texture": 100,
        "expression": 150,
        "pose": 200,
        "camera": 206,
        "light": 209,
    }
    assert codes["light"][0, 1].tolist() == [212, 213, 214]


def test_encoder_is_torchvisions_resnet_without_normalisation():
    from torchvision.models import resnet50

    torch.manual_seed(0)
    encoder = flame_encoder().eval()
    trunk = resnet50(weights=None)
    trunk.fc = torch.nn.Identity()
    trunk.load_state_dict(
        {
            k.removeprefix("encoder."): v
            for k, v in encoder.state_dict().items()
            if "layers." not in k
        }
    )
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        features = trunk.eval()(image)
        weights = encoder.state_dict()
        hidden = (features @ weights["layers.0.weight"].T + weights["layers.0.bias"]).relu()
        wanted = hidden @ weights["layers.2.weight"].T + weights["layers.2.bias"]
        torch.testing.assert_close(encoder(image), wanted, rtol=1e-4, atol=1e-5)


def test_detail_decoder_step_by_step():
    """Against the formula, with the later norms' eps of 0.8."""
    torch.manual_seed(0)
    decoder = DetailDecoder().eval()
    for module in decoder.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.01, 0.1)
    state = decoder.state_dict()
    jaw, expression, detail = torch.randn(1, 3), torch.randn(1, 50), torch.randn(1, 128)

    def norm(x: torch.Tensor, index: int, eps: float) -> torch.Tensor:
        get = lambda name: state[f"conv_blocks.{index}.{name}"][:, None, None]  # noqa: E731
        scaled = (x - get("running_mean")) / (get("running_var") + eps).sqrt()
        return scaled * get("weight") + get("bias")

    def convolve(x: torch.Tensor, index: int) -> torch.Tensor:
        weight, bias = (state[f"conv_blocks.{index}.{name}"] for name in ("weight", "bias"))
        return torch.nn.functional.conv2d(x, weight, bias, padding=1)

    with torch.no_grad():
        x = torch.cat([jaw, expression, detail], 1) @ state["l1.0.weight"].T + state["l1.0.bias"]
        x = norm(x.view(1, 128, 8, 8), 0, 1e-5)
        for index in (2, 6, 10, 14, 18):
            x = torch.nn.functional.interpolate(x, scale_factor=2, mode="bilinear")
            x = norm(convolve(x, index), index + 1, 0.8)
            x = torch.where(x > 0, x, 0.2 * x)
        wanted = 0.01 * convolve(x, 21).tanh()
        got = decoder(jaw, expression, detail)
    assert got.shape == (1, 1, 256, 256)
    assert got.std() > 1e-5
    torch.testing.assert_close(got, wanted, rtol=1e-3, atol=1e-7)


def test_detail_normals_of_a_ripple():
    """On a plane: n of z = h(x) is (-h', 0, 1) / |.| inside the mask, the coarse one outside."""
    size = 64
    y, x = torch.meshgrid(torch.linspace(1, -1, size), torch.linspace(-1, 1, size), indexing="ij")
    positions = torch.stack([x, y, torch.zeros_like(x)])[None]
    normals = torch.tensor([0.0, 0, 1]).view(1, 3, 1, 1).expand(1, 3, size, size)
    height = 0.05 * (3 * x).sin()
    mask = (x > 0).float()[None, None]
    half = 0.5 * height
    points, got = detail_maps(positions, normals, half[None, None], half, mask)
    torch.testing.assert_close(points[0, 2], torch.where(x > 0, height, half))
    slope = 0.15 * (3 * x).cos()
    wanted = torch.stack([-slope, torch.zeros_like(x), torch.ones_like(x)])
    wanted = wanted / wanted.norm(dim=0)
    inside = (x > 0.1) & (x < 0.95) & (y.abs() < 0.95)
    torch.testing.assert_close(got[0][:, inside], wanted[:, inside], atol=2e-3, rtol=0)
    torch.testing.assert_close(got[0][:, x < -0.1], normals[0][:, x < -0.1])


SQUARES = st.builds(Square, st.floats(-500, 3000), st.floats(-500, 3000), st.floats(2, 4000))


@given(SQUARES, st.sampled_from([112, 224]))
def test_crop_and_back(square, size):
    there, back = square.to_crop(size), square.to_image(size)
    corner = np.array([square.x - square.side / 2, square.y + square.side / 2])
    np.testing.assert_allclose(there[:, :2] @ corner + there[:, 2], [0, size - 1], atol=1e-6)
    np.testing.assert_allclose(
        back[:, :2] @ [0, size - 1] + back[:, 2], corner, rtol=1e-6, atol=1e-6
    )


def test_square_around_landmarks():
    landmarks = np.array([[10.0, 20], [110, 20], [60, 100]])  # a box of 100 x 80
    square = face_square(landmarks)
    assert (square.x, square.y) == (60, 60)
    assert square.side == 123  # of 123.75
    assert face_square(landmarks / 1000).side == 1


def bilinear(image: np.ndarray, x: float, y: float) -> np.ndarray:
    def at(i: int, j: int) -> np.ndarray:
        inside = 0 <= i < image.shape[0] and 0 <= j < image.shape[1]
        return image[i, j] / 255 if inside else np.zeros(3)

    i, j = int(np.floor(y)), int(np.floor(x))
    above = (1 - x + j) * at(i, j) + (x - j) * at(i, j + 1)
    below = (1 - x + j) * at(i + 1, j) + (x - j) * at(i + 1, j + 1)
    return (1 - y + i) * above + (y - i) * below


@pytest.mark.parametrize("side", [60, 224, 500, 1500])
def test_every_pixel_is_between_its_four_neighbours(side):
    """Also where the square is large, or reaches beyond the image."""
    image = np.random.default_rng(0).integers(0, 256, (900, 1100, 3), dtype=np.uint8)
    square = Square(380.3, 310.7, side)
    cut, back = crop(image, square).numpy(), square.to_image()
    for row, column in np.random.default_rng(1).integers(0, 224, (50, 2)):
        x, y = back[:, :2] @ (column, row) + back[:, 2]
        np.testing.assert_allclose(cut[:, row, column], bilinear(image, x, y), atol=1e-6)
    spot = np.zeros((900, 1100, 3), np.uint8)
    spot[:, :, 1] = 255
    assert crop(spot, square)[[0, 2]].max() == 0


@pytest.mark.parametrize("shape", [(1, 1), (40, 500), (480, 640), (5000, 100)])
def test_an_image_of_any_form(shape):
    image = np.full((*shape, 3), 200, np.uint8)
    cut = crop(image, Square(shape[1] / 2, shape[0] / 2, max(shape)))
    assert cut.shape == (3, 224, 224)
    assert cut.isfinite().all() and cut.max() == pytest.approx(200 / 255, abs=0.01)
