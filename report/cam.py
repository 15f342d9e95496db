"""Where a network looks: class-activation maps of each stream, and whether they tell the truth."""

from dataclasses import dataclass

import numpy as np
import torch
from captum.attr import InputXGradient, LayerGradCam
from torch import Tensor
from torch.nn import functional as F

from data.apex.cells import cells_mask, hull_mask
from loso.settings import Settings
from models.network import Network, class_output

ERASED = 0.2  # share of the picture that the test of a map erases
RANDOM_TRIES = 5


@dataclass(frozen=True)
class Heat:
    """What one stream of a network looked at for a class.

    stream: frame, views or motion. map: float32 (S, S) >= 0 over the stream's own picture; the
    views share one.
    """

    stream: str
    map: np.ndarray


def heat_maps(
    network: Network, batch: tuple[Tensor, ...], target: int, settings: Settings
) -> list[Heat]:
    """One map a stream for the score of class `target`; `batch` is of one clip.

    Of the layers that the network names for it, Grad-CAM (Selvaraju et al. 2017): the last feature
    map before streams meet, which is also the last one before capsules, whose own maps are too
    coarse to place anything. Else the input's pixels times the gradient, which for a linear
    network is the exact share of each pixel in the score.
    """
    network.eval()
    inputs = tuple(x.detach().clone().requires_grad_() for x in batch)

    def score(*streams: Tensor) -> Tensor:
        return class_output(network(*streams))  # logits, or lengths

    heats = []
    for position, (stream, layer) in enumerate(zip(settings.inputs, network.heat_layers())):
        if layer is None:
            shares = InputXGradient(score).attribute(inputs, target=target)[position]
            coarse = shares.sum(1, keepdim=True).clamp_min(0)  # what speaks for the class
        else:
            camera = LayerGradCam(score, layer)
            coarse = camera.attribute(inputs, target=target, relu_attributions=True)
        size = inputs[position].shape[-2:]
        fine = F.interpolate(coarse.detach(), size=size, mode="bilinear", align_corners=False)
        heats.append(Heat(stream, fine[0, 0].float().cpu().numpy()))
    return heats


def share_in_cells(heat: np.ndarray, landmarks: np.ndarray) -> tuple[float, float]:
    """Share of a map's heat on the face that lies in the ten cells, and the cells' share of it.

    heat (S, S), landmarks (68, 2) in its pixels. The face is the landmarks' convex hull and the
    cells, which reach beyond it at the brows. (NaN, share) for a map without heat on the face.
    """
    cells = cells_mask(heat.shape, landmarks)
    face = hull_mask(heat.shape, landmarks) | cells
    on_face = float(heat[face].sum())
    inside = float(heat[cells].sum()) / on_face if on_face > 0 else float("nan")
    return inside, float(cells.sum() / face.sum())


@torch.no_grad()
def erasing_costs(
    network: Network,
    batch: tuple[Tensor, ...],
    heats: list[Heat],
    target: int,
    seed: int,
) -> tuple[float, float]:
    """How far the score of a class falls when a fifth of every stream's picture is erased.

    The hottest fifth by `heats`, and a random fifth of the same grain (the mean of five).
    A map that means something costs more than chance.
    """
    generator = np.random.default_rng(seed)

    def fall(masks: list[np.ndarray]) -> float:
        erased = tuple(_erase(x, mask) for x, mask in zip(batch, masks))
        return float(before - _score(network, erased, target))

    before = _score(network, batch, target)
    hottest = [_highest_fifth(heat.map) for heat in heats]
    tries = [
        fall([_random_fifth(heat.map.shape, generator) for heat in heats])
        for _ in range(RANDOM_TRIES)
    ]
    return fall(hottest), float(np.mean(tries))


def _score(network: Network, batch: tuple[Tensor, ...], target: int) -> Tensor:
    return network.scores(network(*batch))[0, target]


def _erase(picture: Tensor, mask: np.ndarray) -> Tensor:
    """The picture with its own mean where the mask is."""
    where = torch.from_numpy(mask).to(picture.device)
    return torch.where(where, picture.mean((-2, -1), keepdim=True), picture)


def _random_fifth(shape: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    # As smooth as a heat map is, so that it erases patches and no salt and pepper.
    coarse = torch.from_numpy(generator.random((1, 1, 10, 10), np.float32))
    fine = F.interpolate(coarse, size=shape, mode="bilinear", align_corners=False)[0, 0].numpy()
    return _highest_fifth(fine)


def _highest_fifth(values: np.ndarray) -> np.ndarray:
    """A mask of exactly a fifth of the pixels, also where many are equal."""
    mask = np.zeros(values.size, bool)
    mask[np.argsort(values, axis=None, kind="stable")[-round(ERASED * values.size) :]] = True
    return mask.reshape(values.shape)
