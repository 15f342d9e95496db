"""CUDA against the CPU: the losses of ten steps, and the record of a fold."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from loso.batches import Images
from loso.folds import make_folds
from loso.networks import build_network
from loso.pictures import PictureRunner
from loso.training import PictureRecipe

from .inputs import made_clips
from .plans import Plan

STEPS = 10
# Relative differences of the first step's loss, and of any of ten: rounding grows from step to
# step, since Adam makes steps of one size out of gradients of any. On a CPU, with two other seeds,
# another order of the same sums moved ten losses by up to 0.004, bf16 by up to 0.01 (the first by
# 1e-7 and 4e-5).
TOLERANCE = {
    torch.float32: (1e-4, 0.02),
    torch.bfloat16: (0.01, 0.05),
    torch.float16: (0.01, 0.05),
}
SCORES = 0.05  # of a fold's scores, float32, in absolute terms


@contextmanager
def exact() -> Iterator[None]:
    """No TF32: float32 is what it says."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def step_losses(
    plan: Plan, device: torch.device, half: torch.dtype | None, steps: int
) -> list[float]:
    """The losses of some steps on a device, from one start."""
    settings = plan.settings
    clips = made_clips(settings, subjects=3, clips=6, frames=2)
    (fold, *_) = make_folds(clips.index, settings.classes)
    torch.manual_seed(0)
    network = build_network(settings)
    recipe = PictureRecipe(network, Images(clips, settings, device), fold, settings)
    recipe.half = half
    scaler = torch.amp.GradScaler(device.type, enabled=half == torch.float16)
    losses: list[torch.Tensor] = []
    while len(losses) < steps:
        for loss, _ in recipe.losses():
            recipe.optimiser.zero_grad(set_to_none=True)
            scaler.scale(loss).backward()
            scaler.step(recipe.optimiser)
            scaler.update()
            losses.append(loss.detach())
    return torch.stack(losses[:steps]).tolist()


def check_losses(plan: Plan, device: torch.device, steps: int = STEPS) -> list[dict]:
    """A row a precision: the largest differences from the CPU's float32, and whether they pass."""
    rows = []
    with exact():
        expected = np.array(step_losses(plan, torch.device("cpu"), None, steps))
        for half, (first, most) in TOLERANCE.items():
            if device.type == "cpu" and half is torch.float16:
                continue  # seconds a step
            taken = None if half is torch.float32 else half
            losses = np.array(step_losses(plan, device, taken, steps))
            apart = np.abs(losses - expected) / np.abs(expected)
            rows.append({
                "check": f"{plan.name}, {steps} losses",
                "precision": str(half).removeprefix("torch."),
                "first step": float(apart[0]), "largest": float(apart.max()),
                "tolerance": f"{first:g}, {most:g}",
                "passes": bool(apart[0] <= first and apart.max() <= most),
            })  # fmt: skip
    return rows


def check_record(plan: Plan, device: torch.device) -> list[dict]:
    """A row: how far the scores of a fold's last epoch are from the CPU's."""
    settings = plan.settings
    clips = made_clips(settings, subjects=3, clips=6, frames=2)
    (fold, *_) = make_folds(clips.index, settings.classes)
    with exact():
        records = [
            PictureRunner(settings, clips, where).run(fold, lambda record: None)[0][-1]
            for where in (torch.device("cpu"), device)
        ]
    theirs, ours = (np.array(record["scores"]) for record in records)
    most = float(np.abs(ours - theirs).max())
    same = float((ours.argmax(1) == theirs.argmax(1)).mean())
    return [{
        "check": f"{plan.name}, scores of a fold", "precision": "float32", "largest": most,
        "tolerance": f"{SCORES:g}", "same predictions": same, "passes": most <= SCORES,
    }]  # fmt: skip
