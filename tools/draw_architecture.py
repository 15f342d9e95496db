"""Draw the network's figure: docs/architecture.svg, light or dark as the reader's screen is.

python -m tools.draw_architecture
"""

import math
from pathlib import Path
from xml.sax.saxutils import escape

from common.cli import run_script
from common.files import write_whole
from data.corpora.known import CLASSES
from data.motion.flow import MOTION_SIZE
from data.views import YAWS
from models.capsules import CLASS_DIM, PRIMARY_DIM
from models.mecapsulenet import CHANNELS, head_sizes

FIGURE = Path(__file__).parent.parent / "docs" / "architecture.svg"
WIDTH, HEIGHT = 1164, 398
PICTURE, TRUNK_SIDE = 224, 28  # pixels of the paper's pictures, and of ResNet18's feature map
ROWS = (92, 210, 328)  # the streams' middles: frame, views, motion
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328; text-anchor: middle; }
  .small { font-size: 11px; fill: #59636e; }
  .title { font-weight: 600; }
  .left { text-anchor: start; }
  .box { fill: #f6f8fa; stroke: #59636e; stroke-width: 1.2; }
  .capsule { fill: #ddf4ff; stroke: #0969da; }
  .attend { fill: #fff1e5; stroke: #bc4c00; }
  .face { fill: #ffffff; stroke: #59636e; stroke-width: 1.1; }
  .line { fill: none; stroke: #59636e; stroke-width: 1.4; }
  .thin { fill: none; stroke: #59636e; stroke-width: 1; }
  .apex { stroke: #bc4c00; stroke-width: 2; }
  .bar { fill: #0969da; }
  .option { stroke-dasharray: 5 4; }
  .tip { fill: #59636e; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .small { fill: #9198a1; }
    .box { fill: #151b23; stroke: #9198a1; }
    .capsule { fill: #0c2d4d; stroke: #58a6ff; }
    .attend { fill: #3d2109; stroke: #f0883e; }
    .face { fill: #0d1117; stroke: #9198a1; }
    .line, .thin { stroke: #9198a1; }
    .apex { stroke: #f0883e; }
    .bar { fill: #58a6ff; }
    .tip { fill: #9198a1; }
  }"""
ALT = (
    "A clip's apex frame and the 13 views of its 3D head go through a trunk and coordinate "
    "attention each, are fused, and become primary capsules and one routed capsule a class, whose "
    "length is the class score; motion from onset to apex can be a third stream."
)


def main(out: Path = FIGURE) -> None:
    """Write the figure.

    Args:
        out: the SVG file; the repository's own by default.
    """
    with write_whole(out) as part:
        part.write_text(figure())
    print(f"wrote {out}")


def figure() -> str:
    """The SVG; sizes are those that the networks' code has for the paper's settings."""
    sizes = head_sizes(TRUNK_SIDE)
    assert sizes is not None  # the paper's pictures are large enough
    kernel, _, grid = sizes
    capsules = CHANNELS // PRIMARY_DIM * grid * grid
    maps = f"{CHANNELS} × {TRUNK_SIDE} × {TRUNK_SIDE}"
    top, middle, bottom = ROWS
    parts = [
        *_clip(70, middle),
        _arrow((128, middle - 12), (172, middle - 12), (172, top), (190, top)),
        _arrow((128, middle), (190, middle)),
        _arrow((128, middle + 12), (172, middle + 12), (172, bottom), (190, bottom), option=True),
        *_input(top, "apex frame", f"3 × {PICTURE} × {PICTURE}"),
        _head(290, top - 4, 24, 0),
        *_input(middle, f"3D head, {len(YAWS)} views", f"{3 * len(YAWS)} × {PICTURE} × {PICTURE}"),
        *_views(290, middle - 4),
        *_input(
            bottom, "motion, onset to apex", f"u, v, strain: 3 × {MOTION_SIZE} × {MOTION_SIZE}",
            option=True,
        ),
        *_flow(290, bottom - 4),
    ]  # fmt: skip
    for row, lines in (
        (top, ("trunk", "ResNet18", maps)),
        (middle, ("trunk", "ResNet18", maps)),
        (bottom, ("lean network", "optional stream", "16 × 5 × 5")),
    ):
        option = row == bottom
        parts += [
            _arrow((390, row), (416, row), option=option),
            *_box(416, row, 118, 66, *lines, option=option),
            _arrow((534, row), (558, row), option=option),
            *_box(558, row, 100, 66, "coordinate", "attention", kind="attend", option=option),
        ]
    parts += [
        _arrow((658, top), (680, top), (680, middle - 20), (702, middle - 20)),
        _arrow((658, middle), (702, middle)),
        _arrow((658, bottom), (680, bottom), (680, middle + 20), (702, middle + 20), option=True),
        *_box(702, middle, 136, 96, "fusion", "join, 1 × 1 conv", "coordinate attention", maps,
              kind="attend"),
        _arrow((838, middle), (862, middle)),
        *_box(862, middle, 140, 96, "primary capsules", f"{kernel} × {kernel} conv, twice",
              f"{capsules} × {PRIMARY_DIM}", f"{grid} × {grid} grid", kind="capsule"),
        _arrow((1002, middle), (1036, middle)),
        *_classes(1036, middle),
    ]  # fmt: skip
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(ALT)}">\n<title>DSNCA</title>\n<style>{STYLE}\n</style>\n'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path class="tip" d="M0 0L8 4L0 8Z"/></marker></defs>\n'
        f"{body}\n</svg>\n"
    )


def _text(x: float, y: float, words: str, style: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{style}">{escape(words)}</text>'


def _rect(x: float, y: float, width: float, height: float, style: str) -> str:
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6" class="{style}"/>'
    )


def _arrow(*points: tuple[float, float], option: bool = False) -> str:
    path = "M" + "L".join(f"{x:g} {y:g}" for x, y in points)
    return f'<path class="line{" option" * option}" marker-end="url(#tip)" d="{path}"/>'


def _box(
    left: float,
    middle: float,
    width: float,
    height: float,
    title: str,
    *lines: str,
    kind: str = "",
    option: bool = False,
) -> list[str]:
    """A box with a title and smaller lines; a box of `attend` has its first two as one name."""
    parts = [
        _rect(left, middle - height / 2, width, height, f"box {kind}{' option' * option}".strip())
    ]
    first = middle - 8 * len(lines) + 4
    parts.append(_text(left + width / 2, first, title, "title"))
    for number, line in enumerate(lines, 1):
        style = "title" if (title, line) == ("coordinate", "attention") else "small"
        parts.append(_text(left + width / 2, first + 16 * number, line, style))
    return parts


def _input(row: float, title: str, size: str, option: bool = False) -> list[str]:
    return [
        _rect(190, row - 50, 200, 100, f"box{' option' * option}"),
        _text(290, row - 34, title, "title"),
        _text(290, row + 42, size, "small"),
    ]


def _head(x: float, y: float, size: float, yaw: float) -> str:
    """A head turned by `yaw` degrees: nose and eyes go along."""
    shift = size * math.sin(math.radians(yaw))
    eye, wide = 0.3 * size, 0.75 * size
    nose = f"M{x + shift:g} {y - 0.15 * size:g}l{shift / 3 + 0.06 * size:g} {0.4 * size:g}"
    mouth = f"M{x + 0.8 * shift - eye:g} {y + 0.55 * size:g}h{2 * eye:g}"
    eyes = "".join(
        f"M{x + 0.9 * shift + side * eye - 0.08 * size:g} {y - 0.22 * size:g}h{0.16 * size:g}"
        for side in (-1, 1)
    )
    return (
        f'<ellipse cx="{x:g}" cy="{y:g}" rx="{wide:g}" ry="{size:g}" class="face"/>'
        f'<path class="thin" d="{nose}{mouth}{eyes}"/>'
    )


def _clip(x: float, y: float) -> list[str]:
    """Frames behind each other, the apex marked, and an intensity over them."""
    parts = [
        _rect(x - 44 + 7 * i, y - 44 + 5 * i, 56, 64, "face" + " apex" * (i == 4)) for i in range(5)
    ]
    curve = " ".join(
        f"{x - 50 + i:g} {y + 96 - 30 * math.exp(-(((i - 60) / 20) ** 2)):.1f}"
        for i in range(0, 101, 5)
    )
    return [
        *parts,
        _head(x + 12, y + 8, 20, 0),
        _text(x, y - 58, "clip", "title"),
        f'<polyline class="line" points="{curve}"/>',
        f'<path class="line apex" d="M{x + 10} {y + 58}V{y + 100}"/>',
        _text(x - 38, y + 114, "onset", "small"),
        _text(x + 10, y + 114, "apex", "small"),
        _text(x + 48, y + 114, "offset", "small"),
    ]


def _views(x: float, y: float) -> list[str]:
    step = 180 / len(YAWS)
    start = x - step * (len(YAWS) - 1) / 2
    heads = [_head(start + step * i, y, 8.2, yaw) for i, yaw in enumerate(YAWS)]
    return [*heads, _text(x, y + 28, f"{YAWS[0]}° to {YAWS[-1]}°".replace("-", "−"), "small")]


def _flow(x: float, y: float) -> list[str]:
    """Arrows as of a smile: the corners of the mouth go out and up."""
    arrows = []
    for row in range(3):
        for column in range(-4, 5):
            length = 9 * math.exp(-((abs(column) - 2.5) ** 2) / 2) * (0.4 + 0.3 * row)
            at = x + 17 * column, y - 12 + 15 * row
            end = at[0] + math.copysign(length, column) + 1e-6, at[1] - 0.7 * length
            arrows.append(f"M{at[0]:g} {at[1]:g}L{end[0]:.1f} {end[1]:.1f}")
    return [
        f'<path class="thin" d="{"".join(arrows)}"/>',
        *(
            f'<circle cx="{x + 17 * column}" cy="{y - 12 + 15 * row}" r="1.4" class="tip"/>'
            for row in range(3)
            for column in range(-4, 5)
        ),
    ]


def _classes(left: float, middle: float) -> list[str]:
    """One capsule a class; its length is the score."""
    lengths = (18, 12, 46)
    parts = [
        _text(left, middle - 76, "class capsules", "title left"),
        _text(left, middle - 60, "routing, 3 rounds", "small left"),
    ]
    for number, (name, length) in enumerate(zip(CLASSES[3], lengths, strict=True)):
        y = middle - 36 + 36 * number
        parts += [
            _rect(left, y - 13, 54, 26, "box capsule"),
            f'<rect x="{left + 4}" y="{y - 3}" width="{length}" height="6" rx="3" class="bar"/>',
            _text(left + 60, y + 4, name, "left"),
        ]
    return [
        *parts,
        _text(left, middle + 74, f"{len(lengths)} × {CLASS_DIM}", "small left"),
        _text(left, middle + 90, "length = class score", "small left"),
    ]


if __name__ == "__main__":
    run_script(main)
