"""What one training consists of: its data and its size, handed to every process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Job:
    """``digits`` are (N, 8, 8) float32 from 0 to 1 with ``labels`` (N,), ``photos`` uint8 (H, W, 3).

    The last ``held_out`` digits are never trained on.  Every rank takes ``steps`` steps an epoch.
    """

    run_dir: Path
    digits: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    photos: tuple[npt.NDArray[np.uint8], ...]
    ranks: int = 2
    workers: int = 2
    epochs: int = 16
    steps: int = 20
    batch: int = 16
    scene_px: int = 64
    held_out: int = 297
    log_every: int = 4

    @property
    def all_steps(self) -> int:
        """Steps of one rank in the whole training."""
        return self.epochs * self.steps
