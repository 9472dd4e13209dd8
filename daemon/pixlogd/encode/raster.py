"""The rows of a picture as PNG stores them: big-endian samples, and single bits for mode "1"."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pixlogd.encode.filters import Bytes, Rows, scratch


class Raster(NamedTuple):
    """Rows of bytes.  8-bit samples are used where they lie; 16-bit ones are swapped band by band."""

    height: int
    row_nbytes: int
    pixel_nbytes: int
    flat: Bytes
    swap: npt.NDArray[Any] | None = None  # little-endian uint16 rows, (height, samples); flat is their memory

    @property
    def nbytes(self) -> int:
        """Bytes of all rows."""
        return self.height * self.row_nbytes

    def rows(self, first: int, last: int) -> Rows:
        """Rows ``first`` to ``last`` (exclusive), valid until the thread asks again."""
        if self.swap is None:
            return Rows(self.flat, first, last, self.row_nbytes, self.pixel_nbytes)
        start = max(first - 1, 0)
        band = scratch.get("swap", (last - start) * self.row_nbytes)
        np.copyto(band.view(">u2").reshape(last - start, -1), self.swap[start:last])
        return Rows(band, first - start, last - start, self.row_nbytes, self.pixel_nbytes)

    def pick(self, numbers: npt.NDArray[np.intp]) -> Bytes:
        """A copy of the rows with these numbers, shape (*numbers.shape, row_nbytes)."""
        if self.swap is None:
            return self.flat.reshape(self.height, self.row_nbytes)[numbers]
        return self.swap[numbers].astype(">u2").view(np.uint8)


def raster_of(pixels: npt.NDArray[Any]) -> Raster:
    """Rows of a C-contiguous bool, uint8 or uint16 array of shape (H, W) or (H, W, C)."""
    height, width = pixels.shape[:2]
    channel_count = pixels.shape[2] if pixels.ndim == 3 else 1
    if pixels.dtype == np.bool_:
        packed = np.packbits(pixels, axis=1)
        return Raster(height, packed.shape[1], 1, packed.reshape(-1))
    if pixels.dtype == np.uint8:
        row_nbytes = width * channel_count
        return Raster(height, row_nbytes, channel_count, pixels.reshape(-1))
    row_nbytes = width * channel_count * 2
    samples = pixels.reshape(height, -1)
    flat = samples.view(np.uint8).reshape(-1)
    if pixels.dtype == np.dtype(">u2"):
        return Raster(height, row_nbytes, channel_count * 2, flat)
    return Raster(height, row_nbytes, channel_count * 2, flat, samples)
