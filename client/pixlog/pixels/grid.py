"""A batch as one picture: rows of at most eight images with a border of two pixels around each.

The geometry is torchvision's ``make_grid``, which ``wandb.Image`` 0.18.0 uses: N images make min(8, N) columns,
the border and the cells that stay free are 0.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

MAX_COLUMN_COUNT: Final = 8
BORDER_PIXEL_COUNT: Final = 2


def make_grid(batch: npt.NDArray[Any], max_columns: int = MAX_COLUMN_COUNT) -> npt.NDArray[Any]:
    """Lay out (N, H, W) or (N, H, W, C) row by row; a batch of one comes back without a border."""
    count, height, width = batch.shape[:3]
    if count == 1:
        only: npt.NDArray[Any] = batch[0]
        return only
    columns = min(max_columns, count)
    rows = -(-count // columns)
    pad = BORDER_PIXEL_COUNT
    size = (rows * (height + pad) + pad, columns * (width + pad) + pad)
    grid = np.zeros(size + batch.shape[3:], dtype=batch.dtype)
    for index in range(count):
        top = pad + (index // columns) * (height + pad)
        left = pad + (index % columns) * (width + pad)
        grid[top : top + height, left : left + width] = batch[index]
    return grid
