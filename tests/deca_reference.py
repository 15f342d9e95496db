"""DECA's inference once more, in double precision and step by step as its authors describe it.

Formulas: Feng et al. (2021), Li et al. (2017). It shares nothing with deca/ but the assets.
"""

import numpy as np
import torch
import torch.nn.functional as F
from scipy.spatial.transform import Rotation
from torchvision.models import resnet50

LAMPS = np.array([[-1, 1, 1], [1, 1, 1], [-1, -1, 1], [1, -1, 1], [0, 0, 1]], float)


def crop(image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """The network's input (224, 224, 3) by skimage.transform.warp's formula."""
    left, top = landmarks.astype(float).min(0)
    right, bottom = landmarks.astype(float).max(0)
    size = int(((right - left) + (bottom - top)) / 2 * 1.1 * 1.25)
    x0, y0 = (left + right) / 2 - size / 2, (top + bottom) / 2 - size / 2
    padded = np.pad(image, ((size, size), (size, size), (0, 0)))
    columns = x0 + np.arange(224) * size / 223 + size
    rows = y0 + np.arange(224) * size / 223 + size
    i, j = np.floor(rows).astype(int), np.floor(columns).astype(int)
    a, b = (rows - i)[:, None, None], (columns - j)[None, :, None]
    near, far = padded[i] / 255, padded[i + 1] / 255
    return (1 - a) * ((1 - b) * near[:, j] + b * near[:, j + 1]) + a * (
        (1 - b) * far[:, j] + b * far[:, j + 1]
    )


def codes(crops: torch.Tensor, state: dict) -> torch.Tensor:
    """E_flame's 236 numbers, by torchvision's network and two products."""
    trunk = resnet50(weights=None)
    trunk.fc = torch.nn.Identity()
    trunk.load_state_dict({k[8:]: v for k, v in state.items() if k.startswith("encoder.")})
    with torch.no_grad():
        hidden = trunk.eval()(crops) @ state["layers.0.weight"].T + state["layers.0.bias"]
        return hidden.relu() @ state["layers.2.weight"].T + state["layers.2.bias"]


def skin(arrays: dict, shape: np.ndarray, expression: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """FLAME's vertices (V, 3) for shape (100,), expression (50,), pose (6,): 4 x 4 transforms."""
    basis = arrays["shapedirs"][..., np.r_[:100, 300:350]]
    shaped = arrays["v_template"] + basis @ np.concatenate([shape, expression])
    joints = arrays["J_regressor"] @ shaped
    turns = Rotation.from_rotvec(
        np.stack([pose[:3], np.zeros(3), pose[3:], np.zeros(3), np.zeros(3)])
    ).as_matrix()
    posed = shaped + arrays["posedirs"] @ (turns[1:] - np.eye(3)).ravel()
    world: list[np.ndarray] = []
    for j, parent in enumerate((None, 0, 1, 1, 1)):
        local = np.eye(4)
        local[:3, :3] = turns[j]
        local[:3, 3] = joints[j] - (0 if parent is None else joints[parent])
        world.append(local if parent is None else world[parent] @ local)
    for j, transform in enumerate(world):
        transform = transform.copy()
        transform[:3, 3] -= transform[:3, :3] @ joints[j]
        world[j] = transform
    blended = np.einsum("vj,jkl->vkl", arrays["weights"], np.stack(world))
    return np.einsum("vkl,vl->vk", blended[:, :3, :3], posed) + blended[:, :3, 3]


def normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit normals (V, 3): the sum of the faces' cross products."""
    a, b, c = vertices[faces].transpose(1, 0, 2)
    total = np.zeros_like(vertices)
    for corner in faces.T:
        np.add.at(total, corner, np.cross(b - a, c - a))
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-6)


def raster(points: np.ndarray, faces: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Faces (S, S), -1 for none, and barycentrics (S, S, 3) of points in image space.

    Every pixel centre of every face's box is tried; the nearest face of those around it stays.
    """
    at = ((points[:, :2] + 1) * size - 1) / 2  # columns and rows
    corners = at[faces]
    low = np.clip(np.ceil(corners.min(1)), 0, size).astype(int)
    high = np.clip(np.floor(corners.max(1)), -1, size - 1).astype(int)
    wide, tall = np.maximum(high - low + 1, 0).T
    face = np.repeat(np.arange(len(faces)), wide * tall)
    step = np.arange(len(face)) - np.repeat(np.cumsum(wide * tall) - wide * tall, wide * tall)
    pixel = low[face] + np.stack([step % wide[face], step // wide[face]], 1)
    a, b, c = corners[face].transpose(1, 0, 2)

    def area(p: np.ndarray, q: np.ndarray, r: np.ndarray) -> np.ndarray:
        return (q[:, 0] - p[:, 0]) * (r[:, 1] - p[:, 1]) - (q[:, 1] - p[:, 1]) * (r[:, 0] - p[:, 0])

    with np.errstate(divide="ignore", invalid="ignore"):
        weights = np.stack([area(b, c, pixel), area(c, a, pixel), area(a, b, pixel)], 1)
        weights /= area(a, b, c)[:, None]
    inside = (weights >= 0).all(1)
    face, pixel, weights = face[inside], pixel[inside], weights[inside]
    depth = (points[faces[face], 2] * weights).sum(1)
    order = np.argsort(-depth, kind="stable")  # the nearest is written last
    index, barycentric = np.full((size, size), -1), np.zeros((size, size, 3))
    column, row = pixel[order].T
    index[row, column] = face[order]
    barycentric[row, column] = weights[order]
    return index, barycentric


def spread(seen: tuple[np.ndarray, np.ndarray], values: np.ndarray, faces: np.ndarray):
    """Values at corners -> (S, S, C), 0 where nothing is seen."""
    index, weights = seen
    blended = (values[faces[index]] * weights[..., None]).sum(2)
    return np.where((index >= 0)[..., None], blended, 0)


def look_up(uv_map: np.ndarray, places: np.ndarray) -> np.ndarray:
    """A map (S, S, C) at places (H, W, 2) in [-1, 1], as grid_sample does."""
    images = torch.tensor(uv_map).permute(2, 0, 1)[None].double()
    return F.grid_sample(images, torch.tensor(places)[None], align_corners=False)[0].permute(
        1, 2, 0
    ).numpy()  # fmt: skip


def detail(uv_seen, vertices, faces, shift: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Normals with wrinkles in uv (256, 256, 3) of a posed head; shift: metres along the normal."""
    coarse = spread(uv_seen, normals(vertices, faces), faces)
    points = spread(uv_seen, vertices, faces) + shift[..., None] * coarse
    index = np.arange(256 * 256).reshape(256, 256)[5:-5, 2:-2]  # the borders are left out
    here, right, down, across = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    grid = np.concatenate(
        [np.stack([here, down, right], -1), np.stack([right, down, across], -1)]
    ).reshape(-1, 3)
    fine = normals(points.reshape(-1, 3), grid).reshape(256, 256, 3)
    return fine * mask[..., None] + coarse * (1 - mask[..., None])


def picture(vertices, camera, faces, uv, uv_faces, fine: np.ndarray) -> np.ndarray:
    """The grey picture with wrinkles (224, 224), 0..255, of a posed head under a camera (3,)."""
    points = (vertices + np.append(camera[1:], 0)) * camera[0] * [1, -1, -1]
    seen = raster(points, faces, 224)
    places = spread(seen, uv * [2, -2] + [-1, 1], uv_faces)
    at = look_up(fine, places)
    lamps = LAMPS / np.linalg.norm(LAMPS, axis=1, keepdims=True)
    light = 1.7 * np.clip(at @ lamps.T, 0, 1).mean(-1)
    facing = spread(seen, normals(points, faces), faces)[..., 2] < 0.15
    return 180 * np.clip(light, 0, 255 / 180) * facing * (seen[0] >= 0)
