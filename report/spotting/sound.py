"""The sound of a video, written beside its pictures."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import warn

if TYPE_CHECKING:
    import av
    from av.container import OutputContainer

CHANNELS = {1: "mono", 2: "stereo"}  # more of them are mixed to two


def open_sound(source: Path, out: "OutputContainer") -> "Sound | None":
    """The sound of `source` for a file that is being written; None if it has none.

    A warning where it has a sound that cannot be read.
    """
    import av

    try:
        file = av.open(str(source))
    except (OSError, ValueError) as error:  # av.FFmpegError is the one or the other
        warn(f"{source}: its sound cannot be read ({error}) and is left out")
        return None
    if not file.streams.audio:
        file.close()
        return None
    if file.streams.audio[0].codec_context is None:
        warn(f"{source}: its sound cannot be read (its coding is not known) and is left out")
        file.close()
        return None
    return Sound(source, file, out)


class Sound:
    """Hands on the sound in step with pictures, as AAC, which every browser plays in an .mp4."""

    def __init__(
        self, source: Path, file: "av.container.InputContainer", out: "OutputContainer"
    ) -> None:
        self._source, self._file, self._out = source, file, out
        heard = file.streams.audio[0]
        layout = CHANNELS.get(heard.codec_context.channels, "stereo")
        rate = heard.codec_context.sample_rate or 48_000
        self._stream = out.add_stream("aac", rate=rate, layout=layout)
        self._frames = self._read(heard)
        self._next = next(self._frames, None)

    def write(self, until: float) -> None:
        """Write what is heard up to a time in seconds."""
        while self._next is not None and self._next[0] <= until:
            self._out.mux(self._stream.encode(self._next[1]))
            self._next = next(self._frames, None)

    def close(self) -> None:
        """Write what the encoder still holds."""
        self._out.mux(self._stream.encode(None))
        self._file.close()

    def _read(self, heard: "av.AudioStream") -> "Iterator[tuple[float, av.AudioFrame]]":
        """Pieces of sound, each with its time since the first picture."""
        seen = self._file.streams.video
        first = 0.0
        if seen and seen[0].start_time is not None and seen[0].time_base is not None:
            first = float(seen[0].start_time * seen[0].time_base)
        try:
            for frame in self._file.decode(heard):
                if frame.pts is None or frame.time_base is None:
                    continue
                frame.pts -= round(first / frame.time_base)
                if frame.pts >= 0:
                    yield float(frame.pts * frame.time_base), frame
        except (OSError, ValueError) as error:
            warn(f"{self._source}: its sound cannot be read on ({error}); the rest is left out")
