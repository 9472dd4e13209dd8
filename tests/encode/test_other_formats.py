"""JPEG, BMP, WebP, GIF, TIFF and AVIF: what each keeps, what it changes with a note, and what it refuses."""

from __future__ import annotations

import io
import resource
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, features

from pixlog.errors import InputError
from pixlogd.encode import Encoded, EncodeOptions, encode
from pixlogd.rendering.picture import Picture

_HAS_AVIF = bool(features.check("avif"))
_SHAPES = [(1, 1), (1, 9), (9, 1), (13, 17), (300, 401)]
_CHANNELS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4, "YCbCr": 3, "LAB": 3}


def _picture(mode: str, height: int = 60, width: int = 80, seed: int = 0) -> Picture:
    rng = np.random.default_rng(seed)
    if mode == "1":
        return Picture(rng.integers(0, 2, (height, width)).astype(bool), mode)
    if mode == "I;16":
        return Picture(rng.integers(0, 65536, (height, width), dtype=np.uint16), mode)
    if mode == "F":
        return Picture(rng.normal(size=(height, width)).astype(np.float32), mode)
    if mode == "P":
        palette = rng.integers(0, 256, 768, dtype=np.uint8).tobytes()
        return Picture(rng.integers(0, 256, (height, width), dtype=np.uint8), mode, palette)
    shape = (height, width) if mode == "L" else (height, width, _CHANNELS[mode])
    return Picture(rng.integers(0, 256, shape, dtype=np.uint8), mode)


def _smooth(height: int = 120, width: int = 160) -> npt.NDArray[np.uint8]:
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows + columns, 255 - rows, columns], axis=-1).clip(0, 255).astype(np.uint8)


def _opened(encoded: Encoded) -> Image.Image:
    image = Image.open(io.BytesIO(encoded.data))
    image.load()
    return image


_EXACT = [
    *(("bmp", mode) for mode in ("1", "L", "P", "RGB")),
    *(("tiff", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "F", "CMYK", "LAB")),
    *(("gif", mode) for mode in ("L", "P")),
    *(("webp", mode) for mode in ("RGB", "RGBA")),
]


@pytest.mark.parametrize(("height", "width"), _SHAPES)
@pytest.mark.parametrize(("file_type", "mode"), _EXACT)
def test_format_keeps_mode_and_samples(file_type: str, mode: str, height: int, width: int) -> None:
    """What a format can hold decodes to the same mode and the same samples, bit for bit, without a note."""
    picture = _picture(mode, height, width)
    lossless = True if file_type == "webp" else None
    for level in ("fast", "small", "pillow"):
        encoded = encode(picture, EncodeOptions(file_type=file_type, level=level, lossless=lossless))
        image = _opened(encoded)
        assert (image.mode, encoded.notes) == (mode, [])
        np.testing.assert_array_equal(np.asarray(image), picture.pixels)
        if mode == "P":
            colours = np.frombuffer(picture.palette or b"", np.uint8).reshape(-1, 3)
            np.testing.assert_array_equal(np.asarray(image.convert("RGB")), colours[picture.pixels])


def test_tiff_keeps_every_float() -> None:
    """float32 in TIFF keeps NaN payloads, infinities, negative zero and subnormals."""
    values = np.array([[np.nan, np.inf, -np.inf], [-0.0, 1e-42, 3.4e38]], np.float32)
    image = _opened(encode(Picture(values, "F"), EncodeOptions(file_type="tiff")))
    assert np.asarray(image).tobytes() == values.tobytes()


@pytest.mark.parametrize(
    ("file_type", "mode", "saved"),
    [
        ("webp", "1", "RGB"),
        ("webp", "L", "RGB"),
        ("webp", "LA", "RGBA"),
        ("webp", "P", "RGB"),
        ("gif", "1", "L"),
    ],
)
def test_format_widens_mode_with_a_note(file_type: str, mode: str, saved: str) -> None:
    """A wider mode keeps every value, and the note names both modes."""
    picture = _picture(mode)
    lossless = True if file_type == "webp" else None
    encoded = encode(picture, EncodeOptions(file_type=file_type, lossless=lossless))
    image = _opened(encoded)
    assert image.mode == saved
    original = _opened(encode(picture, EncodeOptions()))
    np.testing.assert_array_equal(np.asarray(image.convert("RGBA")), np.asarray(original.convert("RGBA")))
    assert len(encoded.notes) == 1
    assert repr(mode) in encoded.notes[0]
    assert saved in encoded.notes[0]


@pytest.mark.parametrize("file_type", ["jpg", "jpeg", "bmp"])
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_alpha_is_flattened_on_the_background(file_type: str, mode: str) -> None:
    """Transparent pixels become the background colour, opaque ones keep theirs, and a note says so."""
    opaque = np.zeros((16, 16), bool)
    opaque[:, 8:] = True
    if mode == "P":
        picture = Picture(opaque.astype(np.uint8), "P", bytes([9, 9, 9, 0, 100, 100, 100, 255]), "RGBA")
    else:
        alpha = np.where(opaque, 255, 0).astype(np.uint8)
        gray = np.full((16, 16), 100, np.uint8)
        picture = Picture(np.stack([gray] * (len(mode) - 1) + [alpha], axis=-1), mode)
    encoded = encode(picture, EncodeOptions(file_type=file_type, quality=None, background=(200, 30, 40)))
    image = _opened(encoded)
    assert image.mode == "RGB"
    pixels = np.asarray(image).astype(int)
    assert abs(pixels[:, 2] - (200, 30, 40)).max() < 12
    assert abs(pixels[:, 13] - 100).max() < 12
    assert encoded.notes == [f"{file_type} has no alpha: flattened on the background colour #c81e28"]


def test_alpha_blends_by_its_share() -> None:
    """Half transparent black on white is middle gray, and gray with alpha on gray stays gray."""
    half = np.zeros((8, 8, 2), np.uint8)
    half[..., 1] = 128
    image = _opened(encode(Picture(half, "LA"), EncodeOptions(file_type="bmp")))
    assert image.mode == "L"
    assert abs(np.asarray(image).astype(int) - 127).max() <= 1


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "P", "CMYK", "YCbCr"])
@pytest.mark.parametrize("size", [8, 400])
def test_jpg_holds_photographs_of_its_modes(mode: str, size: int) -> None:
    """JPEG opens again at its size, in memory and through a descriptor alike."""
    picture = _picture(mode, size, size)
    image = _opened(encode(picture, EncodeOptions(file_type="jpg", quality=95)))
    assert (image.format, image.size) == ("JPEG", (size, size))
    assert image.mode == {"1": "L", "L": "L", "CMYK": "CMYK"}.get(mode, "RGB")


def test_jpg_is_close_at_high_quality() -> None:
    """A smooth picture at quality 95 is within a few gray levels."""
    pixels = _smooth()
    image = _opened(encode(Picture(pixels, "RGB"), EncodeOptions(file_type="jpg", quality=95)))
    assert abs(np.asarray(image).astype(int) - pixels).mean() < 2


def test_jpg_writes_what_pillow_writes() -> None:
    """The default JPEG is byte for byte Pillow's, whether saved in memory or through a descriptor."""
    for height in (20, 500):
        picture = _picture("RGB", height, 300)
        buffer = io.BytesIO()
        Image.fromarray(picture.pixels).save(buffer, "JPEG")
        assert encode(picture, EncodeOptions(file_type="jpg")).data == buffer.getvalue()


@pytest.mark.parametrize(
    "file_type",
    [
        "jpg",
        "webp",
        pytest.param("avif", marks=pytest.mark.skipif(not _HAS_AVIF, reason="Pillow without AVIF")),
    ],
)
def test_quality_changes_size(file_type: str) -> None:
    """More quality is more bytes."""
    if file_type == "avif" and not _HAS_AVIF:
        pytest.skip("Pillow without AVIF")
    picture = _picture("RGB", 64, 64)
    sizes = [len(encode(picture, EncodeOptions(file_type=file_type, quality=q)).data) for q in (10, 50, 95)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[2]


@pytest.mark.parametrize("file_type", ["png", "jpg", "webp", "tiff"])
def test_level_small_is_not_larger(file_type: str) -> None:
    """On a smooth picture with a little noise "small" has at most the bytes of "fast"."""
    noise = np.random.default_rng(0).integers(0, 6, (200, 300, 3), dtype=np.uint8)
    picture = Picture(_smooth(200, 300) // 2 + noise, "RGB")
    lossless = True if file_type == "webp" else None
    fast, small = (
        len(encode(picture, EncodeOptions(file_type=file_type, level=level, lossless=lossless)).data)
        for level in ("fast", "small")
    )
    assert small <= fast


@pytest.mark.skipif(not _HAS_AVIF, reason="Pillow without AVIF")
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "1", "P"])
def test_avif_opens_again(mode: str) -> None:
    """AVIF takes gray and colour with and without alpha."""
    image = _opened(encode(_picture(mode), EncodeOptions(file_type="avif", quality=80)))
    assert (image.format, image.size) == ("AVIF", (80, 60))


def test_avif_names_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without libavif the error says which Pillow has it and what works instead."""
    monkeypatch.setattr(features, "check", lambda name: False)
    with pytest.raises(InputError, match=r"avif needs a Pillow built with libavif.*webp or png"):
        encode(_picture("RGB"), EncodeOptions(file_type="avif"))


def test_gif_reduces_colours_with_a_note() -> None:
    """RGB in GIF is one frame with a palette, and the note says that colours were lost."""
    encoded = encode(_picture("RGB"), EncodeOptions(file_type="gif"))
    image = _opened(encoded)
    assert (image.mode, getattr(image, "n_frames", 1)) == ("P", 1)
    assert encoded.notes == ["gif holds 256 colours: mode RGB was reduced to a palette"]


@pytest.mark.parametrize(
    ("file_type", "mode"),
    [
        ("jpg", "I;16"),
        ("jpg", "F"),
        ("bmp", "F"),
        ("bmp", "CMYK"),
        ("webp", "I;16"),
        ("gif", "F"),
        ("avif", "I;16"),
        ("tiff", "HSV"),
        ("png", "F"),
    ],
)
def test_format_refuses_modes_it_cannot_hold(file_type: str, mode: str) -> None:
    """The error names the format, the mode and what would work."""
    if file_type == "avif" and not _HAS_AVIF:
        pytest.skip("Pillow without AVIF")
    picture = Picture(np.zeros((4, 4, 3), np.uint8), mode) if mode == "HSV" else _picture_any(mode)
    for level in ("fast", "pillow"):
        with pytest.raises(InputError, match=f"{file_type} cannot hold mode '{mode}'") as caught:
            encode(picture, EncodeOptions(file_type=file_type, level=level))
        assert any(hint in str(caught.value) for hint in ("can hold", "convert", "save it as"))


def _picture_any(mode: str) -> Picture:
    return _picture(mode, 4, 4)


def test_format_refuses_16_bit_colour() -> None:
    """16-bit RGB fits in PNG only, and the error says so."""
    picture = Picture(np.zeros((4, 4, 3), np.uint16), "RGB")
    for file_type in ("jpg", "tiff", "webp", "bmp"):
        with pytest.raises(InputError, match=r"uint16 samples of mode 'RGB'.*fit in png"):
            encode(picture, EncodeOptions(file_type=file_type))


def test_format_refuses_pixels_that_are_not_their_mode() -> None:
    """Three channels called gray are an InputError, never the wrong picture."""
    for file_type in ("jpg", "tiff", "webp", "bmp", "gif"):
        with pytest.raises(InputError, match=r"mode 'L' with pixels of shape \(4, 4, 3\)"):
            encode(Picture(np.zeros((4, 4, 3), np.uint8), "L"), EncodeOptions(file_type=file_type))


@pytest.mark.parametrize(("file_type", "limit"), [("jpg", 65_500), ("webp", 16_383)])
def test_format_refuses_sides_over_its_limit(file_type: str, limit: int) -> None:
    """The error gives the limit and the size; the limit itself is taken."""
    wide = Picture(np.zeros((1, limit + 1), np.uint8), "L")
    with pytest.raises(InputError, match=rf"at most {limit} pixels a side, got {limit + 1}x1"):
        encode(wide, EncodeOptions(file_type=file_type))
    tall = Picture(np.zeros((limit, 1), np.uint8), "L")
    assert _opened(encode(tall, EncodeOptions(file_type=file_type))).size == (1, limit)


def test_icc_profile_is_kept() -> None:
    """JPEG, WebP and TIFF carry the profile of the picture."""
    picture = Picture(_smooth(), "RGB", icc=b"profile")
    for file_type in ("jpg", "webp", "tiff"):
        assert _opened(encode(picture, EncodeOptions(file_type=file_type))).info["icc_profile"] == b"profile"


def test_pillow_failure_is_an_input_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever Pillow raises while saving says which picture and format it was about."""

    def fail(self: Image.Image, *args: Any, **options: Any) -> None:
        raise OSError("encoder error -2")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(InputError, match="jpg cannot save 80x60 pixels of mode 'RGB': encoder error -2"):
        encode(_picture("RGB"), EncodeOptions(file_type="jpg"))


@pytest.mark.parametrize(
    ("limit", "most"),
    [
        pytest.param(resource.RLIMIT_NOFILE, 0, id="no descriptor"),
        pytest.param(resource.RLIMIT_FSIZE, 4096, id="no room"),
    ],
)
def test_large_jpeg_is_made_without_the_system_s_help(limit: int, most: int) -> None:
    """Where no descriptor or no room behind one can be had, the JPEG is the same, made in memory of its own."""
    picture, options = Picture(_smooth(400, 500), "RGB"), EncodeOptions(file_type="jpg", quality=75)
    expected = encode(picture, options)
    before = resource.getrlimit(limit)
    resource.setrlimit(limit, (most, before[1]))
    try:
        encoded = encode(picture, options)
    finally:
        resource.setrlimit(limit, before)
    assert bytes(encoded.data) == bytes(expected.data)
