"""Domains of synthetic motion: how people act, how they are filmed, how their flow is estimated.

The model is chosen on domains that it was not trained on.
"""

from dataclasses import dataclass, replace

from .actions import ACTING, Acting


@dataclass(frozen=True)
class Domain:
    """A generator setting: how people act, how they are filmed, how their flow is estimated.

    Ranges are uniform unless said otherwise; lengths are shares of the face frame's side.
    """

    name: str
    acting: Acting = ACTING
    turn: tuple[float, float, float] = (0.07, 0.10, 0.03)  # sd of pitch, yaw, roll at the onset
    sway: tuple[float, float, float] = (0.006, 0.008, 0.004)  # sd of the turn onset to apex
    shift: float = 0.004  # sd of the head's shift, onset to apex
    crop_shift: float = 0.02  # sd of where the frame lies
    crop_scale: float = 0.04  # sd of the logarithm of its width and height
    blur: tuple[float, float] = (0.008, 0.03)  # sigma of the estimator's smoothing
    smear: tuple[float, float] = (0.0, 0.05)  # sigma over which bare skin takes its flow
    noise: tuple[float, float] = (0.0002, 0.0015)  # sd in face widths
    noise_grain: tuple[float, float] = (0.02, 0.12)  # sigma of its correlation
    medians: tuple[int, int] = (0, 1)  # passes of a 5 x 5 median: total variation's flat patches
    shrink: tuple[float, float] = (0.0, 0.05)  # share of the peak that a strong prior takes off
    lid_noise: float = 0.5  # chance of a wrong flow at the eyes, as blinks and glasses make
    hidden: float = 0.15  # chance that a band or side shows no motion (glasses, hair, hands)
    bare: float = 0.7  # chance that flow dies away towards the hair: a forehead has few marks
    bare_from: tuple[float, float] = (0.02, 0.20)  # where half of it is lost, down the frame
    bare_over: tuple[float, float] = (0.02, 0.06)  # over how much of the frame


PLAIN = Domain("plain")
TRAINING = (
    PLAIN,
    replace(
        PLAIN, name="close", blur=(0.004, 0.015), smear=(0.0, 0.02), noise=(0.0002, 0.0010),
        crop_shift=0.01, acting=Acting(strength=(0.25, 0.7), blink=0.2),
    ),
    replace(
        PLAIN, name="rough", blur=(0.02, 0.05), smear=(0.03, 0.10), noise=(0.0008, 0.0030),
        noise_grain=(0.04, 0.2), crop_shift=0.04, crop_scale=0.08, sway=(0.012, 0.016, 0.008),
        acting=Acting(flatten=0.6),
    ),
    replace(
        PLAIN, name="loose", crop_shift=0.05, crop_scale=0.10, turn=(0.12, 0.18, 0.05), hidden=0.3,
        acting=Acting(strength=(0.12, 0.45), one_sided=0.6, gaze=0.4, flatten=0.6),
    ),
    # Flow by total variation: flat patches, small motion lost.
    replace(
        PLAIN, name="flat", medians=(1, 6), shrink=(0.0, 0.4), blur=(0.004, 0.02),
        noise=(0.0002, 0.0020), noise_grain=(0.02, 0.15),
    ),
    # Frames of others: their crops follow other marks.
    replace(PLAIN, name="foreign", crop_shift=0.07, crop_scale=0.15, lid_noise=0.3),
)  # fmt: skip
HELD_OUT = (
    replace(
        PLAIN, name="far", blur=(0.03, 0.06), smear=(0.02, 0.08), noise=(0.0005, 0.0025),
        noise_grain=(0.01, 0.05), crop_shift=0.03, crop_scale=0.12, turn=(0.10, 0.05, 0.03),
        acting=Acting(strength=(0.10, 0.5), one_sided=0.5, blink=0.25, flatten=0.0),
    ),
)  # fmt: skip
