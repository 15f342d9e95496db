"""Which settings go together."""

import re
from collections.abc import Collection
from typing import TYPE_CHECKING

from common.cli import flag
from common.errors import UserError
from data.corpora.known import CORPORA
from data.corpora.units import CD6ME
from data.motion.alignment import parse_frame
from data.motion.flow import MOTION_SIZE
from models.registry import DEFAULT_NETWORK, NETWORKS, TRUNKS, motion_entry, network_names

from .metrics import check_prior

if TYPE_CHECKING:
    from .settings import Settings


def resolve_task(settings: "Settings") -> None:
    """Set classes to what --task says of a known corpus; 3, and 5 of CASME II, are auto's."""
    task = settings.task
    corpus = CORPORA.get(settings.dataset)
    if task == "au":
        object.__setattr__(settings, "classes", len(CD6ME))
    elif task != "auto" and corpus is not None and settings.index is None:
        if task not in corpus.tasks:
            raise UserError(f"--task {task}: {corpus.name} has {', '.join(corpus.tasks)}")
        object.__setattr__(settings, "classes", len(corpus.tasks[task].classes))
    if task == "3" or (task, settings.dataset) == ("5", "casme2"):
        object.__setattr__(settings, "classes", int(task))
        object.__setattr__(settings, "task", "auto")


def check_settings(settings: "Settings") -> None:
    """UserError for settings that contradict each other, or name what there is not."""
    for name in ("image_size", "epochs", "batch_size", "motion_size", "cpus_per_fold", "stack",
                 "seeds"):  # fmt: skip
        value = getattr(settings, name)
        if value is not None and value < 1:
            raise UserError(f"{flag(name)} {value}: at least 1")
    check_prior(settings.prior, settings.classes)
    if settings.prior and settings.streams != "motion":
        raise UserError("--prior goes with --streams motion: capsule lengths are no probabilities")
    _check_names(settings)
    _check_launch(settings)
    _check_data(settings)
    _check_corpora(settings)
    _check_choice(settings)
    if settings.tells_units:
        _check_units(settings)
    _check_network(settings)
    _check_streams(settings)
    if settings.streams == "motion":
        _check_motion_alone(settings)
    else:
        _check_pictures(settings)


def _check_names(settings: "Settings") -> None:
    _check_name("--network", settings.network, network_names())
    _check_name("--motion-net", settings.motion_net, network_names("motion_net"))
    _check_name("--trunk", settings.trunk, TRUNKS)
    if settings.experiment is not None:
        named = re.fullmatch(r"\w[\w.-]*(/seed_(\d+))?", settings.experiment)
        if not named:
            raise UserError(
                f"--experiment {settings.experiment}: letters, digits, '_', '-' and '.'"
            )
        if named[2] and (int(named[2]) != settings.seed or settings.seeds > 1):
            raise UserError(
                f"--experiment {settings.experiment}: is the folder of one seed, --seed {named[2]}"
            )


def _check_name(option: str, name: str, names: Collection[str]) -> None:
    if name not in names:
        raise UserError(f"{option} {name}: no such one; there are {', '.join(names)}")


def _check_launch(settings: "Settings") -> None:
    workers, gpus = settings.workers, settings.gpus_per_fold
    if settings.stack > 1:
        _check_stack(settings)
    if workers is not None and workers < 1:
        raise UserError(f"--workers {workers}: at least 1")
    if workers is not None and settings.launcher == "ray":
        raise UserError("--workers goes with --launcher local: on Ray the cluster decides")
    if gpus is not None and settings.launcher == "local":
        raise UserError("--gpus-per-fold goes with --launcher ray")
    if gpus is not None and gpus < 0:
        raise UserError(f"--gpus-per-fold {gpus}: at least 0")


def _check_stack(settings: "Settings") -> None:
    begin = f"--stack {settings.stack}"
    if settings.freeze != "trunk" or settings.augment not in ("none", "flip"):
        raise UserError(f"{begin} goes with --freeze trunk and --augment flip or none")
    if settings.reads_motion:
        raise UserError(f"{begin} goes with --streams 2d, 3d or dual: without motion")
    if settings.inner:
        raise UserError(f"{begin} goes without --inner: its networks are trained one by one")


def _check_data(settings: "Settings") -> None:
    parse_frame(settings.map_frame)
    if settings.glasses_only and settings.without_glasses:
        raise UserError("--glasses-only and --without-glasses leave nobody")
    if not re.fullmatch(r"\w[\w.-]*", settings.dataset):
        raise UserError(f"--dataset {settings.dataset}: letters, digits, '_', '-' and '.'")
    if settings.classes < 2:
        raise UserError(f"--classes {settings.classes}: at least 2")
    if settings.task == "auto" and settings.dataset in (*CORPORA, "composite"):
        has = {n: {len(task.classes) for task in one.tasks.values()} for n, one in CORPORA.items()}
        if settings.classes not in has.get(settings.dataset, {3}):
            raise UserError(f"--classes {settings.classes} goes with --dataset casme2")


def _check_corpora(settings: "Settings") -> None:
    train, test = settings.train_on, settings.test_on
    if bool(train) != bool(test):
        given, lacking = ("--train-on", "--test-on") if train else ("--test-on", "--train-on")
        raise UserError(f"{given} goes with {lacking}: name the corpora of both")
    if both := sorted(set(train) & set(test)):
        raise UserError(f"--train-on and --test-on share {both[0]}: nothing of it would be unseen")
    if train and settings.protocol != "loso":
        raise UserError(
            f"--protocol {settings.protocol} says what is left out; it has no --train-on"
        )
    if settings.folds < 0 or settings.folds == 1:
        raise UserError(f"--folds {settings.folds}: at least 2 groups of subjects, or 0 for none")
    if settings.folds and (train or settings.protocol != "loso"):
        raise UserError("--folds holds out groups of subjects; it goes with --protocol loso alone")


def _check_choice(settings: "Settings") -> None:
    if settings.inner < 0 or settings.inner == 1:
        raise UserError(f"--inner {settings.inner}: at least 2 groups, or 0 for none")
    if settings.choose and not settings.inner:
        raise UserError("--choose goes with --inner: what is chosen is chosen on its groups")
    if settings.choose_ensemble < 0:
        raise UserError(f"--choose-ensemble {settings.choose_ensemble}: at least 1, or 0 for none")
    if settings.choose_ensemble and not settings.choose:
        raise UserError("--choose-ensemble goes with --choose: it takes several of these")


def _check_units(settings: "Settings") -> None:
    for name in ("inner", "prior", "softmax_twice"):
        if getattr(settings, name):
            raise UserError(f"{flag(name)} goes with classes, not with --task au")
    if settings.streams == "motion" and settings.motion_net in ("kernel_ridge", "svm"):
        raise UserError(f"--motion-net {settings.motion_net} goes with classes, not --task au")


def _check_network(settings: "Settings") -> None:
    network, streams = settings.network, settings.streams
    reads = NETWORKS[network].streams
    # Of motion alone --motion-net says which network.
    if streams not in reads and (network, streams) != (DEFAULT_NETWORK, "motion"):
        raise UserError(f"--network {network} reads --streams {' or '.join(reads)}, not {streams}")
    if network == "baseline" and TRUNKS[settings.trunk].baseline is None:
        whole = [name for name, trunk in TRUNKS.items() if trunk.baseline]
        raise UserError(f"--network baseline goes with --trunk {' or '.join(whole)}")
    if settings.views == 14 and streams != "3d":
        raise UserError("--views 14 goes with --streams 3d")
    if settings.views_show != "shape" and not settings.reads_views:
        raise UserError(f"--views-show {settings.views_show} goes with --streams 3d or dual")
    if settings.softmax_twice and network != "baseline":
        raise UserError("--softmax-twice goes with train_me_loso_baseline.py")
    if settings.freeze == "trunk" and settings.first_weights == "none":
        raise UserError("--freeze trunk with --weights none would never train the trunk")
    packaged = [name for name, trunk in TRUNKS.items() if trunk.weights == "package"]
    if settings.weights == "package" and settings.trunk not in packaged:
        raise UserError(f"--weights package goes with --trunk {' or '.join(packaged)}")


def _check_streams(settings: "Settings") -> None:
    if not 0 < settings.fusion_gain < 1000:
        raise UserError(f"--fusion-gain {settings.fusion_gain}: above 0, below 1000")
    if not 0 <= settings.stream_loss < 1000:
        raise UserError(f"--stream-loss {settings.stream_loss}: at least 0, below 1000")
    if settings.warm_epochs < 0:
        raise UserError(f"--warm-epochs {settings.warm_epochs}: at least 0")
    for name in ("stream_loss", "warm_epochs"):
        if getattr(settings, name) and len(settings.inputs) == 1:
            raise UserError(f"{flag(name)} goes with several streams, not {settings.streams}")


def _check_pictures(settings: "Settings") -> None:
    if settings.first_weights == "synthetic":
        raise UserError(
            "--weights synthetic goes with --streams motion; a further motion stream always "
            "starts from them"
        )
    if settings.adapt == "none":
        raise UserError("--adapt none goes with --streams motion: capsules must learn")


def _check_motion_alone(settings: "Settings") -> None:
    start = settings.first_weights
    if settings.precision == "bf16":
        raise UserError("--precision bf16: networks of --streams motion compute in float32")
    if not motion_entry(settings.motion_net).pretrained:
        _check_from_nothing(settings)
    if start in ("imagenet", "package"):
        raise UserError(
            f"--streams motion has no trunk for --weights {settings.weights}: synthetic"
        )
    if settings.adapt == "head" and motion_entry(settings.motion_net).featureless:
        raise UserError(
            f"--adapt head: {settings.motion_net} has no features of its own, so that would be "
            "--weights none; take --motion-net lean"
        )
    if start == "none" and settings.adapt != "all":
        raise UserError(f"--adapt {settings.adapt} needs pretrained weights: --weights synthetic")
    if start == "synthetic" and settings.motion_size != MOTION_SIZE:
        raise UserError(
            f"--motion-size {settings.motion_size}: the synthetic weights read {MOTION_SIZE} px; "
            "--weights none learns at other sizes"
        )
    if start == "synthetic" and settings.adapt == "none" and not settings.is_three:
        told = settings.classes if settings.task == "auto" else f"of --task {settings.task}"
        if settings.task != "au":
            raise UserError(
                f"--adapt none with --classes {told}: the synthetic weights know three classes, "
                "negative, positive and surprise, and action units (--task au)"
            )


def _check_from_nothing(settings: "Settings") -> None:
    net = settings.motion_net
    if settings.first_weights != "none":
        raise UserError(
            f"--weights {settings.weights}: {net} learns from nothing; leave it out, or take "
            "--motion-net lean"
        )
    if settings.adapt != "all":
        raise UserError(
            f"--adapt {settings.adapt}: {net} has no pretrained weights to keep; leave it out, or "
            "take --motion-net lean"
        )
