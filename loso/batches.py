"""Batches of an experiment: what its network reads, from pictures or from kept features.

A batch is a tuple of tensors, one a stream. A sample is a clip (its position in the index) and
a slot: 0 the apex frame, 1 to 4 its neighbours.
"""

from typing import Protocol

import torch
from torch import Tensor, nn

from common.errors import warn
from data.clip_set import ClipSet
from data.transforms import (
    Augmentation,
    augment,
    centre_crop,
    sample_augmentation,
    send,
    take,
    to_float,
)
from models.motion import flip as flip_motion
from models.network import Network, Output

from .settings import Settings

CACHE_LIMIT = 2 * 2**30  # bytes of frozen features that are kept
Batch = tuple[Tensor, ...]


def memory_layout(device: torch.device) -> torch.memory_format:
    """How pictures and filters lie in memory: channels last, but for MPS, which is untried."""
    return torch.contiguous_format if device.type == "mps" else torch.channels_last


class Source(Protocol):
    """Batches of N clips' samples, and how a network reads them: Images, Features."""

    labels: Tensor  # int64 (N,)
    targets: Tensor  # what the loss reads: the labels, or float (N, units)
    slots: Tensor  # int64 (N, 5), -1 where a clip has fewer frames
    device: torch.device

    def train(self, clips: Tensor, slots: Tensor, sample: Augmentation) -> Batch:
        """Augmented samples."""
        ...

    def test(self, clips: Tensor) -> Batch:
        """Apex frames without anything random."""
        ...

    def run(self, network: Network, batch: Batch) -> Output:
        """The network's output for a batch."""
        ...


class Images:
    """Batches for a network that reads pictures: augmented on the device."""

    def __init__(self, clips: ClipSet, settings: Settings, device: torch.device) -> None:
        """On CUDA the uint8 pictures themselves lie on the device: no epoch copies one again."""
        where = device if device.type == "cuda" else torch.device("cpu")
        assert clips.slots is not None  # read for streams of pictures
        self.labels, self.slots = clips.labels, clips.slots
        self.targets = clips.units if settings.tells_units else clips.labels
        frames = clips.frames if settings.reads_frames else None
        self.frames = None if frames is None else frames.to(where)
        self.views = None if clips.views is None else clips.views.pictures.to(where)
        self.view_slots = None if clips.views is None else clips.views.slots
        self.motion = None if clips.motion is None else clips.motion.to(where)
        self.settings = settings
        self.device = device

    def train(self, clips: Tensor, slots: Tensor, sample: Augmentation) -> Batch:
        """Augmented samples: frames (B, 3, S, S), views (B, 13 or 39, S, S), as streams read.

        All streams of a sample get the same augmentation.
        """
        size, layout = self.settings.image_size, memory_layout(self.device)
        frames, views = self._stored(clips, slots)
        if frames is not None:
            frames = augment(frames, sample, size, layout)
        if views is not None:
            views = augment(views, sample, size, layout, self.settings.views_show)
        motion = self._motion(clips)
        if motion is not None and sample.flip.any():
            flipped = send(sample.flip, motion.device).view(-1, 1, 1, 1)
            motion = torch.where(flipped, flip_motion(motion), motion)
        return self._arrange(frames, views, motion)

    def rows(self) -> list[Tensor]:
        """A stream: int64 (N, 5), equal where two samples' pictures are; -1 where there is none."""
        none, clips = self.slots < 0, torch.arange(len(self.slots))[:, None]
        if self.view_slots is None:
            rows = [self.slots]
        elif not self.settings.reads_frames:
            rows = [self.view_slots]
        elif "frame" in self.settings.inputs:
            rows = [self.slots, self.view_slots]
        else:  # one stream: the pairs of both
            rows = [torch.arange(self.slots.numel()).view_as(self.slots)]
        if self.motion is not None:
            rows.append(clips.expand_as(self.slots))
        return [part.masked_fill(none, -1) for part in rows]

    def test(self, clips: Tensor) -> Batch:
        """Apex frames without anything random: resized and centre-cropped."""
        stored = self._stored(clips, torch.zeros_like(clips))
        size = self.settings.image_size
        frames, views = (None if s is None else to_float(centre_crop(s, size)) for s in stored)
        return self._arrange(frames, views, self._motion(clips))

    def run(self, network: Network, batch: Batch) -> Output:
        """The network's output for a batch."""
        return network(*batch)

    def _stored(self, clips: Tensor, slots: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Frames (B, 3, h, w), views (B, 13 or 39, h, w), uint8; None for what no stream reads."""

        def read(pictures: Tensor, rows: Tensor) -> Tensor:
            rows = send(rows[clips, slots], pictures.device)
            return take(pictures, rows).to(self.device)

        frames = None if self.frames is None else read(self.frames, self.slots)
        if self.views is None or self.view_slots is None:
            return frames, None
        return frames, read(self.views, self.view_slots)

    def _motion(self, clips: Tensor) -> Tensor | None:
        if self.motion is None:
            return None
        return self.motion.index_select(0, send(clips, self.motion.device)).to(self.device)

    def _arrange(self, frames: Tensor | None, views: Tensor | None, motion: Tensor | None) -> Batch:
        return arrange(frames, views, motion, self.settings, self.device)


def arrange(
    frames: Tensor | None,
    views: Tensor | None,
    motion: Tensor | None,
    settings: Settings,
    device: torch.device,
) -> Batch:
    """What a network reads, one tensor a stream.

    frames (B, 3, S, S), views (B, 13, S, S) grey or (B, 39, S, S), motion (B, 3, s, s); None for
    what no stream reads. ValueError where a stream has nothing.
    """
    pictures = [stream for stream in (frames, views) if stream is not None]
    if len(pictures) == 2 and "frame" not in settings.inputs:  # --views 14: one stream of both
        pictures = [torch.cat(pictures, dim=1)]
    layout = memory_layout(device)
    pictures = [stream.contiguous(memory_format=layout) for stream in pictures]
    batch = tuple(pictures) if motion is None else (*pictures, motion)
    if len(batch) != len(settings.inputs):
        raise ValueError(f"{len(batch)} inputs for the streams {', '.join(settings.inputs)}")
    return batch


class Features:
    """Batches for the head of a network whose trunks are frozen: computed once for all folds."""

    def __init__(self, images: Images, network: Network) -> None:
        """Run the frozen trunks over every picture, and over its mirror image where flips are."""
        self.labels, self.slots, self.device = images.labels, images.slots, images.device
        self.targets = images.targets
        network = network.to(images.device).eval()
        streams = [*network.trunks, *[nn.Identity()] * (images.motion is not None)]
        # A stream: float (flips, pictures, C, h, w), and int64 (N, 5), a sample's picture.
        self.streams = [
            _features(images, stream, rows, read)
            for stream, (rows, read) in enumerate(zip(images.rows(), streams))
        ]

    @staticmethod
    def fit(clips: ClipSet, network: Network, settings: Settings) -> bool:
        """Whether the features can be computed once (nothing sampled but flips) and kept.

        A warning where they can, but would take more than CACHE_LIMIT.
        """
        if settings.freeze != "trunk" or settings.augment not in ("none", "flip"):
            return False
        one = sum(trunk.channels * trunk.side(settings.image_size) ** 2 for trunk in network.trunks)
        copies = 2 if settings.augment == "flip" else 1
        needed = 4 * one * copies * clips.samples
        if needed > CACHE_LIMIT:
            warn(
                f"the frozen trunk's features would take {needed / 2**30:.1f} GiB (limit "
                f"{CACHE_LIMIT / 2**30:.0f}): they are computed anew each epoch"
            )
        return needed <= CACHE_LIMIT

    def train(self, clips: Tensor, slots: Tensor, sample: Augmentation) -> Batch:
        """Feature maps (B, C, h, w) of samples, flipped as sampled."""
        return self.kept(sample.flip.long(), clips, slots)

    def test(self, clips: Tensor) -> Batch:
        """Feature maps (B, C, h, w) of apex frames as they are."""
        return self.kept(torch.zeros_like(clips), clips, torch.zeros_like(clips))

    def kept(self, flip: Tensor, clips: Tensor, slots: Tensor) -> Batch:
        """Feature maps (B, C, h, w) of samples; flip: int64 (B,), 1 of a mirror image."""
        batch = []
        for features, rows in self.streams:
            which = flip.clamp(max=len(features) - 1) * features.shape[1] + rows[clips, slots]
            batch.append(features.flatten(0, 1).index_select(0, send(which, self.device)))
        return tuple(batch)

    def run(self, network: Network, batch: Batch) -> Output:
        """The network's output for a batch of features."""
        return network.head(*batch)


@torch.no_grad()
def _features(images: Images, stream: int, rows: Tensor, read: nn.Module) -> tuple[Tensor, Tensor]:
    """What a frozen trunk reads of a stream's pictures, each once; see Features."""
    clips, slots = (rows >= 0).nonzero(as_tuple=True)
    pictures, which = rows[clips, slots].unique(return_inverse=True)
    kept_at = torch.full_like(rows, -1)
    kept_at[clips, slots] = which
    one_of = torch.empty_like(pictures).index_copy_(0, which, torch.arange(len(which)))
    plain = sample_augmentation(1, "none", torch.Generator())
    kept = []
    for flip in (False, True) if images.settings.augment == "flip" else (False,):
        parts = []
        for part in one_of.split(images.settings.learning.batch_size):
            sample = plain.repeat(len(part))
            sample.flip.fill_(flip)
            parts.append(read(images.train(clips[part], slots[part], sample)[stream]))
        kept.append(torch.cat(parts))
    return torch.stack(kept), kept_at
