import subprocess
import sys

import numpy as np
import pytest
import torch
from apex_clips import face

from common.errors import UserError
from data import landmarks
from data.landmarks import FAN_FILES, FanFinder, choose_finder, fan_is_here


def test_dlib_finds_the_parts_of_a_face_where_they_are():
    _, points = face()
    assert points.shape == (68, 2) and points.dtype == np.float32
    by_hand = {  # read off the picture
        "left pupil": (points[36:42].mean(0), (123.6, 80.6)),
        "right pupil": (points[42:48].mean(0), (166.6, 83)),
        "left mouth corner": (points[48], (124.4, 120.4)),
        "right mouth corner": (points[54], (163.6, 121.4)),
    }
    for name, (found, there) in by_hand.items():
        assert np.abs(found - there).max() < 5, name  # of a face 93 pixels wide


@pytest.fixture
def fan_files(tmp_path, monkeypatch):
    """Files with the names, keys and shapes of FAN's weights, untrained."""
    from face_alignment.detection.sfd.net_s3fd import s3fd
    from face_alignment.models import FAN

    torch.manual_seed(0)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    detector = s3fd()
    for weights in detector.parameters():
        torch.nn.init.zeros_(weights)  # every box scores 0.5: no face
    torch.save(FAN(4).state_dict(), folder / FAN_FILES[0])
    torch.save(detector.state_dict(), folder / FAN_FILES[1])


def test_fan_loads_its_weights_from_disk_and_speaks_the_same_interface(fan_files, monkeypatch):
    monkeypatch.setattr("torch.hub.download_url_to_file", None)  # would fail if called
    image, _ = face()
    fan = FanFinder()
    assert fan.boxes(image) == []
    found = fan.in_box(image, (90, 40, 190, 180))
    assert found.shape == (68, 2) and found.dtype == np.float32
    box = np.array([[100.0, 50, 200, 190], [90, 40, 190, 180]])
    monkeypatch.setattr(fan._fan.face_detector, "detect_from_image", lambda _: [[*box[1], 0.9]])
    assert np.array_equal(fan.in_box(image, fan.boxes(image)[0]), found)
    assert not np.array_equal(fan.in_box(image, box[0]), found)


def test_fan_is_the_default_where_its_weights_are(fan_files, capsys):
    assert fan_is_here() and choose_finder() == "fan"
    assert capsys.readouterr().err.startswith("landmarks: fan (FAN's weights are in")


def test_dlib_is_the_default_where_they_are_not(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert str(landmarks._hub_folder().parent) == torch.hub.get_dir()
    assert choose_finder() == "dlib" and choose_finder("fan") == "fan"
    assert capsys.readouterr().err.startswith("landmarks: dlib (FAN's weights are not in")


def test_fan_without_weights_or_network_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody answers there
    with pytest.raises(UserError, match=r"FAN's weights cannot be fetched.*2DFAN4.*dlib"):
        FanFinder()


def test_dlib_does_not_import_torch():
    code = (
        "import sys; from data.landmarks import *; DlibFinder(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
