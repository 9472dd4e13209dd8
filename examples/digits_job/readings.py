"""From the probabilities of pixels to digits read: connected regions, each read by the perceptron."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from digits_job import reader
from digits_job.scenes import Digit
from digits_job.weights import Floats

_SMALLEST_REGION_PX = 40


@dataclass(frozen=True, slots=True)
class Reading:
    """One region that was found: where it is, what it was read as and how surely."""

    square: tuple[slice, slice]
    region: npt.NDArray[np.bool_]
    label: int
    confidence: float


def read_regions(layers: reader.Layers, probability: Floats) -> list[Reading]:
    """Read every connected region of a picture's probabilities (H, W)."""
    numbers, _ = ndimage.label(probability > 0.5)
    found = []
    for number, square in enumerate(ndimage.find_objects(numbers), 1):
        region = numbers[square] == number
        if region.sum() >= _SMALLEST_REGION_PX:
            found.append((square, region, _squared(probability[square] * region)))
    if not found:
        return []
    guesses = reader.read(layers, [crop for _, _, crop in found])
    return [
        Reading(square, region, int(guess.argmax()), float(guess.max()))
        for (square, region, _), guess in zip(found, guesses, strict=True)
    ]


def paint_classes(readings: list[Reading], shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Return a class for each pixel: 0 for the background, digit + 1 where a digit was read."""
    classes = np.zeros(shape, np.uint8)
    for reading in readings:
        classes[reading.square][reading.region] = reading.label + 1
    return classes


def read_at(digit: Digit, classes: npt.NDArray[np.uint8]) -> int | None:
    """Return what was read where ``digit`` is, None where nothing was."""
    counts = np.bincount(classes[digit.square].ravel(), minlength=11)[1:]
    return int(counts.argmax()) if counts.any() else None


def _squared(crop: Floats) -> Floats:
    """Put a crop into the middle of a square, as digits lie in theirs."""
    height, width = crop.shape
    side = max(height, width)
    square = np.zeros((side, side), np.float32)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = crop
    return square
