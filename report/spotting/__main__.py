"""The page and the overlay video of what was spotted.

python -m report.spotting --spotted FOLDER [--thumbnails] [--overlay]
"""

from pathlib import Path

from common.cli import run_script


def main(spotted: Path, thumbnails: bool = False, overlay: bool = False, page: bool = True) -> int:
    """Write report.html, and overlay.mp4 if wanted, beside each spotted video's spotting.json.

    Args:
        spotted: the folder that a spotter wrote into, or that of one video in it.
        thumbnails: put frames of the video on the page: they show the person's face.
        overlay: write the video, too, with what was spotted drawn on it: it shows the face.
        page: write the page.
    """
    from .files import write_files
    from .record import find_spotted

    folders = find_spotted(spotted)
    count = 0
    for path in write_files(folders, page, thumbnails, overlay):
        print(f"wrote {path}", flush=True)
        count += 1
    return int(count < len(folders) * (page + overlay))


if __name__ == "__main__":
    run_script(main)
