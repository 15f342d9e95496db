"""Where the face lies in a set of ready motion maps, and its maps in this project's frame.

Maps that others publish come in crops of their own. How skin moves tells which: raised brows,
closing lids and drawn mouth corners each have their place on a face. The fields that synthetic
faces' motion is made of (frame_basis.npz, made by tools/make_motion_basis.py: the principal axes
of their u and v in this project's frame) are laid over the maps, stretched and shifted, and the
frame is the one in which they explain most of the set's motion. No label is used.
"""

import functools
import itertools
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from common.errors import UserError

from .flow import EYES_X, EYES_Y, MOTION_SIZE, remove_head_motion, resize

FILE = Path(__file__).with_name("frame_basis.npz")
MOUTH_Y = 0.71  # of the mean face (data/face_shape.npz), as a share of the frame's height
FEWEST = 16  # clips; of fewer no four groups can be compared
MOST = 400  # clips that are looked at: more change nothing
SURE = 0.025  # standard error of eyes and mouth, in shares of the side, up to which they are found
OWN = 0.02  # a frame no further from this project's is this project's
STRONGEST = 48  # axes of the maps' motion that are compared
CLIP = 4.0  # root mean squares, beyond which a pixel is cut off
# What is likely before any map is seen: standard deviations of the logarithm of the size, of the
# height over the width, and of the shift to the right and down; and what that counts for.
LIKELY, WEIGHT = (0.35, 0.12, 0.04, 0.10), 0.008
NARROW, WIDE = 0.65, 1.5  # of this project's frame: the sizes of a crop that are tried first


@dataclass(frozen=True)
class MapFrame:
    """Where a face lies in motion maps: x of the eye centres in shares of the width, from the
    left of the picture; y of the eyes and of the mouth in shares of the height, from the top."""

    left_eye: float
    right_eye: float
    eyes: float
    mouth: float

    def __post_init__(self) -> None:
        """UserError for numbers that are no face, or none that a map shows."""
        in_order = self.left_eye + 0.1 <= self.right_eye and self.eyes + 0.1 <= self.mouth
        if not in_order or min(self.marks) < -0.2 or max(self.marks) > 1.5:
            raise UserError(
                f"--map-frame {','.join(f'{mark:g}' for mark in self.marks)}: the eyes are at "
                "LEFT_X,RIGHT_X of the width, at Y of the height and above the MOUTH_Y, all as "
                "shares of the side, as in 0.27,0.73,0.37,0.78"
            )

    @property
    def marks(self) -> tuple[float, float, float, float]:
        """left_eye, right_eye, eyes, mouth."""
        return self.left_eye, self.right_eye, self.eyes, self.mouth

    @property
    def scale(self) -> np.ndarray:
        """(2,): the maps' width and height in widths and heights of this project's frame."""
        across = (EYES_X[1] - EYES_X[0]) / (self.right_eye - self.left_eye)
        return np.array([across, (MOUTH_Y - EYES_Y) / (self.mouth - self.eyes)])

    @property
    def corner(self) -> np.ndarray:
        """(2,): x and y of the maps' upper left corner in this project's frame."""
        middle = (self.left_eye + self.right_eye) / 2
        return np.array([sum(EYES_X) / 2, EYES_Y]) - self.scale * (middle, self.eyes)

    def differs(self, other: "MapFrame", by: float = OWN) -> bool:
        """Whether a mark lies further than `by` from the other frame's."""
        return bool(np.abs(np.subtract(self.marks, other.marks)).max() > by)

    def __str__(self) -> str:
        return (
            f"eyes at {self.left_eye:.2f} and {self.right_eye:.2f} of the width, {self.eyes:.2f} "
            f"down, mouth at {self.mouth:.2f}"
        )


OWN_FRAME = MapFrame(*EYES_X, EYES_Y, MOUTH_Y)


def parse_frame(text: str) -> MapFrame | None:
    """--map-frame: None for auto, OWN_FRAME for own, or four numbers. UserError for others."""
    if text in ("auto", "own"):
        return None if text == "auto" else OWN_FRAME
    try:
        numbers = [float(number) for number in text.split(",")]
        if len(numbers) != 4 or not np.isfinite(numbers).all():
            raise ValueError
    except ValueError:
        raise UserError(
            f"--map-frame {text}: auto, own, or LEFT_EYE_X,RIGHT_EYE_X,EYES_Y,MOUTH_Y as shares "
            "of the side, as in 0.27,0.73,0.37,0.78"
        ) from None
    return MapFrame(*numbers)


def into_frame(ready: np.ndarray, frame: MapFrame, size: int = MOTION_SIZE) -> np.ndarray:
    """A map (3, H, W) whose face lies as `frame` says -> (3, size, size) float32 in this
    project's frame.

    u is in frame widths afterwards if it was in widths of the map, v in heights if it was in
    heights; strain has no unit. What lies beyond the map's edge is as its edge.
    """
    work = 2 * size
    # Own pixel -> the map's, both counted from pixel centres.
    step = 1 / frame.scale
    shift = -frame.corner * step * work + 0.5 * step - 0.5
    matrix = np.array([[step[0], 0, shift[0]], [0, step[1], shift[1]]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    sampled = [
        cv2.warpAffine(
            resize(channel, work), matrix, (work, work), flags=flags,
            borderMode=cv2.BORDER_REPLICATE,
        )
        for channel in ready
    ]  # fmt: skip
    units = np.array([*frame.scale, 1], np.float32)
    return np.stack([resize(one, size) * unit for one, unit in zip(sampled, units)])


def find_frame(maps: np.ndarray) -> tuple[MapFrame, float]:
    """The frame of maps (N, 3, S, S) in any scale, all in one crop -> it, and how unsure it is.

    Unsure is the largest standard error of its marks, in shares of the side, from four groups of
    the maps that are looked at alone; inf for fewer than FEWEST maps. Up to SURE it can be used.
    """
    if len(maps) < FEWEST:
        return OWN_FRAME, np.inf
    maps = maps[np.linspace(0, len(maps) - 1, min(len(maps), MOST)).round().astype(int)]
    fields = motion_fields(maps)
    found = _best(fields)
    groups = np.array([_marks(_best(fields[first::4])) for first in range(4)])
    return MapFrame(*_marks(found)), float((groups.std(0, ddof=1) / 2).max())


def motion_fields(maps: np.ndarray, edge: int = 1) -> np.ndarray:
    """u and v (N, 2, S, S) of maps (N, 3, S, S), of energy 1 each, without the head's motion.

    `edge` pixels around are 0, and so are peaks beyond CLIP: estimators fail there.
    """
    fields = remove_head_motion(np.asarray(maps[:, :2], np.float32))
    inner = np.zeros_like(fields)
    here = np.s_[:, :, edge : fields.shape[2] - edge, edge : fields.shape[3] - edge]
    inner[here] = fields[here]
    size = np.sqrt((inner**2).mean((2, 3), keepdims=True))
    inner = np.clip(inner / np.maximum(size, 1e-12), -CLIP, CLIP)
    energy = np.sqrt((inner**2).sum((1, 2, 3), keepdims=True))
    return inner / np.maximum(energy, 1e-12)


@functools.cache
def _basis() -> np.ndarray:
    """(K, 2, S, S) float32: the fields that faces' motion is made of, in this project's frame."""
    with np.load(FILE, allow_pickle=False) as content:
        return content["basis"].astype(np.float32)


# A place x is (4,): the logarithms of the crop's width and height in this project's, and how far
# right and down this project's middle lies of the crop's, in shares of its side.
def _best(fields: np.ndarray) -> np.ndarray:
    """The place in which the basis explains most of the fields (N, 2, S, S)."""
    fields = _strongest(fields)
    from scipy.optimize import minimize  # here: 0.2 s that only ready maps need wait for

    def cost(place: np.ndarray) -> float:
        return WEIGHT * _unlikely(place) - _explained(fields, place)

    sizes = np.linspace(np.log(NARROW), np.log(WIDE), 7)
    tall, down = (-0.15, 0.0, 0.15), np.linspace(-0.24, 0.24, 7)
    first = np.array([
        (size - more / 2, size + more / 2, 0, y)
        for size, more, y in itertools.product(sizes, tall, down)
    ])  # fmt: skip
    starts: list[np.ndarray] = []
    for i in np.argsort([cost(place) for place in first]):
        if all(np.abs(first[i] - start).max() > 0.12 for start in starts):
            starts.append(first[i])
        if len(starts) == 3:
            break
    steps = np.diag([0.06, 0.06, 0.03, 0.03])
    ends = []
    for start in starts:
        simplex = np.stack([start, *(start + steps)])
        way = {"initial_simplex": simplex, "xatol": 2e-3, "fatol": 1e-5, "maxiter": 150}
        ends.append(minimize(cost, start, method="Nelder-Mead", options=way))
    return min(ends, key=lambda end: end.fun).x


def _strongest(fields: np.ndarray) -> np.ndarray:
    """Few fields (K, 2, S, S) that stand for many: their principal axes, each of its size.

    What a basis explains of their sum is what it explains of the many's mean, less the weakest.
    """
    _, sizes, axes = np.linalg.svd(fields.reshape(len(fields), -1), full_matrices=False)
    kept = (sizes[:, None] * axes)[:STRONGEST] / np.sqrt(len(fields))
    return kept.reshape(-1, *fields.shape[1:]).astype(np.float32)


def _unlikely(place: np.ndarray) -> float:
    size, tall = place[:2].mean(), place[1] - place[0]
    return float(np.sum((np.array([size, tall, *place[2:]]) / LIKELY) ** 2) / 2)


def _explained(fields: np.ndarray, place: np.ndarray) -> float:
    """The energy of fields (K, 2, S, S) that the basis explains when it lies in a place."""
    across, down = (
        _sampling(*axis, fields.shape[-1]) for axis in zip(*_scale_and_corner(place), strict=True)
    )
    laid = (down @ _basis() @ across.T).reshape(len(_basis()), -1)
    along = fields.reshape(len(fields), -1) @ laid.T
    gram = laid @ laid.T + 1e-6 * np.eye(len(laid), dtype=np.float32)  # it may lie outside
    return float((along * np.linalg.solve(gram, along.T).T).sum())


def _sampling(scale: float, corner: float, size: int) -> np.ndarray:
    """(size, S): what samples one axis of the basis at a map's pixels; 0 beyond its frame."""
    own = _basis().shape[-1]
    at = (scale * (np.arange(size) + 0.5) / size + corner) * own - 0.5
    return np.maximum(1 - np.abs(at[:, None] - np.arange(own)), 0).astype(np.float32)


def _scale_and_corner(place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scale = np.exp(place[:2])
    return scale, 0.5 - scale * (0.5 + place[2:])


def _marks(place: np.ndarray) -> tuple[float, ...]:
    scale, corner = _scale_and_corner(place)
    own = np.array([[*EYES_X], [EYES_Y, MOUTH_Y]])
    return tuple(((own - corner[:, None]) / scale[:, None]).ravel().tolist())
