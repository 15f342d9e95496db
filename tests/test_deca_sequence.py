"""Pictures without an index: landmarks from files, folders, videos, transfer, more files."""

import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import scipy.io
import skimage.data
import torch
import trimesh
from conftest import GOLDEN
from deca_assets import assets_folder

import reconstruct_3d
from common.cli import run_script
from common.errors import UserError
from data.views import read_backend, view_names
from deca.assets import load_assets
from deca.flame.backend import DecaBackend
from deca.landmark_files import landmarks_beside, read_landmarks
from deca.mesh import normal_picture, to_trimesh
from deca.overlay import MIDDLE, STEPS, depth_map, overlay
from deca.reconstruction import Face
from deca.sequence import list_pictures

__all__ = ["assets_folder"]
SHAPE = (512, 512, 3)


def call(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        run_script(reconstruct_3d.main, [str(argument) for argument in arguments])
    return end.value.code


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    with np.load(GOLDEN / "deca_crop.npz") as content:
        return content["astro_landmarks"].astype(np.float32)


@pytest.fixture(scope="module")
def backend(assets_folder: Path) -> DecaBackend:
    return DecaBackend(load_assets(assets_folder))


@pytest.fixture(scope="module")
def face(points: np.ndarray) -> Face:
    return Face(skimage.data.astronaut(), points)


@pytest.fixture(scope="module")
def head(backend: DecaBackend, face: Face):
    return backend.reconstruct([face])[0]


def write_picture(path: Path, points: np.ndarray, turn: float = 0) -> None:
    """The astronaut, turned by some degrees, with landmarks beside it."""
    matrix = cv2.getRotationMatrix2D((224, 130), turn, 1)
    image = cv2.warpAffine(skimage.data.astronaut()[..., ::-1], matrix, (512, 512))
    assert cv2.imwrite(str(path), image[:300])
    np.savetxt(path.with_suffix(".txt"), points @ matrix[:, :2].T + matrix[:, 2])


# Landmarks from files


def write_pts(path: Path, points: np.ndarray) -> None:
    lines = "\n".join(f"{x} {y}" for x, y in points.tolist())
    path.write_text(f"version: 1\nn_points: 68\n{{\n{lines}\n}}\n")


WRITERS = {
    "spaces.txt": lambda path, points: np.savetxt(path, points),
    "commas.txt": lambda path, points: np.savetxt(path, points, delimiter=", ", newline="\r\n"),
    "three.txt": lambda path, points: np.savetxt(path, np.c_[points, points[:, :1]]),
    "marked.txt": lambda path, points: path.write_text(
        "\ufeff" + "\n".join(f"{x}\t{y}" for x, y in points.tolist()) + "\n\n", encoding="utf-8"
    ),
    "a.npy": np.save,
    "a.pts": lambda path, points: write_pts(path, points + 1),
    "A.MAT": lambda path, points: scipy.io.savemat(
        str(path), {"pt3d_68": np.c_[points, 0 * points[:, 0]].T}, appendmat=False
    ),
}


@pytest.mark.parametrize("name", WRITERS)
def test_landmarks_of_any_format(tmp_path: Path, points: np.ndarray, name: str) -> None:
    WRITERS[name](tmp_path / name, points)
    read = read_landmarks(tmp_path / name, SHAPE)
    assert read.shape == (68, 2) and read.dtype == np.float32
    np.testing.assert_allclose(read, points, atol=1e-4)


WRONG = {
    "words.txt": ("one two", "no landmarks"),
    "few.txt": ("1 2\n3 4", r"\(2, 2\), not 68 landmarks"),
    "ragged.txt": ("1 2\n3", "no landmarks"),
    "empty.txt": ("", "not 68 landmarks"),
    "shares.txt": ("0.3 0.4\n" * 67 + "0.5 0.5", "no face in a picture of 512 x 512"),
    "beyond.txt": ("900 900\n" * 67 + "990 990", r"from \(900, 900\) to \(990, 990\)"),
    "nan.txt": ("nan 1\n" * 68, "no numbers"),
    "a.npy": ("no numpy", "no landmarks"),
    "a.mat": ("no matlab file at all, but long enough for its header" * 4, "no landmarks"),
    "a.pts": ("no braces", "not 68 landmarks"),
    "a.csv": ("1,2", r"read from \.txt, \.npy, \.pts, \.mat"),
}


@pytest.mark.parametrize("name", WRONG)
def test_no_landmarks_is_one_line(tmp_path: Path, name: str) -> None:
    content, fault = WRONG[name]
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=fault) as caught:
        read_landmarks(tmp_path / name, SHAPE)
    assert str(caught.value).isprintable() and name in str(caught.value)


def test_an_array_of_objects_is_not_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([print] * 68), allow_pickle=True)
    with pytest.raises(UserError, match="no landmarks"):
        read_landmarks(tmp_path / "a.npy", SHAPE)


def test_landmarks_beside_a_picture(tmp_path: Path) -> None:
    (tmp_path / "a.npy").touch()
    assert landmarks_beside(tmp_path / "a.jpg") == tmp_path / "a.npy"
    (tmp_path / "clip_7.txt").touch()
    assert landmarks_beside(tmp_path / "clip.avi#7") == tmp_path / "clip_7.txt"
    with pytest.raises(UserError, match=r"b\.jpg: no landmarks beside it; one of b\.txt, b\.npy"):
        landmarks_beside(tmp_path / "b.jpg")


# Folders and videos


def test_the_pictures_of_a_folder(tmp_path: Path) -> None:
    for name in ("img10.png", "img2.png", "Img1.jpg", "notes.txt", ".img3.png"):
        (tmp_path / name).touch()
    assert list(list_pictures(tmp_path)) == ["Img1", "img2", "img10"]
    assert list(list_pictures(tmp_path, 2)) == ["Img1", "img10"]
    (tmp_path / "img2.jpg").touch()
    assert list(list_pictures(tmp_path)) == ["Img1.jpg", "img2.jpg", "img2.png", "img10.png"]
    for number in range(400):
        (tmp_path / f"more{number}.png").touch()
    with pytest.raises(UserError, match=r"404 pictures, at most 200: --every 3"):
        list_pictures(tmp_path)
    with pytest.raises(UserError, match="--every 0"):
        list_pictures(tmp_path, 0)
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match="empty folder"):
        list_pictures(tmp_path / "none")


def test_a_folder_with_one_identity(tmp_path: Path, capsys, points: np.ndarray) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in (1, 2, 10):
        write_picture(pictures / f"img{number}.png", points, number)
    (pictures / "img2.txt").write_text("no landmarks")
    flags = ("--image", pictures, "--out", tmp_path / "out", "--backend", "anny")
    assert call(*flags, "--landmarks", "file", "--overlay", "--depth", "--strict") == 1
    assert "img2.txt: no landmarks" in capsys.readouterr().err
    folders = sorted(path for path in (tmp_path / "out").iterdir() if path.is_dir())
    assert [folder.name for folder in folders] == ["img1", "img10"]
    names = {*view_names(), "codes.npz", "frontal.jpg", "textured.jpg", "overlay.jpg", "depth.png"}
    assert {path.name for path in folders[0].iterdir()} == names
    first, last = (np.load(folder / "codes.npz") for folder in folders)
    np.testing.assert_array_equal(first["shape"], last["shape"])
    assert np.abs(first["rotation"] - last["rotation"]).max() > 0.05
    assert first["found_by"] == "file"
    np.testing.assert_allclose(np.loadtxt(pictures / "img1.txt"), first["landmarks"], atol=1e-3)
    assert read_backend(tmp_path / "out") == "anny"
    for name in ("overlay.jpg", "depth.png"):
        assert cv2.imread(str(folders[0] / name), cv2.IMREAD_UNCHANGED).shape[:2] == (300, 512)


def test_a_video_whose_face_is_followed(tmp_path: Path, assets_folder, capsys) -> None:
    video = cv2.VideoWriter(
        str(tmp_path / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25, (256, 256)
    )
    face = skimage.data.astronaut()[:256, 100:356, ::-1]
    for step in range(4):
        video.write(np.roll(face, 2 * step, 1) if step < 3 else np.zeros_like(face))
    video.release()
    flags = ("--image", tmp_path / "clip.avi", "--out", tmp_path / "out", "--landmarks", "dlib")
    assert call(*flags, "--assets", assets_folder, "--every", 1) == 0
    assert "clip.avi#3: no face found by dlib" in capsys.readouterr().err
    codes = [np.load(tmp_path / "out" / str(frame) / "codes.npz") for frame in range(3)]
    for name in ("shape", "texture", "detail"):
        np.testing.assert_array_equal(codes[0][name], codes[2][name])
    assert np.abs(codes[0]["expression"] - codes[2]["expression"]).max() > 1e-3
    shift = codes[2]["landmarks"].mean(0) - codes[0]["landmarks"].mean(0)
    np.testing.assert_allclose(shift, [4, 0], atol=1)


def test_wrong_settings(tmp_path: Path, capsys, points: np.ndarray) -> None:
    write_picture(tmp_path / "a.png", points)
    one, many = ("--image", tmp_path / "a.png"), ("--image", tmp_path)
    given = ("--landmarks", "file")
    for arguments, fault in (
        ((*one, *given, "--detail"), "--detail and --posed are of meshes"),
        ((*one, *given, "--detail", "--mesh", "obj"), "the backend anny has no wrinkles"),
        ((*one, "--views", "original", "--backend", "anny"), "--views original is DECA's framing"),
        ((*one, *given, "--views", "original"), "the backend deca needs --assets"),
        ((*many, "--transfer-to", tmp_path / "a.png"), "are for one picture"),
        ((*one, "--landmarks-file", tmp_path / "none.txt"), "none.txt: No such file"),
    ):
        assert call("--out", tmp_path / "out", *arguments) == 2
        last = capsys.readouterr().err.splitlines()[-1]
        assert last.startswith("error: ") and fault in last
        assert not (tmp_path / "out").exists()


# What is written of a head


def test_everything_of_one_picture(tmp_path: Path, assets_folder, points: np.ndarray) -> None:
    write_picture(tmp_path / "a.png", points)
    (tmp_path / "a.txt").rename(tmp_path / "mine.txt")
    flags = ("--image", tmp_path / "a.png", "--out", tmp_path / "out", "--assets", assets_folder)
    flags += ("--landmarks-file", tmp_path / "mine.txt", "--mesh", "glb", "--detail", "--posed")
    assert call(*flags, "--views", "original", "--landmarks", "dlib") == 0
    names = {path.name for path in (tmp_path / "out").iterdir()} - {*view_names()}
    meshes = {f"head{kind}.glb" for kind in ("", "_posed", "_detail", "_detail_posed")}
    normals = {"normals.png", "normals_posed.png"}
    assert names == meshes | normals | {"codes.npz", "frontal.jpg", "textured.jpg", "views.json"}
    assert read_backend(tmp_path / "out") == "deca_original"
    codes = np.load(tmp_path / "out" / "codes.npz")
    assert codes["landmarks3d"].shape == (68, 3) and codes["backend"] == "deca_original"
    x, y, side = codes["square"]
    corner = codes["to_crop"] @ [x + side / 2, y - side / 2, 1]
    np.testing.assert_allclose(corner, [223, 0], atol=1e-9)
    low, high = points.min(0), points.max(0)
    assert side == int((high - low).astype(float).mean() * 1.1 * 1.25)
    loaded = trimesh.load(tmp_path / "out" / "head_detail_posed.glb", force="mesh")
    assert len(loaded.faces) > 100_000


def test_drawn_over_its_picture(head, face) -> None:
    drawn = overlay(head, face.image)
    assert drawn.shape == face.image.shape
    changed = (drawn != face.image).any(-1)
    assert 0.005 < changed.mean() < 0.1
    assert (drawn[changed].std(-1) == 0).all()  # grey
    columns, rows = np.round(head.projected[27:]).astype(int).T
    assert changed[rows, columns].mean() > 0.95
    huge = replace(face, image=np.zeros((1000, 4096, 3), np.uint8))
    assert overlay(replace(head, camera=head.camera * 8), huge.image).shape == (500, 2048, 3)


def test_depth_in_metres(head, face) -> None:
    depth = depth_map(head, face.image)
    assert depth.dtype == np.uint16 and depth.shape == face.image.shape[:2]
    scale, x, y = head.camera.tolist()
    near = head.vertices[:, 2].argmax()  # which nothing hides
    point = head.vertices[near]
    row, column = round(y - scale * float(point[1])), round(x + scale * float(point[0]))
    assert (float(depth[row, column]) - MIDDLE) / STEPS == pytest.approx(float(point[2]), abs=2e-3)
    assert depth[0, 0] == 0


def test_landmarks_in_three_dimensions(backend: DecaBackend, head) -> None:
    found = head.codes["landmarks3d"]
    codes = {name: torch.from_numpy(head.codes[name])[None] for name in ("shape", "expression")}
    vertices, _ = backend.flame(*codes.values(), torch.from_numpy(head.codes["pose"])[None])
    points = backend.flame.landmarks3d(vertices)[0].numpy()
    scale, x, y = head.camera.numpy()
    np.testing.assert_allclose(found[:, 0], x + scale * points[:, 0], atol=1e-3)
    np.testing.assert_allclose(found[:, 1], y - scale * points[:, 1], atol=1e-3)
    np.testing.assert_allclose(found[:, 2], -scale * points[:, 2], atol=1e-3)
    # The nose is nearer than the ends of the jaw, and the inner points are those of the 2D set.
    assert found[30, 2] < found[[0, 16], 2].min()
    step = math.dist(found[36, :2], found[45, :2])
    assert np.abs(found[17:, :2] - head.projected[17:]).max() < 0.05 * step


def test_the_posed_mesh_lies_as_in_the_picture(head) -> None:
    mesh = to_trimesh(head, posed=True)
    wanted = head.vertices[head.topology.faces].numpy()
    np.testing.assert_allclose(mesh.triangles, wanted, atol=1e-6)
    turned = to_trimesh(head).vertex_normals @ head.rotation.numpy().T
    np.testing.assert_allclose(mesh.vertex_normals, turned, atol=1e-5)


def test_the_detailed_mesh_is_the_coarse_one_displaced(backend: DecaBackend, head) -> None:
    fine, coarse = to_trimesh(head, detail=True), to_trimesh(head)
    assert len(fine.vertices) > 10 * len(coarse.vertices)
    coarse_map = backend.to_uv(head.frontal[None])[0]
    size = coarse_map.shape[1]
    column, row = np.round(fine.visual.uv * [size, -size] + [-0.5, size - 0.5]).astype(int).T
    off = np.linalg.norm(fine.vertices - coarse_map[:, row, column].T.numpy(), axis=1)
    assert 1e-5 < off.max() < 0.0102  # 10 mm at most, and what is fixed
    outwards = ((fine.triangles_center - fine.vertices.mean(0)) * fine.face_normals).sum(1)
    assert (outwards > 0).mean() > 0.95
    agree = (fine.vertex_normals[fine.faces[:, 0]] * fine.face_normals).sum(1)
    assert np.median(agree) > 0.9
    posed = to_trimesh(head, detail=True, posed=True)
    np.testing.assert_allclose(posed.area, fine.area, rtol=1e-4)
    assert not np.allclose(posed.vertices, fine.vertices, atol=1e-4)


def test_normals_as_a_picture(head) -> None:
    picture = normal_picture(head).astype(float) / 127.5 - 1
    wanted = head.normal_map.permute(1, 2, 0).numpy()
    np.testing.assert_allclose(picture, wanted.clip(-1, 1), atol=0.005)
    posed = normal_picture(head, posed=True).astype(float) / 127.5 - 1
    np.testing.assert_allclose(posed, wanted @ head.rotation.numpy().T, atol=0.01)


def test_no_detail_without_a_map(head) -> None:
    plain = replace(head, detail_map=None, normal_map=None)
    for write in (lambda: to_trimesh(plain, detail=True), lambda: normal_picture(plain)):
        with pytest.raises(ValueError, match="wrinkles"):
            write()


# Transfer


def test_transfer_takes_the_moment_and_keeps_the_person(backend: DecaBackend, face: Face) -> None:
    other = Face(np.ascontiguousarray(face.image[:, ::-1]), face.landmarks + np.float32([40, 5]))
    (source,), (target,) = backend.reconstruct([face]), backend.reconstruct([other])
    head = backend.transfer(face, other)
    for name in ("expression", "pose", "camera", "light"):
        np.testing.assert_allclose(head.codes[name], source.codes[name], atol=1e-5)
    for name in ("shape", "texture", "detail"):
        np.testing.assert_allclose(head.codes[name], target.codes[name], atol=1e-5)
    torch.testing.assert_close(head.texture, target.texture, atol=1e-4, rtol=0)
    codes = [torch.from_numpy(head.codes[n])[None] for n in ("shape", "expression", "pose")]
    torch.testing.assert_close(head.vertices, backend.flame(*codes)[0][0], atol=1e-6, rtol=0)
    same = backend.transfer(face, face)
    torch.testing.assert_close(same.vertices, source.vertices, atol=1e-5, rtol=0)


def test_transfer_between_pictures(tmp_path: Path, points: np.ndarray) -> None:
    """Anny's: the actions of one, the shape of the other."""
    write_picture(tmp_path / "a.png", points, 5)
    wide = (points - points.mean(0)) * [1.15, 0.95] + points.mean(0)
    wide[48:68, 1] += 4
    write_picture(tmp_path / "b.png", wide)
    outs = {}
    for name, flags in {
        "a": ("--image", tmp_path / "a.png"),
        "b": ("--image", tmp_path / "b.png"),
        "ab": ("--image", tmp_path / "a.png", "--transfer-to", tmp_path / "b.png"),
    }.items():
        flags = (*flags, "--out", tmp_path / name, "--backend", "anny", "--landmarks", "file")
        assert call(*flags, "--overlay") == 0
        outs[name] = np.load(tmp_path / name / "codes.npz")
    np.testing.assert_allclose(outs["ab"]["actions"], outs["a"]["actions"], atol=1e-4)
    np.testing.assert_allclose(outs["ab"]["rotation"], outs["a"]["rotation"], atol=1e-4)
    np.testing.assert_allclose(outs["ab"]["shape"], outs["b"]["shape"], atol=1e-4)
    assert np.abs(outs["a"]["shape"] - outs["b"]["shape"]).max() > 0.01
