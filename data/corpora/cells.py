"""Text tables: their cells, whatever program wrote them."""

import csv
import io
from collections import Counter

_SEPARATORS = ",;\t|"


def is_empty(value: object) -> bool:
    """Whether a cell holds nothing, or what programs write in place of nothing."""
    return value is None or str(value).strip().lower() in {"", "nan", "nat", "<na>"}


def split_rows(text: str) -> list[list[str]]:
    """The rows of a text table, whichever of comma, semicolon, tab and bar separates its cells.

    csv.Error if a cell is longer than any table's.
    """

    def rows(separator: str) -> list[list[str]]:
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))

    def regular(separator: str) -> int:
        widths = Counter(map(len, rows(separator)))
        return max(((width - 1) * count for width, count in widths.items()), default=0)

    return rows(max(_SEPARATORS, key=regular))
