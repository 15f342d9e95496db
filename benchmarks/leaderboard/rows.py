"""The leaderboard's rows: each network of motion maps, from each of its starts, and choices."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from tyro.conf import FlagCreatePairsOff

from common.errors import UserError
from loso.settings import Settings
from models.registry import MotionEntry, MotionLearning, make_network, motion_entry, network_names

FOLDER, INDEX = "maps", "maps.csv"  # the aligned maps below --out, and their index in it
# Epochs where the command line does not say, if they are not the network's own: as many as leave
# the whole table, of half the composite, at about half an hour on two cores. They are set by time,
# not by scores.
EPOCHS = {"ststnet": 30, "sssnet": 30}
INNER, CHOICE_INNER = 2, 3  # groups of training subjects: to choose an epoch, or a network
CHOICE, ENSEMBLE, MEMBERS = "chosen", "ensemble", 3
# What an epoch of 200 maps takes on one core, in seconds, for the time that is left.
_EPOCH_SECONDS = {
    "linear": 0.09, "lean": 0.14, "off_apexnet": 0.39, "ststnet": 0.085, "rcn_a": 0.5,
    "sssnet": 0.14, "htnet": 0.8,
}  # fmt: skip
_FIT_SECONDS, _START_SECONDS = 0.2, 5  # a fit in one go; a row's processes


@dataclass(frozen=True)
class Row:
    """A line of the table: an experiment. networks: one, or those that `nested` chooses from."""

    name: str
    networks: tuple[str, ...]
    settings: Settings

    @property
    def is_choice(self) -> bool:
        """Whether networks are chosen: then `nested` alone says anything of the row."""
        return len(self.networks) > 1

    @property
    def entry(self) -> MotionEntry:
        """The registry's entry of the network, of a choice that of the first one."""
        return motion_entry(self.networks[0])

    @property
    def published(self) -> dict[str, int | float]:
        """Epochs, rate and batch of the paper, where they are not the registry's."""
        return published_learning(self.entry)

    @property
    def parameters(self) -> int | None:
        """Numbers that are learned; None for a choice and for machines that keep training maps."""
        if self.is_choice:
            return None
        network = make_network(self.networks[0], self.settings.plan)
        return sum(weights.numel() for weights in network.parameters()) or None

    def seconds(self, folds: int) -> float:
        """About how long so many folds take on one core; 0 for none."""
        settings = self.settings
        if not folds:
            return 0
        one = _FIT_SECONDS
        if settings.passes > 1:
            one = _EPOCH_SECONDS.get(self.networks[0], _EPOCH_SECONDS["linear"])
        # K inner groups, each trained on what the others hold, are K - 1 times all subjects.
        passes = settings.passes * (1 + len(self.networks) * max(settings.inner - 1, 0))
        return _START_SECONDS + folds * passes * one


@dataclass(frozen=True)
class Recipe:
    """How the rows are run, where not as each network has it."""

    epochs: int | None = None
    """Of every network that learns by gradient; if not given, as many as half an hour has room
    for."""
    full: Annotated[bool, FlagCreatePairsOff] = False
    """The papers' epochs, rates and batches: hours, or days."""
    inner: int | None = None
    """Groups of training subjects that nested chooses on; 2 for epochs and 3 for networks if not
    given."""

    def __post_init__(self) -> None:
        """UserError for numbers that are too small, and for epochs beside the papers'."""
        if self.full and self.epochs is not None:
            raise UserError("--epochs does not go with --full: the papers' recipes have epochs")
        if self.epochs is not None and self.epochs < 1:
            raise UserError(f"--epochs {self.epochs}: at least 1")
        if self.inner is not None and self.inner < 2:
            raise UserError(f"--inner {self.inner}: at least 2 groups")


def plan_rows(base: Settings, networks: Sequence[str], recipe: Recipe) -> list[Row]:
    """The rows of `networks`, in the registry's order; of all for ().

    base: where maps and records lie. Networks with synthetic weights have two rows more: those
    weights as they are, and tuned. Where several are fitted in one go, two rows choose among them.
    UserError for no network's name.
    """
    known = network_names("motion_net")
    if wrong := [name for name in networks if name not in known]:
        raise UserError(f"--networks {wrong[0]}: no such network; there are {', '.join(known)}")
    chosen = [name for name in known if name in networks or not networks]
    rows = []
    for name in chosen:
        entry = motion_entry(name)
        starts: dict[str, tuple[str, Literal["all", "none"]]] = {name: ("none", "all")}
        if entry.pretrained:
            starts[f"{name}_zero_shot"] = "synthetic", "none"
            starts[f"{name}_tuned"] = "synthetic", "all"
        for row, (weights, adapt) in starts.items():
            one = replace(base, experiment=row, motion_net=name, weights=weights, adapt=adapt)
            rows.append(Row(row, (name,), _trained(one, entry, recipe)))
    quick = tuple(name for name in chosen if motion_entry(name).at_once)
    if len(quick) > 1:
        choice = replace(
            base, motion_net=quick[0], weights="none",
            inner=recipe.inner or CHOICE_INNER,
            choose=(f"motion_net={','.join(quick)}",),
        )  # fmt: skip
        rows.append(Row(CHOICE, quick, replace(choice, experiment=CHOICE)))
        ensemble = replace(choice, experiment=ENSEMBLE, choose_ensemble=MEMBERS)
        rows.append(Row(ENSEMBLE, quick, ensemble))
    return rows


def _trained(settings: Settings, entry: MotionEntry, recipe: Recipe) -> Settings:
    """The settings with a recipe's epochs, and groups to choose one of them on."""
    if settings.passes == 1:
        return settings  # there is nothing to choose
    learning: dict[str, Any] = {"epochs": recipe.epochs or EPOCHS.get(settings.motion_net)}
    if recipe.full:
        learning = published_learning(entry)
    return replace(settings, inner=recipe.inner or INNER, **learning)


def published_learning(entry: MotionEntry) -> dict[str, int | float]:
    """What the registry says of a paper's recipe (--epochs 500 --lr 5e-5), by setting."""
    assert isinstance(entry.learning, MotionLearning)  # of motion alone
    words = entry.learning.published.split()
    kinds = {"epochs": int, "batch_size": int, "lr": float}
    names = [word.removeprefix("--").replace("-", "_") for word in words[::2]]
    return {name: kinds[name](word) for name, word in zip(names, words[1::2], strict=True)}
