"""The speed table: python -m benchmarks."""

from common.cli import run_script

from .table import main

if __name__ == "__main__":
    run_script(main)
