"""Every picture that PNG can hold decodes to the mode and the exact samples it had, whichever coder there is."""

from __future__ import annotations

import io
import struct
import threading
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pixlog.errors import InputError
from pixlogd.encode import EncodeOptions, compiled, encode
from pixlogd.encode import png as png_module
from pixlogd.encode.filters import AVERAGE, PAETH
from pixlogd.encode.plan import plan_of
from pixlogd.encode.raster import raster_of
from pixlogd.rendering.picture import Picture

Pixels = npt.NDArray[Any]

_CHANNELS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}
_BAND = png_module._BAND_NBYTES


@pytest.fixture(scope="module", params=["own coder", "without it"], autouse=True)
def coder(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test of this file runs with the compiled coder, where there is one, and without."""
    if request.param == "own coder" and compiled.library is None:
        pytest.skip("the package was built without a C compiler: there is no libpng_rows.so")
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "without it":
            patch.setattr(compiled, "library", None)
        yield


def _content(rng: np.random.Generator, shape: tuple[int, ...], dtype: str, kind: str) -> Pixels:
    top = 65536 if dtype == "uint16" else 256
    if kind == "noise":
        return rng.integers(0, top, shape, dtype)
    if kind == "flat":
        flat: Pixels = np.where(rng.integers(0, 3, shape) == 0, top - 1, 0).astype(dtype)
        return flat
    rows = np.arange(shape[0]).reshape(-1, *[1] * (len(shape) - 1)) * 3
    columns = np.arange(shape[1]).reshape(1, -1, *[1] * (len(shape) - 2)) * 5
    smooth: Pixels = ((rows + columns + rng.integers(0, 4, shape)) * (top // 256) % top).astype(dtype)
    return smooth


def _decoded(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def _shape(height: int, width: int, channel_count: int) -> tuple[int, ...]:
    return (height, width) if channel_count == 1 else (height, width, channel_count)


def _idat(data: bytes) -> bytes:
    """The zlib stream of a file, all of whose chunks have the right checksum."""
    at, idat = 8, b""
    while at < len(data):
        (nbytes,) = struct.unpack_from(">I", data, at)
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + nbytes]
        assert struct.unpack_from(">I", data, at + 8 + nbytes) == (zlib.crc32(kind + body),)
        idat += body if kind == b"IDAT" else b""
        at += 12 + nbytes
    return idat


def _samples(data: bytes) -> Pixels:
    """Decode with a few lines of our own, from the PNG specification, since Pillow has no 16-bit colour."""
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    channel_count = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    step = channel_count * depth // 8
    raw = np.frombuffer(zlib.decompress(_idat(data)), np.uint8).reshape(height, 1 + width * step)
    rows = np.zeros((height + 1, width * step + step), np.int64)
    for y in range(height):
        above, row = rows[y], rows[y + 1]
        for x in range(step, width * step + step):
            a, b, c = int(row[x - step]), int(above[x]), int(above[x - step])
            p = a + b - c
            nearest = min((a, b, c), key=lambda v: abs(p - v))
            prediction = (0, a, b, (a + b) // 2, nearest)[raw[y, 0]]
            row[x] = (int(raw[y, 1 + x - step]) + prediction) & 255
    samples = rows[1:, step:].astype(np.uint8)
    typed = samples.view(">u2") if depth == 16 else samples
    return typed.astype(np.uint16 if depth == 16 else np.uint8).reshape(_shape(height, width, channel_count))


@pytest.mark.parametrize("level", ["fast", "small"])
def test_png_keeps_samples_of_every_small_shape(level: str) -> None:
    """All 1,600 shapes from 1x1 to 40x40, the modes taking turns, come back as they were."""
    rng = np.random.default_rng(9)
    for height in range(1, 41):
        for width in range(1, 41):
            mode = sorted(_CHANNELS)[(height + width) % 4]
            kind = ("noise", "flat", "smooth")[(height * 7 + width) % 3]
            pixels = _content(rng, _shape(height, width, _CHANNELS[mode]), "uint8", kind)
            image = _decoded(encode(Picture(pixels, mode), EncodeOptions(level=level)).data)
            assert (image.mode, np.array_equal(np.asarray(image), pixels)) == (mode, True), (height, width)


@settings(max_examples=150, deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    mode=st.sampled_from(sorted(_CHANNELS)),
    kind=st.sampled_from(["noise", "flat", "smooth"]),
    level=st.sampled_from(["fast", "small", "pillow"]),
    seed=st.integers(0, 2**16),
)
def test_png_keeps_8_bit_samples(
    height: int, width: int, mode: str, kind: str, level: str, seed: int
) -> None:
    """8-bit gray, gray-alpha, RGB and RGBA of every small shape come back as they were, in the same mode."""
    rng = np.random.default_rng(seed)
    pixels = _content(rng, _shape(height, width, _CHANNELS[mode]), "uint8", kind)
    image = _decoded(encode(Picture(pixels, mode), EncodeOptions(level=level)).data)
    assert image.mode == mode
    np.testing.assert_array_equal(np.asarray(image), pixels)


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    mode=st.sampled_from(sorted(_CHANNELS)),
    kind=st.sampled_from(["noise", "flat", "smooth"]),
    level=st.sampled_from(["fast", "small"]),
    order=st.sampled_from(["<", ">"]),
    seed=st.integers(0, 2**16),
)
def test_png_keeps_16_bit_samples(
    height: int, width: int, mode: str, kind: str, level: str, order: str, seed: int
) -> None:
    """16-bit samples of one to four channels come back bit for bit, whatever their byte order in memory."""
    rng = np.random.default_rng(seed)
    pixels = _content(rng, _shape(height, width, _CHANNELS[mode]), "uint16", kind)
    data = encode(Picture(pixels.astype(f"{order}u2"), mode), EncodeOptions(level=level)).data
    np.testing.assert_array_equal(_samples(data), pixels)


@settings(max_examples=60, deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 2**16), small=st.booleans())
def test_png_keeps_bits_palettes_and_16_bit_gray(height: int, width: int, seed: int, small: bool) -> None:
    """Modes 1, P (with and without alpha) and I;16 decode to the same mode and samples."""
    rng = np.random.default_rng(seed)
    options = EncodeOptions(level="small" if small else "fast")
    bits = rng.integers(0, 2, (height, width)).astype(bool)
    image = _decoded(encode(Picture(bits, "1"), options).data)
    assert image.mode == "1"
    np.testing.assert_array_equal(np.asarray(image), bits)

    words = rng.integers(0, 65536, (height, width), dtype=np.uint16)
    image = _decoded(encode(Picture(words, "I;16"), options).data)
    assert image.mode == "I;16"
    np.testing.assert_array_equal(np.asarray(image), words)

    indices = rng.integers(0, 20, (height, width), dtype=np.uint8)
    for palette_mode in ("RGB", "RGBA"):
        palette = rng.integers(0, 256, 16 * len(palette_mode), dtype=np.uint8)
        image = _decoded(encode(Picture(indices, "P", palette.tobytes(), palette_mode), options).data)
        assert image.mode == "P"
        np.testing.assert_array_equal(np.asarray(image), indices)
        expected = Image.fromarray(indices)
        expected.putpalette(palette.tobytes(), palette_mode)
        known = indices < 16
        assert (np.asarray(image.convert("RGBA"))[known] == np.asarray(expected.convert("RGBA"))[known]).all()


@pytest.mark.parametrize("rows_over", [-1, 0, 1])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("kind", ["noise", "flat", "smooth"])
def test_png_joins_bands_at_their_boundary(rows_over: int, dtype: str, kind: str) -> None:
    """Pictures of one row less, as many, and one row more than two bands decode whole."""
    width = 500
    band_rows = _BAND // (width * np.dtype(dtype).itemsize + 1)
    shape = (2 * band_rows + rows_over, width)
    pixels = _content(np.random.default_rng(3), shape, dtype, kind)
    mode = "L" if dtype == "uint8" else "I;16"
    np.testing.assert_array_equal(
        np.asarray(_decoded(encode(Picture(pixels, mode), EncodeOptions()).data)), pixels
    )


@pytest.mark.parametrize(
    "shape", [(1, 70_000, 3), (70_000, 1, 3), (1, 1, 3), (1, 9, 3), (9, 1, 3), (2, 200_000, 3), (3000, 2, 3)]
)
def test_png_takes_extreme_shapes(shape: tuple[int, ...]) -> None:
    """One row, one column, and rows wider than a band keep their samples."""
    pixels = _content(np.random.default_rng(5), shape, "uint8", "smooth")
    np.testing.assert_array_equal(
        np.asarray(_decoded(encode(Picture(pixels, "RGB"), EncodeOptions()).data)), pixels
    )


@pytest.mark.parametrize("kind", range(6))
def test_filter_decodes_by_the_specification(kind: int) -> None:
    """Each of the six filter kinds is undone by the decoder of the PNG specification."""
    from pixlogd.encode import plan

    pixels = _content(np.random.default_rng(kind), (40, 60, 3), "uint8", "smooth")
    pixels[10:20] = np.random.default_rng(kind).integers(0, 256, (10, 60, 3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(png_module, "_photograph", lambda raster, kind: ())
        patch.setattr(png_module, "plan_of", lambda raster: plan.Plan(kind, 9))
        data = encode(Picture(pixels, "RGB"), EncodeOptions()).data
    np.testing.assert_array_equal(_samples(data), pixels)


@pytest.mark.parametrize("mode", ["RGB", "I;16"])
@pytest.mark.parametrize("height", [201, 700])
def test_png_of_unlike_parts_mixes_filters_and_keeps_samples(mode: str, height: int) -> None:
    """A picture whose parts want different filters gets both, each for runs of its rows, and keeps its samples."""
    rng = np.random.default_rng(height)
    shape = (height, 640, 3) if mode == "RGB" else (height, 960)
    grain = rng.normal(128, 6, shape)  # which the average predicts best
    checks = np.add.outer(np.arange(height) // 9 % 2 * 90, np.arange(shape[1]) // 7 % 2 * 90)
    checks = rng.normal(30, 0.6, shape) + (checks[..., None] if mode == "RGB" else checks)
    half = np.arange(height).reshape(-1, *[1] * (len(shape) - 1)) > height // 2
    samples = np.where(half, checks, grain).astype(np.uint8)
    pixels = samples if mode == "RGB" else samples.astype(np.uint16) * 257
    plan = plan_of(raster_of(pixels))
    if compiled.library is None:
        assert set(plan.group_kinds) == {AVERAGE, PAETH}
        runs = list(plan.runs(5, height))
        assert [first for first, _, _ in runs] == [5, *(last for _, last, _ in runs[:-1])]
        assert runs[-1][1] == height
    data = encode(Picture(pixels, mode), EncodeOptions()).data
    raw = np.frombuffer(zlib.decompress(_idat(data)), np.uint8).reshape(height, -1)
    assert set(raw[1:, 0].tolist()) == {AVERAGE, PAETH}
    np.testing.assert_array_equal(np.asarray(_decoded(data)), pixels)


def test_png_reads_but_never_writes_its_input() -> None:
    """A read-only view over foreign memory is enough, and its bytes stay as they are."""
    memory = bytes(np.random.default_rng(0).integers(0, 256, 64 * 48 * 3, dtype=np.uint8))
    pixels = np.frombuffer(memory, np.uint8).reshape(64, 48, 3)
    assert not pixels.flags.writeable
    for file_type in ("png", "jpg", "webp", "bmp", "tiff", "gif"):
        encode(Picture(pixels, "RGB"), EncodeOptions(file_type=file_type))
    assert pixels.tobytes() == memory


def test_png_encodes_the_same_from_many_threads() -> None:
    """Four threads at once, each on pictures of several sizes and kinds, give the bytes that one thread gives."""
    rng = np.random.default_rng(1)
    pictures = [
        Picture(_content(rng, (height, 300, 3), "uint8", kind), "RGB")
        for height in (5, 200, 700)
        for kind in ("noise", "flat", "smooth")
    ] + [Picture(_content(rng, (400, 300), "uint16", "smooth"), "I;16")]
    alone = [encode(picture, EncodeOptions()).data for picture in pictures]
    differing: list[int] = []

    def work(offset: int) -> None:
        for i in range(2 * len(pictures)):
            at = (i + offset) % len(pictures)
            if encode(pictures[at], EncodeOptions()).data != alone[at]:
                differing.append(at)

    threads = [threading.Thread(target=work, args=(offset,)) for offset in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not differing


def test_png_holds_only_the_chunks_it_needs() -> None:
    """A plain picture has IHDR, IDAT and IEND, 8 bits, not interlaced; an ICC profile adds iCCP."""
    pixels = np.zeros((30, 20, 3), np.uint8)
    data = encode(Picture(pixels, "RGB"), EncodeOptions()).data
    assert data[12:16] == b"IHDR"
    assert struct.unpack(">IIBBBBB", data[16:29]) == (20, 30, 8, 2, 0, 0, 0)
    assert data.count(b"IDAT") == 1
    assert data.endswith(b"IEND\xaeB`\x82")
    with_icc = encode(Picture(pixels, "RGB", icc=b"a profile"), EncodeOptions()).data
    assert _decoded(with_icc).info["icc_profile"] == b"a profile"


@pytest.mark.parametrize("mode", ["F", "CMYK", "YCbCr", "HSV", "PA"])
def test_png_refuses_modes_it_cannot_hold(mode: str) -> None:
    """The error names the mode and the format."""
    with pytest.raises(InputError, match=f"png cannot hold mode '{mode}'"):
        encode(Picture(np.zeros((4, 4, 3), np.uint8), mode), EncodeOptions())


@pytest.mark.parametrize(
    ("pixels", "mode"),
    [
        (np.zeros((4, 4), np.float32), "L"),
        (np.zeros((4, 4), np.uint8), "RGB"),
        (np.zeros((4, 4), np.uint8), "I;16"),
        (np.zeros((4, 4, 4), np.uint8), "RGB"),
        (np.zeros((4, 4), np.uint16), "P"),
        (np.zeros((4, 4), np.int8), "L"),
    ],
)
def test_png_refuses_pixels_that_are_not_their_mode(pixels: Pixels, mode: str) -> None:
    """A dtype or a channel count that contradicts the mode is an InputError, never a broken file."""
    with pytest.raises(InputError, match="is not a PNG picture"):
        encode(Picture(pixels, mode), EncodeOptions())


@pytest.mark.parametrize("shape", [(0, 4, 3), (4, 0, 3)])
def test_encode_refuses_empty_pictures(shape: tuple[int, ...]) -> None:
    """No format has pictures without pixels."""
    with pytest.raises(InputError, match="cannot be saved"):
        encode(Picture(np.zeros(shape, np.uint8), "RGB"), EncodeOptions())


def test_png_is_read_by_opencv() -> None:
    """libpng, by way of OpenCV, reads what was written: 8-bit and 16-bit, gray and colour."""
    cv2 = pytest.importorskip("cv2")
    rng = np.random.default_rng(2)
    for dtype in ("uint8", "uint16"):
        for kind in ("noise", "flat", "smooth"):
            for height in (20, 400):
                for mode, order in (("L", None), ("RGB", [2, 1, 0]), ("RGBA", [2, 1, 0, 3])):
                    pixels = _content(rng, _shape(height, 300, _CHANNELS[mode]), dtype, kind)
                    data = encode(Picture(pixels, mode), EncodeOptions()).data
                    read = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
                    np.testing.assert_array_equal(read if order is None else read[..., order], pixels)
