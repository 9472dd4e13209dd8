"""A small convolutional network that finds the pixels of digits in a photograph.

A picture is cut into cells of 4 × 4 pixels.  One layer sees a cell, two see 3 × 3 neighbours each, the last paints
a cell of probabilities: everything is a matrix product, for pictures of any size that is a multiple of 4.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from digits_job.weights import Floats

_CELL = 4
_CHANNELS = (24, 32, 32)

SHAPES = [
    (3 * _CELL**2, _CHANNELS[0]),
    (9 * _CHANNELS[0], _CHANNELS[1]),
    (9 * _CHANNELS[1], _CHANNELS[2]),
    (_CHANNELS[2], _CELL**2),
]
_SEES_NEIGHBOURS = (False, True, True, False)

Layers = Sequence[tuple[Floats, Floats]]


def find(layers: Layers, pictures: Floats) -> Floats:
    """Return the probability of each pixel (N, H, W) for pictures (N, H, W, 3) from 0 to 1."""
    return _forward(layers, pictures)[0]


def train(layers: Layers, pictures: Floats, truth: Floats, gradients: Layers) -> tuple[float, Floats]:
    """Write the gradients of the cross-entropy; return the loss and the probabilities.  ``truth`` is 0 or 1."""
    found, seen = _forward(layers, pictures)
    weight = 1 + 2 * truth  # digits are the smaller part of a scene
    weight /= weight.sum()
    right = np.where(truth > 0, found, 1 - found)
    loss = float(-(np.log(right + 1e-7) * weight).sum())
    slope = _to_cells(((found - truth) * weight)[..., None])
    for number in reversed(range(len(layers))):
        inputs, outputs = seen[number]
        if number < len(layers) - 1:
            slope = slope * (outputs > 0)
        matrix, bias = gradients[number]
        np.matmul(inputs.reshape(-1, inputs.shape[-1]).T, slope.reshape(-1, slope.shape[-1]), out=matrix)
        bias[:] = slope.sum((0, 1, 2))
        if number:
            slope = slope @ layers[number][0].T
            if _SEES_NEIGHBOURS[number]:
                slope = _add_neighbours(slope)
    return loss, found


def filters(layers: Layers) -> Floats:
    """Return what the first layer looks for, as (24, 4, 4, 3)."""
    return np.ascontiguousarray(layers[0][0].T).reshape(-1, _CELL, _CELL, 3)


def _forward(layers: Layers, pictures: Floats) -> tuple[Floats, list[tuple[Floats, Floats]]]:
    values = _to_cells(pictures - np.float32(0.5))
    seen = []
    for number, (matrix, bias) in enumerate(layers):
        inputs = _with_neighbours(values) if _SEES_NEIGHBOURS[number] else values
        values = inputs @ matrix + bias
        if number < len(layers) - 1:
            values = np.maximum(values, 0)
        seen.append((inputs, values))
    one = np.float32(1)
    found: Floats = one / (one + np.exp(-np.clip(_from_cells(values), -15, 15)))
    return found, seen


def _to_cells(values: Floats) -> Floats:
    count, height, width, channels = values.shape
    cells = values.reshape(count, height // _CELL, _CELL, width // _CELL, _CELL, channels)
    return cells.swapaxes(2, 3).reshape(count, height // _CELL, width // _CELL, -1)


def _from_cells(cells: Floats) -> Floats:
    count, height, width, _ = cells.shape
    values = cells.reshape(count, height, width, _CELL, _CELL)
    return values.swapaxes(2, 3).reshape(count, height * _CELL, width * _CELL)


def _with_neighbours(values: Floats) -> Floats:
    """Put the 3 × 3 neighbours of each cell side by side."""
    count, height, width, channels = values.shape
    padded = np.pad(values, ((0, 0), (1, 1), (1, 1), (0, 0)))
    result = np.empty((count, height, width, 9, channels), np.float32)
    for place in range(9):
        down, right = divmod(place, 3)
        result[..., place, :] = padded[:, down : down + height, right : right + width]
    return result.reshape(count, height, width, 9 * channels)


def _add_neighbours(slope: Floats) -> Floats:
    """Hand the slopes of neighbours back to the cells that they came from."""
    count, height, width, nine_channels = slope.shape
    places = slope.reshape(count, height, width, 9, nine_channels // 9)
    padded = np.zeros((count, height + 2, width + 2, nine_channels // 9), np.float32)
    for place in range(9):
        down, right = divmod(place, 3)
        padded[:, down : down + height, right : right + width] += places[..., place, :]
    return padded[:, 1:-1, 1:-1]
