"""The motion of a head's surface since the onset: found, drawn, and read by networks."""

import json
import shutil

import cv2
import numpy as np
import pytest
import torch
from conftest import FAST, call, write_views

from data.index import read_index
from data.transforms import STILL, apply_geometry_to_views, augment, sample_augmentation
from data.view_pictures import read_views
from data.views import claim_views, view_folder, view_names
from deca.anny.backend import AnnyBackend
from deca.reconstruction import Face
from deca.render_views import render_motion
from deca.surface_motion import surface_strain
from loso.settings import Settings
from synthetic.demo.figure import build_figure
from synthetic.demo.people import sample_person, sample_setting
from synthetic.demo.plan import generator
from synthetic.demo.render import render


@pytest.fixture(scope="module")
def moments():
    """A drawn face's motion views at rest, with raised brows, a smile, and its head moved."""
    torch.set_num_threads(1)
    backend = AnnyBackend()
    names = [n for n in backend.head.actions if n.startswith(("browInnerUp", "browOuterUp"))]
    smile = [n for n in backend.head.actions if n.startswith("mouthSmile")]
    strengths = [{}, dict.fromkeys(names, 0.6), dict.fromkeys(smile, 0.5), {}]
    actions = torch.stack([backend.head.action_vector(one) for one in strengths]).numpy()
    turns = np.zeros((4, 3), np.float32)
    turns[3] = 0.01, 0.015, 0.005
    figure = build_figure(sample_person(7, "smic", "surface"), with_glasses=False)
    frames = render(figure, sample_setting(generator(7, "surface")), actions, turns)
    frames = (frames * 255).astype(np.uint8)
    from data.faces import load_face_finder

    marks = load_face_finder("dlib").find(frames[0], "drawn").landmarks
    heads = backend.reconstruct([Face(f, marks, "s", onset=frames[0]) for f in frames])
    return backend, heads


def test_strain_of_known_motions():
    side = torch.linspace(0, 0.1, 6)
    y, x = torch.meshgrid(side, side, indexing="ij")
    flat = torch.stack([x.ravel(), y.ravel(), torch.zeros(36)], 1)
    corner = torch.tensor([6 * i + j for i in range(5) for j in range(5)])
    faces = torch.cat([
        torch.stack([corner, corner + 1, corner + 6], 1),
        torch.stack([corner + 1, corner + 7, corner + 6], 1),
    ])  # fmt: skip
    assert surface_strain(flat, torch.full_like(flat, 0.01), faces).abs().max() < 1e-6
    for gradient, norm in (
        ([[0.02, 0, 0], [0, 0, 0], [0, 0, 0]], 0.02),  # stretched along x
        ([[0.02, 0, 0], [0, 0.02, 0], [0, 0, 0]], 0.02 * 2**0.5),
        ([[0, 0.02, 0], [0, 0, 0], [0, 0, 0]], 0.02 / 2**0.5),  # sheared
        ([[0, -0.001, 0], [0.001, 0, 0], [0, 0, 0]], 0.0),  # turned
        ([[0, 0, 0], [0, 0, 0], [0.02, 0, 0]], 0.0),  # tilted out of its plane
    ):
        motion = flat @ torch.tensor(gradient).T
        strain = surface_strain(flat + motion, motion, faces)
        assert torch.allclose(strain, torch.full((36,), norm), atol=2e-5)


def test_the_surface_moves_as_it_was_drawn(moments):
    backend, (still, brows, smile, turned) = moments
    offsets, names = backend.head.action_offsets, backend.head.actions
    for head, starts, strength in ((brows, "brow", 0.6), (smile, "mouthSmile", 0.5)):
        acting = [n.startswith(("browInnerUp", "browOuterUp") if starts == "brow" else starts)
                  for n in names]  # fmt: skip
        truth = strength * offsets[torch.tensor(acting)].sum(0)[backend.moving]
        found = head.motion[backend.moving]
        alike = (found * truth).sum() / (found.norm() * truth.norm())
        assert alike > 0.8, starts
        assert 0.6 < found.norm() / truth.norm() < 1.4, starts
    assert still.motion.abs().max() < 1e-4
    # The head's own turn is no motion of the skin.
    assert turned.motion.norm() < 0.35 * brows.motion.norm()


def test_views_of_motion_show_what_moves_and_nothing_else(moments):
    _, (still, brows, _, _) = moments
    assert render_motion(still, (0,))[0, ..., :2].min() >= 126
    views = render_motion(brows).astype(int)
    assert views.shape == (13, 224, 224, 3)
    frontal = views[6]
    upper, lower = frontal[:112], frontal[112:]
    assert (upper[..., 1] - 128).max() > 40  # brows go up
    assert np.abs(lower[..., 1] - 128).mean() < 0.2 * np.abs(upper[..., 1] - 128).mean()
    assert tuple(frontal[0, 0]) == (128, 128, 0)  # the background
    # From the left a face shows what its mirror image shows from the right.
    off = np.abs(views[0] - views[12, :, ::-1]).mean()
    assert off < 0.5 * np.abs(views[0] - (128, 128, 0)).mean()


def test_a_head_without_an_onset_has_no_motion_to_show(moments):
    backend, (still, *_) = moments
    face = Face(np.zeros((280, 240, 3), np.uint8), still.landmarks)
    (head,) = backend.reconstruct([face])
    assert head.motion is None and render_motion(head) is None


def test_flips_and_turns_of_colour_views():
    views = torch.randint(0, 255, (2, 39, 30, 30), dtype=torch.uint8)
    made = sample_augmentation(2, "flip", torch.Generator())
    made.flip.copy_(torch.tensor([True, False]))
    out = apply_geometry_to_views(views, made, 30, "motion")
    assert torch.equal(out[1], views[1])
    assert torch.equal(out[0, :3], views[0, 36:].flip(-1))  # yaws turn round, channels do not
    full = sample_augmentation(2, "full", torch.Generator().manual_seed(0))
    still = torch.tensor([128, 128, 0], dtype=torch.uint8).repeat(13).view(1, 39, 1, 1)
    turned = augment(still.expand(2, 39, 30, 30), full, 30, views="motion")
    assert torch.allclose(turned, STILL.repeat(13).view(1, 39, 1, 1).expand_as(turned), atol=1e-6)
    assert augment(views, full, 30, views="clean").shape == (2, 39, 30, 30)


@pytest.fixture(scope="module")
def motion3d(tiny, tmp_path_factory):
    """Views of every apex of the tiny corpus, of the shape and of its motion."""
    root = tmp_path_factory.mktemp("motion_views")
    claim_views(root, "anny")
    for clip in read_index(tiny / "index/smic_apex.csv").to_dict("records"):
        folder = view_folder(root, clip)
        write_views(folder, clip["label"])
        (folder / "motion").mkdir()
        for name in view_names("motion"):
            picture = np.full((224, 224, 3), (0, 128, 128), np.uint8)  # BGR
            picture[60 + 40 * clip["label"] : 90 + 40 * clip["label"], 80:140] = (60, 200, 128)
            cv2.imwrite(str(folder / name), picture)
    return root


@pytest.mark.parametrize("streams", ["3d", "dual"])
def test_training_reads_views_of_motion(tiny, motion3d, tmp_path, streams):
    command = (
        "train_me_loso_composite_dual_3d.py", "--index", tiny / "index/smic_apex.csv",
        "--root", tiny, "--root3d", motion3d, "--result", tmp_path, *FAST, "--subjects", 1,
        "--neighbour-views", "apex", "--streams", streams, "--views-show", "motion",
        "--dataset", "smic",
    )  # fmt: skip
    done = call(*command)
    assert done.returncode == 0, done.stderr
    name = {"3d": "smic_3d_motion", "dual": "smic_dual_3d_motion"}[streams]
    config = json.loads((tmp_path / f"{name}/config.json").read_text())
    assert config["settings"]["views_show"] == "motion"


def test_missing_motion_views_name_the_flag(tiny, motion3d, tmp_path):
    root = tmp_path / "views"
    shutil.copytree(motion3d, root)
    clip = read_index(tiny / "index/smic_apex.csv").to_dict("records")[0]
    shutil.rmtree(view_folder(root, clip) / "motion")
    done = call(
        "train_me_loso_composite_dual_3d.py", "--index", tiny / "index/smic_apex.csv", "--root",
        tiny, "--root3d", root, "--result", tmp_path / "r", *FAST, "--neighbour-views", "apex",
        "--streams", "3d", "--views-show", "motion",
    )  # fmt: skip
    assert done.returncode == 2
    assert "1 of 24 frames have no views" in done.stderr
    assert "--views motion" in done.stderr
    assert read_views(view_folder(motion3d, clip), (97, 97), "motion").shape == (39, 97, 97)


def test_settings_of_what_views_show():
    from common.errors import UserError

    with pytest.raises(UserError, match="--views-show motion goes with --streams 3d or dual"):
        Settings(views_show="motion")
