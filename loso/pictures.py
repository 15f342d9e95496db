"""Folds of networks that read pictures: what they share is read once, then each is trained."""

import torch

from data.clip_set import ClipSet
from models.network import Network

from .batches import Features, Images, Source
from .folds import Fold
from .networks import build_network, read_weights
from .settings import Settings
from .stacked import Tell, check_stack, train_stacked
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
        if settings.stack > 1:
            check_stack(network, self.source, settings)

    def run(self, fold: Fold, on_epoch: OnEpoch) -> tuple[list[dict], Network]:
        """See fold_job.Runner."""
        recipe = self.recipe(fold)
        records = train_fold(recipe, fold.data_sub, self.settings.passes, on_epoch)
        return records, recipe.network

    def run_stacked(self, folds: list[Fold], tell: Tell) -> list[tuple[list[dict], Network]]:
        """The same of several folds together."""
        recipes = [self.recipe(fold) for fold in folds]
        records = train_stacked(recipes, self.settings.passes, tell)
        return [(found, recipe.network) for found, recipe in zip(records, recipes)]

    def recipe(self, fold: Fold) -> PictureRecipe:
        """A fold's network as it starts, and what trains it."""
        settings = self.settings
        torch.manual_seed(fold.seed(settings.seed))
        network = build_network(settings, self.state)
        if settings.warm_epochs:
            warm_start(network, self.source, fold, settings, self.state)
            torch.manual_seed(fold.seed(settings.seed))
        return PictureRecipe(network, self.source, fold, settings)
