"""The command line that the training scripts share."""

import argparse
import dataclasses
import sys

import tyro

from common.cli import flag, run_script

from .presets import PRESETS, Preset
from .settings import Settings


def experiment_script(defaults: Settings, description: str) -> None:
    """Run an experiment of the command line's settings, with the script's own defaults.

    --preset changes some of these, and what else the command line says wins over both.
    """
    chosen = PRESETS.get(_preset_of(sys.argv[1:]) or "", {})  # tyro refuses a name that is none
    settings_of_preset = dataclasses.replace(defaults, **chosen)

    def main(
        settings: tyro.conf.OmitArgPrefixes[Settings] = settings_of_preset,
        preset: Preset = "paper",
    ) -> None:
        # Here, so that --help and a wrong flag need no seconds of imports.
        from .experiment import run_experiment

        if chosen:
            told = " ".join(f"{flag(name)} {value}" for name, value in chosen.items())
            print(f"preset {preset}: {told}")
        run_experiment(settings)

    main.__doc__ = f"""{description}

    Args:
        settings: the experiment's.
        preset: paper (the defaults), or demo (small enough for a laptop); flags beside it win.
    """
    run_script(main)


def _preset_of(words: list[str]) -> str:
    """The preset that a command line names; "" where it names none."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--preset", nargs="?", default="", const="")
    return parser.parse_known_args(words)[0].preset
