"""reconstruct_3d.py through its command line, and what it says of bad input."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
import torch
import trimesh
from conftest import ROOT, alive_in_group
from deca_assets import assets_folder

import reconstruct_3d
from benchmarks import reconstruction_sheet
from common.cli import run_script
from common.errors import UserError
from data.views import claim_views, read_backend, view_folder, view_names

__all__ = ["assets_folder"]
FILES = (*view_names(), "codes.npz", "frontal.jpg", "textured.jpg")
HEADER = "data,subject,clip,label,emotion,onset_frame,apex_frame,offset_frame,"
HEADER += "onset_frame_path,apex_frame_path,offset_frame_path,data_sub\n"


def run(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "reconstruct_3d.py", *map(str, arguments), "--landmarks", "dlib"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def call(*arguments: object) -> int:
    """The script in this process: its exit code."""
    with pytest.raises(SystemExit) as end:
        run_script(reconstruct_3d.main, [*map(str, arguments), "--landmarks", "dlib"])
    return end.value.code


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
    assert names == set(FILES) | {"panel.jpg", "head.glb"}
    assert cv2.imread(str(folder / "-30.jpg")).shape == (224, 224, 3)
    codes = np.load(folder / "codes.npz", allow_pickle=False)
    assert codes["landmarks"].shape == codes["projected"].shape == (68, 2)
    assert codes["actions_delta"].shape == (52,) and str(codes["backend"]) == "anny"
    assert len(trimesh.load(folder / "head.glb", force="mesh").faces) == 9014
    assert read_backend(out) == "anny"
    before = (folder / "0.jpg").stat().st_mtime_ns
    assert run(*settings).returncode == 0
    assert (folder / "0.jpg").stat().st_mtime_ns == before


def test_image_with_two_faces(tmp_path: Path, capsys) -> None:
    small = cv2.resize(small_face(), (140, 140))
    image = np.zeros((256, 400, 3), np.uint8)
    image[:, :256], image[:140, 258:398] = small_face(), small
    image = cv2.resize(image, None, fx=2, fy=2)
    cv2.imwrite(str(tmp_path / "two.png"), image)
    flags = ("--image", tmp_path / "two.png", "--out", tmp_path / "out", "--backend", "anny")
    assert call(*flags) == 0
    assert "2 faces; the largest is taken, number 1 from the left" in capsys.readouterr().err
    landmarks = np.load(tmp_path / "out" / "codes.npz")["landmarks"]
    assert landmarks[:, 0].max() < 516


def test_wrong_settings(tmp_path: Path, capsys) -> None:
    missing = tmp_path / "missing.png"
    for arguments, fault in (
        ((), "give --index and --root, or --image for one image"),
        (("--index", missing), "give --index and --root, or --image for one image"),
        (("--image", missing, "--backend", "deca"), "the backend deca needs --assets FOLDER"),
        (("--image", missing, "--backend", "anny"), f"{missing}: No such file or directory"),
    ):
        assert call("--out", tmp_path / "a", *arguments) == 2
        last = capsys.readouterr().err.splitlines()[-1]
        assert last.startswith("error: ") and fault in last
        assert not (tmp_path / "a").exists()


def test_views_of_motion_need_an_onset(tmp_path: Path, capsys) -> None:
    face = small_face()
    cv2.imwrite(str(tmp_path / "onset.png"), face)
    cv2.imwrite(str(tmp_path / "apex.png"), np.roll(face, 1, 0))
    flags = ("--image", tmp_path / "apex.png", "--backend", "anny", "--views", "motion")
    assert call(*flags, "--out", tmp_path / "a") == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"error: {tmp_path / 'apex.png'}: no onset that shows its face")
    assert not (tmp_path / "a").exists()
    assert call(*flags, "--out", tmp_path / "a", "--onset", tmp_path / "onset.png") == 0
    assert len(list((tmp_path / "a/motion").iterdir())) == 13
    assert call("--image", tmp_path, "--out", tmp_path / "b", "--views", "motion") == 2
    assert "--views motion needs an onset" in capsys.readouterr().err


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


def write_clips(root: Path, subjects: int, clips: int) -> tuple[object, ...]:
    """Faces that move a little, and their index -> the arguments that name them."""
    rows = []
    for subject in range(1, subjects + 1):
        for clip in range(clips):
            name = f"s{subject}_{clip}"
            for frame in range(1, 6):
                turn = cv2.getRotationMatrix2D((128, 128), subject + clip + frame / 2, 1)
                path = root / name / f"img{frame}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), cv2.warpAffine(small_face(), turn, (256, 256)))
            paths = [f"{name}/img{frame}.png" for frame in (1, 3, 5)]
            rows.append(f"smic,{subject:02},{name},0,negative,1,3,5,{','.join(paths)},s{subject}\n")
    (root / "tiny_apex.csv").write_text(HEADER + "".join(rows))
    four = [
        row.replace(",3,5,", f",{frame},5,").replace("img3", f"img{frame}")
        for row in rows
        for frame in (1, 2, 4, 5)
    ]
    (root / "tiny_four_frames.csv").write_text(HEADER + "".join(four))
    return "--index", root / "tiny_apex.csv", "--root", root, "--backend", "anny"


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
def test_a_killed_run_goes_on_to_the_same_files_with_any_workers(tmp_path: Path) -> None:
    arguments = write_clips(tmp_path, subjects=2, clips=4)
    assert call(*arguments, "--out", tmp_path / "whole", "--workers", 1) == 0
    out = tmp_path / "out"
    flags = [*arguments, "--out", out, "--landmarks", "dlib", "--workers", 2]
    process = subprocess.Popen(
        [sys.executable, "reconstruct_3d.py", *map(str, flags)], cwd=ROOT, start_new_session=True
    )
    ends = time.monotonic() + 300  # other work may slow it down
    while not list(out.glob("smic/*/*/3")):
        assert time.monotonic() < ends and process.poll() is None
        time.sleep(0.002)
    process.kill()
    process.wait()
    while alive_in_group(process.pid):
        assert time.monotonic() < ends
        time.sleep(0.05)
    there = list(out.glob("smic/*/*/3"))
    assert 0 < len(there) < 8  # it was stopped midway
    assert all({p.name for p in folder.iterdir()} == set(FILES) for folder in there)
    shutil.copytree(there[0], there[0].with_name(".3.part.left"))  # as if it died while writing
    shutil.rmtree(there[0])
    assert call(*flags[:-4], "--workers", 1) == 0
    assert content(out) == content(tmp_path / "whole")


def test_files_asked_for_later_are_added(tmp_path: Path) -> None:
    arguments = (*write_clips(tmp_path, subjects=1, clips=2), "--out", tmp_path / "out")
    assert call(*arguments) == 0
    before = content(tmp_path / "out")
    folder = tmp_path / "out" / "smic" / "01" / "s1_0" / "3"
    written = (folder / "0.jpg").stat().st_mtime_ns
    (folder / "5.jpg").unlink()
    assert call(*arguments, "--mesh", "obj", "--panel", "--views", "motion") == 0
    after = content(tmp_path / "out")
    assert before.items() <= after.items()  # 5.jpg is back
    names = {Path(name).name for name in after.keys() - before.keys()}
    moved = {Path(name).name for name in view_names("motion")}
    assert names == {"panel.jpg", "head.obj", "head.mtl", "head.png"} | moved
    assert {path.name for path in (folder / "motion").iterdir()} == moved
    assert (folder / "0.jpg").stat().st_mtime_ns == written
    assert cv2.imread(str(folder / "panel.jpg")).shape == (246, 896, 3)


def test_four_frames(tmp_path: Path) -> None:
    arguments = write_clips(tmp_path, subjects=1, clips=1)
    assert call(*arguments, "--out", tmp_path / "out", "--four-frames") == 0
    frames = {folder.name for folder in (tmp_path / "out" / "smic" / "01" / "s1_0").iterdir()}
    assert frames == set("12345")


def test_nothing_to_be_had_is_an_error(tmp_path: Path, capsys) -> None:
    arguments = write_clips(tmp_path, subjects=1, clips=2)
    for path in tmp_path.glob("*/img3.png"):
        path.write_bytes(b"")
    assert call(*arguments, "--out", tmp_path / "out") == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: none of 2 frames shows a face; the first: smic_01 s1_0: ")


@pytest.mark.parametrize("out", ["file/out", "/proc/out"])
def test_an_out_that_cannot_be_written(tmp_path: Path, capsys, out: str) -> None:
    (tmp_path / "file").write_text("in the way")
    arguments = write_clips(tmp_path, subjects=1, clips=1)
    assert call(*arguments, "--out", tmp_path / out) == 2
    assert (
        capsys.readouterr().err.splitlines()[-1].startswith(f"error: cannot write {tmp_path / out}")
    )


@pytest.mark.parametrize("size", [(8, 8), (4000, 6000), (200, 3)])
def test_images_of_any_size(tmp_path: Path, capsys, size: tuple[int, int]) -> None:
    huge = size == (4000, 6000)
    image = cv2.resize(small_face(), size[::-1])
    if huge:
        image[:] = 0
        image[1000:3048, 500:2548] = cv2.resize(small_face(), (2048, 2048))
    cv2.imwrite(str(tmp_path / "in.png"), image)
    arguments = ("--image", tmp_path / "in.png", "--out", tmp_path / "out", "--backend", "anny")
    if not huge:
        assert call(*arguments) == 2
        assert "in.png: no face found by dlib" in capsys.readouterr().err
        assert not (tmp_path / "out").exists()
        return
    assert call(*arguments) == 0
    assert {p.name for p in (tmp_path / "out").iterdir()} == {*FILES, "views.json"}
    assert read_backend(tmp_path / "out") == "anny"
    codes = np.load(tmp_path / "out" / "codes.npz")
    assert codes["found_by"] == "detector"
    middle = codes["projected"].mean(0)  # of the file, though a smaller image was looked at
    assert np.abs(middle - codes["landmarks"].mean(0)).max() < 60
    assert 1200 < middle[0] < 1900 and 1700 < middle[1] < 2700
    assert call(*arguments) == 2  # a folder that is there stays as it is


def test_auto_says_why_deca_cannot_run(tmp_path: Path, capsys, assets_folder: Path) -> None:
    cv2.imwrite(str(tmp_path / "in.png"), small_face())
    half = tmp_path / "half"
    half.mkdir()
    for path in assets_folder.iterdir():
        (half / path.name).symlink_to(path)
    flags = ("--image", tmp_path / "in.png", "--assets", half)
    tar = half / "deca_model.tar"
    content = tar.read_bytes()
    tar.unlink()
    assert call(*flags, "--out", tmp_path / "a") == 0
    error = capsys.readouterr().err
    assert "warning: DECA cannot run" in error and f"{half} lacks files" in error
    tar.write_bytes(content[: len(content) // 2])
    assert call(*flags, "--out", tmp_path / "b") == 0
    error = capsys.readouterr().err
    assert "deca_model.tar" in error and "taking the backend anny" in error
    assert read_backend(tmp_path / "b") == "anny"
    assert call(*flags, "--out", tmp_path / "c", "--backend", "deca") == 2
    assert "error: " in capsys.readouterr().err


def test_deca_from_index_to_views(tmp_path: Path, capsys, assets_folder: Path) -> None:
    arguments = (*write_clips(tmp_path, subjects=1, clips=1)[:4], "--assets", assets_folder)
    assert call(*arguments, "--out", tmp_path / "out", "--mesh", "glb", "--panel") == 0
    assert f"backend: deca (assets in {assets_folder})" in capsys.readouterr().err
    assert read_backend(tmp_path / "out") == "deca"
    folder = tmp_path / "out" / "smic" / "01" / "s1_0" / "3"
    assert {p.name for p in folder.iterdir()} == {*FILES, "head.glb", "panel.jpg"}
    codes = np.load(folder / "codes.npz")
    assert codes["detail"].shape == (128,) and str(codes["backend"]) == "deca"
    assert len(trimesh.load(folder / "head.glb", force="mesh").faces) == 9976
    assert cv2.imread(str(folder / "0.jpg")).std() > 20
    assert call(*arguments, "--out", tmp_path / "out", "--backend", "anny") == 2
    assert "made by the backend deca" in capsys.readouterr().err
    assert call(*arguments, "--out", tmp_path / "out", "--views", "original") == 2
    assert "give another --out, --backend or --views" in capsys.readouterr().err
    assert call(*arguments, "--out", tmp_path / "as deca", "--views", "original") == 0
    assert read_backend(tmp_path / "as deca") == "deca_original"
    other = cv2.imread(str(tmp_path / "as deca" / "smic" / "01" / "s1_0" / "3" / "0.jpg"))
    assert np.abs(other.astype(int) - cv2.imread(str(folder / "0.jpg"))).mean() > 3


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu_is_one_line(tmp_path: Path, capsys) -> None:
    arguments = write_clips(tmp_path, subjects=1, clips=1)
    assert call(*arguments, "--out", tmp_path / "out", "--device", "cuda") == 2
    assert "finds no GPU" in capsys.readouterr().err
    assert call(*arguments, "--out", tmp_path / "out", "--workers", 0) == 2
    assert "--workers 0" in capsys.readouterr().err


def test_the_sheet_of_pictures(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "small.png"), small_face())
    arguments = ["--out", str(tmp_path / "sheet.png"), "--images", str(tmp_path / "small.png")]
    with pytest.raises(SystemExit) as end:
        run_script(reconstruction_sheet.main, [*arguments, "astronaut"])
    assert end.value.code == 0
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet.shape == (2 * 246, 4 * 224 + 7 * 112, 3)
    assert sheet[22:246].reshape(224, -1, 112, 3).std((0, 2, 3))[:-1].min() > 10  # no empty tile
