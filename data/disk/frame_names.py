"""Frame numbers out of file names: the number that varies within a clip's folder."""

import re
from collections.abc import Sequence
from itertools import pairwise

_DIGITS = re.compile(r"[0-9]+")

# One number of the names: the digits that stand in this place, by the name's position.
_Place = dict[int, str]


def digit_runs(name: str) -> list[int]:
    """All numbers in a name, from the left: reg_img46 (1) -> 46, 1."""
    return [int(digits) for digits in _DIGITS.findall(name)]


def frame_numbers(names: Sequence[str]) -> list[int | None]:
    """The frame numbers of a folder's file names (without suffix), None where a name has none.

    The names are read together: img46_224, img47_224 are frames 46 and 47, 006_1_05588 and
    006_1_05589 frames 5588 and 5589. Of several numbers that vary, it is the one with the most
    values, then one that goes up by ones, then the last. Numbers that make up a time (seconds
    and milliseconds) count as one. A name that is not like most others has no number.
    """
    before, after = _places(names)
    if not before:
        return [None] * len(names)
    # Longer text before a number: further right. The other way round for text behind it.
    key, place = max(before.items(), key=lambda item: (*_varies(item[1]), len(item[0])))
    other = max(after.items(), key=lambda item: (*_varies(item[1]), -len(item[0])))[1]
    few = 2 * len(place) <= len(set().union(*before.values()))
    unsteady = not _varies(place)[1] and _varies(other)[1]
    # Names that begin differently: onset_46, apex_59; 8ef2_0001, a3c1_0002.
    from_behind = len(other) > len(place) and (few or unsteady)
    place = other if from_behind else _time(key, before)
    return [int(place[i]) if i in place else None for i in range(len(names))]


def _places(names: Sequence[str]) -> tuple[dict[str, _Place], dict[str, _Place]]:
    """The numbers of all names by the text before them, and by the text behind them.

    Texts are in small letters, with # for each number in them.
    """
    before: dict[str, _Place] = {}
    after: dict[str, _Place] = {}
    for i, name in enumerate(names):
        for run in _DIGITS.finditer(name):
            left, right = name[: run.start()].lower(), name[run.end() :].lower()
            before.setdefault(_DIGITS.sub("#", left), {})[i] = run[0]
            after.setdefault(_DIGITS.sub("#", right), {})[i] = run[0]
    return before, after


def _varies(place: _Place) -> tuple[int, bool]:
    """How many values a number has, and whether most of them follow on one another."""
    values = sorted({int(digits) for digits in place.values()})
    steps = [b - a for a, b in pairwise(values)]
    return len(values), 2 * steps.count(1) >= len(steps)


def _time(key: str, before: dict[str, _Place]) -> _Place:
    """The number at `key`, with those before it where they are one time: 12.033 -> 12033.

    Milliseconds go up in steps and begin anew each second, so that they neither tell frames
    apart nor order them. That they begin anew for a second camera or clip in the same folder
    is another thing: then they run through the same values each time.
    """
    place = before[key]
    values, steady = _varies(place)
    outer = [k for k in sorted(before, key=len) if key.startswith(k + "#")]
    left = [{i: before[k][i] for i in place} for k in outer]
    while left and _varies(left[0])[0] == 1:
        left.pop(0)
    if steady or not left:
        return place
    widths = [len({len(digits) for digits in part.values()}) for part in (*left[1:], place)]
    lead = {i: "".join(part[i] for part in left) for i in place}
    joined = {i: lead[i] + place[i] for i in place}
    leads = len(set(lead.values()))
    apart = len(set(joined.values())) == len(place)
    if apart and set(widths) == {1} and 2 * leads <= len(place) != leads * values:
        return joined
    return place
