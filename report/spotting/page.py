"""report.html: one self-contained page of a spotted video that asks for nothing from anywhere."""

from pathlib import Path

from common.files import write_whole
from report.page import Design, render

from .content import report_content
from .record import read_spotting

DESIGN = Design(
    "spotting.html",
    ("tables.js", "charts.js", "timeline.js", "spotting.js"),
    ("page.css", "spotting.css"),
)


def write_report(folder: Path, thumbnails: bool = False) -> Path:
    """Write report.html into a video's folder of the spotter's output; its path.

    No frame of the video is on it, but with `thumbnails` those of onset, apex and offset are, cut
    to the face: personal data. UserError where the record is not whole, or with `thumbnails` the
    video is gone.
    """
    content = report_content(read_spotting(folder), thumbnails)
    path = folder / "report.html"
    with write_whole(path) as part:
        part.write_text(render(content, DESIGN), encoding="utf-8")
    return path
