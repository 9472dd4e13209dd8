"""Small pictures with a number in them, so that pixels of the wrong call cannot pass for the right ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

_DIGITS = 8


def numbered(number: int, shape: tuple[int, ...] = (32, 32, 3)) -> npt.NDArray[np.uint8]:
    """Return a picture of ``shape``, (H, W) or (H, W, C), that is all about ``number``: every pixel depends on it."""
    height, width = shape[:2]
    ramp = np.arange(height * width, dtype=np.uint32).reshape(height, width)
    plane = ((ramp * 7 + number * 31) % 251).astype(np.uint8)
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
