"""A spotted video with what was spotted drawn on it: box, curve, intervals, units."""

from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np

from common.errors import UserError, warn
from common.files import write_whole
from common.progress import progress_bar

from .encode import WITHOUT_H264, Writer, has_h264, open_writer
from .record import Spotting, read_spotting

REACH = 5.0  # seconds of the curve on either side of the frame that is shown
NARROW = 320  # pixels: a smaller picture is drawn larger, for text to be read
WITHOUT_RATE = 25.0  # frames a second of images whose rate nobody said
# Okabe and Ito's colours, RGB: kinds, and ink on the panel's ground.
COLOURS = {"micro": (240, 132, 60), "macro": (86, 180, 233)}
OTHER, INK, MUTED, GROUND = (95, 232, 189), (231, 234, 238), (150, 160, 170), (26, 31, 38)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def write_overlay(json_path: Path, out: Path) -> Path:
    """Write the overlay of a spotted video (its spotting.json) to `out` (.mp4); its path.

    One frame is in memory at a time. H.264 with the video's sound where PyAV brings an
    encoder, at the times of frames.csv; else MPEG-4 part 2 by OpenCV, at an even rate, which a
    warning and the pictures themselves say. UserError where the video is gone or unreadable.
    """
    spotted = read_spotting(json_path.parent)
    if out.suffix.lower() != ".mp4":
        raise UserError(f"{out}: an overlay is an .mp4")
    drawer = _Drawer(spotted, "" if has_h264() else WITHOUT_H264)
    rate = float(spotted.facts["fps"] or WITHOUT_RATE)
    if not has_h264():
        warn(f"{out}: MPEG-4 part 2, which browsers do not play: `pip install av` brings H.264")
    # With another rate than its own a video is not as long as its sound.
    sound = spotted.video() if spotted.facts.get("timed") else None
    with write_whole(out) as part, ExitStack() as stack:
        writer: Writer | None = None
        bar = stack.enter_context(progress_bar("overlay, frames", spotted.facts["frames"]))
        for i, (number, time, image) in enumerate(spotted.pictures()):
            drawn = drawer.draw(number, time, image)
            if writer is None:
                size = (drawn.shape[1], drawn.shape[0])
                writer = stack.enter_context(open_writer(part, size, rate, sound))
            writer.write(drawn, i / rate if time is None else time)
            bar.advance()
    return out


class _Drawer:
    """Draws a video's frames with what was spotted."""

    def __init__(self, spotted: Spotting, note: str) -> None:
        """note: what every picture is to say."""
        curves = spotted.curves
        self.spotted = spotted
        self.note = f"  {note}" if note else ""
        self.times = curves["timestamp"].to_numpy(float)
        if not np.isfinite(self.times).all():
            self.times = np.arange(len(curves)) / WITHOUT_RATE
        self.frames = curves["frame"].to_numpy()
        self.motion = curves["motion"].to_numpy(float)
        self.threshold = curves["threshold"].to_numpy(float)
        self.boxes = curves[["x0", "y0", "x1", "y1"]].to_numpy(float)
        known = np.concatenate([self.motion, self.threshold])
        self.top = max(float(np.nanquantile(known, 0.999)), 1e-9) if np.isfinite(known).any() else 1
        # Rows of each interval's onset, apex, offset; and by frame the interval that it lies in.
        places = [[one[key] for key in ("onset", "apex", "offset")] for one in spotted.intervals]
        rows = np.searchsorted(self.frames, np.array(places, int).reshape(-1, 3))
        self.places = np.minimum(rows, len(curves) - 1)
        self.inside = {
            number: one
            for one in spotted.intervals
            for number in range(one["onset"], one["offset"] + 1)
        }
        self.side = 0  # of the first picture: later ones of another size are brought to it
        self.size = (0, 0)

    def draw(self, number: int, time: float | None, image: np.ndarray) -> np.ndarray:
        """A frame (H, W, 3) RGB with its panel below, both sides even."""
        if not self.side:
            scale = max(1.0, NARROW / image.shape[1])
            width, height = (2 * round(scale * side / 2) for side in image.shape[1::-1])
            self.side, self.size = max(96, 2 * (height // 10)), (width, height)
        scale = self.size[0] / image.shape[1]
        if image.shape[1::-1] != self.size:
            image = cv2.resize(image, self.size, interpolation=cv2.INTER_LINEAR)
        canvas = np.vstack([image, np.full((self.side, self.size[0], 3), GROUND, np.uint8)])
        row, interval = self.spotted.row(number), self.inside.get(number)
        colour = COLOURS.get(interval["kind"], OTHER) if interval else INK
        if row is not None and np.isfinite(self.boxes[row]).all():
            corners = (scale * self.boxes[row]).round().astype(int).tolist()
            thick = max(1, self.size[0] // 320) + (interval is not None)
            cv2.rectangle(canvas, corners[:2], corners[2:], colour, thick, cv2.LINE_AA)
        self._say(canvas, number, time, row, interval)
        if row is not None:
            self._curve(canvas[self.size[1] :], row)
        return canvas

    def _say(
        self,
        canvas: np.ndarray,
        number: int,
        time: float | None,
        row: int | None,
        interval: dict | None,
    ) -> None:
        """Two lines above the curve: the frame, and what is spotted there."""
        size = float(np.clip(self.size[0] / 1100, 0.36, 0.9))
        line = round(26 * size) + 3
        at = self.size[1] + line
        told = "" if time is None else f"  {time:.2f} s"
        face = row is not None and np.isfinite(self.boxes[row]).all()
        text = f"frame {number}{told}{'' if face else '  no face'}{self.note}"
        cv2.putText(canvas, text, (6, at), _FONT, size, MUTED, 1, cv2.LINE_AA)
        if interval:
            colour = COLOURS.get(interval["kind"], OTHER)
            told = in_words(interval)
            cv2.putText(canvas, told, (6, at + line), _FONT, size, colour, 1, cv2.LINE_AA)

    def _curve(self, panel: np.ndarray, row: int) -> None:
        """The motion and its threshold around a frame, intervals as bands, apexes as lines."""
        height, width = panel.shape[:2]
        top, bottom = round(0.5 * height), height - 5
        now = self.times[row]
        first, last = np.searchsorted(self.times, (now - REACH, now + REACH))

        def across(time: np.ndarray) -> np.ndarray:
            return (time - now + REACH) / (2 * REACH) * (width - 1)

        def down(value: np.ndarray) -> np.ndarray:
            return bottom - np.clip(value / self.top, 0, 1) * (bottom - top)

        near = (self.places[:, 2] >= first) & (self.places[:, 0] < last)
        for i in np.flatnonzero(near):
            colour = COLOURS.get(self.spotted.intervals[i]["kind"], OTHER)
            onset, apex, offset = across(self.times[self.places[i]]).round().astype(int).tolist()
            band = panel[top:bottom, max(onset, 0) : max(offset + 1, 0)]
            band[:] = (0.6 * band + 0.4 * np.array(colour)).astype(np.uint8)
            cv2.line(panel, (apex, top), (apex, bottom), colour, 1)
        x = across(self.times[first:last])
        for values, colour in ((self.threshold, MUTED), (self.motion, INK)):
            some = values[first:last]
            known = np.isfinite(some)
            for run in np.split(np.arange(len(some)), np.flatnonzero(np.diff(known)) + 1):
                if len(run) > 1 and known[run[0]]:
                    points = np.stack([x[run], down(some[run])], 1).round().astype(np.int32)
                    cv2.polylines(panel, [points], False, colour, 1, cv2.LINE_AA)
        middle = width // 2
        cv2.line(panel, (middle, top), (middle, bottom), INK, 1)


def in_words(interval: dict) -> str:
    """An interval in a line of ASCII: micro, positive 0.80, AU 12 0.40, AU R2 0.30."""
    label = interval.get("label")
    score = (interval.get("classes") or {}).get(label)
    told = [interval["kind"]]
    if label and label != "none":
        told.append(f"{label} {score:.2f}" if score is not None else label)
    units = sorted(interval.get("units") or [], key=lambda unit: -unit["strength"])
    told += [f"AU {unit_name(unit)} {unit['strength']:.2f}" for unit in units[:4]]
    return ", ".join(told)


def unit_name(unit: dict) -> str:
    """A unit as FACS has it: 12, L12, R12."""
    side = (unit.get("side") or "")[:1].upper()
    return f"{side if side in ('L', 'R') else ''}{unit['unit']}"
