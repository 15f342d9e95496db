"""A training step of the paper's 2D setting: ours beside a plain loop over the same network.

    python -m benchmarks.bench_training_step [--steps 3]

Ours reads uint8 pictures from memory and augments them as a batch; the plain loop decodes and
augments each image with PIL and torchvision, as the published code does. Ours also keeps
channels last in memory. Weights are random:
they do not change the time.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import tyro
from PIL import Image
from rich.console import Console
from rich.table import Table
from torchvision import transforms

from data.pictures import load_pictures
from data.transforms import draw
from loso.batches import Images, memory_layout
from loso.settings import Settings
from loso.weights import build_network

PLAIN = transforms.Compose(
    [
        transforms.Resize((224, 224)),
        transforms.RandomRotation(8),
        transforms.RandomHorizontalFlip(),
        transforms.ColorJitter(0.2, 0.2, 0.2, 0.2),
        transforms.ToTensor(),
    ]
)


def main(steps: int = 3, batch: int = 32) -> None:
    """Print seconds a step and images a second.

    Args:
        steps: timed steps of each, after one that is not counted; ours and plain take turns.
        batch: images a step.
    """
    settings = Settings(weights="none", batch_size=batch)
    device = torch.device("cpu")
    labels = torch.arange(batch) % 3
    with tempfile.TemporaryDirectory() as folder:
        paths = _write_frames(Path(folder), batch)
        table = pd.DataFrame(
            {"data": "smic", "subject": "01", "clip": [p.stem for p in paths], "label": 0}
        ).assign(apex_frame_path=[p.name for p in paths])
        images = Images(load_pictures(table, None, Path(folder), (224, 224)), settings, device)
        rows, generator = torch.arange(batch), torch.Generator().manual_seed(0)

        def our_batch() -> torch.Tensor:
            apexes = torch.zeros(batch, dtype=torch.long)
            return images.train(rows, apexes, draw(batch, settings.augment, generator))[0]

        def plain_batch() -> torch.Tensor:
            return torch.stack([PLAIN(Image.open(path).convert("RGB")) for path in paths])

        timed = _take_turns(
            {
                "ours": _stepper(
                    build_network(settings, None).to(memory_format=memory_layout(device)),
                    our_batch,
                    labels,
                ),
                "plain": _stepper(build_network(settings, None), plain_batch, labels),
                "ours, data alone": our_batch,
                "plain, data alone": plain_batch,
            },
            steps,
        )
    out = Table(
        "", "s a step (median)", "min-max", "img/s", title=f"ResNet18, 224 px, batch {batch}"
    )
    for name, seconds in timed.items():
        middle = statistics.median(seconds)
        spread = f"{min(seconds):.2f}-{max(seconds):.2f}"
        out.add_row(name, f"{middle:.3f}", spread, f"{batch / middle:.2f}")
    Console(width=80).print(out)


def _write_frames(folder: Path, number: int) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = [folder / f"frame{i}.jpg" for i in range(number)]
    for path in paths:
        noise = rng.integers(0, 256, (35, 30, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((240, 280), Image.Resampling.BICUBIC).save(path)
    return paths


def _stepper(
    network: torch.nn.Module, batch: Callable[[], torch.Tensor], labels: torch.Tensor
) -> Callable[[], None]:
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4)
    network.train()

    def step() -> None:
        loss = network.loss(network(batch()), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return step


def _take_turns(work: dict[str, Callable], repeats: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(repeats + 1):
        for name, do in work.items():
            start = time.perf_counter()
            do()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return seconds


if __name__ == "__main__":
    tyro.cli(main)
