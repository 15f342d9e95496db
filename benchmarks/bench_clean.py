"""Glasses, hair and hands off in colour: how near the truth, how visible, how fast.

python -m benchmarks.bench_clean --demo DEMO_FOLDER
"""

import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import skimage.data
import torch
import torch.nn.functional as F

from common.cli import run_script
from common.errors import UserError
from data.disk.frames import read_image
from data.faces import FaceFinder, load_face_finder
from data.index import read_index
from deca.anny.backend import EYES, AnnyBackend
from deca.clean.paint import Paint, clean, render_clean
from deca.clean.skin import skin_model
from deca.frame import SHOWN, Extras, paints, read_face, write_head
from deca.reconstruction import Face, Reconstruction
from deca.render_views import look, render_frontal
from synthetic.demo.figure import build_figure
from synthetic.demo.people import sample_person, sample_setting
from synthetic.demo.plan import bare_frame, generator
from synthetic.demo.render import render

DIFFERS = 8  # grey levels from which on a pixel belongs to what lies on the face
SEED = 8000  # of people with a fringe or a hand on the face
PEOPLE = 24


@dataclass(frozen=True)
class Pair:
    """A face as photographed, and the same picture without what lies on it."""

    kind: str
    covered: Face
    bare: np.ndarray  # uint8 (H, W, 3)


def main(demo: Path = Path("demo"), clips: int = 0, threads: int = 1) -> None:
    """Print errors of colour, seams, landmarks and speed.

    Args:
        demo: a demo set that prepare_data.py drew, with its index in DEMO/index.
        clips: how many of its clips with glasses to take, spread over them (0: all).
        threads: of torch.
    """
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    backend, finder = AnnyBackend(), load_face_finder("dlib")
    pairs = list(demo_pairs(demo, finder))
    pairs = pairs[:: max(1, len(pairs) // clips)] if clips else pairs
    pairs += [*drawn_pairs(finder, min(PEOPLE, clips or PEOPLE)), *portraits(finder)]
    table = pd.DataFrame(measure(pairs, backend, finder))
    print(summary(table).round(2).T.to_string())
    speed([pair.covered for pair in pairs if "glasses" in pair.kind][:24], backend)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """A row a kind of pairs: colours over all pixels that something lies on, means over frames."""
    frames = table.groupby("kind", sort=False)
    means = frames.mean().drop(columns="pixels")
    means.insert(0, "frames", frames.size())
    for name in ("textured", "clean"):
        table = table.assign(**{name: table[name] * table["pixels"]})
    sums = table.groupby("kind", sort=False)[["pixels", "textured", "clean"]].sum()
    means["textured"], means["clean"] = (sums[n] / sums["pixels"] for n in ("textured", "clean"))
    means.insert(4, "times nearer", means["textured"] / means["clean"])
    return means


def demo_pairs(demo: Path, finder: FaceFinder) -> Iterable[Pair]:
    """The demo set's frames with glasses beside the same frames without; SAMM's are grey."""
    for corpus in ("smic", "casme2", "samm"):
        for row in read_index(demo / "index" / f"{corpus}_apex.csv").to_dict("records"):
            truth = bare_frame(demo, corpus, row["subject"], row["clip"], row["apex_frame"])
            if truth.is_file():
                try:
                    face = read_face(demo / row["apex_frame_path"], finder, row["data_sub"])
                except UserError:
                    continue
                kind = "glasses, grey" if corpus == "samm" else "glasses"
                yield Pair(kind, face, read_image(truth))


def drawn_pairs(finder: FaceFinder, people: int) -> Iterable[Pair]:
    """Synthetic people with a fringe, or a hand on the cheek, and without hair and hand."""
    for number in range(people):
        rng = generator(SEED, "clean", str(number))
        person = sample_person(SEED, "smic", f"clean {number}")
        setting, turn = sample_setting(rng), rng.normal(0, [0.05, 0.07, 0.025])[None]
        grain = rng.uniform(0.8, 2.6) * rng.standard_normal((280, 240, 3))

        def picture(hairline: float) -> np.ndarray:
            looks = replace(person.looks, hairline=hairline, recession=0.0)  # noqa: B023
            shown = replace(person, looks=looks, hair_length=0.0)  # noqa: B023
            figure = build_figure(shown, with_glasses=False)
            still = np.zeros((1, 52), np.float32)
            (frame,) = render(figure, setting, still, turn.astype(np.float32))  # noqa: B023
            return np.clip(frame * 255 + grain + 0.5, 0, 255).astype(np.uint8)  # noqa: B023

        bare = picture(400.0)
        found = finder.find(bare, str(number))
        if found is not None:
            hand = lay_hand(bare, found.landmarks, rng)
            for kind, image in (("fringe", picture(-rng.uniform(20, 35))), ("hand", hand)):
                yield Pair(kind, Face(image, found.landmarks), bare)


def lay_hand(image: np.ndarray, landmarks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Four fingers of about the face's own colour on one cheek, with dark lines between them."""
    width = float(np.linalg.norm(np.subtract(*landmarks[EYES])))
    side = rng.integers(2)
    start = landmarks[(4, 12)[side]] * 0.6 + landmarks[(31, 35)[side]] * 0.4
    angle = rng.uniform(-30, 30) + 90
    skin = np.median(image[tuple(landmarks[28:31].astype(int).T[::-1])], 0)
    drawn = image.copy()
    for finger in range(4):
        middle = start + np.array([(finger - 1.5) * 0.17 * width, 0.1 * width])
        box = (tuple(middle.tolist()), (0.8 * width, 0.18 * width), angle)
        colour = skin * rng.uniform(0.8, 1.1)
        cv2.ellipse(drawn, box, colour.tolist(), -1, cv2.LINE_AA)
        cv2.ellipse(drawn, box, (0.5 * colour).tolist(), 1, cv2.LINE_AA)
    return drawn


def portraits(finder: FaceFinder) -> Iterable[Pair]:
    """scikit-image's astronaut, with glasses of several shapes drawn on her."""
    image = skimage.data.astronaut()
    found = finder.find(image, "astronaut")
    for power, rim, colour, veil in (
        (2, 2, (25, 22, 22), 0.05), (4, 3, (25, 22, 22), 0.1), (3, 2, (75, 45, 30), 0.15),
        (2.5, 1, (120, 118, 112), 0.1),
    ):  # fmt: skip
        drawn = draw_glasses(image, found.landmarks, power, rim, colour, veil)
        again = finder.find(drawn, "astronaut with glasses")
        if again is not None:
            yield Pair("portrait with glasses", Face(drawn, again.landmarks), image)


def draw_glasses(
    image: np.ndarray,
    landmarks: np.ndarray,
    power: float,
    rim: int,
    colour: tuple[int, int, int],
    veil: float,
) -> np.ndarray:
    """Rims as superellipses, a bridge and temples, `rim` pixels wide, and lenses with a veil."""
    eyes = [landmarks[36:42].mean(0), landmarks[42:48].mean(0)]
    apart = np.linalg.norm(eyes[1] - eyes[0])
    across = (eyes[1] - eyes[0]) / apart
    down = np.array([-across[1], across[0]])
    turn = np.linspace(0, 2 * np.pi, 90)
    shape = [np.sign(f(turn)) * np.abs(f(turn)) ** (2 / power) for f in (np.cos, np.sin)]
    light = (image.astype(float) / 255) ** 2
    outlines = []
    for eye in eyes:
        points = eye + 0.06 * apart * down
        points = points + np.outer(shape[0], 0.40 * apart * across)
        points = points + np.outer(shape[1], 0.29 * apart * down)
        outlines.append(np.round(points * 16).astype(np.int32))
        lens = np.zeros(image.shape[:2], np.uint8)
        cv2.fillPoly(lens, outlines[-1:], 1, shift=4)
        rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
        along = ((columns - eye[0]) + 0.8 * (rows - eye[1])) / (0.4 * apart)
        streak = 0.03 + veil * np.exp(-(((along - 0.5) / 0.25) ** 2))
        amount = (lens * streak)[..., None]
        light = light * (1 - 0.06 * lens[..., None]) * (1 - amount) + amount
    drawn = (np.sqrt(light.clip(0, 1)) * 255).astype(np.uint8)
    for outline, eye, sign in zip(outlines, eyes, (-1, 1)):
        cv2.polylines(drawn, [outline], True, colour, rim, cv2.LINE_AA, shift=4)
        ends = eye + sign * across * apart * 0.40, eye + sign * across * apart * 0.75
        line = [tuple(np.round(16 * end).astype(int).tolist()) for end in ends]
        cv2.line(drawn, line[0], line[1], colour, rim, cv2.LINE_AA, shift=4)
    bridge = [tuple(np.round(16 * p).astype(int).tolist()) for p in
              (eyes[0] + across * apart * 0.40, eyes[1] - across * apart * 0.40)]  # fmt: skip
    cv2.line(drawn, bridge[0], bridge[1], colour, rim, cv2.LINE_AA, shift=4)
    return drawn


def measure(pairs: list[Pair], backend: AnnyBackend, finder: FaceFinder) -> list[dict]:
    """Each pair's errors; both pictures lie on the same head, so that colours alone differ."""
    faces = [pair.covered for pair in pairs]
    heads = backend.reconstruct(faces)
    bare = backend.reconstruct([replace(face, image=pair.bare) for face, pair in zip(faces, pairs)])
    laid_over = clean(heads, faces)
    alone = clean(bare, [replace(face, image=pair.bare) for face, pair in zip(faces, pairs)])
    return [
        {"kind": pair.kind} | errors(*parts, finder, own_hair="portrait" in pair.kind)
        for pair, *parts in zip(pairs, heads, bare, laid_over, alone)
    ]


def errors(
    head: Reconstruction,
    bare: Reconstruction,
    paint: Paint,
    alone: Paint,
    finder: FaceFinder,
    own_hair: bool = False,
) -> dict[str, float]:
    """Mean absolute grey levels of 255 in the frontal picture, inside the face's oval.

    alone: the paint of the bare picture. own_hair: it shows hair on the face, so that where it is
    painted over there is no truth.
    """
    textured, truth = (render_frontal(one, SHOWN)[1].astype(float) for one in (head, bare))
    (cleaned,), (mask,) = render_clean(head, paint, (0,), SHOWN)
    off, left = (np.abs(one - truth).mean(2) for one in (textured, cleaned))
    _, (needless,) = render_clean(bare, alone, (0,), SHOWN)
    face = oval(head, paint)
    untouched = {"bare face filled, %": 100 * (needless == 255)[face].mean()}
    if own_hair:
        face &= ~grown(needless == 255, 2)
    covered = face & (off > DIFFERS)
    result = untouched | {
        "pixels": covered.sum(),
        "textured": off[covered].mean(),
        "clean": left[covered].mean(),
    }
    result["elsewhere"] = left[face & ~covered].mean()
    result["seam"] = step(cleaned, mask == 255, face)
    result["seam, truth"] = step(truth, mask == 255, face)
    reference = finder.find(truth.astype(np.uint8), "truth")
    for name, picture in (("textured", textured), ("clean", cleaned)):
        found = finder.find(picture.astype(np.uint8), name)
        if found is not None and reference is not None:
            width = np.linalg.norm(np.subtract(*reference.landmarks[EYES]))
            apart = np.linalg.norm(found.landmarks - reference.landmarks, axis=1)[17:].mean()
            result[f"landmarks off, % ({name})"] = 100 * apart / width
    return result


def oval(head: Reconstruction, paint: Paint) -> np.ndarray:
    """(SHOWN, SHOWN) bool: the face without scalp, ears and neck in the frontal picture."""
    ((seen, _turn),) = look(head, (0,), SHOWN)
    at = seen.interpolate(paint.place, head.topology.faces)
    inner = torch.from_numpy(skin_model().inner.astype(np.float32))
    values = F.grid_sample(inner[None, None], at[None, None], align_corners=False)
    return seen.image(values[0, 0].T)[0].numpy() > 0.5


def grown(mask: np.ndarray, radius: int) -> np.ndarray:
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return cv2.dilate(mask.astype(np.uint8), disc) > 0


def step(picture: np.ndarray, filled: np.ndarray, face: np.ndarray) -> float:
    """How much a picture changes across the border of what was filled, over 5 pixels."""
    inside, outside = (filled & face).astype(np.float32), (~filled & face).astype(np.float32)
    near = [cv2.blur(part, (9, 9)) for part in (inside, outside)]
    means = [
        cv2.blur(picture * part[..., None], (9, 9)) / np.maximum(share, 1e-6)[..., None]
        for part, share in zip((inside, outside), near)
    ]
    border = face & grown(filled, 1) & grown(~filled, 1) & (np.minimum(*near) > 0.2)
    return float(np.abs(means[0] - means[1]).mean(2)[border].mean())


def speed(faces: list[Face], backend: AnnyBackend) -> None:
    """Frames a second from faces that were found to files, with clean pictures and without."""
    for extras in (Extras(), Extras(clean=True)):
        with tempfile.TemporaryDirectory() as folder:
            start, used = time.perf_counter(), time.process_time()
            heads = backend.reconstruct(faces)
            for i, parts in enumerate(zip(heads, faces, paints(heads, faces, extras))):
                head, face, paint = parts
                write_head(head, face, "anny", Path(folder) / str(i), extras, paint)
            wall, used = time.perf_counter() - start, time.process_time() - used
        what = "with clean pictures" if extras.clean else "without"
        print(f"{what}: {len(faces) / wall:.2f} frames a second, {used / len(faces):.3f} s of CPU")


if __name__ == "__main__":
    run_script(main)
