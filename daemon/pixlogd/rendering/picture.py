"""The one value that travels from conversion to encoding: pixels whose meaning is settled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Picture:
    """Pixels ready for an encoder; nothing about them is left to guess.

    ``pixels`` is C-contiguous, (H, W) or (H, W, C): uint8, uint16 (``depth="keep"``), float32 (mode "F") or
    bool (mode "1").  ``mode`` is the Pillow mode that the saved file decodes to.  A palette is the raw
    ``palette_mode`` triples or quadruples of mode "P".
    """

    pixels: npt.NDArray[Any]
    mode: str
    palette: bytes | None = None
    palette_mode: str = "RGB"
    icc: bytes | None = None

    @property
    def width(self) -> int:
        """Columns, in pixels."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Rows, in pixels."""
        return int(self.pixels.shape[0])

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of one sample."""
        return self.pixels.dtype
