"""Clips and frames on disk, in any of the corpora's released layouts."""

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from common.errors import UserError, warn

from .decode import UnreadableImageError as UnreadableImageError
from .file_kinds import IMAGE_SUFFIXES as IMAGE_SUFFIXES
from .file_kinds import file_of, is_hidden, is_image, is_video, video_frame
from .folder_walk import walk_once
from .frame_names import digit_runs, frame_numbers
from .image_file import read_image as read_image
from .video_file import count_frames

NEAR = 2  # frames: how far off another one may stand in for one that is missing
_COLOUR = {"color", "colour", "rgb"}  # folders in a clip's that hold its frames
_NO_FACES = {"depth"}


def name_key(name: str | int) -> str:
    """A name without what releases differ in: case and leading zeros (sub01 = Sub1).

    It is one to one on numbers: sub101 and sub11 differ.
    """
    return re.sub(r"(?<![0-9])0+(?=[0-9])", "", str(name).strip().lower())


def frame_number(path: Path) -> int | None:
    """The number of a frame by its path alone: the last one in the file's name, a video's frame.

    Where the folder is there, list_frames knows better: it reads the names together.
    """
    frame = video_frame(path)
    if frame:
        return frame[1]
    runs = digit_runs(path.stem)
    return runs[-1] if runs else None


def list_frames(source: Path) -> dict[int, Path]:
    """A clip's frames by number, in order: the images directly in a folder, or a video's.

    A folder's numbers are what varies in its file names (frame_names.frame_numbers); files
    that are left out for their name or because another one has their number are warned of.
    A video's frames count from 0 and have paths as clip.avi#46, which read_image reads.
    """
    if _is_video_file(source):
        return {n: source.with_name(f"{source.name}#{n}") for n in range(count_frames(source))}
    images = _images(source)
    numbers = frame_numbers([path.stem for path in images])
    frames: dict[int, Path] = {}
    twice = []
    for number, path in zip(numbers, images):
        if number is not None and frames.setdefault(number, path) is not path:
            twice.append((number, path))
    if twice:
        number, other = twice[0]
        more = f" ({len(twice)} such files)" if len(twice) > 1 else ""
        warn(
            f"{source}: {frames[number].name} and {other.name} are both frame {number}: "
            f"{frames[number].name} is taken{more}"
        )
    odd = [p for p, number in zip(images, numbers) if number is None and digit_runs(p.stem)]
    if odd:
        more = f" ({len(odd)} such files)" if len(odd) > 1 else ""
        warn(f"{source}: {odd[0].name} is not named like the others and is left out{more}")
    return dict(sorted(frames.items()))


def number_frames(
    source: Path, onset: int, offset: int, first: int | None = None
) -> dict[int, Path]:
    """A clip's frames by the numbers of its annotation, which has them from onset to offset.

    A folder's frames bear those numbers. A video's do not: if it has as many frames as lie
    between, it begins at the onset; else it is the whole recording, whose first frame is 1, or
    0 if the onset is 0. first: the number of a recording's first frame, where that is known.
    UserError where the numbers do not fit either way.
    """
    frames = list_frames(source)
    if not _is_video_file(source):
        return frames
    if len(frames) == offset - onset + 1:
        first = onset
    else:
        first = min(onset, 1) if first is None else first
        if not max(first, 0) <= onset <= offset < first + len(frames):
            raise UserError(
                f"{source}: the video has {len(frames)} frames, the annotation's clip goes from "
                f"{onset} to {offset}: it is neither that clip nor the whole recording"
            )
    return {first + n: path for n, path in frames.items()}


class ClipFolders:
    """Every clip below a root, a folder of images or a video, found once.

    A clip is asked for by subject and clip. Folders named color, as in CAS(ME)3's
    clip/color/355.jpg, bear their parent's name; those named depth hold no pictures of faces.
    """

    def __init__(self, root: Path | str) -> None:
        """Walk `root`; UserError if it is no folder."""
        self.root = Path(root)
        if not self.root.is_dir():
            raise UserError(f"{root}: no such folder; --root names the one that holds the datasets")
        folders, self._links = walk_once(self.root, leave_out=_NO_FACES)
        self._clips: dict[Path, Path] = {}  # what bears the clip's name, by what holds its frames
        for folder, files in folders.items():
            if any(is_image(name) and digit_runs(Path(name).stem) for name in files):
                self._clips[folder] = _named(folder)
            for name in files:
                stem = Path(name).stem
                if is_video(name) and stem.lower() not in _NO_FACES:
                    self._clips[folder / name] = _named(folder / stem)
        self._by_clip: dict[str, set[Path]] = defaultdict(set)
        self._alike: dict[tuple[Path, str], dict[Path, str]] = defaultdict(dict)
        for clip, named in self._clips.items():
            for key in self._keys(named):
                self._by_clip[key].add(clip)
            for folder in self._chain(named):
                for place in self._places(folder):
                    self._alike[place.parent, name_key(place.name)][folder] = place.name

    def clips(self) -> list[Path]:
        """Every clip's folder or video file, sorted."""
        return sorted(self._clips)

    def find(
        self,
        subject: str,
        clip: str,
        prefer: Iterable[str] = (),
        frames: Iterable[int] = (),
        or_like: Iterable[str] = (),
    ) -> Path | None:
        """The folder or video named `clip` somewhere below a folder named `subject`, or None.

        subject: "" for anywhere. clip: a * stands for any text but further digits of a number,
        a # for digits. or_like: other names, tried where none of `clip`'s holds `frames`.
        Of several (a raw and a cropped release), the first that holds `frames`, or frames near
        them, is taken. Those whose path has a part out of `prefer` come first, then folders
        before videos, then by name; a warning says that there was a choice. UserError if the
        subject's or the clip's name could be another folder's beside it (sub01 and sub1).
        """
        found = self._named(subject, clip)
        ends = list(frames)
        if or_like and not any(_nearby(path, ends) == ends for path in found):
            other = [path for name in or_like for path in self._named(subject, name)]
            found = [path for path in other if _nearby(path, ends) == ends] or found or other
        if not found:
            return None
        wanted = {part.lower() for part in prefer}
        found.sort(
            key=lambda path: (
                wanted.isdisjoint(part.lower() for part in path.parts),
                _is_video_file(path),
                path.as_posix(),
            )
        )
        taken = _first_with(ends, found)
        self._refuse_twins(taken, {name_key(subject), *self._keys(self._clips[taken])})
        others = {self._release(path) for path in found} - {self._release(taken)}
        if others:
            warn(
                f"clips are in several folders below {self.root}: taking {self._release(taken)}, "
                f"not {', '.join(sorted(others))}; a narrower --root decides"
            )
        return taken

    def _named(self, subject: str, clip: str) -> list[Path]:
        """The clips of a name or pattern below a folder of the subject's name."""
        keys = [name_key(clip)]
        if set("*#") & set(clip):
            escaped = re.escape(keys[0]).replace(r"\#", "[0-9]+")
            pattern = re.compile(escaped.replace(r"\*", "(?:(?<![0-9])|(?![0-9])).*"))
            keys = [key for key in self._by_clip if pattern.fullmatch(key)]
        return [
            path
            for key in keys
            for path in self._by_clip.get(key, ())
            if not subject or name_key(subject) in self._above(path)
        ]

    def _chain(self, named: Path) -> list[Path]:
        """A path below the root and the folders that it is in, up to the root's own ones."""
        return [
            p for p in (named, *named.parents) if p != self.root and p.is_relative_to(self.root)
        ]

    def _places(self, folder: Path) -> list[Path]:
        """A folder's own path, and those of links to it."""
        return [folder, *self._links.get(folder, ())]

    def _keys(self, folder: Path) -> set[str]:
        return {name_key(place.name) for place in self._places(folder)}

    def _above(self, clip: Path) -> set[str]:
        """The keys of the folders that a clip is in."""
        return set().union(*map(self._keys, self._chain(self._clips[clip])[1:]))

    def _refuse_twins(self, clip: Path, keys: set[str]) -> None:
        """UserError if what was asked for by `keys` could be either of two folders side by side."""
        for folder in self._chain(self._clips[clip]):
            for place in self._places(folder):
                key = name_key(place.name)
                names = sorted(self._alike[place.parent, key].values())
                if key in keys and len(names) > 1:
                    raise UserError(
                        f"{place.parent}: {names[0]} and {names[1]} are one name here, where "
                        "capitals and leading zeros do not count; rename one or take it away"
                    )

    def _release(self, clip: Path) -> str:
        parts = clip.relative_to(self.root).parts
        return parts[0] if len(parts) > 2 else "."


def _named(clip: Path) -> Path:
    return clip.parent if clip.name.lower() in _COLOUR else clip


def _nearby(clip: Path, frames: list[int]) -> list[int | None]:
    """The frames of a clip at the numbers asked for, or near them; [] where they do not fit."""
    try:
        there = number_frames(clip, min(frames), max(frames))
    except UserError:
        return []
    return [nearest_frame(there, number) for number in frames]


def _first_with(frames: list[int], clips: list[Path]) -> Path:
    """The first of some clips with all `frames`, else with frames near them, else the first."""
    if len(clips) == 1 or not frames:
        return clips[0]
    second = None
    for clip in clips:
        near = _nearby(clip, frames)
        if near == frames:
            return clip
        if near and None not in near:
            second = second or clip
    return second or clips[0]


def nearest_frame(frames: dict[int, Path], number: int, within: int = NEAR) -> int | None:
    """`number` if that frame exists, else the nearest existing one at most `within` away."""
    if number in frames:
        return number
    near = [n for n in frames if abs(n - number) <= within]
    return min(near, key=lambda n: (abs(n - number), n)) if near else None


def no_frame(frames: dict[int, Path], number: int, name: str = "frame") -> UserError:
    """The error for a frame that nearest_frame does not find: it says which there are."""
    fault = f"no {name} {number}, nor one within two of it"
    if not frames:
        return UserError(f"{fault}: there are none")
    first, last = min(frames), max(frames)
    count = f"{len(frames)} frames, " if len(frames) <= last - first else ""
    path = next(iter(frames.values()))
    where = file_of(path).name if video_frame(path) else path.parent.name
    renumbered = "" if first <= number <= last else ": the release renumbered them?"
    return UserError(f"{fault}; {where} has {count}{first} to {last}{renumbered}")


def no_images(folder: Path) -> UserError:
    """The error for a folder in which list_frames finds nothing: it says what is there."""
    images = _images(folder)
    if images:
        names = ", ".join(path.name for path in images[:3]) + (", …" if len(images) > 3 else "")
        count = f"{len(images)} image{'s' if len(images) > 1 else ''}"
        return UserError(
            f"{folder}: {count} without a number in the name ({names}); a clip's frames are "
            "ordered by theirs"
        )
    inside = [path.name for path in sorted(folder.iterdir()) if not is_hidden(path.name)]
    if not inside:
        return UserError(f"{folder}: an empty folder")
    names = ", ".join(inside[:3]) + (", …" if len(inside) > 3 else "")
    return UserError(f"{folder}: no images in this folder (it has {names})")


def _images(folder: Path) -> list[Path]:
    """The images in a folder: img46.jpg before its copy, img46 (1).jpg."""
    images = [path for path in folder.iterdir() if is_image(path)]
    return sorted(images, key=lambda path: (len(path.stem), path.name))


def _is_video_file(path: Path) -> bool:
    return is_video(path) and not path.is_dir()  # a folder of frames may be called clip.avi
