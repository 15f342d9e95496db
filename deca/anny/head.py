"""The free Anny head (Apache-2.0 code, CC0 data, all inside the package) as a differentiable mesh.

Axes: x to the head's left (the image's right), y up, z to the front; metres; the origin is the
mean of the neutral head's vertices. A face without expression is `neutral`; facial actions with
ARKit names (mouthSmileLeft, browInnerUp, …) add linearly to it.
"""

import functools
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import anny.paths
import numpy as np
import torch
from anny import Anny
from anny.face_segmentation import get_face_segmentation_mask
from anny.models.model_data import ModelData
from torch import nn

# Local changes that shape the head; those that move or turn it as a whole are left out.
HEAD_PARTS = {"cheek", "chin", "ear", "eye", "eyebrows", "forehead", "head", "mouth", "nose"}
WHOLE_HEAD_MOVES = ("head-trans", "head-angle")
# With these the eyeball comes through the lid when the face moves: 0 in synthetic identities.
LID_CHANGES = ("eye-push", "eye-bag")

MEAN_AGE = 2 / 3  # of the mean head: a young adult

# Regions of the mesh by the labels of Anny's segmentation image.
REGIONS = {
    "skin": ["head"],
    "eyes": ["eye_front.L", "eye_back.L", "eye_front.R", "eye_back.R"],
    "eye_sockets": ["eye_cavity.L", "eye_cavity.R"],
    "mouth_inside": ["mouth_cavity"],
    "tongue": ["tongue"],
}


class Head(nn.Module):
    """Vertices of heads from phenotypes, local shape changes, facial actions and a rotation.

    faces (F, 3) int64; uv (F, 3, 2) in [0, 1], v up, one pair a corner; regions: name -> (F,)
    bool; phenotypes, local_changes, actions: the names of the columns that `forward` takes.
    """

    faces: torch.Tensor
    uv: torch.Tensor
    action_offsets: torch.Tensor  # (52, V, 3)

    def __init__(self, data: ModelData) -> None:
        super().__init__()
        model = Anny.from_model_data(data, skinning_method="lbs", bone_orientation="cached").float()
        self._model = model.requires_grad_(False)
        self.phenotypes: list[str] = list(model.phenotype_labels)
        self.local_changes: list[str] = list(model.local_change_labels)
        self.actions: list[str] = list(model.facial_action_labels)
        self.register_buffer("faces", model.get_triangular_faces())
        self.register_buffer("uv", model.texture_coordinates[model.face_texture_coordinate_indices])
        self.regions = {
            name: get_face_segmentation_mask(model, labels) for name, labels in REGIONS.items()
        }
        rows = [model.blendshape_labels.index(f"facial_action:{name}") for name in self.actions]
        self.register_buffer("action_offsets", _y_up(model.blendshapes[rows]))

    def mean_identity(self, people: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
        """Phenotypes (people, P) and local changes (people, L) of the mean head, repeated."""
        phenotypes = torch.full((people, len(self.phenotypes)), 0.5, device=self.faces.device)
        phenotypes[:, self.phenotypes.index("age")] = MEAN_AGE
        return phenotypes, phenotypes.new_zeros(people, len(self.local_changes))

    def neutral(self, phenotypes: torch.Tensor, local_changes: torch.Tensor) -> torch.Tensor:
        """Heads without expression.

        phenotypes (B, P) in [0, 1] (age: 2/3 young adult, 1 old), local_changes (B, L) in
        [-1, 1] -> vertices (B, V, 3).
        """
        nothing = phenotypes.new_zeros(1, len(self.actions))
        weights = self._model._get_phenotype_blendshape_coefficients(
            phenotypes, local_changes, nothing
        )
        vertices = _y_up(self._model.get_rest_vertices(weights))
        return vertices - vertices.mean(1, keepdim=True)

    def blend_weights(self, phenotypes: torch.Tensor, local_changes: torch.Tensor) -> torch.Tensor:
        """The weights (B, N) of `blend_shapes` that make `neutral`; differentiable."""
        none = local_changes.new_zeros(1, len(self.local_changes))
        still = phenotypes.new_zeros(1, len(self.actions))
        weights = self._model._get_phenotype_blendshape_coefficients(phenotypes, none, still)
        # A local change has two shapes, one a sign; they come last.
        signed = torch.stack([local_changes.clamp(min=0), (-local_changes).clamp(min=0)], -1)
        signed = signed.flatten(1)
        return torch.cat([weights[:, : -signed.shape[1]], signed], 1)

    def blend_shapes(self) -> tuple[torch.Tensor, torch.Tensor]:
        """A template (V, 3) and shapes (N, V, 3): template + weights . shapes is `neutral`.

        Both are centred as `neutral` is, so that rows of them give rows of it.
        """
        template, shapes = _y_up(self._model.template_vertices), _y_up(self._model.blendshapes)
        return template - template.mean(0), shapes - shapes.mean(1, keepdim=True)

    def forward(
        self,
        phenotypes: torch.Tensor,
        local_changes: torch.Tensor,
        actions: torch.Tensor,
        rotation: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """(B, P), (B, L), (B, 52) in [0, 1], axis-angle (B, 3) about the origin -> (B, V, 3).

        A batch of 1 in any of them is repeated. Differentiable in all four.
        """
        return self.move(self.neutral(phenotypes, local_changes), actions, rotation)

    def move(
        self, neutral: torch.Tensor, actions: torch.Tensor, rotation: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Add facial actions (B, 52) to neutral heads (B or 1, V, 3), then turn them."""
        vertices = neutral + torch.einsum("ba,avc->bvc", actions, self.action_offsets)
        return vertices if rotation is None else vertices @ rotation_matrix(rotation).mT

    def action_vector(self, strengths: dict[str, float]) -> torch.Tensor:
        """(52,) from names and strengths; KeyError for a name that is no facial action."""
        vector = torch.zeros(len(self.actions))
        index = {name: i for i, name in enumerate(self.actions)}
        for name, strength in strengths.items():
            vector[index[name]] = strength
        return vector


def _y_up(points: torch.Tensor) -> torch.Tensor:
    # Anny's rest pose has z up and looks along -y.
    x, y, z = points.unbind(-1)
    return torch.stack([x, z, -y], -1)


def rotation_matrix(rotation: torch.Tensor) -> torch.Tensor:
    """Axis-angle (B, 3) in radians -> (B, 3, 3), by the exponential of the cross-product matrix."""
    x, y, z = rotation.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
    return torch.linalg.matrix_exp(cross)


@functools.cache
def load_head() -> Head:
    """The head model, on the CPU. The first call on a machine builds it (about 30 s).

    It is kept in Anny's cache folder (ANNY_CACHE_DIR, else ~/.cache/anny) as one file of
    about 25 MB, written whole, so that processes may call this at the same time.
    """
    path = anny.paths.get_anny_cache_path() / f"dsnca_head_{anny.__version__}.safetensors"
    if not path.exists():
        print(f"building the Anny head, once (about 30 s), into {path}", file=sys.stderr)
        _build(path)
    return Head(ModelData.load_safetensors(path)).eval()


def _build(path: Path) -> None:
    # Anny itself caches every step (750 MB) and writes these files in place; only the last is kept.
    path.parent.mkdir(parents=True, exist_ok=True)
    usual_cache = anny.paths.get_anny_cache_path()
    scratch = Path(tempfile.mkdtemp(prefix="dsnca_head_", dir=path.parent))
    try:
        anny.paths.set_anny_cache_path(scratch)
        labels = Anny(
            "anny-head", "head", local_changes="all", skinning_method="lbs"
        ).local_change_labels
        wanted = [label for label in labels if _shapes_the_head(label)]
        model = Anny(
            rig="anny-head",
            topology="head",
            local_changes=wanted,
            facial_actions="all",
            phenotypes="all",
            skinning_method="lbs",
        )
        model.float().to_model_data().save_safetensors(scratch / path.name)
        (scratch / path.name).replace(path)
    finally:
        anny.paths.set_anny_cache_path(usual_cache)
        shutil.rmtree(scratch, ignore_errors=True)


def _shapes_the_head(label: str) -> bool:
    part = label.removeprefix("l-").removeprefix("r-").split("-")[0]
    return part in HEAD_PARTS and not label.startswith(WHOLE_HEAD_MOVES)


@dataclass(frozen=True)
class Identity:
    """One person's shape: phenotypes (P,), local_changes (L,), float32."""

    phenotypes: np.ndarray
    local_changes: np.ndarray


def sample_identity(head: Head, rng: np.random.Generator) -> Identity:
    """Draw an adult: gender, age, weight, ancestry at random, local changes small and near
    symmetric (a left change and its right twin differ a little)."""
    values = dict.fromkeys(head.phenotypes, 0.5)
    values["gender"] = rng.beta(0.5, 0.5)  # mostly near 0 (male) or 1 (female)
    values["age"] = rng.uniform(0.6, 0.85)
    values["weight"] = rng.uniform(0.3, 0.75)
    values["muscle"] = rng.uniform(0.35, 0.65)
    values.update(zip(("african", "asian", "caucasian"), rng.dirichlet([0.5] * 3), strict=True))
    shared: dict[str, float] = {}
    changes = []
    for label in head.local_changes:
        twin = label.removeprefix("l-").removeprefix("r-")
        strength = shared.setdefault(twin, rng.normal(0, 0.2))
        fragile = twin.startswith(LID_CHANGES)
        changes.append(0.0 if fragile else np.clip(strength + rng.normal(0, 0.04), -0.6, 0.6))
    return Identity(
        np.array([values[name] for name in head.phenotypes], np.float32),
        np.array(changes, np.float32),
    )
