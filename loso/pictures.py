"""Folds of networks that read pictures: what they share is read once, then each is trained."""

import torch

from data.clip_set import ClipSet
from models.network import Network

from .batches import Features, Images, Source
from .folds import Fold
from .networks import build_network, read_weights
from .settings import Settings
from .training import OnEpoch, PictureRecipe, train_fold
from .warm_start import warm_start


class PictureRunner:
    """Trains folds of networks that read pictures (and motion maps beside them)."""

    def __init__(self, settings: Settings, clips: ClipSet, device: torch.device) -> None:
        """Read what all folds share: --weights, pictures, and a frozen trunk's features."""
        self.settings = settings
        self.state = read_weights(settings)
        network = build_network(settings, self.state)
        images = Images(clips, settings, device)
        self.source: Source = images
        if Features.fit(clips, network, settings):
            print(f"the trunk is frozen: its features of {clips.samples} frames are kept")
            self.source = Features(images, network)  # nobody reads the pictures again

    def run(self, fold: Fold, on_epoch: OnEpoch) -> tuple[list[dict], Network]:
        """See fold_job.Runner."""
        settings = self.settings
        torch.manual_seed(fold.seed(settings.seed))
        network = build_network(settings, self.state)
        if settings.warm_epochs:
            warm_start(network, self.source, fold, settings, self.state)
            torch.manual_seed(fold.seed(settings.seed))
        recipe = PictureRecipe(network, self.source, fold, settings)
        return train_fold(recipe, fold.data_sub, settings.passes, on_epoch), network
