"""Small pictures with a number in them, so that pixels of the wrong call cannot pass for the right ones."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

_DIGITS = 8


@functools.lru_cache(maxsize=4)
def _ramp(height: int, width: int) -> npt.NDArray[np.uint8]:
    ramp = np.arange(height * width, dtype=np.uint32).reshape(height, width)
    return (ramp * 7 % 251).astype(np.uint8)


def numbered(number: int, shape: tuple[int, ...] = (32, 32, 3)) -> npt.NDArray[np.uint8]:
    """Return a picture of ``shape``, (H, W) or (H, W, C), that is all about ``number``: every pixel depends on it."""
    levels = (np.arange(251) + number * 31) % 251
    plane = levels.astype(np.uint8)[_ramp(*shape[:2])]
    plane[0, :_DIGITS] = np.frombuffer(number.to_bytes(_DIGITS, "little"), np.uint8)
    return plane if len(shape) == 2 else np.repeat(plane[:, :, None], shape[2], axis=2)


def assert_numbered(pixels: npt.NDArray[Any], number: int) -> None:
    """Fail unless the picture is exactly that of ``number``."""
    plane = pixels if pixels.ndim == 2 else pixels[:, :, 0]
    found = int.from_bytes(plane[0, :_DIGITS].tobytes(), "little")
    assert found == number, f"the picture of call {number} holds the pixels of call {found}"
    assert np.array_equal(pixels, numbered(number, pixels.shape)), f"pixels of call {number} are torn"


def assert_steps_are_numbers(run_dir: Path, rows: list[dict[str, Any]]) -> None:
    """Fail unless every saved row's picture is the one numbered by the row's step."""
    for row in rows:
        if row["state"] == "saved":
            for file in row["files"]:
                with Image.open(run_dir / file["path"]) as image:
                    assert_numbered(np.asarray(image), row["step"])
