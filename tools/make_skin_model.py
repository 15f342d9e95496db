"""Make deca/clean/skin.npz: what bare faces look like on the chart, of synthetic people.

python -m tools.make_skin_model

People that neither the demo set nor a benchmark shows are drawn without hair and glasses, are
reconstructed as any picture is, and their charts' light is taken out; the principal axes of what
is left, and the spread beyond them, are the model.
"""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from rich.progress import track

from common.cli import run_script
from common.files import write_whole
from data.face_shape import MIRROR
from data.faces import load_face_finder
from deca.anny.backend import AnnyBackend
from deca.anny.head import Head
from deca.clean import skin
from deca.clean.chart import INNER, SIDE, Chart, lay_out, unroll
from deca.clean.fill import spread_in
from deca.reconstruction import Face
from synthetic.demo.figure import build_figure
from synthetic.demo.people import sample_person, sample_setting
from synthetic.demo.plan import EMOTIONS, generator, sample_actions
from synthetic.demo.render import render

SEED = 7000  # of people: the demo set has 0, benchmarks and tests others
STORED = SIDE // 2  # texels a side
ROUNDS = 3
SMOOTH = 2.0  # texels: of the spread, which is that of few people


def main(people: int = 160, axes: int = 20, charts: Path | None = None) -> None:
    """Make skin.npz.

    Args:
        people: how many are drawn.
        axes: of the model.
        charts: a file to keep the drawn people's pictures and landmarks in, or to take them from.
    """
    torch.set_num_threads(1)
    backend = AnnyBackend()
    if charts is not None and charts.is_file():
        with np.load(charts) as content:
            images, landmarks = content["images"], content["landmarks"]
    else:
        images, landmarks = draw_people(people, backend.head)
        if charts is not None:
            with write_whole(charts) as part:
                np.savez(part, images=images, landmarks=landmarks)
    canonical = canonical_landmarks(backend)
    faces = [Face(image, points) for image, points in zip(images, landmarks)]
    laid = [
        lay_out(head, face.image, canonical)
        for face, head in zip(faces, backend.reconstruct(faces))
    ]
    write_model(learn(laid, canonical, axes))
    print(f"{skin.FILE}: {axes} axes from {len(laid)} people, {skin.FILE.stat().st_size} bytes")


def canonical_landmarks(backend: AnnyBackend) -> np.ndarray:
    """The mean head's inner landmarks on the chart, (51, 2) in mm, mirror-symmetric."""
    flat = unroll(backend.model.mean, backend.model.mean[INNER]).numpy()
    return ((flat + flat[MIRROR] * [-1, 1]) / 2)[INNER]


def draw_people(count: int, head: Head) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (N, H, W, 3) uint8 of bald people without glasses, and landmarks (N, 68, 2)."""
    finder = load_face_finder("dlib")
    images, landmarks = [], []
    for number in track(range(count), "people"):
        image = draw(str(number), head)
        found = finder.find(image, str(number))
        if found is not None:
            images.append(image)
            landmarks.append(found.landmarks)
    return np.stack(images), np.stack(landmarks)


def draw(name: str, head: Head) -> np.ndarray:
    """One person's picture: bare, in some light, with some expression and pose, with grain."""
    rng = generator(SEED, "skin", name)
    person = sample_person(SEED, "smic", f"skin {name}")
    looks = replace(person.looks, hairline=400.0, recession=0.0)
    figure = build_figure(replace(person, looks=looks, hair_length=0.0), with_glasses=False)
    groups = [group for _, groups in EMOTIONS.values() for group in groups]
    strengths = dict(sample_actions(rng, groups[rng.integers(len(groups))]))
    actions = rng.uniform(0, 1) * head.action_vector(strengths).numpy()
    turn = rng.normal(0, [0.06, 0.10, 0.03]).astype(np.float32)
    (picture,) = render(figure, sample_setting(rng), actions[None].astype(np.float32), turn[None])
    grain = rng.uniform(0.8, 2.6) * rng.standard_normal(picture.shape)
    return np.clip(picture * 255 + grain + 0.5, 0, 255).astype(np.uint8)


def learn(charts: list[Chart], canonical: np.ndarray, axes: int) -> skin.SkinModel:
    """Principal axes of log colours without light, inside the face; what a chart lacks is 0.

    Each face is taken together with its mirror image, so that mean and spread are symmetric.
    """
    charts = charts + [_mirrored(chart) for chart in charts]
    values = np.stack([skin.to_log(chart.colour) for chart in charts])
    known = np.stack([chart.seen > 0.5 for chart in charts])[..., None]
    count = np.maximum(known.sum(0), 1).astype(np.float32)
    model = skin.SkinModel(
        canonical.astype(np.float32),
        mean=np.median(values, 0),
        basis=np.zeros((0, SIDE, SIDE, 3), np.float32),
        deviation=np.full((SIDE, SIDE, 3), 0.2, np.float32),
        inner=inner_face(canonical),
    )
    for _ in range(ROUNDS):
        light = np.stack([skin.fit(model, chart).light for chart in charts])
        mean = np.where(known, values - light, 0).sum(0) / count
        off = np.where(known, values - light - mean, 0)
        flat = (off * model.inner[..., None]).reshape(len(off), -1)
        variance, mixing = np.linalg.eigh(flat @ flat.T / len(flat))
        variance, mixing = variance[::-1][:axes], mixing[:, ::-1][:, :axes]
        directions = (mixing.T @ flat) / np.sqrt(variance * len(flat))[:, None]  # unit length
        left = off.reshape(flat.shape) - (flat @ directions.T) @ directions
        spread = np.sqrt((left.reshape(off.shape) ** 2).sum(0) / count)
        basis = (directions * np.sqrt(variance)[:, None]).reshape(-1, SIDE, SIDE, 3)
        deviation = cv2.GaussianBlur(spread, (0, 0), SMOOTH)
        model = replace(model, mean=mean, basis=basis.astype(np.float32), deviation=deviation)
        print(f"round: beyond the axes {np.median(spread[model.inner]):.3f}")
    return _continued(model)


def _continued(model: skin.SkinModel) -> skin.SkinModel:
    """Beyond the face, where even these people have hair, skin goes on as it is at its border."""
    face = _ellipse(model.landmarks, 82, 72, 118)[..., None]
    known = cv2.GaussianBlur(face[..., 0].astype(np.float32), (0, 0), 3) * face[..., 0]
    mean, deviation = (spread_in(values.astype(np.float32), known)
                       for values in (model.mean, model.deviation))  # fmt: skip
    return replace(model, mean=mean, deviation=deviation, basis=model.basis * known[..., None])


def _mirrored(chart: Chart) -> Chart:
    return replace(
        chart,
        colour=chart.colour[:, ::-1],
        seen=chart.seen[:, ::-1],
        normal=chart.normal[:, ::-1] * [-1, 1, 1],
        on_head=chart.on_head[:, ::-1],
    )


def inner_face(canonical: np.ndarray) -> np.ndarray:
    """(S, S) bool: from chin to forehead and from temple to temple, around the inner landmarks."""
    return _ellipse(canonical, 85, 62, 118)


def _ellipse(canonical: np.ndarray, aside: float, above: float, below: float) -> np.ndarray:
    """(S, S) bool: so many mm around the middle between the eyes."""
    middle = canonical[[19, 22, 25, 28]].mean(0)  # of the eyes' corners
    rows, columns = np.mgrid[:SIDE, :SIDE]
    x, y = columns - SIDE / 2 + 0.5 - middle[0], SIDE / 2 - 0.5 - rows - middle[1]
    return (x / aside) ** 2 + (y / np.where(y > 0, above, below)) ** 2 < 1


def write_model(model: skin.SkinModel) -> None:
    """Store a model at half its size, its axes in bytes."""

    def small(values: np.ndarray) -> np.ndarray:
        return cv2.resize(values, (STORED, STORED), interpolation=cv2.INTER_AREA)

    basis = np.stack([small(axis) for axis in model.basis])
    scale = np.abs(basis).max((1, 2, 3)) / 127
    with write_whole(skin.FILE) as part:
        np.savez_compressed(
            part,
            landmarks=model.landmarks,
            mean=small(model.mean).astype(np.float16),
            basis=np.round(basis / scale[:, None, None, None]).astype(np.int8),
            scale=scale.astype(np.float32),
            deviation=small(model.deviation).astype(np.float16),
            inner=small(model.inner.astype(np.float32)).astype(np.float16),
        )


if __name__ == "__main__":
    run_script(main)
