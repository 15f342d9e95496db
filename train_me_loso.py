"""MECapsuleNet on SMIC's apex frames, leave one subject out."""

from loso.script import experiment_script
from loso.settings import Settings

if __name__ == "__main__":
    experiment_script(Settings(dataset="smic"), __doc__)
