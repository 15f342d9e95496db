"""Make the motion networks' weights from synthetic faces alone: no real face, nothing fetched.

python -m tools.pretrain_motion
"""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.nn import functional as F

from common.cli import run_script
from common.errors import UserError
from common.files import write_whole
from common.parallel import cores
from loso.metrics import scores
from loso.synthetic_weights import SYNTHETIC_WEIGHTS
from models.directed import Directions
from models.directed import build as build_directed
from models.motion import UNITS, MotionNet, build_lean, build_linear, standardise, vary
from models.registry import Plan
from synthetic.motion.domains import HELD_OUT, TRAINING
from synthetic.motion.pairs import VERSION, SyntheticMotion, make_motion

# C of the logistic regressions: the best of a decade's steps on the held-out domain.
STRENGTH, DIRECTED_STRENGTH = 3e-5, 1e-4
BATCH = 64
RATE = 4e-3


def main(
    out: Path = SYNTHETIC_WEIGHTS,
    samples: int = 24000,
    seed: int = 9,
    epochs: int = 8,
    workers: int = cores(),
) -> None:
    """Draw motion, train three networks on it, score them on a domain they never saw.

    Args:
        out: file of the weights (.safetensors); the repository's own is replaced by default.
        samples: synthetic pairs to train on.
        seed: of the drawing and the training.
        epochs: passes of the lean network.
        workers: processes that draw; the weights do not depend on it.
    """
    if out.suffix != ".safetensors":
        raise UserError(f"--out {out}: weights are written as .safetensors")
    if samples < 240 or epochs < 1:
        raise UserError(f"--samples {samples}, --epochs {epochs}: at least 240 and 1")
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)  # sums in another order would be other weights
    threadpool_limits(1)
    pairs = make_motion(samples, seed, TRAINING, workers=workers)
    unseen = make_motion(max(samples // 10, 240), seed + 1, HELD_OUT, workers=workers)
    print(f"drew {len(pairs.labels)} pairs in {len(TRAINING)} domains, {len(unseen.labels)} beside")
    nets = {
        "directed": fit_directed(pairs),
        "linear": fit_linear(pairs, build_linear(Plan()), STRENGTH),
        "lean": train_lean(pairs, seed, epochs),
    }
    held_out = {name: held_out_uf1(net, unseen) for name, net in nets.items()}
    for name, uf1 in held_out.items():
        print(f"{name}: UF1 {uf1:.3f} on the held-out synthetic domain ({HELD_OUT[0].name})")
    state = {
        f"{n}.{key}": t.contiguous()
        for n, net in nets.items()
        for key, t in net.state_dict().items()
    }
    command = f"python -m tools.pretrain_motion --samples {samples} --seed {seed} --epochs {epochs}"
    facts = {
        "command": command, "seed": seed, "samples": samples, "epochs": epochs,
        "domains": [domain.name for domain in TRAINING], "drawing": VERSION, "units": UNITS,
        "size": pairs.maps.shape[-1], "held_out_uf1": {n: round(v, 3) for n, v in held_out.items()},
        "data": "synthetic faces of the Anny head; no real face",
    }  # fmt: skip
    with write_whole(out) as part:
        # One entry: safetensors writes several in random order.
        save_file(state, part, metadata={"made by": json.dumps(facts)})
    print(f"wrote {out}")


@torch.no_grad()
def fit_directed(pairs: SyntheticMotion) -> MotionNet:
    """The metric, from how maps of one class differ; in it, both heads."""
    net = build_directed(Plan()).eval()
    assert isinstance(net.body, Directions)
    net.body.learn_metric(
        net.features(torch.from_numpy(pairs.maps))[0], torch.from_numpy(pairs.labels)
    )
    return fit_linear(pairs, net, DIRECTED_STRENGTH)


@torch.no_grad()
def fit_linear(pairs: SyntheticMotion, net: MotionNet, strength: float) -> MotionNet:
    """Class-balanced logistic regression on the features, of classes and of each unit."""
    x = net.eval().features(torch.from_numpy(pairs.maps))[0].numpy()
    settings = {"C": strength, "class_weight": "balanced", "max_iter": 200}
    model = LogisticRegression(**settings).fit(x, pairs.labels)
    _put(net.classes, model.coef_, model.intercept_)
    rows = []
    for shown in pairs.units.T:
        if shown.min() == shown.max():
            raise UserError("too few samples: an action unit is never, or always, shown")
        rows.append(LogisticRegression(**settings).fit(x, shown))
    _put(
        net.units, *(np.concatenate(part) for part in zip(*((m.coef_, m.intercept_) for m in rows)))
    )
    return net


@torch.no_grad()
def _put(layer: torch.nn.Linear, weight: np.ndarray, bias: np.ndarray) -> None:
    layer.weight.copy_(torch.from_numpy(weight))
    layer.bias.copy_(torch.from_numpy(bias))


def train_lean(pairs: SyntheticMotion, seed: int, epochs: int) -> MotionNet:
    """Train the lean network on classes and units together."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    net = build_lean(Plan())
    maps = standardise(torch.from_numpy(pairs.maps))
    labels, units = torch.from_numpy(pairs.labels), torch.from_numpy(pairs.units).float()
    steps = len(maps) // BATCH
    optimiser = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=epochs * steps)
    net.train()
    for epoch in range(1, epochs + 1):
        total = 0.0
        order = torch.randperm(len(maps), generator=generator)[: steps * BATCH]
        for rows in order.split(BATCH):
            loss = _loss(net(vary(maps[rows], generator)), labels[rows], units[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += float(loss.detach()) / steps
        print(f"lean, epoch {epoch} of {epochs}: loss {total:.3f}", flush=True)
    return net.eval()


def _loss(output: tuple[Tensor, Tensor], labels: Tensor, units: Tensor) -> Tensor:
    classes = F.cross_entropy(output[0], labels, label_smoothing=0.1)
    return classes + 2 * F.binary_cross_entropy_with_logits(output[1], units)


@torch.no_grad()
def held_out_uf1(net: MotionNet, pairs: SyntheticMotion) -> float:
    """UF1 of a network's classes on synthetic pairs."""
    predictions = net(torch.from_numpy(pairs.maps))[0].argmax(1).numpy()
    return scores(pairs.labels, predictions, 3).uf1


if __name__ == "__main__":
    run_script(main)
