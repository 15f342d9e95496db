"""Whether a face moves at all: the motion from onset to apex against the noise of its own clip.

Two pictures of a still face differ, too: by the sensor's grain, the codec, the light. Flow makes
motion of that, a network then makes a class of the motion. How much flow comes of nothing is seen
in the clip itself: between onset or apex and the frames beside them, where an expression has not
begun or stands still. An expression is motion that is so many times larger.

Head motion is taken out before anything is compared, and eyes and lids do not count: a blink or a
glance is no expression. What is chosen here was chosen on synthetic clips of one seed and is
reported on those of another (benchmarks/bench_still.py).
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from data.face_search import FoundFace

from .flow import (
    EYES_X,
    FLOW_SIDE,
    MOTION_SIZE,
    look,
    measured_flow,
    pair_frames,
    remove_head_motion,
)

LIDS_X, LIDS_Y = 0.17, (0.23, 0.43)  # the part around an eye that a blink moves, of the frame
RIM = 0.88  # of the frame's radius: nearby it the backdrop moves against the face
PATCH = (5, 5)  # cells of a map
LEAST = 3e-4  # face widths, what flow can tell: noise is never taken for less
SMOOTH = FLOW_SIDE / 24  # pixels: a difference as wide as this is light, not grain
# Between which multiples of the noise that the pair shows by itself its neighbours are believed.
PAIR = (2.0, 3.0)
# Motion over noise from which on it is an expression. The largest of a clip's frames, which
# spotting takes, is larger than any one of them.
GIVEN, SPOTTED = 1.4, 1.55


@dataclass(frozen=True)
class Evidence:
    """What speaks for an expression: motion and noise in face widths.

    motion is 0 where onset and apex are the same picture.
    """

    motion: float
    noise: float
    threshold: float

    @property
    def ratio(self) -> float:
        """Motion over noise."""
        return self.motion / self.noise

    @property
    def found(self) -> bool:
        """Whether there is an expression."""
        return self.ratio > self.threshold


def weigh_motion(
    onset: np.ndarray,
    apex: np.ndarray,
    faces: tuple[FoundFace, FoundFace],
    beside: tuple[Sequence[np.ndarray], Sequence[np.ndarray]] = ((), ()),
    spotted: bool = False,
    where: str = "clip",
) -> Evidence:
    """The motion of a face between two pictures (H, W, 3) RGB against the noise of its clip.

    faces: the same face in both. beside: the clip's frames next to the onset, and those next to
    the apex; copies of them say nothing of noise and are left out. spotted: the apex was looked
    for in the clip. `where` names the clip in messages. UserError if the landmarks span no face.
    """
    to_onset, to_apex, aspect = pair_frames(faces[0].landmarks, faces[1].landmarks, where)
    first, second = look(onset, to_onset), look(apex, to_apex)
    # Landmarks jitter by pixels, more than flow forgives: the head's motion says how they lie.
    to_apex = to_apex @ _head_motion(measured_flow(first, second, aspect, MOTION_SIZE), aspect)
    second = look(apex, to_apex)
    flow = measured_flow(first, second, aspect, MOTION_SIZE)
    nearby = [
        _moved(measured_flow(one, look(other, frame), aspect, MOTION_SIZE))
        for one, picture, frame, others in (
            (first, onset, to_onset, beside[0]),
            (second, apex, to_apex, beside[1]),
        )
        for other in others
        if other.shape == picture.shape and not np.array_equal(other, picture)
    ]
    # The largest, for a codec renews some pictures more than others. What the two show by
    # themselves bounds it: frames beside them can be near copies of a codec, or, where frames are
    # few, in the midst of the expression.
    by_itself = _pair_noise(first, second, flow, aspect)
    low, high = (times * by_itself for times in PAIR)
    noise = np.clip(max(nearby, default=np.inf), low, high)
    motion = 0.0 if np.array_equal(onset, apex) else _moved(flow)
    return Evidence(motion, float(np.hypot(noise, LEAST)), SPOTTED if spotted else GIVEN)


def _moved(flow: np.ndarray) -> float:
    """How far the face moves in a flow (2, S, S), in its unit.

    The flow's mean over each PATCH of cells, for noise in single cells is no motion of skin; of
    that the root mean square over the patches most of which counts.
    """
    rest = remove_head_motion(flow[None], degree=2)[0]
    where = counted(flow.shape[-1])
    weight = where.astype(np.float32)
    share = np.maximum(cv2.blur(weight, PATCH), 1e-6)  # of a patch
    whole = where & (share >= 0.5)
    means = np.stack([(cv2.blur(channel * weight, PATCH) / share)[whole] for channel in rest])
    return float(np.sqrt((means**2).sum(0).mean()))


@functools.cache
def counted(side: int) -> np.ndarray:
    """bool (side, side): where in its frame a face's motion counts: not at the eyes and the rim."""
    at = (np.arange(side) + 0.5) / side
    x, y = np.meshgrid(at, at)
    inside = np.hypot((x - 0.5) / 0.46, (y - 0.52) / 0.50) < RIM
    for eye in EYES_X:
        inside &= ~((np.abs(x - eye) < LIDS_X) & (LIDS_Y[0] < y) & (y < LIDS_Y[1]))
    return inside


def _head_motion(flow: np.ndarray, aspect: float) -> np.ndarray:
    """The plane in a flow (2, S, S) as (3, 3), from the first look's pixels to the second's."""
    plane = (flow - remove_head_motion(flow[None])[0]).astype(float) * FLOW_SIDE
    plane[1] /= aspect
    cell = FLOW_SIDE / flow.shape[-1]
    span = FLOW_SIDE - cell
    across = (plane[:, 0, -1] - plane[:, 0, 0]) / span
    down = (plane[:, -1, 0] - plane[:, 0, 0]) / span
    matrix = np.eye(3)
    matrix[:2, 0] += across
    matrix[:2, 1] += down
    matrix[:2, 2] = plane[:, 0, 0] - (across + down) * cell / 2
    return matrix


def _pair_noise(first: np.ndarray, second: np.ndarray, flow: np.ndarray, aspect: float) -> float:
    """What two looks alone tell of their noise: the motion that their difference makes of nothing.

    The difference that is left once the second look is moved back is grain and light. Mirrored,
    so that it has nothing to do with what lies below, it is laid over the first look.
    """
    moved = flow * FLOW_SIDE / np.array([1, aspect])[:, None, None]
    u, v = (cv2.resize(channel.astype(np.float32), (FLOW_SIDE,) * 2) for channel in moved)
    rows, columns = np.mgrid[:FLOW_SIDE, :FLOW_SIDE].astype(np.float32)
    back = cv2.remap(
        second, columns + u, rows + v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    grain = back.astype(np.float32) - first
    grain -= cv2.GaussianBlur(grain, (0, 0), SMOOTH)
    noisy = np.clip(first + grain[:, ::-1] + 0.5, 0, 255).astype(np.uint8)
    return _moved(measured_flow(first, noisy, aspect, MOTION_SIZE))
