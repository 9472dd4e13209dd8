"""What the training wants to see: its scenes and findings as images with boxes, masks and captions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

import pixlog
from digits_job.readings import Reading, paint_classes, read_at
from digits_job.scenes import Digit, Pixels, Scene
from digits_job.weights import Floats

CLASSES = {0: "background"} | {digit + 1: str(digit) for digit in range(10)}
_MOST_MISREAD = 12
_MARGIN_PX = 6


def boxes_of(digits: Iterable[Digit]) -> dict[str, Any]:
    """Return the squares of painted digits as a group of boxes."""
    return {
        "box_data": [_box(digit.square, digit.label, str(digit.label)) for digit in digits],
        "class_labels": CLASSES,
    }


def step_pictures(scene: Scene, probability: Floats) -> dict[str, object]:
    """Return one scene of a training step: what the network got and what it made of it."""
    return {
        "train/scene": pixlog.Image(
            scene.pixels, masks={"truth": {"mask_data": scene.classes, "class_labels": CLASSES}}
        ),
        "train/found": pixlog.Image(probability, value_range=(0, 1)),
    }


def photo_pictures(scene: Scene, probability: Floats, readings: list[Reading]) -> dict[str, object]:
    """Return a whole photograph: truth, findings, and where the two differ."""
    found = paint_classes(readings, probability.shape)
    boxes = [
        _box(reading.square, reading.label, str(reading.label))
        | {"scores": {"confidence": reading.confidence}}
        for reading in readings
    ]
    right = sum(read_at(digit, found) == digit.label for digit in scene.digits)
    return {
        "val/truth": pixlog.Image(
            scene.pixels,
            caption=f"{len(scene.digits)} digits",
            boxes={"truth": boxes_of(scene.digits)},
            masks={"truth": {"mask_data": scene.classes, "class_labels": CLASSES}},
        ),
        "val/found": pixlog.Image(
            scene.pixels,
            caption=f"{right} of {len(scene.digits)} read right",
            boxes={"found": {"box_data": boxes, "class_labels": CLASSES}},
            masks={"found": {"mask_data": found, "class_labels": CLASSES}},
        ),
        "val/probability": pixlog.Image(probability, value_range=(0, 1)),
        "val/error": pixlog.Image(np.abs(probability - (scene.classes > 0)), value_range=(0, 1)),
    }


def misread(scene: Scene, found: Pixels) -> tuple[list[Pixels], list[str]]:
    """Return crops around digits that were not read right, with captions; both lists may be empty."""
    crops: list[Pixels] = []
    captions: list[str] = []
    for digit in scene.digits:
        guess = read_at(digit, found)
        if guess != digit.label and len(crops) < _MOST_MISREAD:
            rows, columns = (
                slice(max(0, axis.start - _MARGIN_PX), axis.stop + _MARGIN_PX) for axis in digit.square
            )
            crops.append(scene.pixels[rows, columns])
            captions.append(f"{digit.label} not found" if guess is None else f"{digit.label} read as {guess}")
    return crops, captions


def _box(square: tuple[slice, slice], label: int, caption: str) -> dict[str, Any]:
    rows, columns = square
    return {
        "position": {
            "minX": int(columns.start),
            "maxX": int(columns.stop),
            "minY": int(rows.start),
            "maxY": int(rows.stop),
        },
        "domain": "pixel",
        "class_id": label + 1,
        "box_caption": caption,
    }
