"""What a setting is of: every field of Settings is marked with one of these."""

from collections.abc import Iterable
from enum import Enum
from typing import Annotated, Any, TypeVar

import tyro

Switch = Annotated[bool, tyro.conf.FlagCreatePairsOff]


class Of(Enum):
    """What a setting is of; each is marked with one."""

    EXPERIMENT = "decides what a record says: two runs of one experiment share it"
    NETWORK = "one of the experiment that decides what a network is and reads"
    RUN = "changes no record: where files lie, and how a run is started"


T = TypeVar("T")
OfExperiment = Annotated[T, Of.EXPERIMENT]
OfNetwork = Annotated[T, Of.NETWORK]
OfRun = Annotated[T, Of.RUN]


def one_of(names: Iterable[str]) -> Any:
    """How --help shows the values of a setting."""
    return tyro.conf.arg(metavar="{" + ",".join(names) + "}")
