"""DECA: from an image of a face to a head with wrinkles, by two networks and FLAME."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from data.views import MakerName
from deca.assets import Assets
from deca.crop import SIZE, Square, crop, face_square
from deca.geometry import vertex_normals
from deca.reconstruction import (
    Face,
    Framing,
    Reconstruction,
    Topology,
    frame_head,
    to_pixels,
    to_pixels3d,
)
from deca.shading import harmonic_shading
from deca.surface_motion import Skin, surface_motion
from deca.texture import UvMap, image_texture, photograph

from .asset_files import Albedo
from .detail import MAP, detail_maps
from .encoder import split_codes
from .model import Flame, rotation_matrices

OF_THE_PERSON = ("shape", "texture", "detail")  # the other coefficients are of the moment
BATCH = 8  # faces that go through the networks at a time
CHIN = 8  # landmark
ORIGINAL_SCALE = 8.0  # of the views of DECA's published code


class DecaBackend:
    """DECA inference from assets that the user fetched."""

    def __init__(
        self, assets: Assets, device: torch.device | str = "cpu", original_views: bool = False
    ) -> None:
        """original_views: frame the views as DECA's published code does, else as for every head."""
        self.name: MakerName = "deca_original" if original_views else "deca"
        self.device = torch.device(device)
        self.networks = assets.networks
        for network in vars(assets.networks).values():
            network.to(self.device)
        self.flame = Flame(assets.flame, assets.embedding).to(self.device)
        template = assets.template
        self.topology = Topology(
            faces=self.flame.faces,
            uv=torch.from_numpy(template.uv).to(self.device),
            uv_faces=torch.from_numpy(template.uv_faces).to(self.device),
        )
        self.to_uv = UvMap(self.topology, MAP)
        self.fixed, self.mask, self.skin, self.mean_texture = (
            value.to(self.device)
            for value in (
                assets.fixed_displacement,
                assets.face_eye_mask,
                assets.face_mask,
                assets.mean_texture,
            )
        )
        self.moving = self._skin_vertices()
        colours = assets.albedo or assets.flame_texture
        self.albedo = colours and Albedo(
            colours.mean.to(self.device), colours.basis.to(self.device)
        )

    @torch.no_grad()
    def reconstruct(
        self, faces: Sequence[Face], one_identity: bool = False
    ) -> list[Reconstruction]:
        """One head a face, each on its own.

        one_identity: faces of one (named) subject share the means of what is theirs.
        """
        if not faces:
            return []
        codes = self._codes(faces)
        if one_identity:
            people = [face.subject or f"face {i}" for i, face in enumerate(faces)]
            for person in set(people):
                of = torch.tensor([name == person for name in people], device=self.device)
                for name in OF_THE_PERSON:
                    codes[name][of] = codes[name][of].mean(0)
        return self._heads(faces, codes)

    @torch.no_grad()
    def transfer(self, source: Face, target: Face) -> Reconstruction:
        """The target's head and colours with the source's expression, jaw and pose.

        It lies in the source's image as the source's head does.
        """
        moment, person = self._codes([source]), self._codes([target])
        (own,) = self._heads([target], person)
        mixed = moment | {name: person[name] for name in OF_THE_PERSON}
        return replace(self._heads([source], mixed)[0], texture=own.texture)

    def _codes(self, faces: Sequence[Face]) -> dict[str, Tensor]:
        """The coefficients of N faces, by name: (N, …)."""
        parts: list[dict[str, Tensor]] = []
        for start in range(0, len(faces), BATCH):
            images = torch.stack(
                [crop(f.image, face_square(f.landmarks)) for f in faces[start : start + BATCH]]
            ).to(self.device)
            detail = self.networks.detail(images)
            parts.append(split_codes(self.networks.flame(images)) | {"detail": detail})
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def _heads(self, faces: Sequence[Face], codes: dict[str, Tensor]) -> list[Reconstruction]:
        heads = []
        for start in range(0, len(faces), BATCH):
            part = slice(start, start + BATCH)
            heads += self._batch(faces[part], {name: code[part] for name, code in codes.items()})
        return heads

    def _batch(self, faces: Sequence[Face], codes: dict[str, Tensor]) -> list[Reconstruction]:
        squares = [face_square(face.landmarks) for face in faces]
        shape, expression, pose = codes["shape"], codes["expression"], codes["pose"]
        upright = torch.cat([torch.zeros_like(pose[:, :3]), pose[:, 3:]], 1)
        vertices, landmarks = self.flame(shape, expression, pose)
        frontal, _ = self.flame(shape, expression, upright)
        points = self.flame.landmarks3d(vertices)
        framings = self._framings(shape, expression)
        normals = vertex_normals(frontal, self.topology.faces)
        uv_normals = self.to_uv(normals)
        displacement = self.networks.decoder(pose[:, 3:], expression, codes["detail"])
        detail, normal_maps = detail_maps(
            self.to_uv(frontal), uv_normals, displacement, self.fixed, self.mask
        )
        detail[..., ~self.to_uv.filled] = torch.nan
        turns = rotation_matrices(pose[:, :3])

        def turned(maps: Tensor) -> Tensor:
            return torch.einsum("bij,bjhw->bihw", turns, maps)

        cameras = [
            _picture_camera(camera, square)
            for camera, square in zip(codes["camera"], squares, strict=True)
        ]
        positions, posed_normals = self.to_uv(vertices), turned(uv_normals)
        skin_colours = self._skin_colours(codes, turned(normal_maps))
        return [
            Reconstruction(
                topology=self.topology,
                vertices=vertices[i],
                frontal=frontal[i],
                rotation=turns[i],
                normals=normals[i],
                normal_map=normal_maps[i],
                texture=image_texture(
                    *photograph(face.image, cameras[i]),
                    positions[i],
                    posed_normals[i],
                    skin_colours[i],
                    self.mask,
                    self.skin,
                ),
                framing=framings[i],
                camera=cameras[i],
                landmarks=face.landmarks,
                projected=_landmark_pixels(landmarks[i], cameras[i], squares[i]),
                codes={name: code[i].cpu().numpy() for name, code in codes.items()}
                | {"landmarks3d": to_pixels3d(points[i], cameras[i])},
                detail_map=detail[i],
                motion=self._motion(face, vertices[i], cameras[i], turns[i]),
            )
            for i, face in enumerate(faces)
        ]

    def _skin_vertices(self) -> Tensor:
        """Vertices that the face mask takes for skin, bool (V,)."""
        topology = self.topology
        place = topology.uv_positions()[:, :2]
        at = place.new_zeros(int(topology.faces.max()) + 1, 2)
        at[topology.faces.flatten()] = place[topology.uv_faces.flatten()]
        mask = self.skin[None, None]
        return F.grid_sample(mask, at[None, None], align_corners=False)[0, 0, 0] > 0.5

    def _motion(self, face: Face, vertices: Tensor, camera: Tensor, turn: Tensor) -> Tensor | None:
        """How the upright head's skin moved since the onset, (V, 3); None without an onset."""
        if face.onset is None:
            return None
        none = vertices.new_zeros(0, *vertices.shape)  # FLAME has no facial actions by name
        skin = Skin(vertices, self.topology.faces, self.moving, none, camera)
        width = float(np.linalg.norm(face.landmarks[36] - face.landmarks[45]))
        _, motion = surface_motion(face.onset, face.image, skin, width)
        return motion @ turn

    def _framings(self, shape: Tensor, expression: Tensor) -> list[Framing]:
        """How the views look at each head.

        Those of DECA's published code: camera (8, 0, 0), and the yaw takes the place of the global
        rotation, which turns about the root joint.
        """
        if self.name == "deca_original":
            roots = self.flame.root(shape, expression)
            return [Framing(root, ORIGINAL_SCALE, root) for root in roots]
        pose = torch.zeros_like(shape[:, :6])
        resting, _ = self.flame(shape, torch.zeros_like(expression), pose)
        chins = self.flame.landmarks3d(resting)[:, CHIN]
        return [frame_head(head, chin) for head, chin in zip(resting, chins, strict=True)]

    def _skin_colours(self, codes: dict[str, Tensor], normals: Tensor) -> Tensor:
        """Colours where the image shows none (B, 3, S, S): lit albedo, or the mean texture."""
        if self.albedo is None:
            return self.mean_texture.expand(len(normals), -1, -1, -1)
        changes = torch.einsum("bn,nchw->bchw", codes["texture"], self.albedo.basis)
        albedo = self.albedo.mean + changes
        return albedo.clamp(0, 1) * harmonic_shading(normals, codes["light"]).clamp(min=0)


def _picture_camera(camera: Tensor, square: Square) -> Tensor:
    """DECA's camera (scale, tx, ty), into [-1, 1] of the crop -> pixels of the input image.

    As DECA renders and samples: the centre of the crop's pixel j is at (2 j + 1) / 224 - 1.
    """
    scale, tx, ty = camera
    half, middle = SIZE / 2, (SIZE - 1) / 2
    (per_pixel, _, left), (_, _, top) = square.to_image()
    # column = left + per_pixel * (half * scale * (X + tx) + middle), row = … - scale * (Y + ty) …
    x = left + per_pixel * (middle + half * scale * tx)
    y = top + per_pixel * (middle - half * scale * ty)
    return torch.stack([per_pixel * half * scale, x, y])


def _landmark_pixels(landmarks: Tensor, camera: Tensor, square: Square) -> np.ndarray:
    """Landmarks (68, 3) -> pixels (68, 2) of the input image.

    DECA is trained with those of the crop divided by half its side, less 1: half a pixel of the
    crop off from where it renders the same points.
    """
    return to_pixels(landmarks, camera).cpu().numpy() + square.to_image()[0, 0] / 2
