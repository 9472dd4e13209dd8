"""The weights of a network as one flat vector, seen as matrices: easy to average over ranks and to update."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def count_of(shapes: Sequence[tuple[int, int]]) -> int:
    """Return how many numbers layers of these (inputs, outputs) have, biases included."""
    return sum((inputs + 1) * outputs for inputs, outputs in shapes)


def layers_of(flat: Floats, shapes: Sequence[tuple[int, int]]) -> list[tuple[Floats, Floats]]:
    """See ``flat`` as (matrix, bias) of each layer; writing to them writes to it."""
    layers = []
    start = 0
    for inputs, outputs in shapes:
        middle, end = start + inputs * outputs, start + (inputs + 1) * outputs
        layers.append((flat[start:middle].reshape(inputs, outputs), flat[middle:end]))
        start = end
    return layers


def initialise(layers: Sequence[tuple[Floats, Floats]], rng: np.random.Generator) -> None:
    """Fill the matrices as layers with rectifiers want it; every rank does so with the same ``rng``."""
    for matrix, bias in layers:
        matrix[:] = rng.normal(0, np.sqrt(2 / len(matrix)), matrix.shape)
        bias[:] = 0


class Adam:
    """Adam over one flat vector."""

    def __init__(self, count: int) -> None:
        self._mean = np.zeros(count, np.float32)
        self._square = np.zeros(count, np.float32)
        self._step = 0

    def update(self, weights: Floats, gradient: Floats, rate: float) -> None:
        """Take one step along ``gradient``, in place."""
        self._step += 1
        self._mean += 0.1 * (gradient - self._mean)
        self._square += 0.01 * (gradient * gradient - self._square)
        mean = self._mean / (1 - 0.9**self._step)
        square = self._square / (1 - 0.99**self._step)
        weights -= rate * mean / (np.sqrt(square) + 1e-6)
