"""From annotations and frames, a corpus's or your own, to the index of training; the demo set.

python prepare_data.py demo --out demo
python prepare_data.py casme2 --root datasets --annotation CASME2-coding-20140508.xlsx
python prepare_data.py smic --root datasets/SMIC_all_cropped
python prepare_data.py casme3 --task 7 --root datasets --annotation LABELS.xlsx
python prepare_data.py own --root CLIPS --table CLIPS.csv
python prepare_data.py composite
python prepare_data.py maps --index data/composite_apex.csv --root datasets --out maps
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from common.cli import run_script
from common.errors import UserError
from common.parallel import cores
from data.corpora.commands import COMMANDS
from data.index_file import read_index
from data.landmarks import FinderName
from data.motion.flow import MOTION_SIZE, Flow


def demo(
    out: Path,
    seed: int = 0,
    workers: int = cores(),
    glasses: Literal["clear", "hiding"] = "clear",
    long: bool = False,
    look: Literal["plain", "far"] = "plain",
    files: Literal["frames", "avi"] = "frames",
    layouts: tuple[str, ...] = (),
) -> None:
    """Draw the demo set: synthetic faces in the layouts of all three corpora.

    With --long: videos of minutes in the layouts of CAS(ME)² and SAMM long videos instead. With
    --layouts: small stand-ins of further corpora, each in its own layout.

    Args:
        out: folder to draw into.
        seed: another seed draws other faces.
        workers: processes that draw; the pictures do not depend on it.
        glasses: of their wearers: clear, or hiding (rims over the brows, dark and mirroring).
        long: long videos with expressions, blinks, speech, turns and changes of light.
        look: of long videos: plain, or far (a smaller face, hard light, noise, another rate).
        files: of long videos: a folder of frames each, or an .avi file.
        layouts: corpora to draw a stand-in of (casme3 mmew …), or all.
    """
    if layouts:
        from synthetic.layouts.draw import draw_layouts

        if long or glasses != "clear":
            raise UserError("--layouts goes with neither --long nor --glasses")
        draw_layouts(out, layouts, seed, workers)
        return
    if long:
        from synthetic.long.draw import draw_long

        if glasses != "clear":
            raise UserError("--glasses: of the demo set of clips, not of --long")
        draw_long(out, seed, workers, look=look, files=files)
        return
    if (look, files) != ("plain", "frames"):
        raise UserError("--look and --files: of long videos, with --long")
    from synthetic.demo.corpora import make_demo

    make_demo(out, seed=seed, workers=workers, glasses=glasses)


def motion(
    out: Path,
    samples: int = 6000,
    seed: int = 0,
    domains: Literal["training", "held_out"] = "training",
    workers: int = cores(),
) -> None:
    """Draw motion: onset-to-apex maps of synthetic faces with action units and class.

    Args:
        out: folder of motion.npz.
        samples: pairs to draw.
        seed: another seed draws other faces and movements.
        domains: the generator settings to learn from, or those that models are chosen on.
        workers: processes that draw; the maps do not depend on it.
    """
    from synthetic.motion.domains import HELD_OUT, TRAINING
    from synthetic.motion.pairs import make_motion, write_motion

    started = time.monotonic()
    chosen = TRAINING if domains == "training" else HELD_OUT
    pairs = make_motion(samples, seed, chosen, workers=workers)
    rate = samples / (time.monotonic() - started)
    path = write_motion(out, pairs, seed)
    names = ", ".join(domain.name for domain in chosen)
    print(f"wrote {path}: {samples} pairs ({rate:.0f} a second) of the domains {names}")


def maps(
    index: Path,
    root: Path,
    out: Path,
    classes: int = 3,
    size: int = MOTION_SIZE,
    flow: Flow = "dis",
    landmarks: FinderName | None = None,
    workers: int = cores(),
    strict: bool = False,
) -> int:
    """Make motion maps: u, v, strain of onset to apex and apex to offset, for any network.

    Args:
        index: an index that this script or smic_processing.py wrote.
        root: the folder that the index's paths start from.
        out: folder of arrays (.npy), pictures as STSTNet, HTNet and CausalNet read them, and an
            index of each.
        classes: how many, where the index does not say its task.
        size: side of the arrays in pixels; the pictures have 28.
        flow: dis (10 ms a clip) or tvl1 (about a second).
        landmarks: fan or dlib (default: fan if its weights are here, else dlib).
        workers: processes; the files do not depend on their number.
        strict: exit code 1 if a clip was left out.
    """
    from data.landmarks import choose_finder
    from data.motion.writing import Making, motion_cache, say_written, write_maps

    if size < 8:
        raise UserError(f"--size {size}: at least 8")
    clips = read_index(index, classes)
    if "motion_path" in clips:
        raise UserError(f"{index}: names ready maps (motion_path); maps are made from frames")
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; --root names the one that holds the datasets")
    making = Making(root, choose_finder(landmarks), size, flow, motion_cache())
    lost = write_maps(clips, making, out, workers)
    if lost:
        print(f"{len(lost)} of {len(clips)} clips have none:", *lost, sep="\n  ")
    say_written(out, len(clips) - len(lost), len(clips))
    return 1 if strict and lost else 0


def main() -> None:
    """Run the command that the command line names; --corpora alone is join --corpora."""
    if sys.argv[1:2] == ["--corpora"]:
        sys.argv.insert(1, "join")
    commands: dict[str, Callable] = {"demo": demo, **COMMANDS, "motion": motion, "maps": maps}
    run_script(commands)


if __name__ == "__main__":
    main()
