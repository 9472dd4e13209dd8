"""Tell an image file by its first bytes, and its size where the header says it.

A signature is enough to refuse a text file or a pickle at the call; whether the rest decodes is for whoever reads
the file.  Sizes are read from PNG, GIF, BMP, JPEG and WebP headers.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

HEAD_BYTES: Final = 32


class Sniffed(NamedTuple):
    """What the content says: a file type such as ``"png"`` (None: not an image known here), (width, height)."""

    file_type: str | None
    size: tuple[int, int] | None


_SIGNATURES: Final[tuple[tuple[bytes, str], ...]] = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpg"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"II+\x00", "tiff"),
    (b"MM\x00+", "tiff"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "jp2"),
    (b"\xff\x4f\xff\x51", "j2k"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "jxl"),
    (b"\xff\x0a", "jxl"),
    (b"\x00\x00\x01\x00", "ico"),
    (b"8BPS", "psd"),
    (b"DDS ", "dds"),
    (b"qoif", "qoi"),
    (b"v/1\x01", "exr"),
    (b"#?RADIANCE", "hdr"),
    (b"#?RGBE", "hdr"),
)
_BRANDS: Final = {b"avif": "avif", b"avis": "avif", b"heic": "heic", b"heix": "heic", b"mif1": "heif"}
_BMP_HEADER_BYTES: Final = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
_NETPBM: Final = frozenset(b"1234567fF")
_JPEG_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}

KNOWN: Final = (
    "png, jpg, gif, bmp, webp, tiff, avif, heic, jp2, jxl, ico, psd, dds, qoi, exr, hdr or pbm/pgm/ppm"
)


def sniff_type(head: bytes) -> str | None:
    """Return the file type that the first ``HEAD_BYTES`` bytes announce, or None."""
    for signature, file_type in _SIGNATURES:
        if head.startswith(signature):
            return file_type
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12])
    if head[:2] == b"BM" and len(head) >= 18 and struct.unpack_from("<I", head, 14)[0] in _BMP_HEADER_BYTES:
        return "bmp"
    if len(head) >= 3 and head[0] == ord("P") and head[1] in _NETPBM and head[2:3].isspace():
        return {ord("1"): "pbm", ord("4"): "pbm", ord("2"): "pgm", ord("5"): "pgm"}.get(head[1], "ppm")
    return None


def sniff(data: bytes | memoryview) -> Sniffed:
    """Return type and size of an image file's bytes; a header that contradicts itself has no size."""
    file_type = sniff_type(bytes(data[:HEAD_BYTES]))
    try:
        size = _size(file_type, data)
    except (struct.error, IndexError):
        size = None
    return Sniffed(file_type, size if size and all(size) else None)


def _size(file_type: str | None, data: bytes | memoryview) -> tuple[int, int] | None:
    if file_type == "png":
        width, height = struct.unpack_from(">II", data, 16)
        return width, height
    if file_type == "gif":
        width, height = struct.unpack_from("<HH", data, 6)
        return width, height
    if file_type == "bmp":
        old = struct.unpack_from("<I", data, 14)[0] in (12, 16)
        width, height = struct.unpack_from("<HH" if old else "<ii", data, 18)
        return width, abs(height)
    if file_type == "jpg":
        return _jpeg_size(data)
    if file_type == "webp":
        return _webp_size(data)
    return None


def _jpeg_size(data: bytes | memoryview) -> tuple[int, int] | None:
    at = 2
    while data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    return None


def _webp_size(data: bytes | memoryview) -> tuple[int, int] | None:
    chunk = bytes(data[12:16])
    if chunk == b"VP8X":
        return (
            1 + int.from_bytes(data[24:27], "little"),
            1 + int.from_bytes(data[27:30], "little"),
        )
    if chunk == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if chunk == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None
