"""The pixels that every contestant gets: like photographs, and no two images alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[Any]

SHAPES: Final = {"28²": (28, 28), "256²": (256, 256, 3), "512²": (512, 512, 3), "1080p": (1080, 1920, 3)}


def images(shape: tuple[int, ...], count: int, seed: int = 0) -> Pixels:
    """Return ``count`` uint8 images: waves of several lengths, and the grain of a camera."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    made = np.empty((count, *shape), np.uint8)
    for number in range(count):
        waves = [
            128
            + 60 * np.sin(columns / (shape[1] / 20 + 7 * i) + i + number)
            + 50 * np.cos(rows / (shape[0] / 18 + 3 * i))
            for i in range(shape[2] if len(shape) == 3 else 1)
        ]
        plain = np.stack(waves, -1).reshape(shape)
        made[number] = (plain + rng.normal(0, 4, shape)).clip(0, 255).astype(np.uint8)
    return made


def image_file(directory: Path, shape: tuple[int, ...], count: int, seed: int = 0) -> Path:
    """Write images where contestants of any environment can load them."""
    path = directory / f"images-{'x'.join(map(str, shape))}-{count}-{seed}.npy"
    if not path.exists():
        np.save(path, images(shape, count, seed))
    return path
