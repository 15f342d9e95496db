"""result/index.html: one self-contained page that asks for nothing from anywhere."""

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import NamedTuple

import pandas as pd

from common.files import write_whole
from loso.results import Experiment

from .content import page_content

_TEMPLATE = Path(__file__).parent / "template"


class Design(NamedTuple):
    """A page's template, its one script's and its one style's files, in this order."""

    template: str
    scripts: tuple[str, ...]
    styles: tuple[str, ...] = ("page.css",)


_PAGE = Design("page.html", ("tables.js", "charts.js", "page.js"))
_LEADERBOARD = Design("leaderboard.html", ("tables.js", "leaderboard.js"))


def write_page(
    result: Path,
    log: pd.DataFrame,
    summary: pd.DataFrame,
    groups: pd.DataFrame,
    experiments: dict[str, Experiment],
    thumbnails: bool = False,
) -> Path:
    """Write result/index.html from the records below `result`, their log, summary and groups.

    log: of one seed an experiment (loso.results.first_seed), whose records the page shows.

    Faces are on it only where they are of the demo set, or with `thumbnails`. Returns its path.
    """
    content = page_content(result, log, summary, groups, experiments, thumbnails)
    path = result / "index.html"
    with write_whole(path) as part:
        part.write_text(render(content), encoding="utf-8")
    return path


def write_leaderboard(
    path: Path,
    heads: Sequence[str],
    cells: Sequence[Sequence[str]],
    notes: Sequence[str],
) -> None:
    """Write the page of a leaderboard.

    heads: of the columns, with † at the end where a choice on the test subject is in them; cells:
    as text, a list a row; notes: how to read it, a line each.
    """
    content = {"heads": list(heads), "rows": list(cells), "notes": list(notes)}
    with write_whole(path) as part:
        part.write_text(render(content, _LEADERBOARD), encoding="utf-8")


def render(content: dict, design: Design = _PAGE) -> str:
    """The page as text. Its policy lets these very styles and script run and nothing load."""
    style, script = (
        "".join((_TEMPLATE / name).read_text(encoding="utf-8") for name in names)
        for names in (design.styles, design.scripts)
    )
    script = f'"use strict";\n(() => {{\n{script}}})();\n'
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; "
        f"script-src '{_digest(script)}'; base-uri 'none'; form-action 'none'"
    )
    data = json.dumps(content, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    # A clip may be called </script>: as an escape the text stays inside its element.
    data = data.replace("<", "\\u003c")
    page = Template((_TEMPLATE / design.template).read_text(encoding="utf-8"))
    return page.substitute(policy=policy, style=style, script=script, data=data)


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
