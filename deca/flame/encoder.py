"""DECA's encoders: a face crop -> coefficients.

Feng et al., "Learning an Animatable Detailed 3D Face Model from In-The-Wild Images" (2021).
State-dict names are those of deca_model.tar.
"""

import torch
from torch import Tensor, nn
from torchvision.models import resnet50

# What E_flame puts out, in this order: name and number of coefficients.
CODES = {"shape": 100, "texture": 50, "expression": 50, "pose": 6, "camera": 3, "light": 27}
DETAIL = 128


class Encoder(nn.Module):
    """ResNet50 and two linear layers: (B, 3, 224, 224) RGB in [0, 1], as it is -> (B, outputs)."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.encoder = resnet50(weights=None)
        self.encoder.fc = nn.Identity()
        self.layers = nn.Sequential(nn.Linear(2048, 1024), nn.ReLU(), nn.Linear(1024, outputs))

    def forward(self, images: Tensor) -> Tensor:
        """Coefficients (B, outputs)."""
        return self.layers(self.encoder(images))


def flame_encoder() -> Encoder:
    """E_flame: the 236 coefficients of CODES."""
    return Encoder(sum(CODES.values()))


def detail_encoder() -> Encoder:
    """E_detail: the code of the wrinkles."""
    return Encoder(DETAIL)


def split_codes(outputs: Tensor) -> dict[str, Tensor]:
    """E_flame's output (B, 236) by name; light as (B, 9, 3)."""
    parts = torch.split(outputs, list(CODES.values()), dim=1)
    codes = dict(zip(CODES, parts, strict=True))
    codes["light"] = codes["light"].view(-1, 9, 3)
    return codes
