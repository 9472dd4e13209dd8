"""PNG without libpng: filter a band of rows, deflate it while it is in cache, go on.

Layout of a file: signature, IHDR, then iCCP, PLTE and tRNS where needed, IDAT once per band, IEND.  Every chunk
is length (4 bytes, big-endian), type, data, CRC-32 of type and data.

What is kept: a saved file decodes to the mode and the exact samples of the picture.  That forbids what optimisers
do to graphics: a 2- or 4-bit gray PNG decodes scaled to 0..255, so class ids would change, and few-coloured RGB
stored with a palette decodes as mode "P".  Flat pictures are small and quick all the same, because their plan
(see ``plan``) is another one than a photograph's.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pixlog.errors import InputError
from pixlogd.encode import compiled, photograph
from pixlogd.encode.deflate import (
    FAR,
    NEAR,
    RUNS,
    Deflater,
    crc32,
    fast_deflate,
    fast_deflater,
    small_deflater,
)
from pixlogd.encode.filters import filter_rows, scratch
from pixlogd.encode.plan import FLAT, Plan, plan_of, small_plan_of
from pixlogd.encode.raster import Raster, raster_of
from pixlogd.rendering.picture import Picture

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_IDAT_CRC: Final = zlib.crc32(b"IDAT")
_IEND: Final = b"\x00\x00\x00\x00IEND\xaeB`\x82"
_GRAY, _RGB, _PALETTE, _GRAY_ALPHA, _RGB_ALPHA = 0, 2, 3, 4, 6

# mode -> (colour type, channels); the bit depth follows from the dtype
_MODES: Final = {
    "1": (_GRAY, 1),
    "L": (_GRAY, 1),
    "I;16": (_GRAY, 1),
    "LA": (_GRAY_ALPHA, 2),
    "RGB": (_RGB, 3),
    "RGBA": (_RGB_ALPHA, 4),
    "P": (_PALETTE, 1),
}

_BAND_NBYTES: Final = 128 << 10  # with its scratch about 1 MB: inside a second-level cache
_IDAT_NBYTES: Final = 1 << 30  # a chunk holds less than 2 GiB
_SMALL_NBYTES: Final = 16 << 10  # up to here, a sample would cost more than the picture


def encode_png(picture: Picture, *, level: str) -> bytes:
    """``picture`` as a PNG file, level "fast" or "small".  Raises InputError for a mode that PNG has not."""
    pixels = picture.pixels
    depth = _bit_depth(picture)
    colour_type = _MODES[picture.mode][0]
    extra = _ancillary_chunks(picture) if picture.icc or colour_type == _PALETTE else b""
    is_flat = depth < 8 or colour_type == _PALETTE  # neighbouring values mean nothing to each other
    raster = raster_of(pixels)
    head = _header(picture.width, picture.height, depth, colour_type)
    if raster.nbytes <= _SMALL_NBYTES and level == "fast":
        return _file(head + extra, (_small_stream(raster, is_flat),))
    if level == "fast" and not is_flat and (coded := _photograph(raster, photograph.UNKNOWN)):
        return _file(head + extra, coded)
    plan = FLAT if is_flat else plan_of(raster)
    if level == "fast" and plan.window_bits == RUNS and (coded := _photograph(raster, plan.filter_kind)):
        return _file(head + extra, coded)
    if level == "small":
        return _file(head + extra, _small_streams(raster, plan))
    return _file(head + extra, _deflate(raster, plan, fast_deflater(plan.window_bits, raster.nbytes)))


def _file(head: bytes, idat: Iterable[bytes | memoryview]) -> bytes:
    """A whole file of what comes before the pixels and of the pieces of their zlib stream."""
    parts: list[bytes | memoryview] = [head]
    for data in idat:
        parts += (len(data).to_bytes(4, "big"), b"IDAT", data, crc32(data, _IDAT_CRC).to_bytes(4, "big"))
    parts.append(_IEND)
    return b"".join(parts)


def _photograph(raster: Raster, kind: int) -> Sequence[bytes | memoryview]:
    """The stream that compiled code makes; empty without it, or if ``kind`` is UNKNOWN and this is no photograph."""
    return () if compiled.library is None else photograph.pieces(compiled.library, raster, kind)


def _deflate(raster: Raster, plan: Plan, deflater: Deflater) -> Iterable[bytes]:
    row_nbytes = raster.row_nbytes
    band_rows = max(1, _BAND_NBYTES // (row_nbytes + 1))
    band = scratch.get("band", min(band_rows, raster.height) * (row_nbytes + 1))
    for start in range(0, raster.height, band_rows):
        stop = min(start + band_rows, raster.height)
        out = band[: (stop - start) * (row_nbytes + 1)]
        rows_out = out.reshape(stop - start, -1)
        for first, last, kind in plan.runs(start, stop):
            filter_rows(raster.rows(first, last), kind, rows_out[first - start : last - start])
        if data := deflater.compress(out):
            yield data
    rest = deflater.flush()
    for at in range(0, len(rest), _IDAT_NBYTES):
        yield rest[at : at + _IDAT_NBYTES]


def _small_streams(raster: Raster, plan: Plan) -> Sequence[bytes | memoryview]:
    """The smaller of two streams: codes that follow the grain closely beat zlib's matches on some photographs."""
    searched = list(_deflate(raster, plan, small_deflater(plan.window_bits)))
    coded = () if plan.window_bits == FAR else _photograph(raster, plan.filter_kind)
    return min(searched, coded or searched, key=lambda pieces: sum(map(len, pieces)))


def _small_stream(raster: Raster, is_flat: bool) -> bytes | memoryview:
    if compiled.library is not None and not is_flat:
        data, is_stream = photograph.small_piece(compiled.library, raster)
        return data if is_stream else fast_deflate(data, NEAR)
    plan = FLAT if is_flat else small_plan_of(raster)
    out = scratch.get("band", raster.height * (raster.row_nbytes + 1))
    filter_rows(raster.rows(0, raster.height), plan.filter_kind, out.reshape(raster.height, -1))
    return fast_deflate(out, plan.window_bits)


def _bit_depth(picture: Picture) -> int:
    pixels = picture.pixels
    if picture.mode not in _MODES:
        raise InputError(
            f"png cannot hold mode {picture.mode!r}: convert to RGB, RGBA, L or I;16, or save it as tiff"
        )
    depth = 1 if pixels.dtype == np.bool_ else pixels.itemsize * 8
    _check_layout(pixels, picture.mode, depth)
    return depth


def _check_layout(pixels: npt.NDArray[Any], mode: str, depth: int) -> None:
    channel_count = pixels.shape[2] if pixels.ndim == 3 else 1
    fits = pixels.dtype.kind in "bu" and depth in {"1": (1,), "I;16": (16,), "P": (8,)}.get(mode, (8, 16))
    if not fits or channel_count != _MODES[mode][1]:
        raise InputError(
            f"mode {mode!r} with {pixels.dtype} pixels of shape {pixels.shape} is not a PNG picture"
        )


@lru_cache(maxsize=256)
def _header(width: int, height: int, depth: int, colour_type: int) -> bytes:
    return _SIGNATURE + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0))


def _chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return len(data).to_bytes(4, "big") + body + crc32(body).to_bytes(4, "big")


def _ancillary_chunks(picture: Picture) -> bytes:
    chunks = b""
    if picture.icc:
        chunks += _chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(picture.icc))
    if picture.mode == "P":
        chunks += _palette_chunks(picture)
    return chunks


def _palette_chunks(picture: Picture) -> bytes:
    """PLTE, and tRNS for a palette with alpha.  Indices beyond the palette get black, as Pillow gives them."""
    step = len(picture.palette_mode)
    entries = np.frombuffer(picture.palette or b"", np.uint8)
    entries = entries[: entries.size // step * step].reshape(-1, step)[:256]
    used = int(picture.pixels.max()) + 1
    if used > len(entries):
        padding = np.zeros((used - len(entries), step), np.uint8)
        padding[:, 3:] = 255
        entries = np.concatenate([entries, padding])
    chunks = _chunk(b"PLTE", entries[:, :3].tobytes())
    if step == 4:
        chunks += _chunk(b"tRNS", entries[:, 3].tobytes())
    return chunks
