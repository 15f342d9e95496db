"""DSNCA on the MEGC 2019 composite: apex frames and 3D views, leave one subject out."""

from loso.script import experiment_script
from loso.settings import Settings

if __name__ == "__main__":
    experiment_script(Settings(dataset="composite", streams="dual", batch_size=16), __doc__)
