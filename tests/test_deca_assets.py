"""The asset folder: what `check` and `where` say, and every way in which files can be wrong."""

import io
import os
import pickle
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from conftest import ROOT
from deca_assets import assets_folder, dump_python2, flame_arrays, head_mesh, networks, write_albedo

from common.cli import run_script
from common.errors import UserError
from deca.assets import FILES, assets_complete, check, load_assets, where
from deca.flame.asset_files import read_albedo, read_flame_texture, read_networks
from deca.flame.detail import DetailDecoder

__all__ = ["assets_folder"]


@pytest.fixture
def folder(tmp_path, assets_folder) -> Path:
    """A folder of links to the right files, in which a test may break one."""
    for path in assets_folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    return tmp_path


def replace(folder: Path, name: str) -> Path:
    (folder / name).unlink(missing_ok=True)
    return folder / name


def report(folder: Path, capsys) -> tuple[int, dict[str, str]]:
    """Exit code of `check`, and its lines by file name."""
    with pytest.raises(SystemExit) as stop:
        run_script({"check": check, "where": where}, ["check", str(folder)])
    lines = capsys.readouterr().out.splitlines()
    return stop.value.code, {line.split()[1]: line for line in lines[:-1]}


def test_a_right_folder(assets_folder, capsys):
    code, lines = report(assets_folder, capsys)
    assert code == 0
    assert list(lines) == [file.name for file in FILES.values()]
    for file in FILES.values():
        assert lines[file.name].startswith("absent" if file.optional else "ok ")
    assert assets_complete(assets_folder)


def test_content_survives_the_files(assets_folder):
    assets = load_assets(assets_folder)
    vertices, faces, uv, uv_faces = head_mesh()
    wanted = flame_arrays(vertices, faces)
    for name in ("shapedirs", "posedirs", "J_regressor", "weights", "f"):
        np.testing.assert_array_equal(getattr(assets.flame, name), wanted[name])
    np.testing.assert_allclose(assets.template.uv, uv, atol=1e-6)
    np.testing.assert_array_equal(assets.template.uv_faces, uv_faces)
    assert assets.networks.flame.layers[2].bias[206] == 8
    assert not assets.networks.decoder.training
    assert assets.mean_texture.shape == (3, 256, 256)
    assert assets.mean_texture[:, 5, 5].tolist() == pytest.approx(
        [200 / 255, 150 / 255, 120 / 255], abs=0.02
    )
    assert assets.face_mask.shape == (256, 256) and assets.face_mask.max() == 1
    assert assets.albedo is None


WRAPS = {
    "module.": lambda parts: {name: prefixed(part, "module.") for name, part in parts.items()},
    "compiled": lambda parts: {n: prefixed(part, "_orig_mod.") for n, part in parts.items()},
    "in a dict": lambda parts: {"model": parts, "epoch": np.int64(3), "best": np.float64(0.1)},
    "in names": lambda parts: {f"{name}.{key}": tensor for name, part in parts.items()
                               for key, tensor in part.items()},
    "other networks": lambda parts: parts | {
        "E_expression": {"conv1.weight": torch.ones(3)}, "D_neutral": {"x": torch.ones(1)},
        "opt": {"state": {0: {"step": torch.ones(1)}}, "param_groups": []}, "iter": np.int32(5)},
    "other layers": lambda parts: {n: part | {"fc.weight": torch.ones(2), "note": "x"}
                                   for n, part in parts.items()},
    "no counts": lambda parts: {n: {k: t for k, t in part.items() if "num_batches" not in k}
                                for n, part in parts.items()},
}  # fmt: skip


def prefixed(state, prefix):
    return {prefix + name: tensor for name, tensor in state.items()}


@pytest.mark.parametrize("wrap", WRAPS)
def test_networks_as_other_trainings_save_them(tmp_path, wrap):
    parts = {
        n: dict(part) for n, part in networks().items() if n in ("E_flame", "E_detail", "D_detail")
    }
    torch.save(WRAPS[wrap](parts), tmp_path / "deca_model.tar")
    read = read_networks(tmp_path / "deca_model.tar")
    for network, name in ((read.flame, "E_flame"), (read.detail, "E_detail")):
        assert torch.equal(network.layers[2].bias, parts[name]["layers.2.bias"])


def test_a_larger_network_is_not_taken_for_ours(tmp_path):
    parts = networks()
    part = dict(parts["E_flame"])
    name = next(key for key in part if key.startswith("encoder.layer3.0."))
    part[name.replace("layer3.0.", "layer3.22.")] = part[name]  # as in ResNet101
    torch.save(parts | {"E_flame": part}, tmp_path / "deca_model.tar")
    with pytest.raises(
        UserError, match=r"E_flame lacks nothing, and has unexpected encoder\.layer3"
    ):
        read_networks(tmp_path / "deca_model.tar")


def test_an_empty_folder(tmp_path, capsys):
    code, lines = report(tmp_path, capsys)
    assert code == 1
    for file in FILES.values():
        assert lines[file.name].startswith("absent" if file.optional else "missing")
        assert file.optional or file.source.address in lines[file.name]


def test_one_file_missing(folder, capsys):
    replace(folder, "uv_face_mask.png")
    code, lines = report(folder, capsys)
    assert code == 1
    assert [name for name in lines if lines[name].startswith("missing")] == ["uv_face_mask.png"]
    assert not assets_complete(folder)
    with pytest.raises(UserError, match=r"uv_face_mask\.png: missing; it is given out by https:"):
        load_assets(folder)


def flame_with(folder: Path, **changes: object) -> None:
    vertices, faces, *_ = head_mesh()
    content = flame_arrays(vertices, faces) | changes
    path = replace(folder, "generic_model.pkl")
    dump_python2({k: v for k, v in content.items() if v is not None}, path)


def embedding_with(folder: Path, **changes: object) -> None:
    content = np.load(folder / "landmark_embedding.npy", allow_pickle=True).item()  # our own file
    np.save(replace(folder, "landmark_embedding.npy"), content | changes, allow_pickle=True)


def networks_with(folder: Path, part: str, **changes: object) -> None:
    content = {"E_flame": {}, "E_detail": {}, "D_detail": DetailDecoder().state_dict()}
    if part != "D_detail":
        content = networks()
    content[part] = {k: v for k, v in (content[part] | changes).items() if v is not None}
    torch.save(content, replace(folder, "deca_model.tar"))


def image_of(folder: Path, name: str, shape: tuple) -> None:
    cv2.imwrite(str(replace(folder, name)), np.zeros(shape, np.uint8))


def text(folder: Path, name: str, content: str | bytes) -> None:
    raw = content.encode() if isinstance(content, str) else content
    replace(folder, name).write_bytes(raw)


def cut(folder: Path, name: str, share: float) -> None:
    whole = (folder / name).read_bytes()
    text(folder, name, whole[: int(len(whole) * share)])


VERTICES = head_mesh()[0]
WRONG = {
    "flame: a short basis": (
        lambda f: flame_with(f, shapedirs=np.zeros((5023, 3, 150))),
        "generic_model.pkl",
        r"shapedirs is \(5023, 3, 150\), not \(5023, 3, 400\)",
    ),
    "flame: an array is missing": (
        lambda f: flame_with(f, posedirs=None),
        "generic_model.pkl",
        "lacks posedirs",
    ),
    "flame: another head": (
        lambda f: flame_with(
            f,
            v_template=VERTICES[:10],
            shapedirs=np.zeros((10, 3, 400)),
            posedirs=np.zeros((10, 3, 36)),
            J_regressor=np.zeros((5, 10)),
            weights=np.zeros((10, 5)),
            f=np.zeros((4, 3), np.uint32),
        ),
        "generic_model.pkl",
        "10 vertices and 4 faces, not FLAME's 5023 and 9976",
    ),
    "flame: not finite": (
        lambda f: flame_with(f, v_template=VERTICES * np.nan),
        "generic_model.pkl",
        "no numbers",
    ),
    "flame: faces beyond the vertices": (
        lambda f: flame_with(f, f=np.full((9976, 3), 5023)),
        "generic_model.pkl",
        "beyond the 5023",
    ),
    "flame: no tree": (
        lambda f: flame_with(f, kintree_table=np.zeros((2, 5), int)),
        "generic_model.pkl",
        "no tree",
    ),
    "flame: text for an array": (
        lambda f: flame_with(f, weights="none"),
        "generic_model.pkl",
        "not an array of numbers",
    ),
    "flame: forbidden global": (
        lambda f: text(f, "generic_model.pkl", pickle.dumps({"f": print})),
        "generic_model.pkl",
        "names builtins.print, .*could run code",
    ),
    "flame: cut off": (
        lambda f: cut(f, "generic_model.pkl", 0.5),
        "generic_model.pkl",
        "damaged or cut off",
    ),
    "embedding: shape": (
        lambda f: embedding_with(f, dynamic_lmk_faces_idx=torch.zeros(79, 16, dtype=torch.int64)),
        "landmark_embedding.npy",
        r"dynamic_lmk_faces_idx is \(79, 16\), not \(79, 17\)",
    ),
    "embedding: beyond the faces": (
        lambda f: embedding_with(f, full_lmk_faces_idx=np.full((1, 68), 9976)),
        "landmark_embedding.npy",
        "beyond the 9976 faces",
    ),
    "networks: cut off": (
        lambda f: cut(f, "deca_model.tar", 0.7),
        "deca_model.tar",
        "cut off or damaged",
    ),
    "networks: empty": (lambda f: text(f, "deca_model.tar", ""), "deca_model.tar", "cut off"),
    "networks: no torch file": (
        lambda f: text(f, "deca_model.tar", b"Google Drive: quota exceeded"),
        "deca_model.tar",
        "not readable as weights",
    ),
    "networks: forbidden global": (
        lambda f: torch.save({"E_flame": os.system}, replace(f, "deca_model.tar")),
        "deca_model.tar",
        "refused, not read: it names posix.system",
    ),
    "networks: a list": (
        lambda f: torch.save([1], replace(f, "deca_model.tar")),
        "deca_model.tar",
        "no dict",
    ),
    "networks: a part is missing": (
        lambda f: torch.save({"E_detail": {}}, replace(f, "deca_model.tar")),
        "deca_model.tar",
        "lacks E_flame",
    ),
    "networks: keys": (
        lambda f: networks_with(
            f, "E_flame", **{"layers.0.weight": None, "layers.1.w": torch.ones(1)}
        ),
        "deca_model.tar",
        "E_flame lacks layers.0.weight, and has unexpected layers.1.w",
    ),
    "networks: shapes": (
        lambda f: networks_with(f, "E_detail", **{"layers.2.bias": torch.zeros(100)}),
        "deca_model.tar",
        r"E_detail: layers.2.bias is \(100,\), not \(128,\)",
    ),
    "template: quads": (
        lambda f: text(f, "head_template.obj", "v 0 0 0\nvt 0 0\nf 1/1 1/1 1/1 1/1\n"),
        "head_template.obj",
        "a face of 4 corners",
    ),
    "template: no texture coordinates": (
        lambda f: text(f, "head_template.obj", "v 0 0 0\nf 1 1 1\n"),
        "head_template.obj",
        "no triangle mesh",
    ),
    "template: empty": (
        lambda f: text(f, "head_template.obj", ""),
        "head_template.obj",
        "no faces",
    ),
    "template: another mesh": (
        lambda f: text(f, "head_template.obj", "v 0 0 0\nvt 0 0\nf 1/1 1/1 1/1\n"),
        "head_template.obj",
        "1 faces, not 9976",
    ),
    "displacement: shape": (
        lambda f: np.save(replace(f, "fixed_displacement_256.npy"), np.zeros((128, 128))),
        "fixed_displacement_256.npy",
        "256 x 256",
    ),
    "displacement: objects": (
        lambda f: np.save(replace(f, "fixed_displacement_256.npy"), [print], allow_pickle=True),
        "fixed_displacement_256.npy",
        "no file of numpy's",
    ),
    "mask: not square": (
        lambda f: image_of(f, "uv_face_mask.png", (256, 100)),
        "uv_face_mask.png",
        "100 x 256",
    ),
    "mask: no image": (
        lambda f: text(f, "uv_face_eye_mask.png", "<html>"),
        "uv_face_eye_mask.png",
        "not an image",
    ),
    "texture: cut off": (
        lambda f: cut(f, "mean_texture.jpg", 0.5),
        "mean_texture.jpg",
        "cut off",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_files(folder, capsys, case):
    breaks, name, says = WRONG[case]
    breaks(folder)
    for large in {"generic_model.pkl", "deca_model.tar"} - {name}:
        replace(folder, large)  # saves reading it
    code, lines = report(folder, capsys)
    assert code == 1
    assert lines[name].startswith("wrong")
    assert re.search(says, lines[name])


def test_loading_stops_at_the_first_wrong_file(folder):
    image_of(folder, "uv_face_mask.png", (256, 100))
    with pytest.raises(UserError, match=r"uv_face_mask\.png: 100 x 256 pixels") as caught:
        load_assets(folder)
    assert "\n" not in str(caught.value)


def test_template_of_another_order(folder, capsys):
    lines = (folder / "head_template.obj").read_text().splitlines()
    text(folder, "head_template.obj", "\n".join([*lines[:-2], lines[-1], lines[-2]]))
    code, lines = report(folder, capsys)
    assert code == 1
    assert "its faces are not those of generic_model.pkl" in lines["head_template.obj"]


def test_optional_albedo(folder, capsys):
    write_albedo(folder)
    code, lines = report(folder, capsys)
    assert code == 0
    assert lines["FLAME_albedo_from_BFM.npz"].startswith("ok")
    albedo = load_assets(folder).albedo
    assert albedo.mean[:, 0, 0].tolist() == pytest.approx([0.7, 0.5, 0.4])  # RGB from BGR
    assert albedo.basis.shape == (50, 3, 256, 256)
    path = folder / "FLAME_albedo_from_BFM.npz"
    with np.load(path) as shaped:
        mean, basis = shaped["MU"], shaped["PC"]
    np.savez(path, MU=mean.reshape(1, -1), PC=basis.reshape(-1, basis.shape[-1]))
    flat = load_assets(folder).albedo
    assert torch.equal(flat.mean, albedo.mean) and torch.equal(flat.basis, albedo.basis)


def write_flame_texture(folder: Path, white: float = 255) -> None:
    rng = np.random.default_rng(0)
    np.savez(
        folder / "FLAME_texture.npz",
        mean=np.full((64, 64, 3), (0.4, 0.5, 0.7)) * white,
        tex_dir=rng.normal(0, 0.01 * white, (64, 64, 3, 60)),
        lmk_face_idx=np.arange(3),
    )


def test_flames_own_colours(folder, capsys):
    """Read where the Basel Face Model's are not there, from 0..255."""
    write_flame_texture(folder)
    code, lines = report(folder, capsys)
    assert code == 0 and lines["FLAME_texture.npz"].startswith("ok")
    assets = load_assets(folder)
    assert assets.albedo is None
    assert assets.flame_texture.mean[:, 0, 0].tolist() == pytest.approx([0.7, 0.5, 0.4])
    write_albedo(folder)
    albedo = read_albedo(folder / "FLAME_albedo_from_BFM.npz")
    torch.testing.assert_close(assets.flame_texture.basis, albedo.basis)


@pytest.mark.parametrize("which", ["MU", "mean"])
def test_colours_of_another_range(folder, which):
    if which == "MU":
        path = folder / "FLAME_albedo_from_BFM.npz"
        np.savez(path, MU=np.full((64, 64, 3), 120.0), PC=np.zeros((64, 64, 3, 60)))
    else:
        write_flame_texture(folder, 1)
        path = folder / "FLAME_texture.npz"
    fault = r"MU goes from 120 to 120, not from 0 to 1" if which == "MU" else r"not from 0 to 255"
    with pytest.raises(UserError, match=fault) as caught:
        (read_albedo if which == "MU" else read_flame_texture)(path)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("broken", ["npz", "shape", "keys", "npy"])
def test_wrong_optional_files(folder, capsys, broken):
    path = folder / "FLAME_albedo_from_BFM.npz"
    if broken == "npz":
        path.write_bytes(b"PK\x03\x04 cut off")
    elif broken == "shape":
        np.savez(path, MU=np.zeros((64, 64, 3)), PC=np.zeros((64, 64, 3, 9)))
    elif broken == "keys":
        np.savez(path, mean=np.zeros(3))
    else:
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    for large in ("generic_model.pkl", "deca_model.tar"):
        replace(folder, large)
    _, lines = report(folder, capsys)
    assert lines[path.name].startswith("wrong")


def test_a_wrong_optional_file_does_not_count(folder, capsys):
    path = folder / "FLAME_albedo_from_BFM.npz"
    np.savez(path, mean=np.zeros(3))
    code, lines = report(folder, capsys)
    assert code == 0
    assert lines[path.name].startswith("wrong")
    assert load_assets(folder).albedo is None
    assert f"warning: {path}: " in capsys.readouterr().err


def test_the_real_files_may_be_older(folder):
    """No batch counters, and torch's format from before 1.6."""
    content = networks()
    for part in ("E_flame", "E_detail", "D_detail"):
        content[part] = {k: v for k, v in content[part].items() if "num_batches" not in k}
    torch.save(content, replace(folder, "deca_model.tar"), _use_new_zipfile_serialization=False)
    assert load_assets(folder).networks.detail.layers[2].bias.shape == (128,)


def test_missing_folder_through_the_command_line():
    run = subprocess.run(
        [sys.executable, "-m", "deca.assets", "check", "/nowhere/deca"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert run.stderr.startswith("error: /nowhere/deca: no such folder")
    assert run.stderr.count("\n") == 1


def test_where_names_every_file_and_its_licence(capsys):
    where()
    said = capsys.readouterr().out
    assert all(file.name in said for file in FILES.values())
    assert said.count("licence: ") == 5


def test_a_payload_in_the_weights_does_not_run(folder):
    target = folder / "ran"

    class Payload:
        def __reduce__(self):
            return (Path.touch, (target,))

    torch.save({"E_flame": {}}, replace(folder, "deca_model.tar"))
    buffer = io.BytesIO()
    with zipfile.ZipFile(folder / "deca_model.tar") as old, zipfile.ZipFile(buffer, "w") as new:
        for item in old.infolist():
            raw = old.read(item)
            new.writestr(item, pickle.dumps(Payload(), 2) if "data.pkl" in item.filename else raw)
    text(folder, "deca_model.tar", buffer.getvalue())
    with pytest.raises(UserError, match="refused, not read"):
        load_assets(folder)
    assert not target.exists()
