"""Folds trained together in one process, the heads of their networks stacked: --stack.

Where trunks are frozen and their features kept, a step of one fold is many small kernels, which a
card runs faster than the host starts them. Networks that differ in numbers alone can share them:
torch.func's vmap takes one head with a further axis, the fold's, through every layer. What belongs
to a fold stays its own: seed, samples and their order, flips, batch-norm statistics, Adam's state.

A batch of another size than the others' (a fold's last one) is stacked with itself. So a fold's
record does not depend on what it is stacked with, on a CPU to the last bit (tests/test_stacked.py);
from a fold's that is trained alone it differs in the last bits.
"""

from collections.abc import Callable, Sequence
from itertools import zip_longest

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from common.errors import UserError
from data.transforms import send
from models.network import Network

from .batches import Batch, Features, Source
from .records import check_converging, epoch_record
from .settings import Settings
from .training import (
    PictureRecipe,
    Samples,
    as_float32,
    autocast,
    half_precision,
    make_optimiser,
)

Tell = Callable[[str, dict], None]  # a fold's name, the record of its epoch


def check_stack(network: Network, source: Source, settings: Settings) -> None:
    """UserError where folds of an experiment cannot be stacked."""
    begin = f"--stack {settings.stack}:"
    if not isinstance(source, Features):
        raise UserError(
            f"{begin} the frozen trunk's features take too much memory to be kept; a smaller "
            "--image-size or --stack 1"
        )
    if half_precision(settings.precision, source.device) == torch.float16:
        raise UserError(f"{begin} float16 goes fold by fold; take --precision float32")
    network.train()
    if any(isinstance(m, _DropoutNd) and m.training and m.p > 0 for m in network.modules()):
        raise UserError(
            f"{begin} this network drops values at random, each fold its own; take --stack 1"
        )


def train_stacked(recipes: Sequence[PictureRecipe], epochs: int, tell: Tell) -> list[list[dict]]:
    """Train folds of one experiment together, as training.train_fold does each; their records.

    `tell` is called with each fold's name and record after every epoch. UserError where the
    training of one diverges.
    """
    stack = _Stack(recipes)
    records: list[list[dict]] = [[] for _ in recipes]
    for epoch in range(1, epochs + 1):
        means = stack.train_epoch()
        for recipe, mean, found in zip(recipes, means, records):
            name = recipe.fold.data_sub
            check_converging(name, epoch, "loss", mean)
            found.append(epoch_record(name, epoch, mean, *recipe.evaluate()))
            tell(name, found[-1])
    return records


class _Stack:
    """Networks of several folds, and one optimiser of them all.

    Adam's arithmetic is of each number by itself, and its count of steps of each parameter: what
    got no gradient is left alone.
    """

    def __init__(self, recipes: Sequence[PictureRecipe]) -> None:
        self.recipes = recipes
        source = recipes[0].source
        assert isinstance(source, Features)
        self.source = source
        networks = [recipe.network for recipe in recipes]
        for network in networks:  # as gradients come out of the stack: none is copied
            network.to(memory_format=torch.contiguous_format)
        self.optimiser, self.schedule = make_optimiser(networks, recipes[0].settings)
        one = networks[0].train()
        self.trained = [name for name, p in one.named_parameters() if p.requires_grad]
        self.counted = [  # batch norm's statistics
            f"{module}.{name}"
            for module, layer in one.named_modules()
            if isinstance(layer, _BatchNorm) and layer.training
            for name, _ in layer.named_buffers()
        ]

    def train_epoch(self) -> list[float]:
        """An epoch of every fold: each one's mean loss."""
        for recipe in self.recipes:
            recipe.network.train()
        seen: list[tuple[int, int]] = []  # fold, samples
        losses: list[Tensor] = []
        for step in zip_longest(*(recipe.samples() for recipe in self.recipes)):
            self.optimiser.zero_grad(set_to_none=True)
            for size, folds in _by_size(step).items():
                found = self._losses(folds, [step[fold] for fold in folds])
                found.sum().backward()
                losses.append(found.detach())
                seen += [(fold, size) for fold in folds]
            self.optimiser.step()
        self.schedule.step()
        totals, samples = [0.0] * len(self.recipes), [0] * len(self.recipes)
        for loss, (fold, size) in zip(torch.cat(losses).tolist(), seen, strict=True):
            totals[fold] += loss * size
            samples[fold] += size
        return [total / number for total, number in zip(totals, samples)]

    def _losses(self, folds: list[int], batches: list[Samples]) -> Tensor:
        """The losses (K,) of K folds' batches, of one size B; what they learn from stays theirs."""
        number, size = len(folds), len(batches[0][0])
        if number == 1:  # with itself, so that the same is computed as in any stack
            folds, batches = 2 * folds, 2 * batches
        clips = torch.cat([clips for clips, _, _ in batches])
        slots = torch.cat([slots for _, slots, _ in batches])
        flips = torch.cat([sample.flip for _, _, sample in batches])
        features = self.source.kept(flips.long(), clips, slots)  # each (K x B, C, h, w)
        targets = send(self.source.targets[clips], self.source.device)
        networks = [self.recipes[fold].network for fold in folds]
        weights = {n: torch.stack([net.get_parameter(n) for net in networks]) for n in self.trained}
        counts = {n: torch.stack([net.get_buffer(n) for net in networks]) for n in self.counted}
        loss = _Loss(networks[0])

        def one(state: dict[str, Tensor], inputs: Batch, wanted: Tensor) -> Tensor:
            return functional_call(loss, state, (inputs, wanted))

        state = {f"network.{name}": values for name, values in (weights | counts).items()}
        each = tuple(part.contiguous().unflatten(0, (-1, size)) for part in features)
        with autocast(self.source.device, self.recipes[0].half):
            losses = vmap(one)(state, each, targets.unflatten(0, (-1, size)))
        if counts:
            own = [net.get_buffer(name) for name in counts for net in networks[:number]]
            new = [value for values in counts.values() for value in values[:number]]
            torch._foreach_copy_(own, new)
        return losses[:number]


class _Loss(nn.Module):
    """A network's loss on features and what they are to be told as."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: Batch, targets: Tensor) -> Tensor:
        return self.network.loss(as_float32(self.network.head(*features)), targets)


def _by_size(step: Sequence[Samples | None]) -> dict[int, list[int]]:
    """The folds that have a batch in a step, by its size."""
    sizes: dict[int, list[int]] = {}
    for fold, batch in enumerate(step):
        if batch is not None:
            sizes.setdefault(len(batch[0]), []).append(fold)
    return sizes
