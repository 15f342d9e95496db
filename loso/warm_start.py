"""A dual network that starts from single streams, trained on the same fold's training clips."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from common.checkpoints import StateDict
from data.transforms import Augmentation
from models.dsnca import DSNCA
from models.mecapsulenet import MECapsuleNet
from models.network import Network, Output
from models.registry import Streams

from .batches import Batch, Source
from .folds import Fold
from .networks import build_network
from .settings import Settings
from .training import PictureRecipe, train_fold

ALONE: dict[str, Streams] = {"frame": "2d", "views": "3d"}  # --streams of one stream of pictures


class OneStream:
    """What one stream of several reads."""

    def __init__(self, source: Source, stream: int) -> None:
        self.source, self.stream = source, stream
        self.labels, self.slots, self.device = source.labels, source.slots, source.device
        self.targets = source.targets

    def train(self, clips: Tensor, slots: Tensor, sample: Augmentation) -> Batch:
        """See Images."""
        return (self.source.train(clips, slots, sample)[self.stream],)

    def test(self, clips: Tensor) -> Batch:
        """See Images."""
        return (self.source.test(clips)[self.stream],)

    def run(self, network: Network, batch: Batch) -> Output:
        """See Images."""
        return self.source.run(network, batch)


def warm_start(
    network: Network,
    source: Source,
    fold: Fold,
    settings: Settings,
    state: StateDict | None,
) -> None:
    """Train each stream of pictures alone for --warm-epochs; its trunk and channels go on.

    Nothing of the held-out subject takes part. state: the first weights, as for build_network.
    """
    assert isinstance(network, DSNCA)  # of several streams
    for stream, name in enumerate(settings.inputs):
        if name == "motion":
            continue  # starts from the synthetic weights
        alone = replace(settings, streams=ALONE[name], stream_loss=0.0, warm_epochs=0)
        torch.manual_seed(fold.seed(settings.seed))
        single = build_network(alone, state)
        assert isinstance(single, MECapsuleNet)
        recipe = PictureRecipe(single, OneStream(source, stream), fold, alone)
        train_fold(recipe, fold.data_sub, settings.warm_epochs, lambda record: None)
        parts: Sequence[tuple[torch.nn.Module, torch.nn.Module]] = (
            (network.streams[stream], single.conv),
            (network.adapt[stream], single.adapt),
        )
        for ours, theirs in parts:
            ours.load_state_dict(theirs.state_dict())
