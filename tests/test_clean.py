"""Colours without glasses, hair and hands: the chart, the fit, what is covered, the files."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from conftest import call
from deca_assets import assets_folder

from benchmarks.bench_clean import draw_glasses, lay_hand, oval
from data.faces import FaceFinder
from deca.anny.backend import AnnyBackend
from deca.clean import fill, skin
from deca.clean.chart import SIDE, bend, lay_out
from deca.clean.cover import find_cover
from deca.clean.paint import CLEARED, FILLED, clean, render_clean
from deca.reconstruction import Face, Reconstruction
from deca.render_views import render_frontal
from synthetic.demo.figure import build_figure
from synthetic.demo.people import sample_person, sample_setting
from synthetic.demo.plan import generator
from synthetic.demo.render import render
from synthetic.demo.wear import GlassesStyle

__all__ = ["assets_folder"]
SEED = 9000  # of people whom neither the model nor a benchmark knows
STYLE = GlassesStyle(0.025, 0.018, 3.0, 0.0013, (0.06, 0.05, 0.05), 0.1)


@pytest.fixture(scope="module")
def backend() -> AnnyBackend:
    torch.set_num_threads(1)
    return AnnyBackend()


@pytest.fixture(scope="module")
def pair(finder: FaceFinder) -> tuple[Face, Face]:
    """One drawn person with glasses, and the same picture without."""
    person = replace(sample_person(SEED, "smic", "test"), glasses=STYLE)
    setting = sample_setting(generator(SEED, "test"))
    still = np.zeros((1, 52), np.float32), np.zeros((1, 3), np.float32)
    worn, bare = (
        (255 * render(build_figure(person, on), setting, *still)[0]).astype(np.uint8)
        for on in (True, False)
    )
    landmarks = finder.find(worn, "drawn").landmarks
    return Face(worn, landmarks), Face(bare, landmarks)


@pytest.fixture(scope="module")
def heads(backend: AnnyBackend, pair: tuple[Face, Face]) -> list[Reconstruction]:
    return backend.reconstruct(pair)


def test_a_spline_takes_points_where_it_is_told_to() -> None:
    rng = np.random.default_rng(0)
    source = rng.uniform(-60, 60, (51, 2))
    moved = source * [1.1, 0.9] + [5, -3]
    places = rng.uniform(-90, 90, (200, 2))
    assert np.allclose(bend(source, moved, places), places * [1.1, 0.9] + [5, -3], atol=1e-6)
    bulged = moved + 4 * np.exp(-((source / 30) ** 2).sum(1))[:, None]
    assert np.abs(bend(source, bulged, source) - bulged).max() < 1.5  # mm


def test_the_chart_has_landmarks_and_halves_where_the_model_has_them(pair, heads) -> None:
    model = skin.skin_model()
    assert np.abs(model.landmarks[27 - 17 : 31 - 17, 0]).max() < 1  # the bridge of the nose
    chart = lay_out(heads[1], pair[1].image, model.landmarks)
    assert chart.colour.shape == (SIDE, SIDE, 3) and chart.on_head.mean() > 0.7
    assert chart.seen[SIDE // 2 + 30, SIDE // 2] == 1  # the nose
    left, right = chart.colour[:, 128:], chart.colour[:, 127::-1]
    both = (chart.seen[:, 128:] * chart.seen[:, 127::-1])[60:220] > 0.9
    assert np.abs(left - right)[60:220][both].mean() < 0.1
    assert np.abs(np.linalg.norm(chart.normal, axis=2)[chart.on_head] - 1).max() < 1e-3


def test_light_and_skin_are_told_apart(pair, heads) -> None:
    """Twice the light is the same skin; grey pictures have grey models."""
    model = skin.skin_model()
    chart = lay_out(heads[1], pair[1].image, model.landmarks)
    dim = replace(chart, colour=np.exp(skin.to_log(chart.colour) - 0.5) - skin.FLOOR)
    one, other = skin.fit(model, chart), skin.fit(model, dim)
    inner = model.inner & (chart.seen > 0.5)
    assert np.abs(one.left)[inner].mean() < 0.06
    assert np.abs(one.expected - other.expected - 0.5)[inner].mean() < 0.02
    grey = replace(chart, colour=np.repeat(chart.colour.mean(2, keepdims=True), 3, 2))
    expected = skin.from_log(skin.fit(model, grey).expected)
    assert np.ptp(expected, axis=2).max() < 1e-3


def test_glasses_are_taken_off_and_a_bare_face_stays(backend, pair, heads) -> None:
    worn, bare = (render_frontal(head, 224)[1].astype(float) for head in heads)
    off, none = clean(heads, pair)
    (picture,), (mask,) = render_clean(heads[0], off, (0,), 224)
    face = oval(heads[0], off)[::2, ::2]
    covered = face & (np.abs(worn - bare).mean(2) > 8)
    assert covered.sum() > 500
    before, after = (np.abs(one - bare).mean(2) for one in (worn, picture))
    assert after[covered].mean() < before[covered].mean() / 3
    assert after[face & ~covered].mean() < 4
    assert set(np.unique(mask)) >= {0, CLEARED, FILLED}
    assert (mask[covered & (before > 40)] > 0).mean() > 0.9  # nothing filled in goes unsaid
    (alone,), (untouched,) = render_clean(heads[1], none, (0,), 224)
    assert (untouched[face] == 0).mean() > 0.93
    assert np.abs(alone - bare).mean(2)[face].mean() < 2


def test_a_hand_is_found_by_its_side_and_glasses_on_a_portrait(backend, finder, pair) -> None:
    image = skimage.data.astronaut()
    landmarks = finder.find(image, "astronaut").landmarks
    glasses = draw_glasses(image, landmarks, 3, 2, (75, 45, 30), 0.1)
    hand = lay_hand(pair[1].image, pair[1].landmarks, np.random.default_rng(0))
    for bare, covered in (
        (Face(image, landmarks), glasses),
        (pair[1], hand),
    ):
        faces = [bare, replace(bare, image=covered)]
        heads = backend.reconstruct(faces)
        none, off = clean(heads, faces)
        truth, before = (render_frontal(head, 448)[1].astype(float) for head in heads)
        (picture,), _ = render_clean(heads[1], off, (0,), 448)
        hair = render_clean(heads[0], none, (0,), 448)[1][0] == FILLED
        at = oval(heads[1], off) & ~hair & (np.abs(before - truth).mean(2) > 8)
        assert np.abs(picture - truth)[at].mean() < np.abs(before - truth)[at].mean() / 1.5


def test_another_frame_lends_what_a_cover_hides(pair) -> None:
    rng = np.random.default_rng(0)
    left = rng.normal(0, 0.1, (2, SIDE, SIDE, 3)).astype(np.float32)
    known = np.ones((2, SIDE, SIDE), bool)
    known[0, 100:150, 40:90] = known[1, 10:20, 10:20] = False
    median, there = fill.shared(list(left), list(known))
    assert there.all()
    assert np.array_equal(median[120, 60], left[1, 120, 60])
    assert np.array_equal(median[15, 15], left[0, 15, 15])


def test_holes_are_filled_smoothly() -> None:
    rows, columns = np.mgrid[:SIDE, :SIDE] / SIDE
    plane = np.stack([rows, columns, 1 - rows], -1).astype(np.float32)
    known = np.ones((SIDE, SIDE), np.float32)
    known[100:130, 80:160] = 0
    filled = fill.spread_in(np.where(known[..., None] > 0, plane, 9), known)
    assert np.abs(filled - plane).max() < 0.06
    assert np.array_equal(filled[known > 0], plane[known > 0])
    assert not fill.spread_in(plane, 0 * known).any()


def test_a_face_that_nothing_shows_is_filled_wholly(backend, pair, heads) -> None:
    """A picture of one colour, and one beyond which the face lies."""
    flat = replace(pair[0], image=np.full_like(pair[0].image, 90))
    tiny = replace(pair[0], image=pair[0].image[:4, :4])
    for paint in clean([heads[0], heads[0]], [flat, tiny]):
        assert torch.isfinite(paint.colour).all()
    assert paint.filled[0, 60:200, 60:200].min() == 1


def write(folder: Path, pair: tuple[Face, Face]) -> Path:
    path = folder / "worn.png"
    cv2.imwrite(str(path), pair[0].image[..., ::-1])
    return path


def test_clean_pictures_through_the_command_line(tmp_path, pair) -> None:
    """They come beside the others, later too, and the mask is of the frontal one."""
    (tmp_path / "in").mkdir()
    write(tmp_path / "in", pair)
    arguments = ("--image", tmp_path / "in", "--out", tmp_path / "out", "--backend", "anny",
                 "--landmarks", "dlib")  # fmt: skip
    for flags in ((), ("--clean",)):
        done = call("reconstruct_3d.py", *arguments, *flags)
        assert done.returncode == 0, done.stderr
    (folder,) = (path.parent for path in (tmp_path / "out").rglob("frontal_clean.jpg"))
    assert len(list((folder / "clean").glob("*.jpg"))) == 13
    mask = cv2.imread(str(folder / "clean_mask.png"), cv2.IMREAD_UNCHANGED)
    assert mask.shape == cv2.imread(str(folder / "frontal_clean.jpg")).shape[:2]
    assert cv2.imread(str(folder / "clean/-30.jpg")).shape == (224, 224, 3)
    assert not list(folder.parent.glob(".*part*"))
    worn = tmp_path / "in/worn.png"
    refused = call("reconstruct_3d.py", "--image", worn, "--out", tmp_path / "b", "--clean",
                   "--transfer-to", worn)  # fmt: skip
    assert refused.returncode == 2 and "leave out --transfer-to" in refused.stderr


def test_a_head_of_deca_is_painted_too(tmp_path, assets_folder) -> None:
    """Random weights make no face; the files are there all the same."""
    cv2.imwrite(str(tmp_path / "in.png"), skimage.data.astronaut()[0:256, 100:356, ::-1])
    done = call("reconstruct_3d.py", "--image", tmp_path / "in.png", "--out", tmp_path / "out",
                "--clean", "--assets", assets_folder, "--landmarks", "dlib")  # fmt: skip
    assert done.returncode == 0, done.stderr
    clean_, textured = (cv2.imread(str(tmp_path / "out" / f"{name}.jpg"))
                        for name in ("frontal_clean", "textured"))  # fmt: skip
    assert clean_.shape == textured.shape and (clean_ != textured).any()


def test_covers_of_a_face_without_a_cover(pair, heads) -> None:
    model = skin.skin_model()
    chart = lay_out(heads[1], pair[1].image, model.landmarks)
    cover = find_cover(model, chart, skin.fit(model, chart))
    assert not cover.lenses and not cover.shaded.any()
    assert (cover.covered & model.inner).sum() < 0.04 * model.inner.sum()
