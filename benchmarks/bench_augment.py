"""What each step of the full augmentation costs a picture: python -m benchmarks.bench_augment

CPU time of one thread (user and system, which other programs hardly change), the least of some
runs; beside ours what libraries have for the same step, and the plain way from a JPEG.
"""

import io
import resource
from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from rich import box
from rich.console import Console
from rich.table import Table

from common.cli import run_script
from data import transforms
from data.transforms import Augmentation, augment, sample_augmentation, to_float

from .plain import jitter_and_turn

PICTURES, SIDE = 32, 224


def main(runs: int = 10) -> None:
    """Print milliseconds a picture of 224 px.

    Args:
        runs: of which the least is taken.
    """
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    sample = sample_augmentation(PICTURES, "full", torch.Generator().manual_seed(0))
    noise = torch.randint(0, 256, (PICTURES, SIDE, SIDE, 3), dtype=torch.uint8)
    arrays = [cv2.GaussianBlur(picture.numpy(), (0, 0), 3) for picture in noise]
    pictures = torch.from_numpy(np.stack(arrays)).movedim(-1, 1)
    table = Table("step", "by", "ms a picture", box=box.MARKDOWN)
    for step, by, do in _steps(pictures, arrays, sample):
        table.add_row(step, by, f"{_milliseconds(do, runs):.3f}")
    Console(width=100).print(table)


Step = tuple[str, str, Callable[[], object]]


def _steps(pictures: torch.Tensor, arrays: list[np.ndarray], sample: Augmentation) -> list[Step]:
    alone = [pictures[i : i + 1] for i in range(len(pictures))]
    parts = [sample.part(i) for i in range(len(pictures))]
    stored = [to_float(picture) for picture in alone]  # channels last
    floats = [picture.contiguous() for picture in stored]  # as grid_sample leaves them
    theta = torch.tensor([[[0.99, -0.1, 0.01], [0.1, 0.99, -0.01]]])
    grid, matrix = transforms._grid(theta, SIDE), theta[0].numpy()
    factors = [part.colour.view(4, 1, 1, 1, 1) for part in parts]
    as_float = [array.astype(np.float32) / 255 for array in arrays]
    files = [io.BytesIO() for _ in arrays]
    for file, array in zip(files, arrays):
        Image.fromarray(array).save(file, "JPEG", quality=95)
    plainly = jitter_and_turn(SIDE)

    def each(change: Callable, items: Sequence) -> Callable[[], None]:
        def do() -> None:
            for item in items:
                change(item)  # and let go: memory that was in use is in the cache

        return do

    def colour(which: int, change: Callable) -> Step:
        name = ("brightness", "contrast", "saturation", "hue")[which]
        pairs = [(x, factor[which]) for x, factor in zip(floats, factors)]
        return name, "ours", each(lambda pair: change(pair[0].clone(), pair[1]), pairs)

    def hue_of(image: np.ndarray) -> None:
        cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2HSV), cv2.COLOR_HSV2RGB)

    def warp(image: np.ndarray) -> None:
        cv2.warpAffine(image, matrix, (SIDE, SIDE))

    return [
        ("all", "ours", lambda: augment(pictures, sample, SIDE, torch.channels_last)),
        ("all, JPEG included", "plain", each(
            lambda file: plainly(Image.open(file).convert("RGB")), files
        )),
        ("bytes to floats", "ours", each(to_float, alone)),
        ("grid", "ours", each(lambda _: transforms._grid(theta, SIDE), alone)),
        ("bilinear", "grid_sample, ours", each(
            lambda x: F.grid_sample(x, grid, align_corners=False), stored
        )),
        ("bilinear to 1/32 pixel", "OpenCV, bytes", each(warp, arrays)),
        ("bilinear to 1/32 pixel", "OpenCV, float32", each(warp, as_float)),
        colour(0, transforms._brightness_),
        colour(1, transforms._contrast_),
        colour(2, transforms._saturation_),
        colour(3, transforms._hue_),
        ("to HSV and back", "OpenCV, bytes", each(hue_of, arrays)),
        ("to HSV and back", "OpenCV, float32", each(hue_of, as_float)),
    ]  # fmt: skip


def _milliseconds(do: Callable[[], object], runs: int) -> float:
    do()
    return 1000 * min(_cpu_seconds(do) for _ in range(runs)) / PICTURES


def _cpu_seconds(do: Callable[[], object]) -> float:
    before = resource.getrusage(resource.RUSAGE_SELF)
    do()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    run_script(main)
