"""A small perceptron that reads a digit from what the finder painted."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from digits_job.weights import Floats

_SIDE = 8
_HIDDEN = 96

SHAPES = [(_SIDE**2, _HIDDEN), (_HIDDEN, 10)]

Layers = Sequence[tuple[Floats, Floats]]


def read(layers: Layers, crops: Sequence[Floats]) -> Floats:
    """Return the probability of each digit (N, 10) for crops of probabilities of any size."""
    return _forward(layers, _shrink_all(crops))[1]


def train(layers: Layers, crops: Sequence[Floats], labels: npt.NDArray[np.int64], gradients: Layers) -> float:
    """Write the gradients of the cross-entropy; return the loss."""
    inputs = _shrink_all(crops)
    hidden, probabilities = _forward(layers, inputs)
    each = np.arange(len(labels))
    loss = float(-np.log(probabilities[each, labels] + 1e-9).mean())
    slope = probabilities
    slope[each, labels] -= 1
    slope /= len(labels)
    gradients[1][0][:], gradients[1][1][:] = hidden.T @ slope, slope.sum(0)
    slope = (slope @ layers[1][0].T) * (hidden > 0)
    gradients[0][0][:], gradients[0][1][:] = inputs.T @ slope, slope.sum(0)
    return loss


def _forward(layers: Layers, inputs: Floats) -> tuple[Floats, Floats]:
    hidden = np.maximum(inputs @ layers[0][0] + layers[0][1], 0)
    logits = hidden @ layers[1][0] + layers[1][1]
    probabilities = np.exp(logits - logits.max(1, keepdims=True))
    probabilities /= probabilities.sum(1, keepdims=True)
    return hidden, probabilities


def _shrink_all(crops: Sequence[Floats]) -> Floats:
    """Average each crop down (or up) to 8 × 8 samples."""
    return np.stack(
        [(_averaging(crop.shape[0]) @ crop @ _averaging(crop.shape[1]).T).reshape(_SIDE**2) for crop in crops]
    )


@cache
def _averaging(length: int) -> Floats:
    """Return the (8, length) matrix that averages over eighths of ``length`` samples."""
    edges = np.linspace(0, length, _SIDE + 1)
    cells = np.arange(length)
    overlap = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
    weights: Floats = (np.clip(overlap, 0, None) * _SIDE / length).astype(np.float32)
    return weights
