"""The face laid out flat: a chart on which all heads, of either backend, have their parts alike.

A head without its rotation is unrolled from a cylinder about its vertical axis, then a thin-plate
spline brings its 51 inner landmarks to the places that they have on the mean head. So a brow is
at the same texels of everybody's chart, and the other half of a face is the chart mirrored.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from data.geometry import reduced
from deca.rasterizer import rasterize
from deca.raycast import Scene
from deca.reconstruction import Reconstruction, to_pixels

SIDE = 256  # texels a side
REACH = 128.0  # mm from the chart's middle to its edges: a texel a millimetre
RADIUS = 90.0  # mm of the cylinder: an angle's width on the chart
BEHIND = 1.9  # radians from the front: the mesh ends there
INNER = slice(17, 68)  # landmarks but the outline, which slides as the head turns
AXIS = (0.0, 0.031, -0.093)  # metres from the inner landmarks' mean to the cylinder's middle
STIFFNESS = 0.02  # of the spline: landmarks are off by a millimetre or two
GRAZING = (0.25, 0.45)  # cosines between which a texel seen at an angle begins to count


@dataclass(frozen=True)
class Chart:
    """What a photograph shows of a face, S = SIDE."""

    colour: np.ndarray  # (S, S, 3) float32 RGB in [0, 1]
    seen: np.ndarray  # (S, S) float32 in [0, 1]: how well the photograph shows the texel
    normal: np.ndarray  # (S, S, 3) unit normals of the head as posed
    on_head: np.ndarray  # (S, S) bool: there is a surface
    place: Tensor  # (V, 2): the mesh's vertices on the chart, x and y in [-1, 1], y down


def unroll(points: Tensor, landmarks: Tensor) -> Tensor:
    """Points (N, 3) in metres of a head that looks ahead -> millimetres (N, 2) on the cylinder.

    landmarks (L, 3): the head's inner ones, which the axis lies behind. x to the image's right,
    y up.
    """
    x, y, z = (points - landmarks.mean(0) - landmarks.new_tensor(AXIS)).unbind(-1)
    return torch.stack([RADIUS * torch.atan2(x, z), 1000 * y], -1)


def landmarks_on(head: Reconstruction, posed: Scene) -> Tensor:
    """A head's own inner landmarks, on `frontal` (51, 3); posed: the head as in its image."""
    scale, x, y = head.camera.cpu().numpy()
    pixels = head.projected[INNER]
    places = np.stack([(pixels[:, 0] - x) / scale, (y - pixels[:, 1]) / scale], 1)
    origins = np.column_stack([places, np.full(len(places), 10.0)])
    hits = posed.first_hit(origins, np.array([[0, 0, -1]], np.float32))
    frontal, vertices = head.frontal.cpu().numpy(), head.vertices.cpu().numpy()
    points = hits.interpolate(frontal, head.topology.faces.cpu().numpy())
    for i in np.flatnonzero(~hits.mask):  # beside the head: its nearest vertex in the picture
        points[i] = frontal[np.linalg.norm(vertices[:, :2] - places[i], axis=1).argmin()]
    return torch.from_numpy(points).float()


def lay_out(head: Reconstruction, image: np.ndarray, canonical: np.ndarray) -> Chart:
    """Unroll a head and lay its image onto it.

    image uint8 (H, W, 3) RGB; canonical (51, 2) mm: where the inner landmarks belong.
    """
    faces, vertices = head.topology.faces.cpu(), head.vertices.cpu()
    posed = Scene(vertices.numpy(), faces.numpy())
    frontal = head.frontal.cpu()
    found = landmarks_on(head, posed)
    flat = unroll(frontal, found)
    placed = bend(unroll(found, found).numpy(), canonical, flat.numpy())
    place = torch.from_numpy(placed * np.array([1, -1]) / REACH).float()

    ahead = faces[(flat[:, 0].abs() < RADIUS * BEHIND)[faces].all(1)]
    middle = found.mean(0) + found.new_tensor(AXIS)
    radius = torch.linalg.norm((frontal - middle)[:, [0, 2]], dim=1)
    (fragments,) = rasterize(torch.cat([place, -10 * radius[:, None]], 1), ahead, SIDE)
    normals = (head.normals @ head.rotation.T).cpu()
    starts = (vertices + 0.002 * normals).numpy()
    hidden = torch.from_numpy(posed.blocked(starts, np.array([[0, 0, 1]], np.float32)))
    values = [to_pixels(vertices, head.camera.cpu()), normals, hidden[:, None].float()]
    maps = fragments.image(fragments.interpolate(torch.cat(values, 1), ahead))
    column, row, x, y, z, covered = maps.numpy()
    on_head = np.zeros((SIDE, SIDE), bool)
    on_head.flat[fragments.pixel.numpy()] = True
    length = np.maximum(np.sqrt(x * x + y * y + z * z), 1e-6)
    height, width = image.shape[:2]
    inside = (column >= 0) & (column <= width - 1) & (row >= 0) & (row <= height - 1)
    low, high = GRAZING
    facing = np.clip((z / length - low) / (high - low), 0, 1)
    return Chart(
        colour=_look_up(image, np.stack([column, row], -1), float(head.camera[0]) / 1000),
        seen=(facing * (1 - covered) * inside * on_head).astype(np.float32),
        normal=np.stack([x / length, y / length, z / length], -1),
        on_head=on_head,
        place=place,
    )


def _look_up(image: np.ndarray, pixels: np.ndarray, density: float) -> np.ndarray:
    """Colours (S, S, 3) of an image at pixels (S, S, 2); density: its pixels a millimetre.

    A finer image is first averaged to about the chart's own density, so that its grain does not
    turn to noise.
    """
    shrink = 1.3 / density
    if shrink < 0.7:
        small = reduced(image, shrink)
        factor = np.array(small.shape[1::-1]) / image.shape[1::-1]
        image = small
        pixels = (pixels + 0.5) * factor - 0.5
    at = pixels.astype(np.float32)
    values = cv2.remap(image, at[..., 0], at[..., 1], cv2.INTER_LINEAR,
                       borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
    return values.astype(np.float32) / 255


def bend(source: np.ndarray, target: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Move points (M, 2) as the thin-plate spline does that takes source (N, 2) to target (N, 2).

    In mm. Bookstein, "Principal Warps" (1989), with a ridge: sources are met roughly.
    """
    count = len(source)
    centre = source.mean(0)
    source, points = (source - centre) / 100, (points - centre) / 100
    system = np.zeros((count + 3, count + 3))
    system[:count, :count] = _kernel(source, source) + STIFFNESS * np.eye(count)
    system[:count, count:] = np.column_stack([np.ones(count), source])
    system[count:, :count] = system[:count, count:].T
    solved = np.linalg.solve(system, np.concatenate([target, np.zeros((3, 2))]))
    far = np.column_stack([np.ones(len(points)), points])
    return _kernel(points, source) @ solved[:count] + far @ solved[count:]


def _kernel(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    squared = ((points[:, None] - others[None]) ** 2).sum(-1)
    return squared * np.log(squared + 1e-12) / 2
