"""reconstruct_3d.py through its command line, and what it says of bad input."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
import trimesh

from data.errors import UserError
from data.views import claim_views, read_backend, view_folder, view_names

ROOT = Path(__file__).parents[1]
HEADER = "data,subject,clip,label,emotion,onset_frame,apex_frame,offset_frame,"
HEADER += "onset_frame_path,apex_frame_path,offset_frame_path,data_sub\n"


def run(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "reconstruct_3d.py", *map(str, arguments), "--landmarks", "dlib"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def small_face() -> np.ndarray:
    return skimage.data.astronaut()[0:256, 100:356, ::-1]  # BGR


def test_index_to_views_and_on(tmp_path: Path) -> None:
    face = small_face()
    cv2.imwrite(str(tmp_path / "img10.png"), face)
    cv2.imwrite(str(tmp_path / "img12.png"), cv2.cvtColor(face, cv2.COLOR_BGR2GRAY))
    cv2.imwrite(str(tmp_path / "img14.png"), face.astype(np.uint16) * 257)
    (tmp_path / "img16.png").write_bytes(b"no image")
    rows = [
        f"smic,01,clip{n},0,negative,10,{n},20,img10.png,img{n}.png,img10.png,smic_01\n"
        for n in (12, 14, 16)
    ]
    index = tmp_path / "tiny_apex.csv"
    index.write_text(HEADER + "".join(rows))
    out = tmp_path / "views"
    settings = ("--index", index, "--root", tmp_path, "--out", out, "--mesh", "glb", "--panel")
    first = run(*settings, "--strict")
    assert first.returncode == 1 and "clip16" in first.stderr and "backend: anny" in first.stderr
    folder = out / "smic" / "01" / "clip12" / "12"
    names = {p.name for p in folder.iterdir()}
    assert names == {*view_names(), "codes.npz", "frontal.jpg", "panel.jpg", "head.glb"}
    assert cv2.imread(str(folder / "-30.jpg")).shape == (224, 224, 3)
    codes = np.load(folder / "codes.npz", allow_pickle=False)
    assert codes["landmarks"].shape == codes["projected"].shape == (68, 2)
    assert codes["actions_delta"].shape == (52,) and str(codes["backend"]) == "anny"
    assert len(trimesh.load(folder / "head.glb", force="mesh").faces) == 9014
    assert read_backend(out) == "anny"
    before = (folder / "0.jpg").stat().st_mtime_ns
    assert run(*settings).returncode == 0
    assert (folder / "0.jpg").stat().st_mtime_ns == before


def test_image_with_two_faces_and_a_file_in_the_way(tmp_path: Path) -> None:
    small = cv2.resize(small_face(), (140, 140))
    image = np.zeros((256, 400, 3), np.uint8)
    image[:, :256], image[:140, 258:398] = small_face(), small
    image = cv2.resize(image, None, fx=2, fy=2)
    cv2.imwrite(str(tmp_path / "two.png"), image)
    out = run("--image", tmp_path / "two.png", "--out", tmp_path / "out", "--backend", "anny")
    assert out.returncode == 0 and "taking the largest" in out.stderr
    landmarks = np.load(tmp_path / "out" / "codes.npz")["landmarks"]
    assert landmarks[:, 0].max() < 516
    (tmp_path / "file").write_text("in the way")
    out = run("--image", tmp_path / "two.png", "--out", tmp_path / "file" / "out")
    assert out.returncode == 2 and out.stderr.strip().splitlines()[-1].startswith("error: cannot")


def test_wrong_settings(tmp_path: Path) -> None:
    for arguments in (
        ("--out", tmp_path / "a"),
        ("--image", "x.png", "--out", tmp_path / "a", "--backend", "deca"),
        ("--image", tmp_path / "missing.png", "--out", tmp_path / "a", "--backend", "anny"),
    ):
        result = run(*arguments)
        assert result.returncode == 2 and "error:" in result.stderr


def test_views_of_another_backend_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no 3D views"):
        read_backend(tmp_path)
    claim_views(tmp_path, "anny")
    claim_views(tmp_path, "anny")
    with pytest.raises(UserError, match="made by the backend anny"):
        claim_views(tmp_path, "deca")
    (tmp_path / "views.json").write_text("[]")
    with pytest.raises(UserError, match="damaged"):
        read_backend(tmp_path)


def test_the_frame_is_the_number_in_the_file_name() -> None:
    clip = {"data": "samm", "subject": "006", "clip": "006_1", "apex_frame_path": "a/006_0123.jpg"}
    assert view_folder("v", clip) == Path("v/samm/006/006_1/123")
    with pytest.raises(UserError, match="no frame number"):
        view_folder("v", clip | {"apex_frame_path": "a/apex.jpg"})
