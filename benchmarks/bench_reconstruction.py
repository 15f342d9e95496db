"""How well and how fast the anny backend reconstructs the demo set.

python -m benchmarks.bench_reconstruction --demo DEMO_FOLDER
"""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import skimage.data
import torch

from common.cli import run_script
from common.errors import UserError
from data.apex.cells import cells_mask, hull_mask
from data.faces import load_face_finder
from data.index import read_index
from deca.anny.backend import EYES, AnnyBackend
from deca.frame import read_face
from deca.geometry import vertex_normals
from deca.reconstruction import Face, Reconstruction
from deca.render_views import SIZE, render_views
from synthetic.demo.plan import bare_frame

# A group of the demo set's truth -> the facial actions, by the start of their names, it is read by.
GROUPS = {
    "brows_down": ("browDown",),
    "brows_up": ("browInnerUp", "browOuterUp"),
    "smile": ("mouthSmile", "cheekSquint", "mouthDimple"),
    "nose": ("noseSneer",),
    "lip_corners_down": ("mouthFrown",),
}
# The cells of the face that it moves.
BROWS = ("center_eyebrow", "left_eyebrow", "right_eyebrow")
CELLS = {
    "brows_down": BROWS,
    "brows_up": BROWS,
    "smile": ("left_lip", "right_lip"),
    "nose": ("left_nose", "right_nose"),
    "lip_corners_down": ("left_lip", "right_lip"),
}


def main(demo: Path, clips: int = 0, threads: int = 2) -> None:
    """Print fit, identity, facial actions, expressions in the views, glasses and speed.

    Args:
        demo: a demo set that prepare_data.py drew, with its index in DEMO/index.
        clips: how many clips to take, spread over the set (0: all).
        threads: of torch.
    """
    torch.set_num_threads(threads)
    backend, finder = AnnyBackend(), load_face_finder("dlib")
    truth = pd.read_csv(demo / "truth.csv", dtype={"subject": str, "clip": str})
    truth = truth.set_index(["data", "subject", "clip"])
    group = truth["group"].to_dict()
    paths = [demo / "index" / f"{corpus}_apex.csv" for corpus in ("smic", "casme2", "samm")]
    rows = [row for path in paths for row in _rows(path)]
    rows = rows[:: max(1, len(rows) // clips)] if clips else rows
    seen: dict[str, int] = {}
    faces = []
    for row in rows:
        count = seen[row["data_sub"]] = seen.get(row["data_sub"], 0) + 1
        subject = f"{row['data_sub']}/{count % 2}"  # two halves of a subject's clips
        onset = demo / row["onset_frame_path"]
        try:
            faces.append(read_face(demo / row["apex_frame_path"], finder, subject, onset))
        except UserError:
            faces.append(None)
    print(f"{len(faces)} apex frames, no face found in {faces.count(None)}")
    rows = [row for row, face in zip(rows, faces, strict=True) if face is not None]
    faces = [face for face in faces if face is not None]

    start = time.perf_counter()
    for head in backend.reconstruct(faces[:32]):
        render_views(head)
    seconds = time.perf_counter() - start
    count = min(32, len(faces))
    print(f"speed: {count / seconds:.2f} frames a second with 13 views ({threads} threads)")

    heads = backend.reconstruct(faces)
    errors = np.array([_misfit(head) for head in heads])
    print(f"fit on the demo set: mean {errors.mean():.2%}, worst {errors.max():.2%}")
    image = skimage.data.astronaut()
    (head,) = backend.reconstruct([Face(image, finder.find(image, "astronaut").landmarks)])
    print(f"fit on the astronaut: {_misfit(head):.2%}")
    _identity({face.subject: head.codes["shape"] for face, head in zip(faces, heads, strict=True)})
    _actions([group[row["data"], row["subject"], row["clip"]] for row in rows], heads)
    _expressions(demo, rows, faces, truth, backend, finder)
    _glasses(demo, rows, faces, backend, finder)


def _rows(path: Path) -> list[dict]:
    return read_index(path).to_dict("records")


def _misfit(head: Reconstruction) -> float:
    width = np.linalg.norm(np.subtract(*head.landmarks[EYES]))
    return float(np.linalg.norm(head.landmarks - head.projected, axis=1).mean() / width)


def _identity(shapes: dict[str, np.ndarray]) -> None:
    names = sorted({key.rpartition("/")[0] for key in shapes})
    names = [name for name in names if f"{name}/0" in shapes and f"{name}/1" in shapes]
    first = np.stack([shapes[f"{name}/0"] for name in names])
    second = np.stack([shapes[f"{name}/1"] for name in names])
    apart = np.linalg.norm(first[:, None] - second[None], axis=2)
    same, others = apart.diagonal()[:, None], apart[~np.eye(len(names), dtype=bool)]
    right = np.mean(same < others.reshape(len(names), -1))
    print(f"identity: same subject closer than another in {right:.1%} of {others.size} pairs")


def _actions(groups: list[str], heads: list[Reconstruction]) -> None:
    found = []
    for head in heads:
        names, delta = head.codes["action_names"], head.codes["actions_delta"]
        scores = {
            group: max(d for n, d in zip(names, delta, strict=True) if n.startswith(starts))
            for group, starts in GROUPS.items()
        }
        found.append(max(scores, key=scores.get))
    table = pd.crosstab(pd.Series(groups, name="truth"), pd.Series(found, name="found"))
    right = [t == f for t, f in zip(groups, found, strict=True) if t in GROUPS]
    print(f"strongest facial action right: {np.mean(right):.1%} of {len(right)} clips\n{table}")


def expression_change(
    backend: AnnyBackend, apex: Reconstruction, onset: Reconstruction, group: str
) -> tuple[float, float]:
    """How far the frontal views of two heads of one person differ: mean absolute grey levels.

    In the cells of the face that a group of facial actions moves, and on the rest of the face.
    """
    points = backend.model.pick(apex.frontal[None])[0] - apex.framing.centre
    points = points[:, :2].cpu().numpy() * apex.framing.scale * [1, -1]
    landmarks = (points + 1) * SIZE / 2 - 0.5
    acting = cells_mask((SIZE, SIZE), landmarks, CELLS[group])
    face = hull_mask((SIZE, SIZE), landmarks)
    views = [render_views(head, (0,))[0, :, :, 0].astype(float) for head in (apex, onset)]
    off = np.abs(views[0] - views[1])
    return float(off[acting].mean()), float(off[face & ~acting].mean())


def _with_actions(
    backend: AnnyBackend, head: Reconstruction, strengths: dict[str, float]
) -> Reconstruction:
    """A head whose face does these actions and nothing else."""
    count = len(backend.head.phenotypes)
    shape = torch.from_numpy(head.codes["shape"])[None]
    neutral = backend.head.neutral(shape[:, :count], shape[:, count:])
    frontal = backend.head.move(neutral, backend.head.action_vector(strengths)[None])
    normals = vertex_normals(frontal, backend.topology.faces)
    return replace(head, frontal=frontal[0], normals=normals[0])


def _expressions(demo, rows, faces, truth, backend, finder, count=60) -> None:
    """Apex against onset, each read from its own frame; the two share their identity.

    Beside it what there is to see: the same heads, doing exactly what the clip was drawn with.
    """
    drawn = [truth.loc[row["data"], row["subject"], row["clip"]] for row in rows]
    chosen = [
        (row, face, clip)
        for row, face, clip in zip(rows, faces, drawn, strict=True)
        if clip["group"] in GROUPS
    ]
    chosen = chosen[:: max(1, len(chosen) // count)]
    pairs, clips = [], []
    for row, face, clip in chosen:
        path = demo / row["onset_frame_path"]
        onset = read_face(path, finder, face.subject, onset=path)
        if onset.landmarks is not None:
            pairs += [face, onset]
            clips.append(clip)
    heads = backend.reconstruct(pairs)
    actions = [name for name in truth if name in backend.head.actions]
    changes = []
    for apex, onset, clip in zip(heads[::2], heads[1::2], clips, strict=True):
        exact = [
            _with_actions(backend, apex, strengths) for strengths in (clip[actions].to_dict(), {})
        ]
        changes.append((
            *expression_change(backend, apex, onset, clip["group"]),
            expression_change(backend, *exact, clip["group"])[0],
        ))  # fmt: skip
    columns = ["acting cells", "rest of the face", "acting cells, as drawn"]
    table = pd.DataFrame(changes, columns=columns)
    table["clips more in acting cells"] = table.iloc[:, 0] > table.iloc[:, 1]
    groups = [clip["group"] for clip in clips]
    table.insert(0, "group", groups)
    table = pd.concat([table, table.assign(group="all")]).groupby("group").agg("mean").round(2)
    print(f"views at apex minus onset, grey levels of 255 ({len(groups)} clips)")
    print(table.to_string())


def _glasses(demo, rows, faces, backend, finder) -> None:
    """The same frames drawn with glasses and without, each set reconstructed as scripts do it.

    That is with one identity a subject; and once more frame by frame, each with its own.
    """
    worn, bare = [], []
    for row, face in zip(rows, faces, strict=True):
        paths = [
            bare_frame(demo, row["data"], row["subject"], row["clip"], row[f"{moment}_frame"])
            for moment in ("apex", "onset")
        ]
        if all(path.exists() for path in paths):
            without = read_face(paths[0], finder, row["data_sub"], paths[1])
            if without.landmarks is not None:
                worn.append(replace(face, subject=row["data_sub"]))
                bare.append(without)
    for how, subject in (("subject by subject", {}), ("frame by frame", {"subject": ""})):
        pairs = [
            backend.reconstruct([replace(face, **subject) for face in group])
            for group in (worn, bare)
        ]
        views = ([render_views(head).astype(float) for head in heads] for heads in zip(*pairs))
        differences = [np.abs(one - other).mean() / 255 for one, other in views]
        mean, worst = np.mean(differences), np.max(differences)
        print(f"glasses, {how}: views differ by {mean:.2%}, worst {worst:.2%} ({len(worn)} frames)")


if __name__ == "__main__":
    run_script(main)
