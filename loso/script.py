"""The command line that the training scripts share."""

import tyro

from common.cli import run_script

from .settings import Settings


def experiment_script(defaults: Settings, description: str) -> None:
    """Run an experiment of the command line's settings, with the script's own defaults."""

    def main(settings: tyro.conf.OmitArgPrefixes[Settings] = defaults) -> None:
        # Here, so that --help and a wrong flag need no seconds of imports.
        from .experiment import run_experiment

        run_experiment(settings)

    main.__doc__ = description
    run_script(main)
