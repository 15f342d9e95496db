"""Settings that go together under a name: --preset."""

from typing import Any, Literal

from .settings import Settings

Preset = Literal["paper", "demo"]
PRESETS: dict[str, dict[str, Any]] = {
    # The defaults of Settings, and of each script.
    "paper": {},
    # A small frozen trunk, whose features are computed once: a laptop's CPU is enough.
    "demo": {
        "trunk": "efficientnet_lite0",
        "freeze": "trunk",
        "augment": "flip",
        "image_size": 160,
        "epochs": 15,
    },
}


def preset(name: Preset, **changes: Any) -> Settings:
    """An experiment of a preset, with some settings of one's own."""
    return Settings(**PRESETS[name] | changes)
