"""The data model as a user's type-checked code writes it; mypy reads it, pytest runs it."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any, Literal, assert_type

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as PilImage

import pixlog


def _png() -> bytes:
    file = BytesIO()
    PilImage.new("L", (3, 2)).save(file, "png")
    return file.getvalue()


def test_image_is_written_with_every_argument(tmp_path: Path) -> None:
    """Every argument takes the types that its documentation names, without a cast."""
    path = tmp_path / "a.png"
    path.write_bytes(_png())
    array = np.zeros((2, 3, 3), np.float32)
    for data in (
        array,
        PilImage.new("RGB", (3, 2)),
        path,
        str(path),
        _png(),
        BytesIO(_png()),
        "s3://b/a.png",
    ):
        assert_type(pixlog.Image(data), pixlog.Image)
    image = pixlog.Image(
        array,
        "RGB",
        "caption",
        3,
        pixlog.Classes([{"id": 1, "name": "road", "color": "#808080"}]),
        {"pred": pixlog.BoundingBoxes2D({"box_data": []}, "pred"), "gt": {"box_data": []}},
        {"pred": pixlog.ImageMask({"mask_data": np.zeros((2, 3), np.uint8)}, "pred")},
        "webp",
        value_range=(0.0, 1.0),
        layout="HWC",
        color="BGR",
        quality=80,
        lossless=False,
        level="fast",
        meta={"epoch": 3},
        background=(0, 0, 0),
        dedup=True,
        polygons={"gt": {"polygon_data": []}},
        keypoints={"gt": {"keypoint_data": []}},
        contract="pixlog",
    )
    assert_type(image.format, str)
    assert_type(image.width, int | None)
    assert_type(image.image, PilImage.Image | None)
    assert_type(image.guess_mode(array), str)
    assert_type(image.classes, pixlog.Classes | None)
    assert_type(pixlog.Image.to_uint8(array), npt.NDArray[np.uint8])
    assert_type(pixlog.Image.all_captions([image]), list[Any] | Literal[False])


def test_errors_are_caught_by_either_class() -> None:
    """pixlog's own classes and the built-in ones both catch what a constructor raises."""
    with pytest.raises(pixlog.InputError):
        pixlog.Image(None)
    with pytest.raises(TypeError):
        pixlog.Image(None)
    with pytest.raises(FileNotFoundError):
        pixlog.Image("no such file.png")
