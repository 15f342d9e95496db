"""What an experiment is: every setting, in one place, named as on the command line."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from common.errors import UserError, warn
from data.index import index_path
from data.motion.flow import MOTION_SIZE

if TYPE_CHECKING:
    import torch

# Values of --weights that name no file.
GIVEN_OUT = ("imagenet", "package", "synthetic", "none")
# Settings that change no record: where files lie and how a run is started. Two runs of one
# experiment may differ in them.
FREE = frozenset({
    "subjects", "overwrite", "save_weights", "strict", "experiment", "result", "root", "root3d",
    "index", "four_frames", "device", "launcher", "workers", "gpus_per_fold",
})  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """An experiment. The defaults are the paper's; paths replace the experiment's own."""

    dataset: Literal["smic", "casme2", "samm", "composite"] = "smic"
    """Corpus, or the MEGC 2019 composite of all three."""
    classes: Literal[3, 5] = 3
    """3 (negative, positive, surprise), or 5 (CASME II alone)."""
    glasses_only: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Only the subjects who wear glasses."""
    without_glasses: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Only the subjects who wear none."""
    index: Path | None = None
    """Index of the clips; data/<dataset>_apex.csv if not given."""
    four_frames: Path | None = None
    """Companion with the frames beside each apex; found beside the index if not given."""
    root: Path = Path("datasets")
    """Folder that the index's paths start from."""
    streams: Literal["2d", "3d", "dual", "motion", "2d+motion", "3d+motion", "dual+motion"] = "2d"
    """2d (the apex frame), 3d (the views of its reconstruction), dual (both: DSNCA), motion
    (optical flow and strain from onset to apex) alone or as a further stream."""
    fusion: Literal["attention", "concat", "sum"] = "attention"
    """How several streams become one; attention is coordinate attention, the paper's."""
    views: Literal[13, 14] = 13
    """Pictures of the 3d stream alone: the 13 views, or 14 with the apex frame first."""
    root3d: Path = Path("views")
    """Folder of the views, as reconstruct_3d.py writes it."""
    neighbour_views: Literal["own", "apex"] = "own"
    """Views of the frames beside the apex: their own (--four-frames), or the apex's again."""
    motion_net: Literal["linear", "lean"] = "linear"
    """Network of the motion stream alone; as a further stream it is lean."""
    motion_size: int = 28
    """Side of the motion maps, in pixels."""
    flow: Literal["dis", "tvl1"] = "dis"
    """Optical flow: dis (10 ms a clip) or tvl1 (about a second)."""
    adapt: Literal["all", "head", "none"] = "all"
    """What a fold trains of the motion network: all of it, a linear head on its features, or
    nothing (zero-shot)."""
    experiment: str | None = None
    """Name of the folder below result/; made from the other settings if not given."""
    network: tyro.conf.Suppress[Literal["capsule", "baseline"]] = "capsule"
    """MECapsuleNet, or a plain classification network. Each script states its own."""
    trunk: Literal["resnet18", "vgg11", "efficientnet_lite0"] = "resnet18"
    """ImageNet network that the pictures go through first."""
    weights: str = "auto"
    """The trunk's first weights: imagenet (torchvision's, fetched once), package
    (EfficientNet-Lite0's, offline), none, or a file (.safetensors or .pth). Of motion alone:
    synthetic (learned from synthetic faces), none, or a file. auto: imagenet, synthetic for
    motion alone."""
    freeze: Literal["none", "early", "trunk"] = "none"
    """Part of the trunk that is not trained: nothing, its first layers, all of it."""
    softmax_twice: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Baselines: cross-entropy on a softmax output, as the published code has it."""
    image_size: int = 224
    """Side of the square pictures, in pixels."""
    augment: Literal["none", "flip", "full", "crop"] = "full"
    """Of pictures: none, flip, full (flip, rotation, colour jitter), crop (full and
    CapsuleNet's crop). Motion maps are flipped along; motion alone has its own."""
    epochs: int = 30
    """Epochs a fold; the last one's predictions are the result."""
    batch_size: int = 32
    """Images a step."""
    lr: float | None = None
    """Adam's learning rate in the first epoch, times 0.9 each further one; 1e-4 if not given,
    1e-3 (constant) for motion alone."""
    seed: int = 9
    """Seed of everything random; a fold's own comes from it and the fold's name."""
    device: str = "auto"
    """auto (CUDA where there is one, else CPU), cuda, cuda:1, cpu, or mps (untested)."""
    launcher: Literal["local", "ray"] = "local"
    """local (processes on this machine) or ray (a Ray cluster: RAY_ADDRESS, docs/scaling.md)."""
    workers: int | None = None
    """Local: folds trained at once. If not given: as many as the cores and the memory are for,
    on CUDA one."""
    cpus_per_fold: int = 1
    """Threads that a fold computes with: the last bits of its record depend on them, on how many
    folds run at once nothing does."""
    gpus_per_fold: float | None = None
    """Ray: what a fold takes of a GPU (0.5: two share one); 1 on CUDA if not given, else 0."""
    precision: Literal["auto", "float32", "bf16"] = "auto"
    """Arithmetic of networks that read pictures: float32, bf16 (mixed with float32; twice as fast
    on CPUs that have its instructions), or auto: half precision on CUDA, else float32."""
    subjects: tuple[str, ...] = ()
    """Folds to run, by name (smic_01 …) or as one number (the first N); all if not given."""
    save_weights: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Keep each fold's final network: weights/<fold>.safetensors in the experiment's folder."""
    strict: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """A clip or a frame that cannot be read is an error; if not given, it is named and left out."""
    overwrite: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Delete what the experiment's earlier run left, once this one has all that it reads."""
    result: Path = Path("result")
    """Folder of all experiments' folders."""

    def __post_init__(self) -> None:
        """UserError for settings that contradict each other."""
        for name in ("image_size", "epochs", "batch_size", "motion_size", "cpus_per_fold"):
            if getattr(self, name) < 1:
                raise UserError(f"{flag(name)} {getattr(self, name)}: at least 1")
        self._check_launch()
        if self.experiment is not None and not re.fullmatch(r"\w[\w.-]*", self.experiment):
            raise UserError(f"--experiment {self.experiment}: letters, digits, '_', '-' and '.'")
        if self.freeze == "trunk" and self.first_weights == "none":
            raise UserError("--freeze trunk with --weights none would never train the trunk")
        if self.glasses_only and self.without_glasses:
            raise UserError("--glasses-only and --without-glasses leave nobody")
        if self.classes == 5 and self.dataset != "casme2":
            raise UserError("--classes 5 goes with --dataset casme2")
        if self.weights == "package" and self.trunk != "efficientnet_lite0":
            raise UserError("--weights package goes with --trunk efficientnet_lite0")
        self._check_motion()
        if self.network == "baseline" and self.streams != "2d":
            raise UserError("the baselines have one stream: --streams 2d")
        if self.views == 14 and self.streams != "3d":
            raise UserError("--views 14 goes with --streams 3d")
        if self.softmax_twice and self.network != "baseline":
            raise UserError("--softmax-twice goes with train_me_loso_baseline.py")

    def _check_launch(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise UserError(f"--workers {self.workers}: at least 1")
        if self.workers is not None and self.launcher == "ray":
            raise UserError("--workers goes with --launcher local: on Ray the cluster decides")
        if self.gpus_per_fold is not None and self.launcher == "local":
            raise UserError("--gpus-per-fold goes with --launcher ray")
        if self.gpus_per_fold is not None and self.gpus_per_fold < 0:
            raise UserError(f"--gpus-per-fold {self.gpus_per_fold}: at least 0")

    def _check_motion(self) -> None:
        if self.streams != "motion":
            if self.first_weights == "synthetic":
                raise UserError("--weights synthetic goes with --streams motion; a further motion "
                                "stream always starts from them")  # fmt: skip
            if self.adapt == "none":
                raise UserError("--adapt none goes with --streams motion: capsules must learn")
            return
        if self.precision == "bf16":
            raise UserError("--precision bf16: networks of --streams motion compute in float32")
        if self.first_weights in ("imagenet", "package"):
            raise UserError(
                f"--streams motion has no trunk for --weights {self.weights}: synthetic"
            )
        if self.adapt == "head" and self.motion_net == "linear":
            raise UserError("--adapt head: linear has no features of its own, so that would be "
                            "--weights none; take --motion-net lean")  # fmt: skip
        if self.first_weights == "none" and self.adapt != "all":
            raise UserError(f"--adapt {self.adapt} needs pretrained weights: --weights synthetic")
        if self.first_weights == "synthetic" and self.motion_size != MOTION_SIZE:
            raise UserError(
                f"--motion-size {self.motion_size}: the synthetic weights read {MOTION_SIZE} px; "
                "--weights none learns at other sizes"
            )
        if self.first_weights == "synthetic" and self.adapt == "none" and self.classes != 3:
            raise UserError(
                "--adapt none with --classes 5: the synthetic weights know three classes"
            )

    @property
    def first_weights(self) -> str:
        """--weights, with auto resolved."""
        if self.weights != "auto":
            return modern(self.weights)
        return "synthetic" if self.streams == "motion" else "imagenet"

    @property
    def learning_rate(self) -> float:
        """--lr, or its default."""
        if self.lr is not None:
            return self.lr
        return 1e-3 if self.streams == "motion" else 1e-4

    @property
    def pictures(self) -> str:
        """Which pictures are read: 2d, 3d or dual; motion for none."""
        return self.streams.removesuffix("+motion")

    @property
    def reads_frames(self) -> bool:
        """Whether the network sees the apex frame."""
        return self.pictures in ("2d", "dual") or self.views == 14

    @property
    def reads_views(self) -> bool:
        """Whether the network sees 3D views."""
        return self.pictures in ("3d", "dual")

    @property
    def reads_motion(self) -> bool:
        """Whether the network sees motion maps."""
        return self.streams.endswith("motion")

    @property
    def passes(self) -> int:
        """Epoch records a fold leaves: one where there is no training by gradient."""
        by_gradient = self.streams != "motion" or (
            self.adapt == "all" and (self.first_weights, self.motion_net) != ("none", "linear")
        )
        return self.epochs if by_gradient else 1

    def facts(self) -> dict:
        """Every setting by name, as JSON keeps it, with the automatic ones resolved."""
        values = asdict(self) | {"weights": self.first_weights, "lr": self.learning_rate}
        return {
            name: str(value) if isinstance(value, Path) else value for name, value in values.items()
        }

    @property
    def index_file(self) -> Path:
        """The index in use."""
        return self.index or index_path("data", self.dataset, self.classes)

    @property
    def name(self) -> str:
        """The experiment's name: what its result folder is called."""
        if self.experiment:
            return self.experiment
        parts = [
            "baseline" * (self.network == "baseline"),
            self.dataset,
            "5" * (self.classes == 5),
            "glasses" * self.glasses_only,
            "no_glasses" * self.without_glasses,
            {"2d": "", "3d": "3d", "dual": "dual_3d", "motion": ""}[self.pictures],
            "motion" * self.reads_motion,
            self._motion_way() if self.streams == "motion" else "",
        ]
        return "_".join(part for part in parts if part)

    def _motion_way(self) -> str:
        if self.first_weights == "none":
            return self.motion_net
        way = {"none": "zero_shot", "head": "head", "all": "tuned"}[self.adapt]
        return "lean_" * (self.motion_net == "lean") + way

    @property
    def folder(self) -> Path:
        """Where the experiment's records go."""
        return self.result / self.name


def flag(name: str) -> str:
    """A setting as it is written on the command line."""
    return f"--{name.replace('_', '-')}"


def modern(weights: str) -> str:
    """--weights as this version spells it: drawn was the word for synthetic up to 0.1."""
    return "synthetic" if weights == "drawn" else weights


def first_difference(one: Mapping, other: Mapping, names: Iterable[str]) -> str | None:
    """The first of `names` whose settings (Settings.facts) differ."""
    return next((name for name in names if one[name] != other[name]), None)


def resolve_device(name: str) -> "torch.device":
    """The device that `name` means here; UserError if there is none such."""
    import torch  # here: a command line is read without it

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"--device {name}: not to be had here ({reason})") from error
    if device.type == "mps":
        warn("--device mps: nothing here has been tested on it; compare a fold with --device cpu")
    return device
