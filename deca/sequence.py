"""Heads without an index: of a picture, a folder of pictures or a video."""

import re
from pathlib import Path
from typing import Literal

from common.errors import UserError, warn
from common.progress import progress_bar
from data.disk.file_kinds import is_image, is_video, video_frame
from data.disk.frames import list_frames, no_images
from data.views import claim_views

from .batch import Engine
from .frame import Extras, check_onset, paints, read_face, write_head
from .reconstruction import Face

MOST = 200  # pictures whose heads are held at a time


def list_pictures(source: Path, every: int = 1) -> dict[str, Path]:
    """What a folder of pictures or a video holds: every so many pictures, by name, in order.

    A video's frames are named by their numbers, pictures by their files; read_image reads both.
    UserError for an empty folder or too many pictures.
    """
    if every < 1:
        raise UserError(f"--every {every}: at least 1")
    if source.is_dir():
        paths = sorted((path for path in source.iterdir() if is_image(path)), key=_natural)
        if not paths:
            raise no_images(source)
        names = {path.stem: path for path in paths}
        if len(names) < len(paths):  # a.png beside a.jpg
            names = {path.name: path for path in paths}
    else:
        names = {str(number): path for number, path in list_frames(source).items()}
        if not names:
            raise UserError(f"{source}: no frames in this video")
    chosen = dict(list(names.items())[::every])
    if len(chosen) > MOST:
        step = -(-len(names) // MOST)
        raise UserError(f"{source}: {len(chosen)} pictures, at most {MOST}: --every {step}")
    return chosen


def _natural(path: Path) -> tuple[list[tuple[int, str]], str]:
    """img2 before img10."""
    parts = re.split(r"(\d+)", path.stem.lower())
    return [(int(p), "") if p.isdecimal() else (-1, p) for p in parts], path.name


def is_sequence(source: Path) -> bool:
    """Whether a path names a folder or a video, not one picture."""
    return source.is_dir() or (is_video(source) and video_frame(source) is None)


def reconstruct_picture(
    picture: Path,
    out: Path,
    engine: Engine,
    extras: Extras,
    onset: Path | None = None,
    transfer_to: Path | None = None,
    landmarks: Path | None = None,
) -> None:
    """Write what one picture shows to the folder `out`; errors as read_face and write_head.

    onset: the onset frame of the picture's clip. transfer_to: a picture whose head takes the
    expression and pose of the first one's. landmarks: a file that holds those of the (first) one.
    """
    if transfer_to and extras.clean:
        raise UserError("--clean is of a picture's own head: leave out --transfer-to")
    backend, faces = engine.load()
    extras.check(backend.name)
    face = read_face(picture, faces, "", onset, landmarks=landmarks)
    check_onset(face, picture, extras)
    if transfer_to is None:
        (head,) = backend.reconstruct([face])
    else:
        head = backend.transfer(face, read_face(transfer_to, faces, ""))
    (paint,) = paints([head], [face], extras)
    write_head(head, face, backend.name, out, extras, paint)
    claim_views(out, backend.name)


def reconstruct_sequence(
    source: Path,
    out: Path,
    engine: Engine,
    extras: Extras,
    every: int = 1,
    people: Literal["one", "many"] = "one",
) -> list[str]:
    """Write each picture's files to out/<its name> -> a line for each that failed.

    people: one: all pictures show the same person, who is followed and has one identity.
    UserError if no picture shows a face.
    """
    if extras.motion:
        raise UserError("--views motion needs an onset: --index, or --image FILE --onset FILE")
    pictures = list_pictures(source, every)
    backend, faces = engine.load()
    extras.check(backend.name)
    claim_views(out, backend.name)
    person = "one" if people == "one" else ""  # without a name each face is its own
    read: dict[str, Face] = {}
    failed: list[str] = []
    with progress_bar("pictures", 2 * len(pictures)) as bar:
        before = None
        for name, path in pictures.items():
            try:
                before = read[name] = read_face(
                    path, faces, person, earlier=before if person else None
                )
            except UserError as error:
                failed.append(str(error))
                warn(f"skipped {error}")
            bar.advance(1)
        if not read:
            raise UserError(
                f"none of {len(pictures)} pictures shows a face; the first: {failed[0]}"
            )
        shown = list(read.values())
        heads = backend.reconstruct(shown, one_identity=True)
        laid_over = paints(heads, shown, extras)
        for name, face, head, paint in zip(read, shown, heads, laid_over, strict=True):
            write_head(head, face, backend.name, out / name, extras, paint)
            bar.advance(1)
        bar.advance(len(failed))
    return failed
