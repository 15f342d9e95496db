"""The free backend: the Anny head, fitted to landmarks. Works offline, needs no fetched file."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from deca.geometry import vertex_normals
from deca.raycast import Scene
from deca.reconstruction import Face, Reconstruction, frame_head, to_pixels, to_pixels3d
from deca.surface_motion import Skin, surface_motion
from deca.texture import UvMap, image_texture, photograph

from .atlas import head_topology
from .fit import Fit, LandmarkModel, fit
from .head import load_head, rotation_matrix

MAP = 512  # texels a side: about one a millimetre of skin
CHIN = 8  # landmark
EYES = [36, 45]  # outer corners
SKIN, WHITE, MOUTH = (0.75, 0.58, 0.48), (0.85, 0.83, 0.8), (0.35, 0.15, 0.14)
FADE = 0.015  # metres
Since = tuple[Tensor, Tensor]  # actions (52,) and motion (V, 3) since the onset


class AnnyBackend:
    """Anny heads, the identity shared over the faces of a subject."""

    name: Literal["anny"] = "anny"

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.head = load_head()
        if self.device.type != "cpu":
            self.head = copy.deepcopy(self.head).to(self.device)  # load_head's is shared
        self.model = LandmarkModel(self.head)
        self.topology = head_topology(self.head)
        self.to_uv = UvMap(self.topology, MAP, spread=True)
        with torch.no_grad():
            mean = self.head.neutral(*self.head.mean_identity())[0]
        inner = self.model.mean[17:]
        margin = 0.2 * self.model.width
        low, high = inner.amin(0) - margin, inner.amax(0) + margin
        front = ((mean >= low) & (mean <= high)).all(1)
        self.skin = self._of("skin")
        facing = vertex_normals(mean[None], self.head.faces)[0, :, 2] > 0.4
        self.moving = front & facing & self.skin
        # Where skin colour is measured.
        self.front = self._painted((front & self.skin).float()[:, None])[0]
        colours = mean.new_tensor(MOUTH).repeat(len(mean), 1)
        colours[self._of("eyes")] = mean.new_tensor(WHITE)
        colours[self.skin] = mean.new_tensor(SKIN)
        self.colours = self._painted(colours)
        # The image goes onto the face, not onto ears and neck, where hair and clothes are: it
        # fades out behind the ends of the jaw's outline.
        end = self.model.mean[[0, 16], 2].mean()
        self.face = ((mean[:, 2] - end) / FADE + 1).clamp(0, 1)

    def _of(self, region: str) -> Tensor:
        """The vertices of a region, bool (V,)."""
        chosen = torch.zeros(int(self.head.faces.max()) + 1, dtype=torch.bool, device=self.device)
        chosen[self.head.faces[self.head.regions[region].to(self.device)].unique()] = True
        return chosen

    def _painted(self, values: Tensor) -> Tensor:
        return self.to_uv(values[None])[0]

    @torch.no_grad()
    def reconstruct(self, faces: Sequence[Face], one_identity: bool = True) -> list[Reconstruction]:
        """One head a face. Faces of one (named) subject always get one identity.

        A face with an onset frame also gets `actions_delta` and `actions_onset` in its codes.
        """
        if not faces:
            return []
        people, found, since = self._fitted(faces)
        return [
            self._head(face, found, i, person, changed)
            for i, (face, person, changed) in enumerate(zip(faces, people, since, strict=True))
        ]

    @torch.no_grad()
    def transfer(self, source: Face, target: Face) -> Reconstruction:
        """The target's head and colours with the source's facial actions and pose.

        It lies in the source's image as the source's head does.
        """
        pair = [replace(source, subject="source"), replace(target, subject="target")]
        people, found, since = self._fitted(pair)
        own = self._head(target, found, 1, people[1], None)
        return replace(self._head(source, found, 0, people[1], since[0]), texture=own.texture)

    def _fitted(self, faces: Sequence[Face]) -> tuple[list[int], Fit, list[Since | None]]:
        """Who each face shows, the fit, and what changed since the onset where that is known."""
        keys = [face.subject or f"face {i}" for i, face in enumerate(faces)]
        order = {key: i for i, key in enumerate(dict.fromkeys(keys))}
        people = torch.tensor([order[key] for key in keys], device=self.device)
        found_at = np.stack([face.landmarks for face in faces]).astype(np.float32)
        landmarks = torch.from_numpy(found_at).to(self.device)
        deltas = landmarks.new_zeros(len(faces), len(self.head.actions))
        known = torch.zeros_like(people, dtype=torch.bool)
        with torch.enable_grad():
            found = fit(self.model, landmarks, people, deltas, known)
        since: list[Since | None] = [None] * len(faces)
        for i, face in enumerate(faces):
            if face.onset is not None:
                changed = self._since(face, face.onset, found, i, int(people[i]))
                since[i], known[i], deltas[i] = changed, True, changed[0]
        if known.any():
            with torch.enable_grad():
                found = fit(self.model, landmarks, people, deltas, known)
        return people.tolist(), found, since

    def _since(self, face: Face, onset: np.ndarray, found: Fit, i: int, person: int) -> Since:
        """Facial actions at the apex minus those at the onset, and how `frontal` moved."""
        identity = found.phenotypes[person, None], found.changes[person, None]
        turn = rotation_matrix(found.rotation[i, None])[0]
        vertices = self.head(*identity, found.actions[i, None], found.rotation[i, None])
        offsets = self.head.action_offsets @ turn.T
        skin = Skin(vertices[0], self.head.faces, self.moving, offsets, found.camera[i])
        width = float(np.linalg.norm(np.subtract(*face.landmarks[EYES])))
        delta, motion = surface_motion(onset, face.image, skin, width)
        return delta, motion @ turn

    def _head(
        self, face: Face, found: Fit, i: int, person: int, since: Since | None
    ) -> Reconstruction:
        neutral = self.head.neutral(found.phenotypes[person, None], found.changes[person, None])
        frontal = self.head.move(neutral, found.actions[i, None])
        turn = rotation_matrix(found.rotation[i, None])[0]
        vertices = frontal @ turn.T
        normals = vertex_normals(frontal, self.topology.faces)
        points = self.model.pick(vertices)[0]
        codes = {
            "shape": torch.cat([found.phenotypes[person], found.changes[person]]),
            "actions": found.actions[i],
            "rotation": found.rotation[i],
            "camera": found.camera[i],
        }
        if since is not None:
            codes["actions_delta"] = since[0]
            codes["actions_onset"] = (found.actions[i] - since[0]).clamp(0, 1)
        return Reconstruction(
            topology=self.topology,
            vertices=vertices[0],
            frontal=frontal[0],
            rotation=turn,
            normals=normals[0],
            normal_map=None,
            texture=self._texture(face, vertices[0], normals[0] @ turn.T, found.camera[i]),
            framing=frame_head(neutral[0], self.model.pick(neutral)[0, CHIN]),
            camera=found.camera[i],
            landmarks=face.landmarks,
            projected=to_pixels(points, found.camera[i]).cpu().numpy(),
            codes={name: code.cpu().numpy() for name, code in codes.items()}
            | {
                "landmarks3d": to_pixels3d(points, found.camera[i]),
                "shape_names": np.array(self.head.phenotypes + self.head.local_changes),
                "action_names": np.array(self.head.actions),
            },
            motion=None if since is None else since[1],
        )

    def _texture(self, face: Face, vertices: Tensor, normals: Tensor, camera: Tensor) -> Tensor:
        """Colours (3, MAP, MAP) of a head that lies in its image as vertices and normals say."""
        # Skin that the nose or a cheek hides would get their colours. Of eyeballs and mouth only
        # what lids and lips leave open can be seen in the views, so there the image may go.
        starts = (vertices + 0.001 * normals).cpu().numpy()
        scene = Scene(vertices.cpu().numpy(), self.head.faces.cpu().numpy())
        hidden = torch.from_numpy(scene.blocked(starts, np.array([[0, 0, 1]], np.float32))).to(
            self.device
        )
        seen = self.face * ~(hidden & self.skin)
        normals = torch.where(self.skin[:, None], normals, normals.new_tensor([0.0, 0.0, 1.0]))
        maps = self._painted(torch.cat([vertices, normals, seen[:, None]], 1))
        return image_texture(
            *photograph(face.image, camera),
            maps[:3],
            maps[3:6],
            self.colours,
            maps[6],
            self.front,
        )
