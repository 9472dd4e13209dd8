"""Scenes to learn from: digits painted in bright colours over pieces of photographs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from digits_job.job import Job

Pixels = npt.NDArray[np.uint8]

SMALLEST_PX, LARGEST_PX = 18, 28
_TRIES = 8


@dataclass(frozen=True, slots=True)
class Digit:
    """One digit of a scene: its square and what it is."""

    top: int
    left: int
    size: int
    label: int

    @property
    def square(self) -> tuple[slice, slice]:
        """Rows and columns of its square."""
        return slice(self.top, self.top + self.size), slice(self.left, self.left + self.size)

    def overlaps(self, other: Digit) -> bool:
        """Whether the squares touch."""
        return (
            abs(2 * self.top + self.size - 2 * other.top - other.size) <= self.size + other.size
            and abs(2 * self.left + self.size - 2 * other.left - other.size) <= self.size + other.size
        )


@dataclass(frozen=True, slots=True)
class Scene:
    """``pixels`` (H, W, 3); ``classes`` (H, W) is 0 in the background and digit + 1 where there is a digit."""

    pixels: Pixels
    classes: Pixels
    digits: list[Digit]


def training_scene(job: Job, rng: np.random.Generator) -> Scene:
    """Paint four digits over a random piece of a photograph, mirrored and dimmed at random."""
    photo = job.photos[rng.integers(len(job.photos))]
    top, left = (int(rng.integers(length - job.scene_px + 1)) for length in photo.shape[:2])
    piece = photo[top : top + job.scene_px, left : left + job.scene_px]
    if rng.random() < 0.5:
        piece = piece[:, ::-1]
    last = len(job.digits) - job.held_out
    return _paint(job, piece.astype(np.float64) * rng.uniform(0.6, 1.0), range(last), 4, rng)


def validation_scene(job: Job, photo_number: int) -> Scene:
    """Paint digits that were held out all over a whole photograph; always the same for the same number."""
    photo = job.photos[photo_number % len(job.photos)]
    height, width = (length // 4 * 4 for length in photo.shape[:2])
    rng = np.random.default_rng(1000 + photo_number)
    held_out = range(len(job.digits) - job.held_out, len(job.digits))
    return _paint(job, photo[:height, :width].astype(np.float64), held_out, height * width // 9000, rng)


def _paint(
    job: Job, canvas: npt.NDArray[np.float64], choice: range, count: int, rng: np.random.Generator
) -> Scene:
    height, width = canvas.shape[:2]
    canvas = canvas.copy()
    classes = np.zeros((height, width), np.uint8)
    placed: list[Digit] = []
    for _ in range(count):
        number = int(rng.integers(choice.start, choice.stop))
        size = int(rng.integers(SMALLEST_PX, LARGEST_PX + 1))
        for _ in range(_TRIES):
            top, left = int(rng.integers(height - size + 1)), int(rng.integers(width - size + 1))
            digit = Digit(top, left, size, int(job.labels[number]))
            if not any(digit.overlaps(other) for other in placed):
                break
        else:
            continue
        placed.append(digit)
        enlarge = _enlargement(size)
        ink = np.clip(1.4 * enlarge @ job.digits[number] @ enlarge.T, 0, 1)
        under = canvas[digit.square]
        under[:] = under * (1 - ink[..., None]) + _bright_colour(rng) * ink[..., None]
        classes[digit.square][ink > 0.5] = digit.label + 1
    return Scene(canvas.astype(np.uint8), classes, placed)


def _bright_colour(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    hue = np.clip(np.abs((6 * rng.random() + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
    colour: npt.NDArray[np.float64] = 255 * (0.6 * hue + 0.4)
    return colour


@cache
def _enlargement(size: int) -> npt.NDArray[np.float32]:
    """Return the (size, 8) matrix that interpolates 8 samples linearly to ``size``."""
    at = np.clip((np.arange(size) + 0.5) * 8 / size - 0.5, 0, 7)
    low = np.minimum(at.astype(int), 6)
    matrix = np.zeros((size, 8), np.float32)
    matrix[np.arange(size), low] = 1 - (at - low)
    matrix[np.arange(size), low + 1] = at - low
    return matrix
