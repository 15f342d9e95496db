"""Long videos' frames: one head before a still backdrop, ray cast where the head is."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch

from deca.anny.head import load_head, rotation_matrix
from synthetic.demo.figure import Figure, build_figure, pose
from synthetic.demo.people import sample_person, sample_setting
from synthetic.demo.plan import generator
from synthetic.demo.render import Camera, Setting, light_arriving, picture, place_camera

from .acting import NECK, Acting, act_long
from .looks import Look, look_of
from .plan import LAYOUTS, Video

CHUNK = 32  # frames whose vertices are in memory at once
AWAY = np.array([0, 0, 10], np.float32)  # behind the camera
YAWS = np.linspace(-0.45, 0.45, 5)  # radians at which it is found what light arrives
PITCHES = np.linspace(-0.3, 0.3, 3)
AROUND = 4  # pixels around the head that are cast too


def draw_frames(seed: int, video: Video) -> Iterator[np.ndarray]:
    """Every frame of a video in order: uint8 (H, W, 3) RGB, or (H, W) in a grey corpus.

    One chunk is in memory at a time. Where a layout renders fewer frames than the video has,
    those between are blended from their two neighbours.
    """
    layout, look = LAYOUTS[video.corpus], look_of(video.look, seed)
    rng = generator(seed, "long filming", video.look, video.corpus, video.name)
    step = max(1, round(layout.step * video.fps))
    rendered = np.arange(1, video.frames + step, step)
    acting = act_long(seed, video, rendered.astype(float))
    person = sample_person(seed, layout.person, video.subject)
    setting = _setting(rng, look)
    studio = _set_up(_with_chest(build_figure(person, True)), setting, look, video)
    sd, size = np.float32(rng.uniform(*look.noise)), Grain.sheet_size(studio.camera.shape)
    colours = () if layout.grey else (3,)
    grain = Grain(rng, sd * rng.standard_normal((*size, *colours), dtype=np.float32))
    before = None
    for image in _render(studio, acting):
        after = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if layout.grey else image
        if before is None:
            yield grain.over(after)
        else:
            for n in range(1, 1 + min(step, video.frames - grain.drawn)):
                blend = after if n == step else before + (after - before) * np.float32(n / step)
                yield grain.over(blend)
        before = after


def _with_chest(figure: Figure) -> Figure:
    """The figure with shoulders that go on downwards, out of the picture."""
    still = figure.still.copy()
    still[still[:, 1] < still[:, 1].min() + 0.001, 1] -= 0.4
    return replace(figure, still=still)


def _setting(rng: np.random.Generator, look: Look) -> Setting:
    setting = sample_setting(rng)
    dim = rng.uniform(*look.dim)
    zoom = rng.uniform(*look.zoom)
    lit = _lit(setting, dim, 1.0)
    top, bottom = setting.backdrop
    return replace(
        lit,
        fill_colour=_times(look.fill, lit.fill_colour),
        backdrop=(_times(dim, top), _times(dim, bottom)),
        zoom=zoom,
        shift=(rng.normal(0, 0.01), rng.normal(0, 0.01)),
    )


def _lit(setting: Setting, all_light: float, key: float) -> Setting:
    """The setting with its light, and the key light besides, so many times as strong."""
    return replace(
        setting,
        key_colour=_times(all_light * key, setting.key_colour),
        fill_colour=_times(all_light, setting.fill_colour),
        ambient=_times(all_light, setting.ambient),
    )


def _times(factor: float, colour: tuple[float, float, float]) -> tuple[float, float, float]:
    red, green, blue = colour
    return factor * red, factor * green, factor * blue


@dataclass(frozen=True)
class _Studio:
    """A person before a camera. arrives (yaws, pitches, V, lamps): light at turned heads;
    plates: what the camera sees behind the head, linear (H, W, 3), without the key light, and
    what that adds."""

    figure: Figure
    setting: Setting
    camera: Camera
    arrives: np.ndarray
    plates: tuple[np.ndarray, np.ndarray]


def _set_up(figure: Figure, setting: Setting, look: Look, video: Video) -> _Studio:
    camera = place_camera(figure, setting, look.films[video.corpus])
    still = np.zeros((1, len(load_head().actions)), np.float32)
    grid = np.array([[pitch, yaw, 0] for yaw in YAWS for pitch in PITCHES], np.float32)
    arrives = []
    for rotation in grid:
        moved, turn, shift = _place(figure, still, rotation[None], np.zeros((1, 3), np.float32))
        arrives.append(light_arriving(figure, setting, *pose(figure, moved[0], turn[0], shift[0])))
    lamps = np.stack(arrives).reshape(len(YAWS), len(PITCHES), *arrives[0].shape)
    # Shoulders outside of the rays' box keep the shadow of a head that looks ahead: so do all.
    rows = len(lamps[0, 0]) - len(figure.still)
    ahead = lamps[len(YAWS) // 2, len(PITCHES) // 2]
    lamps[:, :, rows:] = ahead[rows:]
    turn, gone = np.eye(3, dtype=np.float32), figure.neutral + AWAY
    plates = [
        picture(figure, _lit(setting, 1, key), camera, ahead, gone, turn, AWAY) ** 2
        for key in (0.0, 1.0)
    ]
    return _Studio(figure, setting, camera, lamps, (plates[0], plates[1] - plates[0]))


def _place(
    figure: Figure, actions: np.ndarray, rotation: np.ndarray, sway: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Heads (T, V, 3) turned about the neck, their rotations (T, 3, 3) and shifts (T, 3)."""
    with torch.no_grad():
        turns = rotation_matrix(torch.from_numpy(rotation))
        heads = load_head().move(torch.from_numpy(figure.neutral)[None], torch.from_numpy(actions))
        turned, matrices = (heads @ turns.mT).numpy(), turns.numpy()
    shift = (NECK - matrices @ NECK + sway).astype(np.float32)
    return turned + shift[:, None], matrices, shift


def _render(studio: _Studio, acting: Acting) -> Iterator[np.ndarray]:
    """Yield (H, W, 3) float32 in [0, 1]."""
    figure, lit = studio.figure, (1.0, 1.0)
    plate = studio.plates[0] + studio.plates[1]
    shown = np.sqrt(np.clip(plate, 0, 1))
    for start in range(0, len(acting.actions), CHUNK):
        part = slice(start, start + CHUNK)
        heads, turns, shifts = _place(
            figure, acting.actions[part], acting.rotation[part], acting.shift[part]
        )
        for i, (head, turn, shift) in enumerate(zip(heads, turns, shifts)):
            all_light, key = np.exp(acting.light[start + i]).tolist()
            if (all_light, key) != lit:
                lit = all_light, key
                plate = np.float32(all_light) * studio.plates[0]
                plate += np.float32(all_light * key) * studio.plates[1]
                shown = np.sqrt(np.clip(plate, 0, 1))
            rows, columns = _box(figure, studio.camera, head, turn, shift)
            part_camera = _cut(studio.camera, plate, rows, columns)
            setting = _lit(studio.setting, *lit)
            arrives = _arriving(studio, acting.rotation[start + i])
            frame = shown.copy()
            frame[rows, columns] = picture(figure, setting, part_camera, arrives, head, turn, shift)
            yield frame


def _arriving(studio: _Studio, rotation: np.ndarray) -> np.ndarray:
    """Light (V, lamps) that arrives at a head turned by (3,), between those of the grid."""
    at = []
    for values, angle in ((YAWS, rotation[1]), (PITCHES, rotation[0])):
        place = float(np.interp(angle, values, np.arange(len(values))))
        below = min(int(place), len(values) - 2)
        at.append((below, np.float32(place - below)))
    (yaw, right), (pitch, up) = at
    near = studio.arrives[yaw : yaw + 2, pitch : pitch + 2]
    left, other = (n[0] + up * (n[1] - n[0]) for n in near)
    return left + right * (other - left)


def _box(
    figure: Figure, camera: Camera, head: np.ndarray, turn: np.ndarray, shift: np.ndarray
) -> tuple[slice, slice]:
    """The rows and columns of the picture in which the head is, with hair and glasses."""
    parts = [head, figure.worn @ turn.T + shift]
    points = np.concatenate([part for part in parts if len(part)]) - camera.eye
    hair = figure.thickness.max(initial=0)
    depth = -points[:, 2:] * camera.pixel
    x, y = (points[:, :2] / depth).T
    spread = AROUND + hair / depth.min()
    ends = []
    for middle, places in ((camera.shape[0] / 2, -y), (camera.shape[1] / 2, x)):
        low, high = middle + places.min() - spread, middle + places.max() + spread
        ends.append(slice(max(int(low), 0), max(int(high) + 1, 1)))
    return ends[0], ends[1]


def _cut(camera: Camera, plate: np.ndarray, rows: slice, columns: slice) -> Camera:
    """A camera that sees a part of the picture, before the plate."""
    directions = camera.directions.reshape(*camera.shape, 3)[rows, columns]
    backdrop = plate[rows, columns].reshape(-1, 3)
    shape = directions.shape[0], directions.shape[1]
    return replace(camera, shape=shape, directions=directions.reshape(-1, 3), backdrop=backdrop)


class Grain:
    """A sensor's noise: one sheet of it, laid over each frame at another place.

    sheet: float32 of sheet_size(picture's shape)[, 3], in grey levels.
    """

    MOST = 48  # pixels by which the sheet is moved

    def __init__(self, rng: np.random.Generator, sheet: np.ndarray) -> None:
        self._sheet = sheet
        self._rng = rng
        self.drawn = 0

    @classmethod
    def sheet_size(cls, shape: tuple[int, ...]) -> tuple[int, int]:
        """How large a sheet is for pictures (H, W)."""
        return shape[0] + cls.MOST, shape[1] + cls.MOST

    def over(self, image: np.ndarray, gain: float = 255.0) -> np.ndarray:
        """(H, W[, 3]) float32, which `gain` takes to grey levels -> uint8 with noise."""
        row, column = self._rng.integers(0, self.MOST, 2)
        height, width = image.shape[:2]
        sheet = self._sheet[row : row + height, column : column + width]
        self.drawn += 1
        return cv2.addWeighted(image, gain, sheet, 1.0, 0.0, dtype=cv2.CV_8U)
