"""Make deca/anny/landmarks.json: where the 68 landmarks lie on the Anny head.

python -m tools.make_head_landmarks

dlib's detector looks at frontal pictures of synthetic people, and the points behind its landmarks,
carried onto the mean head, are averaged.
"""

import json
from dataclasses import replace

import numpy as np
import torch

from common.cli import run_script
from common.files import write_whole
from data.face_shape import MIRROR
from data.faces import FaceFinder, load_face_finder
from deca.anny.fit import LANDMARKS
from deca.anny.head import load_head
from deca.raycast import Scene
from synthetic.demo.figure import build_figure
from synthetic.demo.people import sample_person, sample_setting
from synthetic.demo.plan import generator
from synthetic.demo.render import place_camera, render

PEOPLE = 40


def main() -> None:
    """Make landmarks.json."""
    torch.set_num_threads(1)
    head = load_head()
    finder = load_face_finder("dlib")
    mean = head.neutral(*head.mean_identity())[0].numpy()
    faces = head.faces.numpy()
    shown = faces[(head.regions["skin"] | head.regions["eyes"]).numpy()]
    places = []
    for person in range(PEOPLE):
        place = _places(str(person), shown, mean, finder)
        if place is not None:
            places.append(place)
    at = np.median(places, 0)
    at = (at + at[MIRROR] * [-1, 1, 1]) / 2
    vertices, weights = _onto(at, mean, shown)
    with write_whole(LANDMARKS) as part:
        content = {"vertices": vertices.tolist(), "weights": weights.round(5).tolist()}
        part.write_text(json.dumps(content) + "\n", encoding="utf-8")
    print(f"{LANDMARKS}: from {len(places)} of {PEOPLE} synthetic people")


def _places(name: str, shown: np.ndarray, mean: np.ndarray, faces: FaceFinder) -> np.ndarray | None:
    """One person's landmarks (68, 3) on the mean head; None where dlib sees no face."""
    rng = generator(0, "landmarks", name, "setting")
    figure = build_figure(sample_person(0, "smic", f"landmarks {name}"), with_glasses=False)
    setting = replace(sample_setting(rng), shift=(0.0, 0.0))
    image = render(figure, setting, np.zeros((1, 52), np.float32), np.zeros((1, 3), np.float32))[0]
    image = (image.clip(0, 1) * 255).astype(np.uint8)
    face = faces.find(image, name)
    if face is None:
        return None
    landmarks = face.landmarks
    camera = place_camera(figure, setting)
    origins = np.broadcast_to(camera.eye, camera.directions.shape)
    hits = Scene(figure.neutral, shown).first_hit(origins, camera.directions)
    width = image.shape[1]
    rows, columns = np.divmod(np.flatnonzero(hits.mask), width)
    # Landmarks of the outline may lie just beside the head: the nearest pixel on it counts.
    distance = np.hypot(landmarks[:, None, 0] - columns[None], landmarks[:, None, 1] - rows[None])
    nearest = np.flatnonzero(hits.mask)[distance.argmin(1)]
    return hits.interpolate(mean, shown)[nearest]


def _onto(at: np.ndarray, mean: np.ndarray, shown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The points of the mesh nearest to `at` (68, 3): vertices and weights."""
    a, b, c = (mean[shown[:, k]] for k in range(3))
    vertices, weights = [], []
    for point in at:
        near = np.argsort(np.linalg.norm((a + b + c) / 3 - point, axis=1))[:40]
        best = min(((*_closest(point, a[i], b[i], c[i]), i) for i in near), key=lambda r: r[0])
        vertices.append(shown[best[2]])
        weights.append(best[1])
    return np.array(vertices), np.array(weights)


def _closest(point: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> tuple:
    """Distance to a triangle, to within a 20th of its sides, and the weights of its corners."""
    grid = np.array([(i, j, 20 - i - j) for i in range(21) for j in range(21 - i)]) / 20
    distance = np.linalg.norm(grid @ np.stack([a, b, c]) - point, axis=1)
    return distance.min(), grid[distance.argmin()]


if __name__ == "__main__":
    run_script(main)
