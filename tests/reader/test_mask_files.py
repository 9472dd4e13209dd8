"""Masks that were logged as files of their own kind come back as their ids in every reader."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

import pixlog
from pixlog.errors import RunError
from pixlog.reading.mask_pixels import as_gray_png, mask_ids

Ids = npt.NDArray[np.uint8]


def _ids(most: int) -> Ids:
    """Return ids in 20×30 pixels: a square of 1, a square of ``most``, and 0 around them."""
    ids = np.zeros((20, 30), np.uint8)
    ids[2:9, 2:9], ids[12:18, 15:26] = 1, most
    return ids


def _gray(bits: int, ids: Ids) -> bytes:
    """Return a gray PNG of ``bits`` a sample, written as the specification has it: Pillow writes 1 and 8 only."""
    places = np.unpackbits(ids[..., None], axis=2)[..., -bits:].reshape(len(ids), -1)
    rows = np.packbits(places, axis=1)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", ids.shape[1], ids.shape[0], bits, 0, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def _palette(ids: Ids, **options: object) -> bytes:
    picture = Image.fromarray(ids, "P")
    colors = [0] * 768
    colors[3:6], colors[45:48] = [128, 0, 0], [192, 128, 128]  # as PASCAL VOC has classes 1 and 15
    picture.putpalette(colors)
    return _saved(picture, **options)


def _saved(picture: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "png", **options)
    return buffer.getvalue()


FILES: dict[str, tuple[int, Callable[[Ids], bytes]]] = {
    "palette": (15, _palette),
    "palette of 4 bits": (15, lambda ids: _palette(ids, bits=4)),
    "palette with transparency": (15, lambda ids: _palette(ids, transparency=0)),
    "gray of 1 bit": (1, lambda ids: _gray(1, ids)),
    "gray of 2 bits": (3, lambda ids: _gray(2, ids)),
    "gray of 4 bits": (15, lambda ids: _gray(4, ids)),
    "gray of 8 bits": (200, lambda ids: _gray(8, ids)),
    "gray of 16 bits": (200, lambda ids: _saved(Image.fromarray(ids.astype(np.uint16)))),
    "gray with alpha": (200, lambda ids: _saved(Image.fromarray(ids).convert("LA"))),
}


@pytest.mark.parametrize("kind", FILES)
def test_mask_file_gives_its_ids(kind: str) -> None:
    """Palette indices and gray samples of every depth are the ids, unscaled; so they are in what the page gets."""
    most, write = FILES[kind]
    ids, data = _ids(most), write(_ids(most))
    np.testing.assert_array_equal(mask_ids(data, name="m"), ids)
    with Image.open(io.BytesIO(as_gray_png(data, name="m"))) as picture:
        assert picture.mode in ("L", "I;16")
        np.testing.assert_array_equal(np.asarray(picture), ids)


def test_logged_palette_mask_is_read_by_its_indices(tmp_path: Path) -> None:
    """A palette file, logged through the daemon as {"path": …}, is read back as the ids that the data set means."""
    (tmp_path / "voc.png").write_bytes(_palette(_ids(15)))
    with pixlog.connect(tmp_path / "run") as client:
        mask = {"path": str(tmp_path / "voc.png")}
        image = pixlog.Image(np.zeros((20, 30, 3), np.uint8), masks={"gt": mask})
        assert client.log_image("k", image, step=0).wait(30)
    (saved,) = pixlog.Run(tmp_path / "run").images("k")
    np.testing.assert_array_equal(saved.masks["gt"].array(), _ids(15))


def test_mask_of_colours_says_so() -> None:
    """RGB names no class; the error names the file and what it holds."""
    with pytest.raises(
        RunError, match=r"m\.png is no mask: its pixels are RGB, expected one class id for each"
    ):
        mask_ids(_saved(Image.new("RGB", (3, 2), (1, 2, 3))), name="m.png")
