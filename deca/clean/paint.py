"""A head's colours without what covers it, and its pictures with them."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from data.views import SIZE, YAWS
from deca.rasterizer import Fragments
from deca.reconstruction import Face, Reconstruction
from deca.render_views import look, sample_uv

from .chart import REACH, SIDE, Chart, lay_out
from .cover import Cover, find_cover
from .fill import clear_lenses, fill, lift_shadows, shared
from .skin import Fitted, SkinModel, fit, skin_model, to_log

FILLED, CLEARED = 255, 128  # in the mask: not of the photograph; of it, reflections taken off
FEATHER = 1.0  # texels
ASIDE, BELOW = (112, 126), (100, 112)  # mm where the paint ends: behind the ears, under the chin
DOUBT = 0.3  # weight of skin around lenses in the fit: shadows and reflections are there
OTHERS = 24  # of a subject's frames that are looked at, at most


@dataclass(frozen=True)
class Paint:
    """What is laid over a head's own texture, S = SIDE texels of the chart a side."""

    colour: Tensor  # (3, S, S) RGB in [0, 1]
    share: Tensor  # (1, S, S) in [0, 1]: how much it covers
    filled: Tensor  # (1, S, S) in [0, 1]: FILLED / 255, CLEARED / 255, or 0 as photographed
    place: Tensor  # (V, 2): the mesh's vertices on the chart, for grid_sample


@dataclass(frozen=True)
class _Reading:
    chart: Chart
    fitted: Fitted
    cover: Cover
    left: np.ndarray  # (S, S, 3) differences from the model, reflections taken off
    known: np.ndarray  # (S, S) bool: the photograph shows the face


def clean(heads: Sequence[Reconstruction], faces: Sequence[Face]) -> list[Paint]:
    """The paint of each head. Heads of one (named) subject lend each other what they show."""
    model = skin_model()
    readings = [_read(model, head, face) for head, face in zip(heads, faces, strict=True)]
    return [
        _paint(reading, _others(readings, faces, i)) for i, reading in enumerate(readings)
    ]


def _read(model: SkinModel, head: Reconstruction, face: Face) -> _Reading:
    chart = lay_out(head, face.image, model.landmarks)
    # The second look is at what the first one takes for the face.
    cover = find_cover(model, chart, fit(model, chart))
    fitted = fit(model, chart, np.where(cover.shaded, DOUBT, 1) * ~cover.covered)
    cover = find_cover(model, chart, fitted)
    colour, hidden = clear_lenses(chart.colour, fitted, cover)
    known = ~(cover.covered | cover.unseen | hidden)
    left = lift_shadows(to_log(colour) - fitted.expected, fitted, cover, known)
    return _Reading(chart, fitted, cover, left, known)


def _others(
    readings: Sequence[_Reading], faces: Sequence[Face], i: int
) -> tuple[np.ndarray, np.ndarray] | None:
    subject = faces[i].subject
    same = [k for k, face in enumerate(faces) if k != i and face.subject == subject != ""]
    if not same:
        return None
    same = same[:: -(-len(same) // OTHERS)]
    return shared([readings[k].left for k in same], [readings[k].known for k in same])


def _paint(reading: _Reading, others: tuple[np.ndarray, np.ndarray] | None) -> Paint:
    colour = fill(reading.fitted, reading.left, reading.known, others)
    filled = (~reading.known).astype(np.float32)
    for lens in reading.cover.lenses:
        filled[lens & reading.known] = CLEARED / FILLED
    touched = cv2.dilate((filled > 0).astype(np.float32), np.ones((3, 3), np.uint8))
    share = cv2.GaussianBlur(touched, None, FEATHER) * _extent() * reading.chart.on_head
    return Paint(
        torch.from_numpy(colour).permute(2, 0, 1),
        torch.from_numpy(share.astype(np.float32))[None],
        torch.from_numpy(filled)[None],
        reading.chart.place,
    )


def _extent() -> np.ndarray:
    """(S, S) in [0, 1]: the part of the chart that is painted, faded out at its border."""
    at = (np.arange(SIDE) + 0.5) * 2 * REACH / SIDE - REACH

    def fade(value: np.ndarray, limits: tuple[int, int]) -> np.ndarray:
        return np.clip((limits[1] - value) / (limits[1] - limits[0]), 0, 1)

    return (fade(np.abs(at), ASIDE)[None] * fade(at, BELOW)[:, None]).astype(np.float32)


@torch.no_grad()
def render_clean(
    head: Reconstruction, paint: Paint, yaws: Sequence[int] = YAWS, size: int = SIZE
) -> tuple[np.ndarray, np.ndarray]:
    """The painted head from each yaw, as render_views draws it: uint8 (N, size, size, 3).

    With masks, uint8 (N, size, size): FILLED, CLEARED or 0 where the photograph shows the face;
    in between at the borders.
    """
    pictures, masks = [], []
    for seen, _turn in look(head, yaws, size):
        colours, filled = _painted(head, paint, seen)
        pictures.append(_image(seen, colours).permute(1, 2, 0))
        masks.append(_image(seen, filled)[0])
    return torch.stack(pictures).cpu().numpy(), torch.stack(masks).cpu().numpy()


def _image(seen: Fragments, values: Tensor) -> Tensor:
    return seen.image((values.clamp(0, 1) * 255).round().byte())


def _painted(head: Reconstruction, paint: Paint, seen: Fragments) -> tuple[Tensor, Tensor]:
    """Colours (P, 3) and what of them is filled in (P, 1), at the pixels that see the head."""
    texture = sample_uv(head.texture, head, seen)
    at = seen.interpolate(paint.place.to(texture.device), head.topology.faces)
    layers = torch.cat([paint.colour, paint.share, paint.filled]).to(texture.device)
    values = F.grid_sample(layers[None], at[None, None], align_corners=False)[0, :, 0].T
    share = values[:, 3:4]
    return texture + share * (values[:, :3] - texture), values[:, 4:] * share
