"""The Anny head unwrapped for textures: its uv charts, laid out anew at sizes that pictures need.

Anny's own layout is a whole body's: the face gets a third of a texel a millimetre on a map of 256,
an eyeball 3 x 3 texels in all. Here the skin fills the map's left, the eyeballs are enlarged.
"""

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from deca.reconstruction import Topology

from .head import Head

# How many times larger than the skin's chart a region's charts become, against Anny's layout.
ENLARGED = {"eyes": 6.0, "eye_sockets": 0.7, "mouth_inside": 0.7, "tongue": 0.7, "skin": 1.0}
GAP = 0.012  # between charts: 6 texels of 512


def head_topology(head: Head) -> Topology:
    """Faces, uv points and uv faces of the Anny head, charts apart from each other."""
    uv, index = np.unique(head.uv.cpu().numpy().reshape(-1, 2), axis=0, return_inverse=True)
    uv_faces = index.reshape(-1, 3)
    chart = _charts(uv_faces, len(uv))
    regions = {name: mask.cpu().numpy() for name, mask in head.regions.items()}
    charts = []
    for number in range(chart.max() + 1):
        faces = np.flatnonzero(chart[uv_faces[:, 0]] == number)
        region = max(regions, key=lambda name: regions[name][faces].sum())
        points = np.flatnonzero(chart == number)
        low, high = uv[points].min(0), uv[points].max(0)
        charts.append((points, low, (high - low) * ENLARGED[region], ENLARGED[region]))
    charts.sort(key=lambda item: -item[2][1])  # the skin's is the tallest
    placed = np.zeros_like(uv)
    unit = (1 - 2 * GAP) / charts[0][2][1]  # the tallest fills the map's height
    column, row, width = GAP, GAP, 0.0
    for points, low, size, enlarged in charts:
        if row + size[1] * unit > 1 - GAP / 2:  # the next column
            column, row, width = column + width + GAP, GAP, 0.0
        placed[points] = (uv[points] - low) * enlarged * unit + (column, row)
        row += size[1] * unit + GAP
        width = max(width, size[0] * unit)
    if column + width > 1:
        raise ValueError("the charts of the head do not fit the map")
    return Topology(
        head.faces,
        torch.from_numpy(placed.astype(np.float32)).to(head.faces.device),
        torch.from_numpy(uv_faces).to(head.faces.device),
    )


def _charts(uv_faces: np.ndarray, count: int) -> np.ndarray:
    """Which chart each uv point (count,) belongs to: points of one face are of one chart."""
    edges = np.concatenate([uv_faces[:, :2], uv_faces[:, 1:]])
    graph = coo_array((np.ones(len(edges)), tuple(edges.T)), (count, count))
    return connected_components(graph, directed=False)[1]
