"""What an experiment is: every setting, in one place, named as on the command line."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import tyro

from data.augmentation import Augment
from data.index import index_path
from data.motion.flow import Flow
from data.sampling import Balance
from data.views import ViewsShow
from models.registry import (
    DEFAULT_MOTION_NET,
    DEFAULT_NETWORK,
    NETWORKS,
    STREAMS,
    TRUNKS,
    Freeze,
    Fusion,
    Learning,
    Plan,
    Streams,
    motion_entry,
    network_names,
)

from .marks import Of, OfExperiment, OfNetwork, OfRun, Switch, one_of
from .names import experiment_name, modern
from .rules import check_settings, resolve_task

# Values of --weights that name no file.
GIVEN_OUT = ("imagenet", "package", "synthetic", "none")
NetworkName = Annotated[str, one_of(network_names())]
MotionNetName = Annotated[str, one_of(network_names("motion_net"))]
TrunkName = Annotated[str, one_of(TRUNKS)]
TaskName = Literal["auto", "3", "4", "5", "6", "7", "objective", "au", "own"]


@dataclass(frozen=True)
class Settings:
    """An experiment. The defaults are the paper's; paths replace the experiment's own."""

    # Data: which clips there are.
    dataset: OfExperiment[str] = "smic"
    """Corpus, the MEGC 2019 composite, or another name that prepare_data.py gave an index."""
    task: OfExperiment[TaskName] = "auto"
    """What is told apart: 3, 4, 5, 6 or 7 emotions, objective classes, au (action units), own
    (labels of one's own); auto: what the index says, 3 or --classes where it says nothing."""
    classes: OfNetwork[int] = 3
    """How many classes; an older way to say --task 3 or 5."""
    glasses_only: OfExperiment[Switch] = False
    """Only the subjects who wear glasses."""
    without_glasses: OfExperiment[Switch] = False
    """Only the subjects who wear none."""
    index: OfRun[Path | None] = None
    """Index of the clips; data/<dataset>_apex.csv if not given."""
    four_frames: OfRun[Path | None] = None
    """Companion with the frames beside each apex; found beside the index if not given."""
    root: OfRun[Path] = Path("datasets")
    """Folder that the index's paths start from."""
    root3d: OfRun[Path] = Path("views")
    """Folder of the views, as reconstruct_3d.py writes it."""
    neighbour_views: OfExperiment[Literal["own", "apex"]] = "own"
    """Views of frames beside the apex: their own, or the apex's again."""
    flow: OfExperiment[Flow] = "dis"
    """Optical flow: dis (10 ms a clip) or tvl1 (about a second)."""
    protocol: OfExperiment[Literal["loso", "lodo", "cde", "hde", "lists"]] = "loso"
    """What a fold holds out: a subject (loso), a corpus (lodo), the same of MEGC 2018's CASME II
    and SAMM (cde, hde), or what the corpus lists for tests (lists)."""
    folds: OfExperiment[int] = 0
    """Groups of subjects to hold out in turn, in the place of single ones (10); 0: none."""
    train_on: OfExperiment[tuple[str, ...]] = ()
    """Corpora to train on, by name, with --test-on: one fold in the place of --protocol's."""
    test_on: OfExperiment[tuple[str, ...]] = ()
    """Corpora whose clips that fold holds out."""
    map_frame: OfExperiment[str] = "auto"
    """Where the face lies in ready maps: auto (found from all of them, without labels), own (as
    this project crops), or LEFT_EYE_X,RIGHT_EYE_X,EYES_Y,MOUTH_Y as shares of the side."""
    strict: OfRun[Switch] = False
    """A clip or a frame that cannot be read is an error; if not given, it is named and left out."""

    # Network: what it is, and reads.
    network: OfNetwork[NetworkName] = DEFAULT_NETWORK
    """capsule (MECapsuleNet, of several streams DSNCA), or a plain classification network."""
    streams: OfNetwork[Streams] = "2d"
    """2d (the apex frame), 3d (the views of its reconstruction), dual (both: DSNCA), motion
    (optical flow and strain from onset to apex) alone or as a further stream."""
    fusion: OfNetwork[Fusion] = "attention"
    """How several streams become one; attention is coordinate attention, the paper's."""
    fusion_gain: OfExperiment[float] = 5.0
    """Scale that the fused map starts at; with 1, the paper's, few clips may never be learned."""
    stream_loss: OfNetwork[float] = 0.0
    """Weight of a loss of its own for each of several streams; 0 (the paper's): none."""
    views: OfNetwork[Literal[13, 14]] = 13
    """Pictures of the 3d stream alone: the 13 views, or 14 with the apex frame first."""
    views_show: OfNetwork[ViewsShow] = "shape"
    """What views show: shape (grey, the paper's), motion (since the onset), clean (no glasses)."""
    trunk: OfNetwork[TrunkName] = "resnet18"
    """ImageNet network that the pictures go through first."""
    image_size: OfNetwork[int] = 224
    """Side of the square pictures, in pixels."""
    motion_net: OfNetwork[MotionNetName] = DEFAULT_MOTION_NET
    """Network of motion alone; as a further stream it is lean."""
    motion_size: OfNetwork[int] = 28
    """Side of the motion maps, in pixels."""
    weights: OfExperiment[str] = "auto"
    """First weights: imagenet (torchvision's, fetched once), package (EfficientNet-Lite0's,
    offline), none, or a file (.safetensors or .pth). Of motion alone: synthetic (where there are
    such weights), none, or a file. auto: the trunk's own, or synthetic where there are."""
    freeze: OfExperiment[Freeze] = "none"
    """Part of the trunk that is not trained: nothing, its first layers, all of it."""
    softmax_twice: OfExperiment[Switch] = False
    """Baselines: cross-entropy on a softmax output, as the published code has it."""

    # Training: how a fold learns.
    adapt: OfExperiment[Literal["all", "head", "none"]] = "all"
    """What a fold trains of the motion network: all of it, a linear head on its features, or
    nothing (zero-shot)."""
    prior: OfExperiment[tuple[float, ...]] = ()
    """Share of each class that scores of motion alone assume (0.5 0.3 0.2); even if not given."""
    warm_epochs: OfExperiment[int] = 0
    """Epochs that each of several streams is first trained alone; 0 (the paper's): none."""
    augment: OfExperiment[Augment] = "full"
    """Of pictures: none, flip, full (flip, rotation, colour jitter), crop (full and
    CapsuleNet's crop). Motion maps are flipped along; motion alone has its own."""
    balance: OfExperiment[Balance] = "repeats"
    """Where frames beside the apex are too few to balance classes: again the same, or not."""
    epochs: OfExperiment[int | None] = None
    """Epochs a fold; the last one's predictions are the result. 30 if not given; of motion alone
    the network's own."""
    batch_size: OfExperiment[int | None] = None
    """Images a step; 32 if not given, of motion alone the network's own."""
    lr: OfExperiment[float | None] = None
    """Adam's learning rate in the first epoch, times 0.9 each further one; 1e-4 if not given. Of
    motion alone the network's own."""
    seed: OfExperiment[int] = 9
    """Seed of everything random; a fold's own comes from it and the fold's name."""
    precision: OfExperiment[Literal["auto", "float32", "bf16"]] = "auto"
    """Arithmetic of networks that read pictures: float32, bf16 (mixed with float32), or auto: half
    precision on CUDA, else float32."""

    # Choice: what `nested` chooses on training subjects alone.
    inner: OfExperiment[int] = 0
    """Groups that each fold's training subjects are split into, for `nested` to choose its epoch
    on; 0: no such choice."""
    choose: OfExperiment[tyro.conf.UseAppendAction[tuple[str, ...]]] = ()
    """NAME=V1,V2,...: values of a setting that `nested` chooses from too; repeat it for more."""
    choose_ensemble: OfExperiment[int] = 0
    """`nested` takes the mean scores of up to so many of these (0: the best one's)."""

    # Launch: where folds are trained.
    device: OfRun[str] = "auto"
    """auto (CUDA where there is one, else CPU), cuda, cuda:1, cpu, or mps (untested)."""
    launcher: OfRun[Literal["local", "ray"]] = "local"
    """local (processes on this machine) or ray (a Ray cluster: RAY_ADDRESS, docs/scaling.md)."""
    workers: OfRun[int | None] = None
    """Local: processes of folds; what cores and memory allow if not given, on CUDA one."""
    cpus_per_fold: OfExperiment[int] = 1
    """Threads that a fold computes with; the last bits of its record depend on them."""
    stack: OfExperiment[int] = 1
    """Folds whose heads are trained as one (docs/speed.md): the last bits of a record change."""
    gpus_per_fold: OfRun[float | None] = None
    """Ray: what a fold takes of a GPU (0.5: two share one); 1 on CUDA if not given, else 0."""
    subjects: OfRun[tuple[str, ...]] = ()
    """Folds to run, by name (smic_01 …) or as one number (the first N); all if not given."""
    seeds: OfRun[int] = 1
    """Runs of the experiment, with --seed and the seeds after it; their scores are averaged."""

    # Storage: what is kept, and where.
    experiment: OfRun[str | None] = None
    """Name of the folder below result/; made from the other settings if not given."""
    result: OfRun[Path] = Path("result")
    """Folder of all experiments' folders."""
    save_weights: OfRun[Switch] = False
    """Keep each fold's final network: weights/<fold>.safetensors in the experiment's folder."""
    overwrite: OfRun[Switch] = False
    """Delete what the experiment's earlier run left, once this one has all that it reads."""

    def __post_init__(self) -> None:
        """UserError for settings that contradict each other."""
        resolve_task(self)
        check_settings(self)

    @property
    def first_weights(self) -> str:
        """--weights, with auto resolved."""
        if self.weights != "auto":
            return modern(self.weights)
        if self.streams == "motion":
            return "synthetic" if motion_entry(self.motion_net).pretrained else "none"
        return TRUNKS[self.trunk].weights if NETWORKS[self.network].trunks_at else "none"

    @property
    def learning(self) -> Learning:
        """--epochs, --batch-size and --lr, or the network's own, and the rest of its recipe."""
        given = {part.name: getattr(self, part.name) for part in fields(Learning)}
        own = NETWORKS[self.built].learning
        return replace(own, **{name: value for name, value in given.items() if value is not None})

    @property
    def inputs(self) -> tuple[str, ...]:
        """The streams in the order of the network's inputs: frame, views, motion."""
        return STREAMS[self.streams]

    @property
    def reads_frames(self) -> bool:
        """Whether the network sees the apex frame."""
        return "frame" in self.inputs or self.views == 14

    @property
    def reads_views(self) -> bool:
        """Whether the network sees 3D views."""
        return "views" in self.inputs

    @property
    def reads_motion(self) -> bool:
        """Whether the network sees motion maps."""
        return "motion" in self.inputs

    @property
    def built(self) -> str:
        """The registry's name of the network: --network, of motion alone --motion-net."""
        return self.motion_net if self.streams == "motion" else self.network

    @property
    def plan(self) -> Plan:
        """What decides the network's layers."""
        return Plan(**{part.name: getattr(self, part.name) for part in fields(Plan)})

    @property
    def passes(self) -> int:
        """Epoch records a fold leaves: one where there is no training by gradient."""
        by_gradient = self.streams != "motion" or (self.adapt == "all" and not self.at_once)
        return self.learning.epochs if by_gradient else 1

    @property
    def at_once(self) -> bool:
        """Whether a fold's network, of motion alone, is fitted in one go."""
        if self.streams != "motion" or self.adapt != "all":
            return False
        entry = motion_entry(self.motion_net)
        return entry.prior or (entry.at_once and self.first_weights == "none")

    def facts(self) -> dict:
        """Every setting by name, as JSON keeps it, with the automatic ones resolved."""
        learning = {part.name: getattr(self.learning, part.name) for part in fields(Learning)}
        values = asdict(self) | {"weights": self.first_weights} | learning
        return {name: _as_json(value) for name, value in values.items()}

    @property
    def tells_units(self) -> bool:
        """Whether action units are told, of which a clip may show several or none."""
        return self.task == "au"

    @property
    def is_three(self) -> bool:
        """Whether the classes are negative, positive and surprise."""
        return self.task == "auto" and self.classes == 3

    @property
    def index_file(self) -> Path:
        """The index in use."""
        task = self.classes if self.task == "auto" else self.task
        return self.index or index_path("data", self.dataset, task)

    @property
    def name(self) -> str:
        """The experiment's name: what its result folder is called."""
        if self.experiment:
            return self.experiment
        return experiment_name(self)

    @property
    def folder(self) -> Path:
        """Where the experiment's records go."""
        return self.result / self.name


def _as_json(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, Path) else value


def first_difference(one: Mapping, other: Mapping, names: Iterable[str]) -> str | None:
    """The first of `names` whose settings (Settings.facts) differ."""
    return next((name for name in names if one[name] != other[name]), None)


def settings_of(kind: Of) -> tuple[str, ...]:
    """The names of the settings that are marked so."""
    hints = get_type_hints(Settings, include_extras=True)
    return tuple(one.name for one in fields(Settings) if kind in hints[one.name].__metadata__)


FREE = frozenset(settings_of(Of.RUN))  # two runs of one experiment may differ in them
SHAPING = settings_of(Of.NETWORK)
