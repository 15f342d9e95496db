"""Pictures on disk: every kind that people have, and every way they break."""

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import write_frame

from common.errors import UserError
from common.files import write_whole
from data.clip_set import load_clips
from data.disk.frames import UnreadableImageError, read_image
from data.index import read_index

RGB = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".PNG", ".jpg"])
def test_colour_is_read_as_rgb(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    smooth = cv2.GaussianBlur(RGB, (0, 0), 5)
    cv2.imwrite(str(path), smooth[..., ::-1])
    assert np.abs(read_image(path).astype(int) - smooth).mean() < 3


def test_grey_16_bit_and_alpha_become_rgb(tmp_path):
    cv2.imwrite(str(tmp_path / "grey.png"), RGB[..., 0])
    assert (read_image(tmp_path / "grey.png") == RGB[..., :1]).all()
    cv2.imwrite(str(tmp_path / "deep.png"), RGB[..., 0].astype(np.uint16) * 257)
    assert (read_image(tmp_path / "deep.png") == RGB[..., :1]).all()
    rgba = np.dstack([RGB[..., ::-1], np.full(RGB.shape[:2], 7, np.uint8)])
    cv2.imwrite(str(tmp_path / "alpha.png"), rgba)
    assert (read_image(tmp_path / "alpha.png") == RGB).all()


def truncated(path, keep):
    write_frame(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
@pytest.mark.parametrize("keep", [0.02, 0.5, 0.95])
def test_a_cut_off_image_is_refused(tmp_path, name, keep):
    truncated(tmp_path / name, keep)
    with pytest.raises(UnreadableImageError, match=name):
        read_image(tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"this is a text file\n"])
def test_a_file_that_is_no_image_is_refused(tmp_path, content):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(UnreadableImageError, match="empty or not an image"):
        read_image(tmp_path / "a.jpg")
    with pytest.raises(UnreadableImageError, match="No such file"):
        read_image(tmp_path / "b.jpg")


def test_pictures_are_read_once_and_found_by_slot(tiny):
    index = read_index(tiny / "index/smic_apex.csv")
    four = read_index(tiny / "index/smic_four_frames.csv", companion=True)
    pictures = load_clips(index, four, tiny, (20, 24))
    assert pictures.frames.dtype == torch.uint8
    assert pictures.frames.shape == (24 * 5, 3, 20, 24)
    assert (pictures.slots >= 0).all()
    apex = cv2.resize(
        read_image(tiny / index["apex_frame_path"][7]), (24, 20), interpolation=cv2.INTER_AREA
    )
    stored = pictures.frames[pictures.slots[7, 0]]
    assert torch.equal(stored, torch.from_numpy(apex).movedim(-1, 0))


def test_without_a_companion_the_apex_is_all_there_is(tiny, capsys):
    index = read_index(tiny / "index/smic_apex.csv")
    pictures = load_clips(index, None, tiny, (16, 16))
    assert (pictures.slots[:, 1:] == -1).all()
    assert "24 of 24 clips have no neighbouring frames" in capsys.readouterr().err


def test_a_tiny_picture_is_named(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((1, 1, 3), np.uint8))
    index = pd.DataFrame(
        {"data": ["smic"], "subject": ["01"], "clip": ["c"], "apex_frame_path": ["a.png"]}
    )
    with pytest.raises(UserError, match=r"a.png: 1x1 pixels, too small"):
        load_clips(index, None, tmp_path, (16, 16))


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(UserError, match="No space left"), write_whole(path) as part:
        part.write_text("new")
        raise OSError(28, "No space left on device")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
