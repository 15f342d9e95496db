"""Clips and frames on disk: names, folders that are no data, videos in place of folders."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from apex_clips import FRAMES, draw_clip, finder, write_spotted
from conftest import call, make_smic
from hypothesis import given
from hypothesis import strategies as st

from common.errors import UserError
from data.apex.spotting import all_frames, frames_between
from data.clip_set import load_clips
from data.disk import video_file
from data.disk.clip_frames import read_frames
from data.disk.file_kinds import file_of
from data.disk.frame_names import frame_numbers
from data.disk.frames import (
    ClipFolders,
    UnreadableImageError,
    list_frames,
    name_key,
    no_frame,
    number_frames,
    read_image,
)
from data.index import read_index
from data.motion.maps import motion_maps
from data.views import view_folder

RUN = range(46, 87)


def touch(*paths: Path) -> None:
    """Empty files: their names are all that is asked for."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def write_video(path: Path, images: np.ndarray, codec: str = "FFV1") -> Path:
    """A video of uint8 (T, H, W, 3) RGB; FFV1 keeps every pixel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = images[0].shape[:2]
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), 100, (width, height))
    for image in images:
        video.write(image[:, :, ::-1])
    video.release()
    return path


@pytest.fixture(scope="module")
def clip() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.stack([cv2.resize(i, (64, 48)) for i in rng.integers(0, 256, (12, 6, 8, 3), "uint8")])


@pytest.mark.parametrize(
    ("one", "other"),
    [("sub101", "sub11"), ("EP105", "EP15"), ("s1001", "s101"), ("s1_0", "s1_"), ("100", "1")],
)
def test_names_of_different_numbers_differ(one, other):
    assert name_key(one) != name_key(other)


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 8), st.integers(1, 8))
def test_name_key_is_one_to_one_on_numbers(a, b, wide, narrow):
    one, other = f"Sub{a:0{wide}d}_x", f"sub{b:0{narrow}d}_X"
    assert (name_key(one) == name_key(other)) == (a == b)


TIMES = [1_000_850 + 5 * i for i in range(60)]  # milliseconds, over the end of a second


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        ([f"img{i}" for i in RUN], RUN),
        ([f"{i:04d}" for i in RUN], RUN),
        ([f"reg_img{i}" for i in RUN], RUN),
        ([f"006_1_{i:05d}" for i in RUN], RUN),
        ([f"s01_ne_01_image{i:04d}" for i in RUN], RUN),
        ([f"reg_image{i:06d}" for i in range(559740, 559780)], range(559740, 559780)),
        ([f"img{i}_224" for i in RUN], RUN),
        ([f"frame_{i}_crop1" for i in RUN], RUN),
        ([f"img{i} (1)" for i in RUN], RUN),
        ([f"img{i}.0" for i in RUN], RUN),
        ([f"224x224_{i}_v2" for i in RUN], RUN),
        ([f"{'IMG' if i % 2 else 'img'}{i}" for i in RUN], RUN),
        ([f"frame_{i}_{i * 7919 % 65536:04x}" for i in RUN], RUN),  # the end is a hash
        ([f"{i * 7919 % 65536:04x}_{i}" for i in RUN], RUN),
        ([f"{i * 7919 % 99991:05d}_{i}" for i in RUN], RUN),
        ([f"img{i}_{i * 33 % 1000:03d}" for i in RUN], RUN),
        (["onset_46", "apex_59", "offset_86"], [46, 59, 86]),
        (["s2_46_onset", "s2_59_apex", "s2_86_offset"], [46, 59, 86]),
        (["img_12_46"], [46]),
        (["cover"], [None]),
        ([*[f"img{i}" for i in RUN], "thumbnail_1", "cover"], [*RUN, None, None]),
        ([f"{t}" for t in TIMES], TIMES),
        ([f"t{t // 1000}.{t % 1000:03d}" for t in TIMES], TIMES),
        ([f"2021-05-01_12-30-{t // 1000 % 60:02d}_{t % 1000:03d}" for t in TIMES],
         [t - 960_000 for t in TIMES]),
        ([f"cam{c}_{i}" for c in "12" for i in RUN], [*RUN, *RUN]),
        ([f"cam{c}_{i}" for c in "12" for i in RUN[::2]], [*RUN[::2], *RUN[::2]]),
    ],
    ids=lambda value: str(value[0]),
)  # fmt: skip
def test_the_number_that_varies_in_a_folder_is_the_frames(names, numbers):
    assert frame_numbers(names) == list(numbers)


@given(st.sets(st.integers(0, 10**7), min_size=2, max_size=50), st.integers(0, 999))
def test_numbers_of_any_constant_beside_them(numbers, constant):
    ordered = sorted(numbers)
    for form in ("a{0}_{1}", "a{1}_{0}", "{1}b{0:08d}c{1}", "{0}"):
        assert frame_numbers([form.format(n, constant) for n in ordered]) == ordered


@given(st.lists(st.text("0129aB_. (²٣", max_size=9), max_size=9))
def test_any_names_have_a_number_or_none(names):
    numbers = frame_numbers(names)
    assert len(numbers) == len(names)
    for name, number in zip(names, numbers):
        digits = "".join(c for c in name if c in "0129")
        assert number is None or str(number) in digits
    numbered = [name for name in names if any(c in "0129" for c in name)]
    assert bool(numbered) == any(number is not None for number in numbers)


def test_of_two_files_of_one_frame_one_is_taken_with_a_warning(tmp_path, capsys):
    touch(*[tmp_path / f"img{i}.jpg" for i in RUN], tmp_path / "img46 (1).jpg")
    assert list_frames(tmp_path)[46].name == "img46.jpg"
    assert "img46.jpg and img46 (1).jpg are both frame 46: img46.jpg is" in capsys.readouterr().err
    touch(*[tmp_path / f"img{i}.png" for i in RUN], tmp_path / "thumbnail_1.jpg")
    frames = list_frames(tmp_path)
    assert list(frames) == list(RUN)
    assert {path.suffix for path in frames.values()} == {".jpg"}
    lines = capsys.readouterr().err.splitlines()
    assert "img46.jpg and img46.png are both" in lines[0] and "(42 such files)" in lines[0]
    assert "thumbnail_1.jpg is not named like the others and is left out" in lines[1]
    list_frames(tmp_path)
    assert capsys.readouterr().err == ""


def test_a_folder_without_numbers_says_what_is_there(tmp_path):
    touch(*[tmp_path / f"{name}.png" for name in ("onset", "apex", "offset", "cover")])
    with pytest.raises(UserError, match=r"4 images without a number in the name \(apex.png, cov"):
        all_frames(tmp_path)
    touch(tmp_path / "clip/color/x.txt", tmp_path / "empty/.hidden")
    with pytest.raises(UserError, match=r"clip: no images in this folder \(it has color\)"):
        all_frames(tmp_path / "clip")
    with pytest.raises(UserError, match="empty: an empty folder"):
        all_frames(tmp_path / "empty")


def test_a_missing_frame_says_which_there_are(tmp_path):
    touch(*[tmp_path / f"clip/img{i}.jpg" for i in range(1, 42)])
    with pytest.raises(UserError) as error:
        frames_between(tmp_path / "clip", 46, 86, "sub01 EP02_01f")
    assert str(error.value) == (
        "sub01 EP02_01f: no onset frame 46, nor one within two of it; clip has 1 to 41: the "
        "release renumbered them?"
    )
    frames = {number: Path(f"c/{number}.jpg") for number in (1, 2, 9)}
    assert str(no_frame(frames, 5)).endswith("; c has 3 frames, 1 to 9")


# ---- folders that are no data, and folders that are the same


def casme2(root: Path, release: str, numbers=RUN, clip: str = "sub01/EP02_01f") -> Path:
    folder = root / release / clip
    touch(*[folder / f"img{i}.jpg" for i in numbers])
    return folder


@pytest.mark.parametrize(
    "junk",
    [
        "__MACOSX", ".Trash-1000", ".hidden", "$RECYCLE.BIN", "@eaDir", "lost+found", "#recycle",
        "@Recycle", "System Volume Information", "A/__macosx", "casme2/sub01/EP02_01f/.thumbnails",
    ],
)  # fmt: skip
def test_junk_is_not_searched(tmp_path, junk, capsys):
    folder = casme2(tmp_path, "casme2")
    casme2(tmp_path, junk)
    folders = ClipFolders(tmp_path)
    assert folders.clips() == [folder]
    assert folders.find("sub01", "EP02_01f") == folder
    assert capsys.readouterr().err == ""


def test_what_list_frames_would_not_list_is_no_clip(tmp_path):
    folder = casme2(tmp_path, "casme2")
    other = tmp_path / "backup/sub01/EP02_01f"
    touch(other / "._img46.jpg", other / ".img47.png", other / "cover.jpg", other / "notes46.txt")
    touch(other / "._EP02_01f.avi", other.with_name("._EP02_01f.avi"))
    assert ClipFolders(tmp_path).clips() == [folder]


def test_links_in_a_circle_end(tmp_path):
    root = tmp_path / "data"
    folder = casme2(root, "casme2")
    for link, target in [
        ("self", root), ("up", tmp_path), ("a_copy", folder.parent.parent),
        ("casme2/sub01/next", folder), ("casme2/sub01/EP02_01f/back", folder.parent),
    ]:  # fmt: skip
        (root / link).symlink_to(target)
    casme2(tmp_path, "elsewhere", clip="sub02/EP01")
    assert ClipFolders(root).clips() == [folder]


def test_links_to_data_elsewhere_are_followed(tmp_path):
    root = tmp_path / "data"
    root.mkdir()
    casme2(tmp_path, ".store/casme2")
    (root / "casme2").symlink_to(tmp_path / ".store/casme2")
    folders = ClipFolders(root)
    assert folders.find("sub01", "EP02_01f") == root / "casme2/sub01/EP02_01f"
    assert len(folders.clips()) == 1


def test_a_link_is_another_name_of_what_is_there(tmp_path):
    folder = casme2(tmp_path, "raw", clip="p1/EP02_01f")
    other = casme2(tmp_path, "raw", clip="sub2/EP02_01f")
    (tmp_path / "casme2").mkdir()
    (tmp_path / "casme2/sub01").symlink_to(folder.parent)
    (folder.parent / "EP02_01f_2").symlink_to(folder)
    (other.parent.with_name("sub02")).symlink_to(other.parent)  # one folder, no twins
    folders = ClipFolders(tmp_path)
    assert folders.find("sub01", "EP02_01f") == folder
    assert folders.find("p1", "EP02_01f_2") == folder
    assert folders.find("sub02", "EP02_01f") == other
    assert folders.find("sub2", "EP02_01f_2") is None
    assert folders.clips() == [folder, other]
    casme2(tmp_path, "casme2", clip="sub1/EP02_01f")
    with pytest.raises(UserError, match="casme2: sub01 and sub1 are one name"):
        ClipFolders(tmp_path).find("sub1", "EP02_01f")


def test_frames_lie_in_color_never_in_depth(tmp_path):
    for kind in ("color", "depth"):
        touch(*[tmp_path / f"part_A/spNO.1/a/{kind}/{i}.jpg" for i in range(350, 360)])
    touch(tmp_path / "part_A/spNO.1/b/color.avi", tmp_path / "part_A/spNO.1/b/depth.avi")
    touch(tmp_path / "depth/spNO.1/a/350.jpg")
    folders = ClipFolders(tmp_path)
    assert folders.find("spNO.1", "a") == tmp_path / "part_A/spNO.1/a/color"
    assert folders.find("spNO.1", "b") == tmp_path / "part_A/spNO.1/b/color.avi"
    assert folders.find("spNO.1", "color") is None
    assert len(folders.clips()) == 2


def test_of_several_the_one_with_the_frames_is_taken(tmp_path, capsys):
    cropped = casme2(tmp_path, "Cropped", range(1, 42))
    raw = casme2(tmp_path, "raw", [*range(46, 58), *range(60, 87)])
    near = casme2(tmp_path, "a_near", range(47, 87))
    folders = ClipFolders(tmp_path)
    ask = "sub01", "EP02_01f", ("cropped",)
    assert folders.find(*ask) == cropped
    assert folders.find(*ask, frames=(46, 86)) == raw
    assert "taking raw, not Cropped, a_near" in capsys.readouterr().err
    assert folders.find(*ask, frames=(45, 86)) == near
    assert folders.find(*ask, frames=(46, 999)) == cropped


def test_an_index_takes_the_release_that_has_the_frames(tmp_path):
    annotation = make_smic(tmp_path, subjects=2, clips=3)
    shutil.copytree(tmp_path / "SMIC/HS", tmp_path / "A_HS/HS")
    for path in (tmp_path / "A_HS").rglob("*.jpg"):
        path.rename(path.with_name(f"image{int(path.stem[-6:]) % 100}.jpg"))
    done = call(
        "prepare_data.py", "smic", "--root", tmp_path, "--annotation", annotation,
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    index = read_index(tmp_path / "out/smic_apex.csv")
    assert len(index) == 6
    assert index["apex_frame_path"].str.startswith("SMIC/HS/").all()


@pytest.mark.parametrize(
    ("one", "other", "subject", "clip"),
    [
        ("sub01/EP1", "sub1/EP1", "sub01", "EP1"),
        ("sub01/EP1", "sub1/EP2", "sub1", "EP2"),
        ("sub01/EP1", "Sub01/EP1", "sub01", "EP1"),
        ("s1/s1_ne_01", "s1/s01_ne_01", "s1", "s1_ne_01"),
        ("s1/micro/negative/s1_ne_01", "s01/micro/negative/s1_ne_01", "s1", "s01_ne_01"),
        ("s1/a/color", "s1/A/color", "s1", "a"),
    ],
)
def test_two_folders_of_one_name_are_an_error_where_they_matter(
    tmp_path, one, other, subject, clip
):
    for folder in (one, other):
        touch(tmp_path / "HS" / folder / "image7.jpg")
    touch(tmp_path / "HS/s9/s9_po_01/image7.jpg", tmp_path / "HS/s09_empty/notes.txt")
    folders = ClipFolders(tmp_path)
    assert folders.find("s9", "s9_po_01") == tmp_path / "HS/s9/s9_po_01"
    with pytest.raises(UserError, match="are one name here") as error:
        folders.find(subject, clip)
    names = {
        a for pair in zip(Path(one).parts, Path(other).parts) if pair[0] != pair[1] for a in pair
    }
    assert any(f"{a} and {b}" in str(error.value) for a in names for b in names)


def test_numbers_that_differ_are_two_subjects(tmp_path):
    for subject in ("sub101", "sub11"):
        touch(tmp_path / subject / "EP105/img1.jpg", tmp_path / subject / "EP15/img1.jpg")
    folders = ClipFolders(tmp_path)
    assert folders.find("sub11", "EP15") == tmp_path / "sub11/EP15"
    assert folders.find("sub101", "EP105") == tmp_path / "sub101/EP105"
    shutil.rmtree(tmp_path / "sub101")
    assert ClipFolders(tmp_path).find("sub101", "EP15") is None


# ---- videos


@pytest.mark.parametrize(
    ("suffix", "codec"), [(".AVI", "MJPG"), (".mp4", "mp4v"), (".mkv", "FFV1")]
)
def test_a_videos_frames_are_read_by_their_paths(tmp_path, clip, suffix, codec):
    path = write_video(tmp_path / f"clip{suffix.lower()}", clip, codec)
    path = path.rename(path.with_suffix(suffix))
    frames = list_frames(path)
    assert list(frames) == list(range(12))
    assert frames[7] == tmp_path / f"clip{suffix}#7"
    assert file_of(frames[7]) == path
    if codec == "FFV1":
        assert np.abs(read_image(frames[7]).astype(int) - clip[7]).mean() < 2
    colour, grey = dict(read_frames(path)), dict(read_frames(path, grey=True))
    for number in (3, 3, 4, 9, 2, 11, 0):
        assert np.array_equal(read_image(frames[number]), colour[number])
        assert np.array_equal(read_image(frames[number], grey=True), grey[number])


def test_going_on_in_a_video_opens_it_once(tmp_path, clip, monkeypatch):
    path = write_video(tmp_path / "clip.mkv", clip)
    opened = []
    reader = video_file.VideoReader
    monkeypatch.setattr(video_file, "VideoReader", lambda path: opened.append(path) or reader(path))
    frames = list_frames(path)
    list_frames(path)
    assert len(opened) == 1  # counted once
    assert len(list(read_frames(frames))) == 12
    assert len(opened) == 2


def test_threads_read_one_video_each_on_its_own(tmp_path, clip):
    frames = list_frames(write_video(tmp_path / "clip.mkv", clip))
    order = np.random.default_rng(0).permutation(np.repeat(range(12), 5))
    with ThreadPoolExecutor(4) as pool:
        images = list(pool.map(lambda n: read_image(frames[n]), order))
    for number, image in zip(order, images):
        assert np.array_equal(image, read_image(frames[number]))


def test_a_video_that_changed_is_read_anew(tmp_path, clip):
    path = write_video(tmp_path / "clip.mkv", clip)
    first = read_image(list_frames(path)[0])
    write_video(path, clip[6:])
    assert len(list_frames(path)) == 6
    assert not np.array_equal(read_image(list_frames(path)[0]), first)


def test_broken_videos_are_one_line(tmp_path, clip, capfd):
    whole = write_video(tmp_path / "clip.mp4", clip, "mp4v")
    cut, text = tmp_path / "cut.mp4", tmp_path / "text.avi"
    cut.write_bytes(whole.read_bytes()[:600])
    text.write_text("no video")
    for path, fault in [
        (cut, "not a video that OpenCV can decode"),
        (text, "not a video that OpenCV can decode"),
        (tmp_path / "none.avi", "No such file"),
    ]:
        for read in (list_frames, lambda path: read_image(f"{path}#3")):
            with pytest.raises(UnreadableImageError, match=f"{path.name}: {fault}"):
                read(path)
    with pytest.raises(UnreadableImageError, match=r"clip.mp4: no frame 12; it has 0 to 11"):
        read_image(f"{whole}#12")
    assert capfd.readouterr() == ("", "")


def test_a_videos_frames_get_the_annotations_numbers(tmp_path, clip):
    path = write_video(tmp_path / "clip.mkv", clip)
    between = number_frames(path, 559740, 559751)
    assert list(between) == list(range(559740, 559752))
    assert between[559740].name == "clip.mkv#0"
    assert number_frames(path, 3, 12)[3].name == "clip.mkv#2"  # corpora count from 1
    assert number_frames(path, 0, 9)[9].name == "clip.mkv#9"
    for onset, offset in [(46, 86), (3, 13), (559740, 559750), (559740, 559752), (-2, 4)]:
        with pytest.raises(UserError, match=f"has 12 frames, .* goes from {onset} to {offset}"):
            number_frames(path, onset, offset)
    touch(*[tmp_path / f"clip/img{i}.jpg" for i in range(1, 13)])
    assert list(number_frames(tmp_path / "clip", 46, 57)) == list(range(1, 13))


def test_folders_come_before_videos_and_may_be_called_so(tmp_path, clip):
    touch(tmp_path / "a/s1/s1_ne_01.avi", tmp_path / "b/s1/s1_ne_01/image1.jpg")
    touch(tmp_path / "b/s1/s1_po_01.avi/image1.jpg", tmp_path / "a/s2/s2_ne_01.MOV")
    folders = ClipFolders(tmp_path)
    assert folders.find("s1", "s01_ne_01") == tmp_path / "b/s1/s1_ne_01"
    assert folders.find("s2", "s2_ne_01") == tmp_path / "a/s2/s2_ne_01.MOV"
    assert list(list_frames(tmp_path / "b/s1/s1_po_01.avi")) == [1]
    assert folders.clips() == [
        tmp_path / "a/s1/s1_ne_01.avi", tmp_path / "a/s2/s2_ne_01.MOV",
        tmp_path / "b/s1/s1_ne_01", tmp_path / "b/s1/s1_po_01.avi",
    ]  # fmt: skip


def test_a_corpus_of_videos_goes_from_spotting_to_maps(tmp_path):
    annotation = write_spotted(tmp_path, [(1, 0, 6), (2, 1, 8)])
    whole = tmp_path / "whole"
    shutil.copytree(tmp_path / "HS", whole / "HS")
    for subject, seed, apex in [(1, 0, 6), (2, 1, 8)]:
        folder = tmp_path / f"HS/s{subject}/s{subject}_ne_{seed:02d}"
        write_video(folder.with_suffix(".mkv"), draw_clip(apex=apex, seed=seed))
        shutil.rmtree(folder)
    out = tmp_path / "out/smic_apex.csv"
    for root, path in ((tmp_path / "HS", out), (whole, tmp_path / "whole_apex.csv")):
        done = call(
            "smic_processing.py", "--root", root, "--annotation", annotation, "--out", path,
            "--landmarks", "dlib",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    index, other = read_index(out), read_index(tmp_path / "whole_apex.csv")
    assert (index["apex_frame"] - other["apex_frame"]).abs().max() <= 1
    assert index["onset_frame_path"].tolist() == ["s1/s1_ne_00.mkv#0", "s2/s2_ne_01.mkv#0"]
    assert index["offset_frame_path"][0] == f"s1/s1_ne_00.mkv#{FRAMES - 1}"
    pictures = load_clips(index, None, tmp_path / "HS", (48, 48))
    assert len(pictures.frames) == 2
    maps, _ = motion_maps(index, tmp_path / "HS", finder(), 24, tmp_path / "cache")
    assert np.isfinite(maps).all()
    assert len(list((tmp_path / "cache").iterdir())) == 2
    again, _ = motion_maps(index, tmp_path / "HS", finder(), 24, tmp_path / "cache")
    assert np.array_equal(again, maps)


# ---- views


@pytest.mark.parametrize(
    ("name", "apex", "folder"),
    [
        ("img46.jpg", 46, 46), ("006_05588.jpg", 5588, 5588), ("img46_224.jpg", 46, 46),
        ("img47_224.jpg", 46, 47),  # stands in for 46
        ("img48.jpg", 46, 48), ("006_00007.jpg", 5, 7), ("s1_ne_01.avi#46", 1, 46),
        ("s1_ne_01.avi#46", 559786, 46), ("img46_2.jpg", None, 2), ("img9_224.jpg", 46, 224),
    ],
)  # fmt: skip
def test_views_lie_under_the_number_of_their_frame(name, apex, folder):
    clip = {"data": "smic", "subject": "01", "clip": "c", "apex_frame_path": f"x/{name}"}
    assert view_folder("v", clip | {"apex_frame": apex}) == Path(f"v/smic/01/c/{folder}")
