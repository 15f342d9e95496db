"""DSNCA: dual-stream network with coordinate attention.

Stream 1 reads the apex frame, stream 2 the views of its 3D reconstruction; each has a trunk of
its own. Motion maps may be a further stream. Sizes are for resnet18 at 224 px.
"""

from collections.abc import Sequence
from typing import get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import CoordinateAttention
from .mecapsulenet import CHANNELS, CapsuleHead, MECapsuleNet, to_capsule_channels
from .motion import MotionStream, build_lean
from .network import Output, logits_loss
from .registry import STREAMS, Fusion, Plan, make_trunk
from .trunks import Trunk

FUSIONS = get_args(Fusion)


class DSNCA(CapsuleHead):
    """Several streams -> fusion -> capsule head.

    fusion: attention (the paper's: coordinate attention in each stream and after the fusion),
    concat (the same without attention), sum (of the streams' maps, without attention).
    """

    def __init__(
        self,
        trunks: Sequence[Trunk],
        image_size: int = 224,
        classes: int = 3,
        fusion: Fusion = "attention",
        motion: MotionStream | None = None,
        gain: float = 5.0,
        stream_loss: float = 0.0,
    ) -> None:
        """One trunk a stream of pictures: the frame's, the views'.

        gain: the scale that the fused map starts at. Batch normalisation and attention, whose maps
        start at a half each, leave a map 30 times smaller than a trunk's; squash takes the square
        of that, the capsules' lengths start at 1e-5, and a network of few clips never gets away
        from there (docs/training.md). stream_loss: weight in the loss of a linear classifier on
        each stream's map; 0: there are none. ValueError if the fusion is none, or the image too
        small.
        """
        super().__init__(trunks[0], image_size, classes)
        if fusion not in FUSIONS:
            raise ValueError(f"no fusion '{fusion}': one of {', '.join(FUSIONS)}")
        self.fusion = fusion
        self.streams = nn.ModuleList(trunks)
        self.motion = motion
        streams: Sequence[Trunk | MotionStream] = [*trunks, motion] if motion else trunks
        self.adapt = nn.ModuleList([to_capsule_channels(stream.channels) for stream in streams])
        attention = fusion == "attention"
        self.attend = nn.ModuleList(
            [CoordinateAttention(CHANNELS) if attention else nn.Identity() for _ in streams]
        )
        if fusion != "sum":
            normalised = nn.BatchNorm2d(CHANNELS)
            nn.init.constant_(normalised.weight, gain)
            self.fuse = nn.Sequential(
                nn.Conv2d(len(streams) * CHANNELS, CHANNELS, 1),
                normalised,
                nn.ReLU(),
                CoordinateAttention(CHANNELS) if attention else nn.Identity(),
            )
        self.stream_loss = stream_loss
        self.beside = nn.ModuleList(
            nn.Linear(CHANNELS, classes) for _ in streams if stream_loss > 0
        )
        inputs = [f"images {len(t.mean)}x{image_size}x{image_size}" for t in trunks]
        inputs += ["motion maps"] * bool(motion)
        self.sizes = (
            f"{' and '.join(inputs)} -> {len(streams)} streams, fusion by {fusion} -> {self.sizes}"
        )

    @property
    def trunks(self) -> tuple[Trunk, ...]:
        """The trunks of the pictures' streams."""
        return tuple(stream for stream in self.streams if isinstance(stream, Trunk))

    def features(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, 224, 224) and (B, 39, 224, 224) RGB in [0, 1] -> two (B, 256, 28, 28).

        Motion maps, which come last, go on as they are: their network is small.
        """
        pictures = len(self.streams)
        return (*(t(x) for t, x in zip(self.streams, inputs)), *inputs[pictures:])

    def head(self, *features: Tensor) -> Output:
        """Feature maps (B, 256, 28, 28), and motion maps -> class scores (B, classes).

        While it is trained with a stream_loss, each stream's class logits (B, classes) follow.
        """
        if self.motion:
            features = (*features[:-1], self.motion(features[-1], features[0].shape[-1]))
        maps = [
            attend(adapt(x)) for attend, adapt, x in zip(self.attend, self.adapt, features)
        ]  # one (B, 256, 28, 28) a stream
        if self.fusion == "sum":
            scores = self.classify(F.relu(torch.stack(maps).sum(0)))
        else:
            scores = self.classify(self.fuse(torch.cat(maps, dim=1)))  # (B, 512, …) -> (B, 256, …)
        if not (self.training and self.beside):
            return scores
        return (scores, *(read(x.mean((2, 3))) for read, x in zip(self.beside, maps)))

    def loss(self, output: Output, labels: Tensor) -> Tensor:
        """The margin loss of the capsules' lengths, and the streams' cross-entropies beside it."""
        loss = super().loss(output, labels)
        if isinstance(output, Tensor):
            return loss
        own = [logits_loss(logits, labels) for logits in output[1:]]
        return loss + self.stream_loss * torch.stack(own).mean()

    def heat_layers(self) -> tuple[nn.Module | None, ...]:
        """Pictures as coordinate attention leaves their streams; motion maps themselves."""
        pictures = len(self.streams)
        return (*self.attend[:pictures], *[None] * (self.motion is not None))


def build(plan: Plan) -> MECapsuleNet | DSNCA:
    """MECapsuleNet of one stream of pictures, DSNCA of several streams.

    A motion stream is that of the lean motion network. ValueError if the image is too small.
    """
    streams = STREAMS[plan.streams]
    stacked = {"frame": 1, "views": plan.views}
    trunks = [make_trunk(plan.trunk, stacked[name]) for name in streams if name != "motion"]
    if len(streams) == 1:
        return MECapsuleNet(trunks[0], plan.image_size, plan.classes)
    motion = None
    if "motion" in streams:
        motion = MotionStream(build_lean(plan).body, frozen=plan.adapt == "head")
    return DSNCA(
        trunks, plan.image_size, plan.classes, plan.fusion, motion, plan.fusion_gain,
        plan.stream_loss,
    )  # fmt: skip
