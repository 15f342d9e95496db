"""Pictures of every file type, depth and orientation, whole and cut off."""

import io

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from data.disk.decode import UnreadableImageError, decode_image
from data.disk.frames import read_image

NOISE = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
RGB = cv2.GaussianBlur(NOISE, (0, 0), 4)
GREY = cv2.cvtColor(RGB, cv2.COLOR_RGB2GRAY)
LOSSLESS = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95}}
# What each value of the orientation tag says is to be done to the stored pixels.
TURNS = {
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: image.swapaxes(0, 1)[:, ::-1],
    7: lambda image: image.swapaxes(0, 1)[::-1, ::-1],
    8: lambda image: image.swapaxes(0, 1)[::-1],
}


def coded(pixels: np.ndarray, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, form, **LOSSLESS.get(form, {}) | options)
    return out.getvalue()


def by_opencv(pixels: np.ndarray, suffix: str) -> bytes:
    return cv2.imencode(suffix, pixels)[1].tobytes()


def tag(orientation: int, form: str) -> dict:
    if form == "TIFF":
        return {"tiffinfo": {274: orientation}}
    exif = Image.Exif()
    exif[274] = orientation
    return {"exif": exif.tobytes()}


def near(image: np.ndarray, other: np.ndarray, form: str) -> bool:
    off = np.abs(image.astype(int) - other).mean()
    return image.shape == other.shape and off < (4 if form == "JPEG" else 1)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp"])
@pytest.mark.parametrize("pixels", [RGB, GREY, NOISE])
def test_a_plain_file_has_opencvs_own_pixels(suffix, pixels):
    data = by_opencv(pixels, suffix)
    flat = np.frombuffer(data, np.uint8)
    colour = cv2.imdecode(flat, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    assert np.array_equal(decode_image(data, False, "a"), colour[..., ::-1])
    grey = cv2.imdecode(flat, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
    assert np.array_equal(decode_image(data, True, "a"), grey)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "PPM"])
@pytest.mark.parametrize("orientation", TURNS)
def test_the_orientation_tag_holds_in_colour_and_grey(form, orientation):
    tagged = form not in ("BMP", "PPM")
    data = coded(RGB, form, **tag(orientation, form) if tagged else {})
    turn = TURNS[orientation if tagged else 1]
    assert near(decode_image(data, False, "a"), turn(RGB), form)
    assert near(decode_image(data, True, "a"), turn(GREY), form)


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("depth", [np.uint16, np.float32])
def test_deep_tiffs_are_turned_too(orientation, depth):
    pixels = GREY.astype(depth) * (257 if depth is np.uint16 else 1)
    data = coded(pixels, "TIFF", **tag(orientation, "TIFF"))
    for grey in (False, True):
        image = decode_image(data, grey, "a")
        assert np.array_equal(image if grey else image[..., 0], TURNS[orientation](GREY))


def test_a_tag_behind_the_pixels_or_behind_other_metadata_holds():
    exif = tag(6, "PNG")["exif"]
    png, exif_png = coded(RGB, "PNG"), coded(RGB, "PNG", exif=exif)
    start = exif_png.index(b"eXIf") - 4
    chunk = exif_png[start : start + 12 + int.from_bytes(exif_png[start : start + 4], "big")]
    assert near(decode_image(png[:-12] + chunk + png[-12:], False, "a"), TURNS[6](RGB), "PNG")
    jpeg = coded(RGB, "JPEG", exif=exif)
    xmp = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>"
    other = b"\xff\xe1" + (len(xmp) + 2).to_bytes(2, "big") + xmp
    assert near(decode_image(jpeg[:2] + other + jpeg[2:], True, "a"), TURNS[6](GREY), "JPEG")


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".ppm", ".jp2"])
def test_16_bits_keep_the_high_ones(suffix):
    deep = RGB.astype(np.uint16) * 256 + 200
    data = by_opencv(deep[..., ::-1], suffix)
    assert np.array_equal(decode_image(data, False, "a"), RGB)
    assert near(decode_image(data, True, "a"), GREY, suffix)
    data = by_opencv(deep[..., 0], ".pgm" if suffix == ".ppm" else suffix)
    assert np.array_equal(decode_image(data, True, "a"), RGB[..., 0])


@pytest.mark.parametrize(
    ("dtype", "factor"),
    [
        (np.float32, 1), (np.float64, 1 / 255), (np.float32, 1.02 / RGB.max()), (np.float64, 257),
        (np.int8, 0.5), (np.int16, 1), (np.int32, 1), (np.uint32, 257), (np.uint32, 2**24 + 1),
    ],
)  # fmt: skip
@pytest.mark.parametrize("pixels", [RGB, GREY])
def test_a_tiff_without_a_scale_gets_the_one_that_holds_it(dtype, factor, pixels):
    stored = (pixels.astype(np.float64) * factor).astype(dtype)
    data = by_opencv(stored[..., ::-1] if pixels.ndim == 3 else stored, ".tiff")
    whole = pixels * 0.5 if dtype == np.int8 else pixels.astype(float)
    if factor == 1.02 / RGB.max():
        whole = np.minimum(whole * (255 * factor), 255)
    colour, grey = decode_image(data, False, "a"), decode_image(data, True, "a")
    assert np.abs(colour - (whole if pixels.ndim == 3 else whole[..., None])).max() <= 1
    assert grey.shape == GREY.shape
    assert np.abs(grey.astype(int) - cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY)).max() <= 1


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf, 1e9])
def test_pixels_that_are_no_brightness_are_refused(bad):
    stored = GREY.astype(np.float32)
    stored[3, 4] = bad
    with pytest.raises(UnreadableImageError, match=r"a\.tif: pixels from"):
        decode_image(by_opencv(stored, ".tiff"), False, "a.tif")


@pytest.mark.parametrize("form", ["PNG", "TIFF", "JPEG2000"])
@pytest.mark.parametrize("alpha", [7, 255])
def test_alpha_is_dropped_not_multiplied(form, alpha):
    rgba = np.dstack([RGB, np.full(RGB.shape[:2], alpha, np.uint8)])
    data = coded(rgba, form)
    assert near(decode_image(data, False, "a"), RGB, form)
    assert near(decode_image(data, True, "a"), GREY, form)


@pytest.mark.parametrize("form", ["PNG", "TIFF", "BMP"])
def test_palettes_are_looked_up(form):
    out = io.BytesIO()
    indexed = Image.fromarray(RGB).quantize(64)
    indexed.save(out, form)
    want = np.asarray(indexed.convert("RGB"))
    assert np.array_equal(decode_image(out.getvalue(), False, "a"), want)
    assert near(decode_image(out.getvalue(), True, "a"), cv2.cvtColor(want, cv2.COLOR_RGB2GRAY), "")


def with_thumbnail() -> bytes:
    """A JPEG whose Exif block holds a small JPEG, with an end marker of its own."""
    small = coded(RGB[::4, ::4].copy(), "JPEG")
    parts = [
        b"II*\0\x08\0\0\0", b"\1\0", b"\x12\1\3\0\1\0\0\0\1\0\0\0", (26).to_bytes(4, "little"),
        b"\2\0", b"\1\2\4\0\1\0\0\0", (56).to_bytes(4, "little"),
        b"\2\2\4\0\1\0\0\0", len(small).to_bytes(4, "little"), b"\0\0\0\0", small,
    ]  # fmt: skip
    return coded(RGB, "JPEG", exif=b"Exif\0\0" + b"".join(parts))


FILES = {
    "jpg": coded(RGB, "JPEG"),
    "progressive.jpg": coded(RGB, "JPEG", progressive=True),
    "thumbnail.jpg": with_thumbnail(),
    "png": coded(RGB, "PNG"),
    "bmp": coded(RGB, "BMP"),
    "webp": coded(RGB, "WEBP"),
    "lzw.tif": coded(RGB, "TIFF", compression="tiff_lzw"),
    "plain.tif": coded(RGB, "TIFF"),
    "ppm": coded(RGB, "PPM"),
    "jp2": coded(RGB, "JPEG2000"),
}


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("behind", [b"\0" * 5000, b"\xff" * 100, b"MPF\0" + FILES["jpg"]])
def test_what_follows_the_end_does_not_matter(kind, behind):
    for grey in (False, True):
        whole = decode_image(FILES[kind], grey, "a")
        assert np.array_equal(decode_image(FILES[kind] + behind, grey, "a"), whole)


@pytest.mark.parametrize("kind", FILES)
@given(st.floats(0, 0.98), st.booleans())
def test_a_cut_off_file_is_refused(kind, part, grey):
    data = FILES[kind]
    with pytest.raises(UnreadableImageError, match=r"a\.jpg: (the image is cut|empty or not)"):
        decode_image(data[: int(len(data) * part)], grey, "a.jpg")


@pytest.mark.parametrize("kind", ["jpg", "progressive.jpg", "thumbnail.jpg", "png"])
@pytest.mark.parametrize("part", [0.4, 0.6, 0.9])
def test_a_cut_off_file_that_was_filled_up_is_refused(kind, part):
    data = FILES[kind]
    keep = int(len(data) * part)
    with pytest.raises(UnreadableImageError, match="the image is cut off"):
        decode_image(data[:keep] + b"\0" * (len(data) - keep), False, "a.jpg")


def test_a_fault_is_one_line_with_nothing_else_on_stderr(capfd):
    for data in (*[whole[: len(whole) // 2] for whole in FILES.values()], b"BMxx", b"P6 9"):
        with pytest.raises(UnreadableImageError) as error:
            decode_image(data, False, "a.jpg")
        assert "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")


def test_more_pixels_than_opencv_takes_are_an_error_of_the_file():
    with pytest.raises(UnreadableImageError, match=r"a\.pgm: the image"):
        decode_image(b"P5 70000 70000 255\n", False, "a.pgm")


@pytest.mark.parametrize(
    "name", ["a.TIF", "a.tiff", "a.webp", "a.ppm", "a.jp2", "a.JPEG", "a#3.png", "clip.avi#3.bmp"]
)
def test_pictures_are_read_by_their_path(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(by_opencv(RGB[..., ::-1], path.suffix.lower()))
    assert near(read_image(path), RGB, "JPEG")
    assert near(read_image(str(path), grey=True), GREY, "JPEG")
