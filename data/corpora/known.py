"""Every corpus by name, and every task."""

from . import (
    casme,
    casme2,
    casme3,
    casme_sq,
    dfme,
    fourdme,
    mmew,
    samm,
    smic,
    smic_nir,
    smic_vis,
)
from .description import THREE, Corpus

CORPORA: dict[str, Corpus] = {
    corpus.name: corpus
    for corpus in (
        smic.CORPUS,
        casme2.CORPUS,
        samm.CORPUS,
        smic_vis.CORPUS,
        smic_nir.CORPUS,
        casme.CORPUS,
        casme_sq.CORPUS,
        casme3.PART_A,
        casme3.PART_C,
        mmew.CORPUS,
        fourdme.CORPUS,
        dfme.CORPUS,
    )
}
MEGC2019 = ("smic", "casme2", "samm")  # the corpora of the composite
AU = "au"  # the task of telling action units, which any corpus with a column of them has
OWN = "own"  # the task of clips of one's own: whatever labels they have
TASKS = ("3", "4", "5", "6", "7", "objective", AU, OWN)
# Classes of an index that does not name its task, by their number.
CLASSES = {3: THREE, 5: casme2.CORPUS.tasks["5"].classes}
