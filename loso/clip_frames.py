"""The frames of a clip that networks read: onset, apex, and the face in both."""

from bisect import bisect_left
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import numpy as np

from common.errors import UserError
from data.apex.spotting import ApexSettings, all_frames, find_apex, first_face
from data.disk.clip_frames import ClipSource, read_frames
from data.disk.frames import IMAGE_SUFFIXES, read_image
from data.faces import FaceFinder, FoundFace, NoFaceError
from data.motion.flow import check_shapes
from data.motion.stillness import Evidence, weigh_motion


@dataclass(frozen=True)
class ClipFrames:
    """What was picked from a clip: uint8 (H, W, 3) RGB, and the same face in each.

    A single image is its own apex. A face is None where an index's frame shows none.
    beside: the clip's frames next to the onset, and those next to the apex. spotted: the apex was
    looked for.
    """

    apex: np.ndarray
    apex_face: FoundFace | None
    apex_number: int | None = None
    onset: np.ndarray | None = None
    onset_face: FoundFace | None = None
    onset_number: int | None = None
    beside: tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]] = ((), ())
    spotted: bool = False


def pick_frames(clip: Path, onset: int | None, apex: int | None, faces: FaceFinder) -> ClipFrames:
    """Read the onset and the apex of a clip, and find its face in both.

    The onset is the first frame that shows the face unless given, the apex is looked for unless
    given. `clip` is a folder of frames, a video (frames count from 0) or a single image.
    UserError where there is no face, or the apex does not come after the onset.
    """
    if clip.suffix.lower() in IMAGE_SUFFIXES and clip.is_file():
        if onset is not None or apex is not None:
            raise UserError(f"{clip}: a single image has no frames for --onset and --apex")
        image = read_image(clip)
        face = faces.find(image, str(clip))
        if face is None:
            raise NoFaceError(f"{clip}: no face found by {faces.name}")
        return ClipFrames(image, face)
    source = all_frames(clip)
    if onset is not None and apex is not None and onset >= apex:
        raise UserError(f"{clip}: --onset {onset} does not come before --apex {apex}")
    spotted = apex is None
    if apex is None:
        settings = ApexSettings(faces.name, face=faces.number)
        found = find_apex(_from(source, onset, clip), faces, settings, str(clip))
        onset, apex = (found.numbers[0] if onset is None else onset), found.frame
    elif onset is None:
        onset, _ = first_face(source, faces, str(clip))
        if onset >= apex:
            raise UserError(
                f"{clip}: --apex {apex}, but the first frame with a face is {onset}: an apex comes "
                "after its onset"
            )
    near = {number: _beside(source, number) - {onset, apex} for number in (onset, apex)}
    images = _read_some(source, {onset, apex}.union(*near.values()))
    for name, number in (("--onset", onset), ("--apex", apex)):
        if number not in images:
            raise UserError(f"{clip}: no frame {number} ({name})")
    first, second = images[onset], images[apex]
    check_shapes(first, second, str(clip))
    onset_face, apex_face = faces.pair(first, second, str(clip))
    before, after = (
        tuple(images[n] for n in sorted(near[number]) if n in images) for number in (onset, apex)
    )
    return ClipFrames(second, apex_face, apex, first, onset_face, onset, (before, after), spotted)


def _beside(source: ClipSource, number: int) -> set[int]:
    """The numbers of the frames before and after one."""
    if isinstance(source, Path):
        return {number - 1, number + 1}
    numbers = sorted(source)
    at = bisect_left(numbers, number)
    return {*numbers[max(at - 1, 0) : at], *numbers[at + 1 : at + 2]}


def _read_some(source: ClipSource, numbers: set[int]) -> dict[int, np.ndarray]:
    """The frames of a clip that have these numbers; a video is read as far as they go."""
    if isinstance(source, Path):
        last = max(numbers)
        frames = takewhile(lambda frame: frame[0] <= last, read_frames(source))
        return {number: image for number, image in frames if number in numbers}
    return dict(read_frames({number: source[number] for number in numbers & set(source)}))


def find_expression(clip: ClipFrames, where: str) -> Evidence | None:
    """Whether a clip shows an expression: its motion against its noise; None of a single image.

    `where` names the clip in errors. NoFaceError where onset or apex shows no face.
    """
    if clip.onset is None:
        return None
    pair = shown_face(clip.onset_face, where), shown_face(clip.apex_face, where)
    return weigh_motion(clip.onset, clip.apex, pair, clip.beside, clip.spotted, where)


def _from(source: ClipSource, onset: int | None, clip: Path) -> ClipSource:
    if onset is None:
        return source
    if isinstance(source, Path):
        raise UserError(f"{clip}: --onset of a video needs --apex: spotting starts at its start")
    return {number: path for number, path in source.items() if number >= onset}


def shown_face(face: FoundFace | None, where: str) -> FoundFace:
    """A face that a network reads; NoFaceError, naming the clip, where there is none."""
    if face is None:
        raise NoFaceError(f"{where}: a picture that the network reads shows no face")
    return face
