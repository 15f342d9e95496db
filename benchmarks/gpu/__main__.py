"""One command for the day there is a card: python -m benchmarks.gpu --out FOLDER

Checks CUDA against the CPU, then measures, on clips made in memory: nothing is fetched, and what
is not installed is named. gpu.json and gpu.md in FOLDER are written anew after every step.
"""

import argparse
import sys
from pathlib import Path

from .stand_ins import install

ABSENT = install()  # before what imports them

import torch  # noqa: E402

from common.errors import UserError  # noqa: E402

from .course import run_course  # noqa: E402


def main() -> int:
    """Run the course; 0 where CUDA agrees with the CPU, 1 where it does not, 2 without a card."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description="CUDA against the CPU, and how fast it is."
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of gpu.json and gpu.md")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, or cpu to try the course")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: nothing is measured")
    parser.add_argument(
        "--minutes", type=float, default=7, help="nothing further begins after so long"
    )
    given = parser.parse_args()
    device = torch.device(given.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print(
            f"error: --device {given.device}: torch sees no CUDA card here; --device cpu --quick "
            "tries the course",
            file=sys.stderr,
        )
        return 2
    try:
        return run_course(given.out, device, given.quick, given.minutes, ABSENT)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
