"""Action units as coders write them: 4+7, L12, R12A, T23, 4D+7B, ref(10), 12 or 14, 12(k), ?."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from .cells import is_empty

# The 12 units of CD6ME, six corpora coded alike (Varanka et al. 2023, meb: "cross").
CD6ME = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17)
_SIDES = {"l": "L", "r": "R", "t": "T", "b": "B", "u": "T"}  # left, right, top (upper), bottom
_ONE = re.compile(
    r"(?P<ref>ref\s*\(\s*)?(?:a\.?u\.?\s*)?(?P<side>[lrtbu])?\s*(?:a\.?u\.?\s*)?"
    r"(?P<number>\d{1,2})\s*(?P<strength>[a-e](?![a-z]))?\s*(?:\((?P<behind>[lrtbu])\)|\))?"
    r"\s*(?P<doubt>\(\s*k\s*\)|\?)?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Unit:
    """An action unit by its FACS number. side: L, R, T (top), B (bottom) or ""; strength: A to E
    or ""; certain: not marked as doubtful, as a mere reference or as one of several."""

    number: int
    side: str = ""
    strength: str = ""
    certain: bool = True

    def __str__(self) -> str:
        return f"{self.side}{self.number}{self.strength}{'' if self.certain else '?'}"


def parse_units(cell: object) -> tuple[Unit, ...]:
    """The units of a table's cell, in its order and each once; () where it has none.

    A unit is doubtful after "?" or "(k)", inside of ref(…), and where "or" or "/" leaves open
    which it is. Full-width signs and brackets around all of it do not matter. ValueError for text
    that is no notation of units.
    """
    if is_empty(cell):
        return ()
    text = str(cell).translate(str.maketrans("＋，、；（）？／", "+,,;()?/")).strip()
    units: list[Unit] = []
    for part in _parts(text):
        choices = [one for one in re.split(r"\bor\b|/", part, flags=re.IGNORECASE) if one.strip()]
        for choice in choices:
            found = list(_ONE.finditer(choice))
            rest = _ONE.sub(" ", choice)
            if re.sub(r"[\s?().\-–&*]|\bau\b|\bnone\b|\bno\b", "", rest, flags=re.IGNORECASE):
                raise ValueError(f"'{cell}' is no list of action units ('{choice.strip()}')")
            for one in found:
                doubtful = len(choices) > 1 or bool(one["ref"] or one["doubt"])
                side = _SIDES.get((one["side"] or one["behind"] or "").lower(), "")
                number = int(one["number"])
                if number:
                    strength = (one["strength"] or "").upper()
                    units.append(Unit(number, side, strength, not doubtful))
    return tuple(dict.fromkeys(units))


def _parts(text: str) -> list[str]:
    """The text between plus signs, commas, semicolons and blanks that separate units."""
    text = re.sub(r"\b(l|r)(eft|ight)[\s-]*(?=\w)", r"\1", text, flags=re.IGNORECASE)
    text = re.sub(r"(?<![a-z])\s*(or)\s*(?![a-z]{2})", r" \1 ", text, flags=re.IGNORECASE)
    text = re.sub(r"\s*/\s*", "/", text)
    return [part for part in re.split(r"[+,;&\n]|(?<!or)\s+(?!or\b|\(|\d*\))(?=\S*\d)", text)
            if part.strip()]  # fmt: skip


def spell_units(units: Iterable[Unit]) -> str:
    """Units in one spelling, which parse_units reads: 4+L7+R12A+14?."""
    return "+".join(map(str, units))


def shown_units(text: str, numbers: Iterable[int] = CD6ME) -> list[int]:
    """1 for each of `numbers` that a spelling of units shows for certain, else 0."""
    certain = {unit.number for unit in parse_units(text) if unit.certain}
    return [int(number in certain) for number in numbers]
