"""Synthetic motion: onset-to-apex maps of the Anny head, the flow taken from the mesh itself.

A block is one person before one camera: one ray cast finds which point of the mesh each pixel
sees, and from then on every movement is a product of two small matrices. What a flow estimator
and a landmark finder would have made of the exact flow is then added: blur, smearing over bare
skin, noise, crops that are a little off. Domains (motion_domains.py) differ in all of that.
"""

import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from scipy.spatial.transform import Rotation

from common.errors import UserError
from common.files import write_whole
from common.parallel import fixed_threads, worker_pool
from data.motion.flow import CHIN_Y, EYES_X, EYES_Y, MOTION_SIZE, flow_to_maps
from deca.anny.head import Head, load_head, sample_identity
from deca.raycast import Scene, orthographic_rays

from .actions import UNIT_NUMBERS, draw_actions
from .domains import TRAINING, Domain
from .faults import as_estimated

BLOCK = 24  # pairs of one person
VERSION = 2


@dataclass(frozen=True)
class SyntheticMotion:
    """N pairs: maps (N, 3, S, S) float32, units (N, 16) bool, labels (N,) int, domain (N,)."""

    maps: np.ndarray
    units: np.ndarray
    labels: np.ndarray
    domain: np.ndarray


def make_motion(
    samples: int,
    seed: int,
    domains: tuple[Domain, ...] = TRAINING,
    size: int = MOTION_SIZE,
    workers: int = 1,
) -> SyntheticMotion:
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
    return SyntheticMotion(maps, units, labels, names[:samples])


def _block(job: tuple[int, Domain, int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """BLOCK pairs of one person: maps, units, labels."""
    seed, domain, number, size = job
    rng = np.random.default_rng([VERSION, seed, zlib.crc32(domain.name.encode()), number])
    head = load_head()
    columns = {name: i for i, name in enumerate(head.actions)}
    labels = np.arange(BLOCK) % 3
    changes, units = zip(
        *(draw_actions(rng, domain.acting, columns, int(label)) for label in labels)
    )
    side = 2 * size
    view = see_person(head, domain, rng, side)
    flow = _exact_flow(view, np.stack(changes), domain, rng)
    flow = as_estimated(flow, view.seen.reshape(side, side), domain, rng)
    maps = flow_to_maps(flow, np.full(BLOCK, view.aspect), size)
    return maps, np.stack(units), labels


@dataclass(frozen=True)
class View:
    """What the pixels of one person's frame see. P = side² pixels, row by row."""

    seen: np.ndarray  # (P,) bool: the face
    points: np.ndarray  # (P, 3) metres, turned as at the onset
    offsets: np.ndarray  # (A, P, 3) how facial actions move them
    width: float  # of the frame, metres
    aspect: float
    side: int


def see_person(head: Head, domain: Domain, rng: np.random.Generator, side: int) -> View:
    """Draw a person of a domain, and see what each pixel of the face's frame shows of them."""
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
    return View(
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
        mean = head.neutral(*head.mean_identity())[0].numpy()
    eyes = eyes[mean[eyes, 2] > 0.018]  # the right eyeball has no back
    chin = int(np.linalg.norm(mean - np.array([0, -0.088, 0.045], np.float32), axis=1).argmin())
    return faces, (eyes[mean[eyes, 0] < 0], eyes[mean[eyes, 0] > 0]), chin


def _exact_flow(
    view: View, changes: np.ndarray, domain: Domain, rng: np.random.Generator
) -> np.ndarray:
    """Changes of facial actions (K, A) -> flow (K, 2, R, R) in face widths; 0 off the face."""
    count, pixels = len(changes), len(view.points)
    moved = changes @ view.offsets.reshape(len(view.offsets), -1)
    moved = view.points + moved.reshape(count, pixels, 3)
    turns = Rotation.from_rotvec(rng.normal(0, domain.sway, (count, 3))).as_matrix()
    moved = moved @ turns.astype(np.float32).transpose(0, 2, 1)
    flow = (moved - view.points)[..., :2] / view.width * np.array([1, -1], np.float32)
    flow += np.float32(rng.normal(0, domain.shift, (count, 1, 2)))
    flow *= view.seen[:, None]
    return np.ascontiguousarray(flow.transpose(0, 2, 1)).reshape(count, 2, view.side, view.side)


def write_motion(out: Path, pairs: SyntheticMotion, seed: int) -> Path:
    """Write pairs as <out>/motion.npz: maps (float16), units, unit_numbers, labels, domain,
    seed, version."""
    path = Path(out) / "motion.npz"
    with write_whole(path) as part:
        np.savez(
            part, maps=pairs.maps.astype(np.float16), units=pairs.units, labels=pairs.labels,
            unit_numbers=np.array(UNIT_NUMBERS), domain=pairs.domain, seed=seed, version=VERSION,
        )  # fmt: skip
    return path
