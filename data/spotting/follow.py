"""One face through a video: where it is in every frame, and how it moved since the frame before.

A detector finds the face; from then on optical flow itself keeps the crop on it: what moves as a
whole between a reference look and the next one moves the crop along. What is left is read as
facial actions (actions.py). The reference is renewed every second or so, and where the head has
turned; the actions go on from what they were. Now and then the landmarks say whether the crop
still lies on a face.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

import cv2
import numpy as np

from data.face_search import STRANGEST, UNSTEADIEST, unsteadiness
from data.face_shape import face_shape
from data.landmarks import LandmarkFinder
from data.motion.flow import MOTION_SIZE, face_frame, face_mask

from .actions import COLUMNS, POSE, ActionReader, action_reader
from .fit import FIRST_NOISE, Anchor, fit_motion, take_anchor
from .looks import (
    SIDE,
    coarse,
    farthest,
    likeness,
    moved_points,
    plane_flow,
    take_look,
    whole_motion,
)

# A face of fewer pixels than SMALL (its frame's width) shows less, and flow trembles: it is found
# of larger patches, in a look that is smoothed. Chosen on drawn long videos.
SMALL, PATCH = 110, 24
DETECTED = 360  # pixels: the shorter side of the picture that the detector looks at, at most
RENEW = 45  # frames after which the reference is renewed
TURNED = 0.10  # radians of pitch or yaw after which it is
ZOOMED = 0.06  # share of its size, and radians of roll
CHECK = 15  # frames between looks at the landmarks
STRAY = 0.07  # of the frame's width: a crop further from where the landmarks say is laid anew
ALIKE = 0.55  # correlation of two looks of one face, at least
DOUBT = 60  # frames between looks at whether there is a face at all; a multiple of CHECK
SEARCH = 10  # frames between searches while there is no face
SLACK = 0.008  # of the frame's width: the crop stays where it is for less


@dataclass(frozen=True)
class Reading:
    """What a frame shows. values (V,): the facial actions and the head's turn since the face was
    first seen, both readings (actions.py), NaN without a face; frame (2, 3): from [0, 1]² of the
    face's frame to pixels; aspect: of that frame, height over width; moved: root mean square of
    the face's own motion since the reference, in face widths; alike: correlation with the
    reference; began: the face was found anew, and nothing goes on across."""

    values: np.ndarray
    frame: np.ndarray
    aspect: float = 1.0
    moved: float = 0.0
    alike: float = 0.0
    began: bool = False

    @property
    def found(self) -> bool:
        """Whether there is a face."""
        return bool(np.isfinite(self.values[0]))


def no_face(size: int) -> Reading:
    """A frame without a face; size: of its values."""
    return Reading(np.full(size, np.nan, np.float32), np.full((2, 3), np.nan))


@dataclass
class State:
    """What following goes on from; all of it can be written to a file."""

    to_image: np.ndarray  # (3, 3) pixels of the look -> the image's
    aspect: float
    points: np.ndarray  # (68, 2) landmarks, in pixels of the look
    reference: np.ndarray  # (SIDE, SIDE) uint8
    reference_at: np.ndarray  # (3, 3) its to_image
    values: np.ndarray  # (V,) of the reference
    small: bool  # whether the face has few pixels
    age: int = 0  # frames since it was taken
    noise: float = FIRST_NOISE  # variance of what the fit leaves


@dataclass
class Follower:
    """Reads one frame after another.

    number: which face to take where there are several, from the left, from 1; None: the largest.
    """

    finder: LandmarkFinder
    number: int | None = None
    reader: ActionReader = field(default_factory=action_reader)
    state: State | None = None
    count: int = 0
    _anchor: Anchor | None = None  # of the state's reference

    def __post_init__(self) -> None:
        fine = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        coarse = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        coarse.setPatchSize(PATCH)
        coarse.setPatchStride(PATCH // 2)
        self._flows = {False: fine, True: coarse}
        for flow in self._flows.values():
            flow.setFinestScale(0)

    def read(self, grey: np.ndarray) -> Reading:
        """The next frame, uint8 (H, W)."""
        self.count += 1
        if self.state is None:
            if (self.count - 1) % SEARCH:
                return no_face(self.reader.size)
            return self._begin(grey, np.zeros(self.reader.size, np.float32))
        state = self.state
        look = take_look(grey, state.to_image, state.small)
        flow = self._flows[state.small].calc(state.reference, look, None)  # type: ignore[call-overload]
        small = np.stack([coarse(flow[..., i]) for i in (0, 1)])  # pixels of the look
        alike = likeness(state.reference, look, flow)
        if alike < ALIKE or self.count % CHECK == 0:
            checked = self._check(grey, alike)
            if checked is not None:
                return checked
        move = whole_motion(small)
        scaled = small / SIDE * np.array([1, state.aspect], np.float32)[:, None, None]
        values = state.values + self._moved(look, scaled)
        rest = (scaled - plane_flow(move, state.aspect)) * face_mask(MOTION_SIZE)
        moved = float(np.sqrt((rest**2).sum(0).mean()))
        frame = state.to_image @ np.diag([SIDE, SIDE, 1.0])
        reading = Reading(values.astype(np.float32), frame[:2], state.aspect, moved, alike)
        state.age += 1
        if _is_old(state, values):
            state.reference, state.reference_at = look, state.to_image.copy()
            state.values, state.age = values.astype(np.float32), 0
        if farthest(move) > SLACK * SIDE:
            state.to_image = state.to_image @ move
        return reading

    def save(self) -> dict[str, np.ndarray]:
        """All that the next frame's reading depends on, as arrays."""
        kept = {"count": np.array(self.count)}
        if self.state is not None:
            named = {one.name: getattr(self.state, one.name) for one in fields(State)}
            kept |= {f"state_{name}": np.asarray(value) for name, value in named.items()}
        return kept

    def load(self, kept: Mapping[str, np.ndarray]) -> None:
        """Go on from what `save` gave."""
        self.count, self.state = int(kept["count"]), None
        if "state_aspect" in kept:
            arrays = {one.name: kept[f"state_{one.name}"] for one in fields(State)}
            aspect, age = float(arrays.pop("aspect")), int(arrays.pop("age"))
            small, noise = bool(arrays.pop("small")), float(arrays.pop("noise"))
            self.state = State(**arrays, aspect=aspect, age=age, small=small, noise=noise)

    def _moved(self, look: np.ndarray, flow: np.ndarray) -> np.ndarray:
        """What changed (V,) from the reference to a look; flow (2, S, S) in face widths."""
        state, motions = self.state, self.reader.motions
        assert state is not None
        if self._anchor is None or self._anchor.look is not state.reference:
            self._anchor = take_anchor(state.reference, state.aspect, motions)
        amounts, state.noise = fit_motion(self._anchor, look, flow, state.noise, motions)
        return self.reader.read(flow, amounts)

    def _begin(self, grey: np.ndarray, values: np.ndarray) -> Reading:
        """Look for a face, and start on it; no_face() where there is none."""
        points = self._detect(grey)
        if points is None:
            self.state = None
            return no_face(self.reader.size)
        return self._start(grey, points, values)

    def _start(self, grey: np.ndarray, points: np.ndarray, values: np.ndarray) -> Reading:
        frame, aspect = face_frame(points)
        to_image = frame @ np.diag([1 / SIDE, 1 / SIDE, 1])
        small = bool(np.linalg.norm(frame[:2, 0]) < SMALL)
        look = take_look(grey, to_image, small)
        inside = moved_points(np.linalg.inv(to_image), points)
        values = values.astype(np.float32)
        self.state = State(to_image, aspect, inside, look, to_image.copy(), values, small)
        return Reading(values, frame[:2], aspect, 0.0, 1.0, True)

    def _detect(self, grey: np.ndarray) -> np.ndarray | None:
        """Landmarks (68, 2) of the face to take, or None."""
        shrink = min(1.0, DETECTED / min(grey.shape))
        small = cv2.resize(grey, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        boxes = self.finder.boxes(small)
        faces = [self.finder.in_box(grey, [side / shrink for side in box]) for box in boxes]
        shape = face_shape()
        faces = [points for points in faces if shape.strangeness(points) < STRANGEST["detector"]]
        faces = [points for points in faces if _eyes_apart(points) >= 8]
        if not faces:
            return None
        if self.number is None:
            return max(faces, key=lambda points: float(np.ptp(points, axis=0).sum()))
        faces.sort(key=lambda points: points[:, 0].mean())
        return faces[self.number - 1] if len(faces) >= self.number else None

    def _check(self, grey: np.ndarray, alike: float) -> Reading | None:
        """Whether the crop lies on a face; a reading where it had to be found anew."""
        state = self.state
        assert state is not None
        if alike < ALIKE:
            return self._begin(grey, state.values)
        there = moved_points(state.to_image, state.points)
        points = self.finder.in_box(grey, self.finder.box_of(there))
        strange = face_shape().strangeness(points) > STRANGEST["followed"]
        if strange or _eyes_apart(points) < 8:
            return None
        if self.count % DOUBT == 0 and self._is_gone(grey, points):
            self.state = None
            return no_face(self.reader.size)
        frame, _ = face_frame(points)
        off = np.linalg.inv(state.to_image) @ frame @ np.diag([1 / SIDE, 1 / SIDE, 1])
        if farthest(off) > STRAY * SIDE:  # the crop has strayed: what went on goes on
            return replace(self._start(grey, points, state.values), began=False)
        return None

    def _is_gone(self, grey: np.ndarray, points: np.ndarray) -> bool:
        """Whether landmarks lie on no face: they go with their box, and no detector sees one."""
        gone = unsteadiness(grey, points, self.finder) > UNSTEADIEST["followed"]
        return gone and self._detect(grey) is None


def _is_old(state: State, values: np.ndarray) -> bool:
    """Whether the reference has to be renewed."""
    turned = np.abs(values - state.values)[[COLUMNS.index(name) for name in POSE[:2]]].max()
    zoom = np.linalg.inv(state.reference_at) @ state.to_image
    return state.age >= RENEW or turned > TURNED or np.abs(zoom[:2, :2] - np.eye(2)).max() > ZOOMED


def _eyes_apart(points: np.ndarray) -> float:
    return float(np.linalg.norm(points[36:42].mean(0) - points[42:48].mean(0)) * 2.5)
