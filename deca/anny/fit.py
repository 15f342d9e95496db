"""Fit the Anny head to landmarks: pose, camera, identity and facial actions by gradient steps.

The head is linear in its blend weights, so that 68 rows of every blend shape are enough: a step
costs the 68 points of each frame, not meshes. Whole meshes are made once, at the end.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .head import Head, rotation_matrix

LANDMARKS = Path(__file__).with_name("landmarks.json")  # tools/make_head_landmarks.py makes it
STEPS = 150
RATE = 0.04
LEFT_EYE, RIGHT_EYE = 36, 45  # outer corners
NOISE = 0.02  # of a landmark, in outer-eye-corner distances
OUTLINE = 0.25  # weight of landmarks 0-16: they slide along the outline as the head turns
# Standard deviations of the priors; `frame`: what a frame adds to the resting face.
SPREAD = {"phenotypes": 0.3, "changes": 0.25, "actions": 0.2, "frame": 0.05}
FITTED = ("gender", "age", "weight", "african", "asian", "caucasian")  # seen in a face's shape


@dataclass(frozen=True)
class Fit:
    """What was found for B frames of S people."""

    phenotypes: Tensor  # (S, 11)
    changes: Tensor  # (S, 125)
    actions: Tensor  # (B, 52) in [0, 1]
    rotation: Tensor  # (B, 3) axis-angle
    camera: Tensor  # (B, 3): scale, x, y, as in Reconstruction


def read_landmarks() -> tuple[np.ndarray, np.ndarray]:
    """The landmarks' vertices (68, 3) on the head, and their weights (68, 3): sums are 1."""
    content = json.loads(LANDMARKS.read_text(encoding="utf-8"))
    return np.array(content["vertices"]), np.array(content["weights"], np.float32)


class LandmarkModel:
    """The 68 rows of the head's blend shapes, on the head's device."""

    def __init__(self, head: Head) -> None:
        self.head = head
        self.device = head.faces.device
        self.vertices, self.weights = (
            torch.from_numpy(array).to(self.device) for array in read_landmarks()
        )
        with torch.no_grad():
            template, shapes = head.blend_shapes()
            self.template = self.pick(template[None])[0]
            self.shapes = self.pick(shapes)  # (N, 68, 3)
            self.actions = self.pick(head.action_offsets)  # (52, 68, 3)
            mean = self.neutral(*head.mean_identity())[0]
        self.width = float(torch.linalg.norm((mean[LEFT_EYE] - mean[RIGHT_EYE])[:2]))
        self.mean = mean

    def pick(self, points: Tensor) -> Tensor:
        """The landmarks of meshes (N, V, 3) -> (N, 68, 3)."""
        return torch.einsum("nlkc,lk->nlc", points[:, self.vertices], self.weights)

    def neutral(self, phenotypes: Tensor, changes: Tensor) -> Tensor:
        """Landmarks (S, 68, 3) in metres of faces without expression."""
        weights = self.head.blend_weights(phenotypes, changes)
        return self.template + torch.einsum("sn,nlc->slc", weights, self.shapes)


def fit(
    model: LandmarkModel, landmarks: Tensor, people: Tensor, added: Tensor, known: Tensor
) -> Fit:
    """Fit frames' landmarks (B, 68, 2) in pixels; people (B,) in 0..S-1: who each frame shows.

    known (B,) bool: whether added (B, 52), the frame's facial actions since its clip's onset, are
    known; else they are 0. Where they are known the rest is the person's resting face, the same
    in all such frames but for a little: landmarks are too coarse to tell more.
    All on the model's device. Deterministic.
    """
    frames, persons = len(landmarks), int(people.max()) + 1
    width = torch.linalg.norm(landmarks[:, LEFT_EYE] - landmarks[:, RIGHT_EYE], dim=1)
    middle = landmarks[:, 17:].mean(1)
    target = (landmarks - middle[:, None]) / width[:, None, None]
    target = target * target.new_tensor([1.0, -1.0])

    prior, changes = model.head.mean_identity(persons)
    phenotypes = prior.clone()
    fitted = torch.tensor([name in FITTED for name in model.head.phenotypes], device=model.device)
    rotation = landmarks.new_zeros(frames, 3)
    scale = landmarks.new_zeros(frames)  # log
    shift = -model.mean[17:, :2].mean(0).expand(frames, 2) / model.width
    shift = shift.clone()
    actions = landmarks.new_zeros(frames, len(model.head.actions))
    resting = landmarks.new_zeros(persons, len(model.head.actions))
    rests = known.to(landmarks.dtype)[:, None]
    spread = rests * SPREAD["frame"] + (1 - rests) * SPREAD["actions"]
    unknowns = [phenotypes, changes, rotation, scale, shift, actions, resting]
    for unknown in unknowns:
        unknown.requires_grad_(True)
    trust = landmarks.new_ones(68)
    trust[:17] = OUTLINE
    optimizer = torch.optim.Adam(unknowns, RATE, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS, RATE / 50)
    for step in range(STEPS):
        # Pose and camera come first: a turned head must not be read as a lopsided one.
        free = step >= STEPS // 6
        points = model.neutral(phenotypes, changes)[people]
        moved = (actions + rests * resting[people] + added).clamp(0, 1)
        points = points + torch.einsum("ba,alc->blc", moved, model.actions)
        points = points @ rotation_matrix(rotation).mT / model.width
        placed = scale.exp()[:, None, None] * points[..., :2] + shift[:, None]
        off = ((placed - target) ** 2).sum(-1) * trust
        loss = (
            off.sum() / NOISE**2
            + ((phenotypes - prior) ** 2).sum() / SPREAD["phenotypes"] ** 2
            + (changes**2).sum() / SPREAD["changes"] ** 2
            + (resting**2).sum() / SPREAD["actions"] ** 2
            + ((actions / spread) ** 2).sum()
        )
        optimizer.zero_grad()
        loss.backward()
        if free:
            assert phenotypes.grad is not None  # of the loss above
            phenotypes.grad[:, ~fitted] = 0
        else:
            for unknown in (phenotypes, changes, actions, resting):
                unknown.grad = None
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            phenotypes.clamp_(0, 1)
            changes.clamp_(-1, 1)
            actions.copy_(torch.where(known[:, None], actions, actions.clamp(0, 1)))
            resting.clamp_(0, 1)
    with torch.no_grad():
        pixels = width * scale.exp() / model.width
        x = middle[:, 0] + width * shift[:, 0]
        y = middle[:, 1] - width * shift[:, 1]
        return Fit(
            phenotypes.detach(),
            changes.detach(),
            (actions + rests * resting[people] + added).clamp(0, 1).detach(),
            rotation.detach(),
            torch.stack([pixels, x, y], 1),
        )
