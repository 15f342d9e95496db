"""An index of synthetic motion maps, as many clips and subjects as the MEGC 2019 composite has.

    python -m benchmarks.synthetic_composite --out FOLDER
    python train_me_loso_composite_dual_3d.py --streams motion --root FOLDER \
        --index FOLDER/composite_apex.csv

The maps are of the synthetic domain that the committed weights were not trained on. They time 68
folds, and tell networks apart where the demo set no longer does.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import tyro

from data.corpora.known import CORPORA
from synthetic.motion.domains import HELD_OUT
from synthetic.motion.pairs import make_motion

CLIPS = 442
SUBJECTS = {"smic": 16, "casme2": 24, "samm": 28}


def main(out: Path, seed: int = 77) -> None:
    """Draw the maps and write <out>/composite_apex.csv.

    Args:
        out: folder for the index and its maps.
        seed: of the drawing.
    """
    pairs = make_motion(480, seed, HELD_OUT)
    people = [(data, CORPORA[data].subject(n)) for data, count in SUBJECTS.items()
              for n in range(1, count + 1)]  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(CLIPS):
        data, subject = people[number % len(people)]
        np.save(out / f"{number}.npy", pairs.maps[number])
        rows.append({
            "data": data, "subject": subject, "clip": f"c{number}",
            "label": int(pairs.labels[number]),
            "motion_path": f"{number}.npy", "motion_frame": "own",
        })  # fmt: skip
    pd.DataFrame(rows).to_csv(out / "composite_apex.csv", index=False)
    print(f"{CLIPS} maps of {len(people)} subjects, index {out / 'composite_apex.csv'}")


if __name__ == "__main__":
    tyro.cli(main)
