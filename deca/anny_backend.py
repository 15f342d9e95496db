"""The free backend: the Anny head, fitted to landmarks. Works offline, needs no fetched file."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from data.errors import warn
from data.head import Head, load_head, rotation_matrix

from .anny_fit import Fit, LandmarkModel, fit
from .anny_flow import actions_between, face_flow
from .crop import whole_square
from .geometry import vertex_normals
from .reconstruction import Face, Reconstruction, Topology, frame_head, to_pixels
from .texture import UvMap, image_texture

MAP = 256
CHIN = 8  # landmark
EYES = [36, 45]  # outer corners
SKIN, WHITE, MOUTH = (0.75, 0.58, 0.48), (0.85, 0.83, 0.8), (0.35, 0.15, 0.14)
FLOW_POINTS = 700  # at most


class AnnyBackend:
    """Anny heads, the identity shared over the faces of a subject."""

    name = "anny"

    def __init__(self) -> None:
        self.head = load_head()
        self.model = LandmarkModel(self.head)
        self.topology = _topology(self.head)
        self.to_uv = UvMap(self.topology, MAP)
        with torch.no_grad():
            mean = self.head.neutral(*self.model.mean_identity(1))[0]
        inner = self.model.mean[17:]
        margin = 0.2 * self.model.width
        low, high = inner.amin(0) - margin, inner.amax(0) + margin
        front = ((mean >= low) & (mean <= high)).all(1)
        self.front = self._painted(front.float()[:, None])[0]  # where skin colour is measured
        moving = front & (vertex_normals(mean[None], self.head.faces)[0, :, 2] > 0.4)
        kept = torch.zeros(len(mean), dtype=torch.bool)
        kept[self.head.faces[self.head.regions["skin"]].unique()] = True
        chosen = (moving & kept).nonzero()[:, 0]
        self.tracked = chosen[:: max(1, len(chosen) // FLOW_POINTS)]
        hidden = torch.zeros(len(mean), 1)
        colours = torch.tensor(SKIN).repeat(len(mean), 1)
        for region, colour in (
            ("eyes", WHITE),
            ("eye_sockets", MOUTH),
            ("mouth_inside", MOUTH),
            ("tongue", MOUTH),
        ):
            rows = self.head.faces[self.head.regions[region]].unique()
            rows = rows[~kept[rows]]  # edges of lids and lips are skin
            colours[rows] = torch.tensor(colour)
            if region != "eyes":
                hidden[rows] = 1
        self.colours = self._painted(colours)
        self.mask = 1 - self._painted(hidden)[0]

    def _painted(self, values: Tensor) -> Tensor:
        return self.to_uv(values[None])[0]

    @torch.no_grad()
    def reconstruct(self, faces: Sequence[Face]) -> list[Reconstruction]:
        """One head a face. Faces of one (named) subject get one identity.

        A face with an onset frame also gets `actions_delta` and `actions_onset` in its codes.
        Without landmarks a mean head is laid over the whole image.
        """
        seen = [face for face in faces if face.landmarks is not None]
        heads = iter(self._fitted(seen) if seen else [])
        if len(seen) < len(faces):
            warn("no face found in some images: anny lays the mean head over the whole of these")
        return [self._placed(face) if face.landmarks is None else next(heads) for face in faces]

    def _fitted(self, faces: Sequence[Face]) -> list[Reconstruction]:
        keys = [face.subject or f"face {i}" for i, face in enumerate(faces)]
        order = {key: i for i, key in enumerate(dict.fromkeys(keys))}
        people = torch.tensor([order[key] for key in keys])
        landmarks = torch.from_numpy(np.stack([f.landmarks for f in faces]).astype(np.float32))
        deltas = torch.zeros(len(faces), len(self.head.actions))
        with torch.enable_grad():
            found = fit(self.model, landmarks, people, deltas)
        if any(face.onset is not None for face in faces):
            for i, face in enumerate(faces):
                if face.onset is not None:
                    deltas[i] = self._delta(face, found, i, int(people[i]))
            with torch.enable_grad():
                found = fit(self.model, landmarks, people, deltas)
        return [
            self._head(face, found, i, int(people[i]), None if face.onset is None else deltas[i])
            for i, face in enumerate(faces)
        ]

    def _delta(self, face: Face, found: Fit, i: int, person: int) -> Tensor:
        """Facial actions (52,) at the apex minus those at the onset."""
        if face.onset.shape != face.image.shape:
            warn("onset and apex frames differ in size: no facial actions between these")
            return torch.zeros(len(self.head.actions))
        identity = found.phenotypes[person, None], found.changes[person, None]
        turn = rotation_matrix(found.rotation[i, None])[0]
        points = self.head(*identity, found.actions[i, None], found.rotation[i, None])[0]
        points = points[self.tracked]
        camera = found.camera[i]
        pixels = to_pixels(points, camera).numpy()
        flip = camera[0] * torch.tensor([1.0, -1.0, 1.0])
        offsets = (self.head.action_offsets[:, self.tracked] @ turn.T * flip).numpy()
        width = float(np.linalg.norm(np.subtract(*face.landmarks[EYES])))
        flow = face_flow(face.onset, face.image, pixels, width)
        delta = actions_between(flow, (points * flip).numpy(), offsets, width)
        return torch.from_numpy(delta)

    def _placed(self, face: Face) -> Reconstruction:
        square = whole_square(face.image)
        mean = self.model.mean[:, :2]
        low, high = mean.amin(0), mean.amax(0)
        # As large as a face is in DECA's square around its landmarks.
        scale = square.side / float((high - low).mean()) / (1.1 * 1.25)
        x, y = ((low + high) / 2).tolist()
        camera = torch.tensor([[scale, square.x - scale * x, square.y + scale * y]])
        phenotypes, changes = self.model.mean_identity(1)
        nothing = torch.zeros(1, len(self.head.actions))
        found = Fit(phenotypes, changes, nothing, torch.zeros(1, 3), camera)
        return self._head(face, found, 0, 0, None)

    def _head(
        self, face: Face, found: Fit, i: int, person: int, delta: Tensor | None
    ) -> Reconstruction:
        neutral = self.head.neutral(found.phenotypes[person, None], found.changes[person, None])
        frontal = self.head.move(neutral, found.actions[i, None])
        turn = rotation_matrix(found.rotation[i, None])[0]
        vertices = frontal @ turn.T
        normals = vertex_normals(frontal, self.topology.faces)
        image = torch.from_numpy(np.ascontiguousarray(face.image)).permute(2, 0, 1).float() / 255
        texture = image_texture(
            image,
            self._painted(vertices[0]),
            self._painted(normals[0] @ turn.T),
            found.camera[i],
            self.colours,
            self.mask,
            self.front,
        )
        codes = {
            "shape": torch.cat([found.phenotypes[person], found.changes[person]]).numpy(),
            "shape_names": np.array(self.head.phenotypes + self.head.local_changes),
            "actions": found.actions[i].numpy(),
            "action_names": np.array(self.head.actions),
            "rotation": found.rotation[i].numpy(),
            "camera": found.camera[i].numpy(),
        }
        if delta is not None:
            codes["actions_delta"] = delta.numpy()
            codes["actions_onset"] = (found.actions[i] - delta).clamp(0, 1).numpy()
        return Reconstruction(
            topology=self.topology,
            vertices=vertices[0],
            frontal=frontal[0],
            rotation=turn,
            normals=normals[0],
            normal_map=None,
            texture=texture,
            framing=frame_head(neutral[0], self.model.pick(neutral)[0, CHIN]),
            camera=found.camera[i],
            landmarks=face.landmarks,
            projected=to_pixels(self.model.pick(vertices)[0], found.camera[i]).numpy(),
            codes=codes,
        )


def _topology(head: Head) -> Topology:
    uv, index = np.unique(head.uv.numpy().reshape(-1, 2), axis=0, return_inverse=True)
    return Topology(head.faces, torch.from_numpy(uv), torch.from_numpy(index.reshape(-1, 3)))
