"""What each step of the full augmentation costs a picture: python -m benchmarks.bench_augment

CPU time of one thread (user and system, which other programs hardly change), the least of some
runs; beside ours what libraries have for the same step, and the plain way from a JPEG. "Apart" is
the largest difference from torch's operations in float32.
"""

import io
import resource
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch
import torch.nn.functional as F
import torchvision.transforms.v2.functional as v2
from PIL import Image
from rich import box
from rich.console import Console
from rich.table import Table

from common.cli import run_script
from data import augment_cpu, transforms
from data.transforms import (
    Augmentation,
    augment,
    augment_at_once,
    sample_augmentation,
    to_float,
)

from .plain import jitter_and_turn

PICTURES, SIDE = 32, 224
COLOURS = ("brightness", "contrast", "saturation", "hue")
V2 = (v2.adjust_brightness, v2.adjust_contrast, v2.adjust_saturation, v2.adjust_hue)


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
    table = Table("step", "by", "ms a picture", "apart", box=box.MARKDOWN)
    expected = torch.cat([augment_at_once(pictures[i : i + 1], sample.part(i), SIDE)
                          for i in range(PICTURES)])  # fmt: skip
    for by, do in _whole(pictures, sample):
        apart = (torch.cat(list(do())) - expected).abs().max()
        table.add_row("all", by, f"{_milliseconds(do, runs):.3f}", f"{apart:.0e}")
    for step, by, do in _steps(pictures, arrays, sample):
        table.add_row(step, by, f"{_milliseconds(do, runs):.3f}", "")
    Console(width=100).print(table)


def _whole(
    pictures: torch.Tensor, sample: Augmentation
) -> Iterator[tuple[str, Callable[[], Iterable[torch.Tensor]]]]:
    """Ways to do all of it."""
    alone = [pictures[i : i + 1] for i in range(len(pictures))]
    parts = [sample.part(i) for i in range(len(pictures))]
    yield "ours", lambda: [augment(pictures, sample, SIDE, torch.channels_last)]
    yield (
        "torch, image by image",
        lambda: [augment_at_once(*pair, SIDE) for pair in zip(alone, parts)],
    )
    yield "torch, the batch at once", lambda: [augment_at_once(pictures, sample, SIDE)]
    inputs = [(x, _theta(part), part.colour) for x, part in zip(alone, parts)]

    def jittered(x: torch.Tensor, theta: torch.Tensor, colour: torch.Tensor) -> torch.Tensor:
        x = F.grid_sample(to_float(x), transforms._grid(theta, SIDE), align_corners=False)
        return transforms._jitter_(x, replace(sample, colour=colour))

    try:
        torch.compile(jittered, dynamic=False)(*inputs[0])
    except Exception as error:  # of a compiler that is not there: told, and the rest is measured
        print(f"torch.compile: {type(error).__name__}")
    else:
        compiled = torch.compile(jittered, dynamic=False)
        yield "torch.compile, image by image", lambda: [compiled(*one) for one in inputs]
        whole = (pictures, _theta(sample), sample.colour)
        yield "torch.compile, the batch at once", lambda: [compiled(*whole)]

    def torchvision(picture: torch.Tensor, part: Augmentation) -> torch.Tensor:
        turned = v2.rotate(picture, float(part.angle), v2.InterpolationMode.BILINEAR)
        turned = v2.horizontal_flip(turned) if part.flip else turned
        for which in part.order:
            turned = V2[which](turned, float(part.colour[0, which]))
        return turned

    yield (
        "torchvision v2, float32",
        lambda: [torchvision(to_float(x), part) for x, part in zip(alone, parts)],
    )
    yield (
        "torchvision v2, bytes",
        lambda: [to_float(torchvision(x, part)) for x, part in zip(alone, parts)],
    )


def _theta(sample: Augmentation) -> torch.Tensor:
    """What F.affine_grid takes (B, 2, 3) of square pictures that are not cropped."""
    rotation, shift = transforms._turned(sample, SIDE, (SIDE, SIDE))
    return torch.cat([rotation, shift], -1)


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
        pairs = [(x, factor[which]) for x, factor in zip(floats, factors)]
        return COLOURS[which], "torch", each(lambda pair: change(pair[0].clone(), pair[1]), pairs)

    arguments = (
        np.stack(arrays), transforms._pixel_matrices(sample, SIDE, (SIDE, SIDE)).float().numpy(),
        np.empty(0, np.int64), sample.colour.numpy(), SIDE,
    )  # fmt: skip

    def hue_of(image: np.ndarray) -> None:
        cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2HSV), cv2.COLOR_HSV2RGB)

    def warp(image: np.ndarray) -> None:
        cv2.warpAffine(image, matrix, (SIDE, SIDE))

    return [
        ("all, JPEG included", "plain", each(
            lambda file: plainly(Image.open(file).convert("RGB")), files
        )),
        ("bilinear, from bytes", "ours", lambda: augment_cpu.augment_frames(*arguments)),
        ("bytes to floats", "torch", each(to_float, alone)),
        ("grid", "torch", each(lambda _: transforms._grid(theta, SIDE), alone)),
        ("bilinear", "torch", each(
            lambda x: F.grid_sample(x, grid, align_corners=False), stored
        )),
        ("bilinear", "OpenCV, bytes", each(warp, arrays)),
        ("bilinear", "OpenCV, float32", each(warp, as_float)),
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
