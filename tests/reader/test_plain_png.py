"""Plain gray PNGs are read as Pillow reads them, and everything else is left to Pillow."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from pixlog.reading import plain_png
from pixlog.reading.plain_png import plain_gray
from pixlogd.encode import png as png_module
from pixlogd.encode.deflate import FAR
from pixlogd.encode.filters import AVERAGE, NONE, PAETH, SUB, UP
from pixlogd.encode.plan import Plan
from pixlogd.rendering.picture import Picture


def _ids(height: int = 190, width: int = 210) -> npt.NDArray[np.uint8]:
    rows, columns = np.mgrid[:height, :width]
    ids: npt.NDArray[np.uint8] = ((rows // 17 + columns // 31) * 37 % 256).astype(np.uint8)
    return ids


def _png(pixels: npt.NDArray[Any], mode: str, kind: int, monkeypatch: pytest.MonkeyPatch) -> bytes:
    monkeypatch.setattr(png_module, "plan_of", lambda raster: Plan(kind, FAR))
    return png_module.encode_png(Picture(pixels, mode), level="fast")


@pytest.mark.parametrize("kind", [NONE, UP])
def test_plain_gray_reads_what_pillow_reads(kind: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Masks without a filter, or filtered by the row above, give the samples that were encoded, writable."""
    ids = _ids()
    samples = plain_gray(_png(ids, "L", kind, monkeypatch))
    assert samples is not None
    assert samples.dtype == np.uint8
    assert samples.flags.writeable
    np.testing.assert_array_equal(samples, ids)


@pytest.mark.parametrize("kind", [SUB, AVERAGE, PAETH])
def test_plain_gray_leaves_other_filters_to_pillow(kind: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that are predicted from their left neighbour are not plain."""
    assert plain_gray(_png(_ids(), "L", kind, monkeypatch)) is None


@pytest.mark.parametrize("mode", ["1", "I;16", "RGB", "P"])
def test_plain_gray_leaves_other_samples_to_pillow(mode: str) -> None:
    """Bits, 16-bit samples, colours and palettes are not plain."""
    picture = Image.fromarray(_ids())
    out = io.BytesIO()
    (picture.convert("I").convert("I;16") if mode == "I;16" else picture.convert(mode)).save(out, "PNG")
    assert plain_gray(out.getvalue()) is None


def test_plain_gray_leaves_transparency_and_interlacing_to_pillow() -> None:
    """A chunk that says how samples are to be seen, and rows in another order, make a file not plain."""
    out = io.BytesIO()
    Image.fromarray(_ids()).save(out, "PNG", transparency=3)
    assert plain_gray(out.getvalue()) is None
    data = bytearray(png_module.encode_png(Picture(_ids(), "L"), level="fast"))
    data[28] = 1
    assert plain_gray(bytes(data)) is None


def test_plain_gray_leaves_damaged_files_to_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that was cut anywhere, or of which any one byte was changed, never gives samples other than its own."""
    ids = _ids(40, 30)
    data = _png(ids, "L", NONE, monkeypatch)
    assert plain_gray(data) is not None
    assert all(plain_gray(data[:length]) is None for length in range(len(data)))
    for at in range(len(data)):
        changed = data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]
        samples = plain_gray(changed)
        assert samples is None, at


def test_plain_gray_leaves_huge_pictures_to_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    """What would unpack to more than the bound is not unpacked here."""
    data = _png(_ids(), "L", NONE, monkeypatch)
    monkeypatch.setattr(plain_png, "_MOST_SAMPLES", 190 * 210 - 1)
    assert plain_gray(data) is None
