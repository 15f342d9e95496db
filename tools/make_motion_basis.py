"""Make data/motion/frame_basis.npz: the fields that facial motion is made of, in the frame.

python -m tools.make_motion_basis
"""

from dataclasses import replace

import numpy as np

from common.cli import run_script
from common.files import write_whole
from data.motion.alignment import FILE, motion_fields
from synthetic.motion.domains import TRAINING
from synthetic.motion.pairs import make_motion

SAMPLES = 2400
AXES = 12  # more begin to explain what the estimators add


def main(seed: int = 0) -> None:
    """Make frame_basis.npz.

    Args:
        seed: of people and movements.
    """
    exact = tuple(replace(domain, crop_shift=0, crop_scale=0) for domain in TRAINING)
    fields = motion_fields(make_motion(SAMPLES, seed, exact).maps, edge=0)
    mirrored = fields[..., ::-1] * np.array([-1, 1])[:, None, None]  # u turns with the face
    both = np.concatenate([fields, mirrored])
    _, sizes, axes = np.linalg.svd(both.reshape(len(both), -1), full_matrices=False)
    basis = axes[:AXES].reshape(AXES, *fields.shape[1:])
    with write_whole(FILE) as part:
        np.savez_compressed(part, basis=basis.astype(np.float16))
    explained = (sizes[:AXES] ** 2).sum() / (sizes**2).sum()
    print(f"{FILE}: {AXES} axes that explain {explained:.0%} of {SAMPLES} movements")


if __name__ == "__main__":
    run_script(main)
