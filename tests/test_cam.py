"""Heat maps: that they mean something, their share in the facial cells, panels and errors."""

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from apex_clips import draw_clip, face, write_frames
from conftest import PLACES, call, run

from common.errors import UserError
from data.apex.cells import face_cells
from data.face_search import FoundFace
from data.faces import FaceFinder
from loso.experiment import run_experiment
from loso.predict import Classifier, ClipFrames, Readings
from loso.presets import preset
from loso.settings import Settings
from loso.synthetic_weights import load_synthetic
from models.baselines import Baseline
from report.cam import erasing_costs, heat_maps, share_in_cells
from report.heat_maps import look, write_attention


@pytest.fixture(scope="module")
def trained(tiny, root3d, tmp_path_factory):
    """An experiment of both streams that has learned where the blob is; two folds' networks."""
    settings = preset(
        "demo", index=tiny / "index/smic_apex.csv", root=tiny, root3d=root3d,
        neighbour_views="apex", result=tmp_path_factory.mktemp("result"), image_size=97, epochs=4,
        device="cpu", streams="dual", subjects=("2",), save_weights=True, lr=3e-4,
    )  # fmt: skip
    run_experiment(settings)
    return settings.folder


class FaceEverywhere(FaceFinder):
    """Finds the same face, filling the picture, in whatever it is shown."""

    def all(self, image):
        picture, points = face()
        scale = np.divide(image.shape[1::-1], picture.shape[1::-1])
        return [FoundFace((points * scale).astype(np.float32), "detector")]


def test_an_experiments_panels_and_figures(trained, finder, capsys):
    table = write_attention(trained, FaceEverywhere(finder.finder))
    assert "no network of 2 folds: smic_03, smic_04" in capsys.readouterr().err
    written = pd.read_csv(trained / "attention.csv", dtype={"subject": str})
    assert list(written) == [
        "data", "subject", "clip", "label", "prediction", "stream", "heat_in_cells",
        "cells_of_face", "fall_hottest", "fall_random",
    ]  # fmt: skip
    assert len(written) == len(table) == 2 * 6 * 2
    assert set(written["stream"]) == {"frame", "views"}
    shares = written[["heat_in_cells", "cells_of_face"]]
    assert ((shares >= 0) & (shares <= 1)).all(axis=None)
    assert set(written["subject"]) == {"01", "02"}
    # What the maps call hot is what the score rests on.
    assert written["fall_hottest"].mean() > 1.5 * written["fall_random"].mean() > 0
    panels = sorted((trained / "cam").glob("*.png"))
    assert len(panels) == 12
    assert panels[0].name.startswith("smic_01_s01_ne_00")
    image = cv2.imread(str(panels[0]))
    assert image.std() > 10


def test_through_the_script_as_pdf(trained):
    done = run(
        "visualize.py", "cam", "--experiment", trained.name, "--result", trained.parent,
        "--limit", 1, "--format", "pdf",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "frame: no face found in its pictures" in done.stdout  # they show a blob
    assert "2 clips with a picture that shows no face" in done.stderr
    assert "erasing the hottest fifth takes" in done.stdout
    assert len(list((trained / "cam").glob("*.pdf"))) == 2


def test_one_clip_with_the_synthetic_weights(tmp_path):
    write_frames(tmp_path / "clip", draw_clip(pixels=2.5, seed=3))
    done = call("visualize.py", "cam", "--clip", tmp_path / "clip", "--out", tmp_path / "m.png")
    assert done.returncode == 0, done.stderr
    assert "clip: predicted" in done.stdout
    assert cv2.imread(str(tmp_path / "m.png")) is not None


def test_the_blob_is_hot(trained, tiny, finder):
    """A network that tells classes by a blob's place looks at the blob, on average."""
    from loso.checkpoints import read_network
    from loso.predict import build_saved, clip_batch

    path = trained / "weights/smic_01.safetensors"
    saved = read_network(path)
    network = build_saved(saved, path)
    near, far = [], []
    for label, (x, y) in enumerate(PLACES):
        image = np.full((40, 40, 3), 100, np.uint8)
        rows, columns = np.mgrid[:40, :40]
        blob = 120 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 18)
        image[..., label] = 100 + blob.astype(np.uint8)
        views = np.full((13, 97, 97), 20, np.uint8)
        batch = clip_batch(
            ClipFrames(image, None), Readings(views), saved.settings, torch.device("cpu")
        )
        frame, _ = heat_maps(network, batch, label, saved.settings)
        assert frame.map.shape == (97, 97)
        assert (frame.map >= 0).all()
        rows, columns = np.mgrid[:97, :97]
        close = np.hypot(columns - x * 97 / 40, rows - y * 97 / 40) < 20
        near.append(frame.map[close].mean())
        far.append(frame.map[~close].mean())
    assert np.mean(near) > 1.2 * np.mean(far)


def test_linear_motion_is_shared_out_exactly():
    """Its heat is the positive part of weight times pixel: what the score is the sum of."""
    net = load_synthetic("linear")
    maps = torch.randn(1, 3, 28, 28)
    settings = Settings(streams="motion")
    (heat,) = heat_maps(net, (maps,), 1, settings)
    x = maps.clone().requires_grad_()
    net(x)[0][0, 1].backward()
    expected = (x.grad * maps).sum(1)[0].clamp_min(0)
    assert np.allclose(heat.map, expected.numpy(), atol=1e-5)
    assert heat.stream == "motion"


def test_baselines_have_a_map_too():
    network = Baseline("efficientnet_lite0").eval()
    settings = Settings(network="baseline", trunk="efficientnet_lite0", weights="package")
    (heat,) = heat_maps(network, (torch.rand(1, 3, 64, 64),), 0, settings)
    assert heat.map.shape == (64, 64)


def test_erasing_a_map_that_points_at_the_evidence_costs_more():
    class Corner(torch.nn.Module):
        """Scores a class by the brightness of a corner."""

        def forward(self, x):
            return x[:, 0, :16, :16].mean((1, 2))[:, None].repeat(1, 3)

        @staticmethod
        def scores(output):
            return output

    picture = torch.zeros(1, 3, 36, 36)
    picture[..., :16, :16] = 1
    from report.cam import Heat

    right, wrong = np.zeros((36, 36), np.float32), np.zeros((36, 36), np.float32)
    right[:16, :16], wrong[-16:, -16:] = 1, 1
    for heat, costs in ((right, True), (wrong, False)):
        hottest, chance = erasing_costs(Corner(), (picture,), [Heat("frame", heat)], 0, seed=1)
        assert (hottest > chance) == costs


def test_share_in_cells(finder):
    image, points = face()
    cells = np.zeros(image.shape[:2])
    for left, top, right, bottom in face_cells(points).clip(0):
        cells[top:bottom, left:right] = 1
    assert share_in_cells(cells, points)[0] == pytest.approx(1)
    even, area = share_in_cells(np.ones(image.shape[:2]), points)
    assert even == pytest.approx(area)
    assert 0.2 < area < 0.8
    assert np.isnan(share_in_cells(np.zeros(image.shape[:2]), points)[0])


def test_streams_in_order_of_the_networks_inputs():
    assert Settings(streams="dual+motion").inputs == ("frame", "views", "motion")
    assert Settings(streams="motion").inputs == ("motion",)


def test_a_ready_map_without_frames_has_no_share(finder):
    maps = np.random.default_rng(0).normal(size=(3, 28, 28)).astype(np.float32)
    settings, readings = Settings(streams="motion"), Readings(maps=maps)
    classifier = Classifier([load_synthetic("linear")], settings)
    seen = look(classifier, None, readings, finder, "ready", 1)
    assert np.isnan(seen.rows[0]["heat_in_cells"])
    assert seen.shown.title.startswith("ready: true positive, predicted")


def test_faults_are_one_line(trained, tmp_path, finder):
    with pytest.raises(UserError, match="no experiment there"):
        write_attention(tmp_path, finder)
    folder = tmp_path / "bare"
    folder.mkdir()
    (folder / "config.json").write_text((trained / "config.json").read_text())
    with pytest.raises(UserError, match="run its command again with --save-weights"):
        write_attention(folder, finder)
    for arguments, fault in (
        ((), "give --experiment for a whole run, or --clip"),
        (("--clip", tmp_path / "gone"), "no such file or folder"),
        (("--clip", tmp_path, "--weights", trained / "weights"), "name a file"),
    ):
        done = call("visualize.py", "cam", *arguments)
        assert done.returncode == 2
        assert fault in done.stderr
        assert done.stderr.splitlines()[-1].startswith("error: ")
