"""What a path names, by its name: an image, a video, a frame of a video (clip.avi#46)."""

import re
from pathlib import Path

IMAGE_SUFFIXES = {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".tif", ".tiff", ".webp"),
    *(".ppm", ".pgm", ".pnm", ".jp2"),
}
VIDEO_SUFFIXES = {
    *(".avi", ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv"),
    *(".mts", ".m2ts", ".3gp"),
}
_VIDEO_FRAME = re.compile(r"(.+)#([0-9]+)")


def is_hidden(name: str) -> bool:
    """Whether a file or folder is none of the user's: ._img46.jpg, .Trash-1000."""
    return name.startswith(".")


def is_image(name: Path | str) -> bool:
    """Whether a name is that of an image."""
    path = Path(name)
    return path.suffix.lower() in IMAGE_SUFFIXES and not is_hidden(path.name)


def is_video(name: Path | str) -> bool:
    """Whether a name is that of a video."""
    path = Path(name)
    return path.suffix.lower() in VIDEO_SUFFIXES and not is_hidden(path.name)


def clip_name(path: Path) -> str:
    """What a clip is called: a video's or an image's name without its ending, a folder's name."""
    return path.stem if not path.is_dir() and (is_video(path) or is_image(path)) else path.name


def video_frame(path: Path) -> tuple[Path, int] | None:
    """The video and the number of a frame of a video: clip.avi#46 -> clip.avi, 46."""
    parts = _VIDEO_FRAME.fullmatch(path.name)
    if parts and is_video(parts[1]):
        return path.with_name(parts[1]), int(parts[2])
    return None


def file_of(path: Path) -> Path:
    """The file that a frame's path is in: the video of clip.avi#46, a picture itself."""
    frame = video_frame(path)
    return frame[0] if frame else path
