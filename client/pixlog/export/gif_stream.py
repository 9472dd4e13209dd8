"""A GIF file that is written frame by frame, in the memory of two frames.

Theory of operation.  Pillow writes an animation only when it has all of its frames.  So each frame is compressed by
Pillow as a GIF of its own, its palette and its compressed samples are cut out, and put behind each other here, by the
"GIF89a" specification (CompuServe, 1990): header, loop extension, and for each frame a graphic control extension with
its duration, an image descriptor, a local palette, the samples.  Of a frame only the rectangle that differs from the
one before is stored.  A rectangle of at most 256 colours keeps them exactly.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from PIL import Image as pil_image

_HEADER: Final = b"GIF89a"
_LOOP_FOREVER: Final = b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"
_TRAILER: Final = b"\x3b"
_EXTENSION: Final = 0x21
_DESCRIPTOR: Final = 0x2C
_KEEP_BEFORE: Final = 1 << 2
_PALETTE_FLAG: Final = 0x80
_COLORS: Final = 256
_SAMPLES: Final = 16_384
"""How many pixels the palette of a frame is found from, if it needs more than 256 colours."""


class GifStream:
    """Frames, RGB and of one size, that become a GIF in ``file``."""

    def __init__(self, file: IO[bytes], size: tuple[int, int]) -> None:
        self._file = file
        self._before: pil_image.Image | None = None
        file.write(_HEADER + struct.pack("<HHBBB", *size, 0, 0, 0) + _LOOP_FOREVER)

    def add(self, frame: pil_image.Image, duration_cs: int) -> None:
        """Append a frame that is shown for ``duration_cs`` hundredths of a second."""
        from PIL import ImageChops

        box = None
        if self._before is not None:
            box = ImageChops.difference(frame, self._before).getbbox() or (0, 0, 1, 1)
        left, top, right, bottom = box or (0, 0, *frame.size)
        palette, samples = _compressed(frame.crop((left, top, right, bottom)))
        size_code = len(palette) // 3
        self._file.write(
            struct.pack("<BBBBHBB", _EXTENSION, 0xF9, 4, _KEEP_BEFORE, duration_cs, 0, 0)
            + struct.pack("<BHHHH", _DESCRIPTOR, left, top, right - left, bottom - top)
            + bytes([_PALETTE_FLAG | (size_code.bit_length() - 2)])
            + palette
            + samples
        )
        self._before = frame

    def close(self) -> None:
        """Write the end of the GIF; the file stays open."""
        self._file.write(_TRAILER)


def _compressed(picture: pil_image.Image) -> tuple[bytes, bytes]:
    """Return the palette, of a power of two colours, and the compressed samples of a picture."""
    data = io.BytesIO()
    _in_palette(picture).save(data, "GIF", optimize=False, interlace=0)
    gif = data.getvalue()
    flags = gif[10]
    palette_nbytes = 3 * (2 << (flags & 7))
    place = 13
    palette = gif[place : place + palette_nbytes]
    place += palette_nbytes
    while gif[place] == _EXTENSION:
        place = _behind_blocks(gif, place + 2)
    begin = place + 10
    end = _behind_blocks(gif, begin + 1)
    return palette, gif[begin:end]


def _behind_blocks(gif: bytes, place: int) -> int:
    """Return where a chain of counted blocks ends."""
    while gif[place]:
        place += 1 + gif[place]
    return place + 1


def _in_palette(picture: pil_image.Image) -> pil_image.Image:
    from PIL import Image

    if picture.getcolors(_COLORS) is None:
        # Median cut takes 150 ms for a photograph of 400 × 400 pixels, and finds much the same colours in a sample.
        # The odd stride meets lines of either direction.
        samples = np.asarray(picture).reshape(-1, 3)
        samples = samples[:: len(samples) // _SAMPLES | 1]
        sampled = Image.fromarray(np.ascontiguousarray(samples[None]))
        palette = sampled.quantize(_COLORS, method=Image.Quantize.MEDIANCUT)
        return picture.quantize(palette=palette, dither=Image.Dither.NONE)
    pixels = np.asarray(picture, np.uint32)
    packed = (pixels[..., 0] << 16) | (pixels[..., 1] << 8) | pixels[..., 2]
    colors, numbers = np.unique(packed, return_inverse=True)
    exact = Image.fromarray(numbers.reshape(packed.shape).astype(np.uint8), "P")
    exact.putpalette(
        [level for color in colors.tolist() for level in (color >> 16, color >> 8 & 255, color & 255)]
    )
    return exact


def durations_cs(fps: float) -> Iterator[int]:
    """Yield the duration of each frame in hundredths of a second, so that together they keep to ``fps``."""
    number = shown_cs = 0
    while True:
        number += 1
        until_cs = round(100 * number / fps)
        yield until_cs - shown_cs
        shown_cs = until_cs
