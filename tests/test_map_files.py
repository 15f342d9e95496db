"""prepare_data.py maps: what it writes, and that it is read back as it was; published folders."""

import cv2
import numpy as np
import pandas as pd
import pytest
import skimage.data
from conftest import call
from moved_faces import moved

from common.errors import UserError
from data.index_file import read_index
from data.motion.maps import motion_maps, ready_maps
from data.motion.published import FOLDS, TABLE, WHOLE, published_name, read_published
from data.motion.writing import Making, as_picture, write_maps
from loso.motion import predict_maps
from loso.synthetic_weights import load_synthetic

FACE = np.ascontiguousarray(skimage.data.astronaut()[20:260, 100:340])
PLACES = [(95, 140), (145, 140), (120, 60)]


def write_rgb(path, image):
    assert cv2.imwrite(str(path), image[..., ::-1])


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    """Clips of three corpora: a whole one each, one without a face, one without an offset."""
    root = tmp_path_factory.mktemp("frames")
    pictures = {
        "onset.png": FACE, "noise.png": np.random.default_rng(0).integers(0, 255, FACE.shape),
        **{f"apex{i}.png": moved(FACE, [place], [(3, -3)]) for i, place in enumerate(PLACES)},
        "offset.png": moved(FACE, [PLACES[0]], [(1, -1)]),
    }  # fmt: skip
    for name, image in pictures.items():
        write_rgb(root / name, image)
    rows = [
        ("smic", "01", "s1_ne_01", 0, "onset.png", "apex0.png", "offset.png"),
        ("casme2", "sub01", "EP02_01f", 1, "onset.png", "apex1.png", "offset.png"),
        ("samm", "006", "006_1_2", 2, "onset.png", "apex2.png", ""),
        ("samm", "007", "007_3_1", 0, "noise.png", "noise.png", "offset.png"),
    ]
    ends = ("onset", "apex", "offset")
    columns = ["data", "subject", "clip", "label", *(f"{end}_frame_path" for end in ends)]
    pd.DataFrame(rows, columns=columns).to_csv(root / "index.csv", index=False)
    return root


@pytest.fixture(scope="module")
def written(frames, tmp_path_factory):
    """What the script writes of `frames`, and what it says."""
    out = tmp_path_factory.mktemp("maps")
    return out, call(*command(frames, out))


def command(frames, out, *more):
    paths = "--index", frames / "index.csv", "--root", frames, "--out", out
    return "prepare_data.py", "maps", *paths, "--landmarks", "dlib", "--workers", 1, *more


NAMES = ["s01_s01_ne_01", "sub01_EP02_01f", "006_006_1_2"]


def test_what_is_written_and_said(written):
    out, done = written
    assert done.returncode == 0, done.stderr
    assert "3 of 4 clips have motion maps" in done.stdout
    assert "samm_007 007_3_1: onset and apex are the same frame" in done.stdout
    assert "samm_006 006_1_2: no map from apex to offset: the index names no offset" in done.stderr
    arrays = {path.name for path in (out / "arrays").iterdir()}
    pictures = {path.name for path in (out / WHOLE).iterdir()}
    both = [*NAMES, f"{NAMES[0]}_1", f"{NAMES[1]}_1"]
    assert arrays == {f"{name}.npy" for name in both}
    assert pictures == {f"{name} .png" for name in both}
    folds = {path.relative_to(out / FOLDS).as_posix() for path in (out / FOLDS).rglob("*.png")}
    assert len(folds) == 9
    assert {"s01/u_test/0/s01_s01_ne_01 .png", "s01/u_train/2/006_006_1_2 .png"} <= folds
    one = np.load(out / "arrays/s01_s01_ne_01.npy")
    assert (one.shape, one.dtype) == ((3, 28, 28), np.float32)
    picture = cv2.imread(str(out / WHOLE / "s01_s01_ne_01 .png"))[..., ::-1]
    assert picture.shape == (28, 28, 3)
    for channel in range(3):  # u is red, v green, strain blue, each over its own range
        shown = picture[..., channel]
        assert (shown.min(), shown.max()) == (0, 255)
        assert np.corrcoef(shown.ravel(), one[channel].ravel())[0, 1] > 0.999


def test_maps_read_back_are_the_same_to_a_network(written, frames, finder):
    out, _ = written
    index = read_index(frames / "index.csv")[:3]
    maps, faults = motion_maps(index, frames, finder)
    assert not faults
    arrays = ready_maps(read_index(out / "maps.csv"), out)
    pictures = ready_maps(read_index(out / "pictures.csv"), out)
    assert np.array_equal(arrays.maps, maps)
    assert arrays.offset[:2].any((1, 2, 3)).all() and not arrays.offset[2].any()
    net = load_synthetic("linear")
    scores = predict_maps(net, maps)[0]
    assert predict_maps(net, arrays.maps)[0] == pytest.approx(scores, abs=1e-6)
    assert predict_maps(net, pictures.maps)[0] == pytest.approx(scores, abs=0.1)


def test_a_second_run_goes_on_from_the_first(written, frames):
    out, _ = written
    files = [path for path in out.rglob("*") if path.is_file()]
    broken, other = out / "arrays" / f"{NAMES[0]}.npy", out / TABLE
    whole = broken.read_bytes(), other.read_bytes()
    broken.write_bytes(whole[0][:50])
    other.unlink()
    before = {path: path.stat().st_mtime_ns for path in files if path not in (broken, other)}
    assert call(*command(frames, out)).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert (broken.read_bytes(), other.read_bytes()) == whole
    assert sorted(files) == sorted(path for path in out.rglob("*") if path.is_file())


def test_the_number_of_workers_changes_no_file(written, frames, tmp_path):
    out, _ = written
    making = Making(frames, "dlib")
    lost = write_maps(read_index(frames / "index.csv"), making, tmp_path, workers=2)
    assert [line.partition(":")[0] for line in lost] == ["samm_007 007_3_1"]
    for path in out.rglob("*.*"):
        assert (tmp_path / path.relative_to(out)).read_bytes() == path.read_bytes()


def test_wrong_runs_of_the_script(written, frames, tmp_path):
    out, _ = written
    for more, fault in (
        (("--index", out / "maps.csv"), "names ready maps"),
        (("--root", tmp_path / "gone"), "no such folder"),
        (("--size", 2), "--size 2: at least 8"),
        (("--workers", 0), "--workers 0: at least 1"),
    ):
        done = call(*command(frames, tmp_path / "out", *more))
        assert done.returncode == 2
        assert fault in done.stderr.splitlines()[-1]
        assert not (tmp_path / "out").exists()
    assert call(*command(frames, tmp_path / "out", "--strict")).returncode == 1


def test_no_clip_with_a_map_is_an_error(frames, tmp_path):
    index = read_index(frames / "index.csv")
    with pytest.raises(
        UserError, match="none of the 1 clips has a motion map; the first: samm_007"
    ):
        write_maps(index[3:], Making(frames, "dlib"), tmp_path)
    twice = pd.concat([index[:1], index[:1]])
    with pytest.raises(UserError, match="clips of one name"):
        write_maps(twice, Making(frames, "dlib"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_still_channel_is_0_in_the_picture():
    maps = np.zeros((3, 40, 40), np.float32)
    maps[0, :20] = 0.01
    picture = cv2.imdecode(np.frombuffer(as_picture(maps), np.uint8), -1)[..., ::-1]
    assert picture[..., 0].max() == 255 and not picture[..., 1:].any()


# ---- folders as others publish them


def test_what_is_written_is_read_as_published(written, capsys):
    out, _ = written
    index = read_published(out)
    assert "3 clips of 3 subjects (the composite has 442 of 68), 2 with" in capsys.readouterr().out
    clips = index.to_dict("records")
    assert [published_name(clip) for clip in clips] == NAMES
    assert index["data_sub"].tolist() == ["smic_01", "casme2_sub01", "samm_006"]
    assert index["label"].tolist() == [0, 1, 2]
    assert index["motion_offset_path"].tolist() == [f"{WHOLE}/{n}_1 .png" for n in NAMES[:2]] + [""]
    assert np.isfinite(ready_maps(index, out).maps).all()


def publish(folder, names, rows, table=TABLE):
    """A folder in HTNet's layout: files of these names, and these rows of the table."""
    (folder / WHOLE).mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 255, (28, 28, 3)).astype(np.uint8)
    for name in names:
        write_rgb(folder / WHOLE / f"{name} .png", noise)
    lines = ["dataset,sub,filename_o,label,apex,imagename", *(f"{row},,x.jpg" for row in rows)]
    (folder / table).write_text("\n".join(lines) + "\n")
    return folder


def test_htnets_layout_with_names_that_do_not_match(tmp_path, capsys):
    names = ["s03_s03_ne_01", "006_006_1_2", "sub01_EP9_01", "sub26_EP18_44", "s01_s01_po_01"]
    rows = [
        "smic,s3,s03_ne_01,0",
        "samm,006,006_1_2,0",
        "casme2,Sub01,EP09_01,1",
        "smic,s01,s01_ne_02,0",
    ]
    index = read_published(publish(tmp_path, names, rows))
    assert "motion_offset_path" not in index
    assert index["data_sub"].tolist() == ["smic_03", "samm_006", "casme2_sub01"]
    assert index["motion_path"].tolist() == [f"{WHOLE}/{name} .png" for name in names[:3]]
    said = capsys.readouterr()
    assert "1 clips have no map: s01_s01_ne_02" in said.err
    assert "2 maps have no row: s01_s01_po_01, sub26_EP18_44" in said.err


def test_causalnets_layout_where_a_clip_is_called_like_anothers_second_phase(tmp_path, capsys):
    phases = ["", "_1", "_2", "_3"]
    names = [f"{name}{end}" for name in ("006_006_1", "sub01_EP02_01f") for end in phases]
    rows = ["samm,006,006_1,0", "samm,006,006_1_1,2", "casme2,sub01,EP02_01f,1"]
    index = read_published(publish(tmp_path, names, rows))
    assert index["clip"].tolist() == ["006_1", "006_1_1", "EP02_01f"]
    assert index["motion_offset_path"].tolist() == ["", "", f"{WHOLE}/sub01_EP02_01f_1 .png"]
    assert "2 clips have no map from apex to offset: 006_1, 006_1_1" in capsys.readouterr().err


def test_folders_of_another_layout_and_faulty_tables_are_one_line(tmp_path):
    def refused(folder, fault):
        with pytest.raises(UserError, match=fault) as caught:
            read_published(folder)
        assert "\n" not in str(caught.value)

    refused(tmp_path, f"neither CausalNet's nor HTNet's repository, which have {WHOLE}/")
    refused(publish(tmp_path / "a", ["s01_s01_ne_01"], [], "other.csv"), f"no {TABLE} with")
    for number, (row, fault) in enumerate({
        "nobody,s1,x,0": "row 2: dataset 'nobody' is not one of",
        "smic,s1,s01_ne_01,3": "row 2: label '3' is none of",
        "smic,,s01_ne_01,0": "row 2: an empty cell is not a subject",
        "smic,s1,,0": "row 2: no filename_o",
        "smic,s1,s01_ne_01,0,,\nsmic,s01,s1_ne_1,0": "row 3: clip s1_ne_1 is in row 2 too",
        "smic,s1,s01_ne_09,0": "none of its 1 clips has a map",
    }.items()):  # fmt: skip
        refused(publish(tmp_path / f"b{number}", ["s01_s01_ne_01"], [row]), fault)
    folder = publish(tmp_path / "c", ["s01_s01_ne_01"], [])
    (folder / TABLE).write_text("name,label\nx,0\n")
    refused(folder, "no column 'dataset'")
    (folder / TABLE).write_text("")
    refused(folder, "no clip in it")
