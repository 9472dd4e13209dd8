"""The three examples of wandb.Image's reference page, with pixlog's import and logging call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as PILImage

import pixlog


def _assert_logged(run_dir: Path, pixels: list[npt.NDArray[Any]], file_type: str) -> None:
    (row,) = pixlog.Run(run_dir).rows("examples")
    value = row.value
    assert value is not None
    assert (value["_type"], value["count"], value["format"]) == ("images/separated", 3, file_type)
    assert (value["width"], value["height"]) == (100, 100)
    assert value["captions"] == [f"random field {i}" for i in range(3)]
    images = list(pixlog.Run(run_dir).images("examples"))
    assert [image.path.suffix for image in images] == [f".{file_type}"] * 3
    for image, array in zip(images, pixels, strict=True):
        if file_type == "png":
            np.testing.assert_array_equal(image.array(), array)
        else:
            assert image.array().shape == array.shape


def test_page_example_of_arrays_runs(tmp_path: Path) -> None:
    """Example 1: int64 arrays from randint, three images under one key."""
    arrays = []
    with pixlog.connect(tmp_path / "run") as run:
        examples = []
        for i in range(3):
            pixels = np.random.randint(low=0, high=256, size=(100, 100, 3))
            image = pixlog.Image(pixels, caption=f"random field {i}")
            examples.append(image)
            arrays.append(pixels)
        run.log({"examples": examples})
    _assert_logged(tmp_path / "run", arrays, "png")


def test_page_example_of_pil_images_runs(tmp_path: Path) -> None:
    """Example 2: PIL images made of uint8 arrays."""
    arrays = []
    with pixlog.connect(tmp_path / "run") as run:
        examples = []
        for i in range(3):
            pixels = np.random.randint(low=0, high=256, size=(100, 100, 3), dtype=np.uint8)
            pil_image = PILImage.fromarray(pixels)
            image = pixlog.Image(pil_image, caption=f"random field {i}")
            examples.append(image)
            arrays.append(pixels)
        run.log({"examples": examples})
    _assert_logged(tmp_path / "run", arrays, "png")


def test_page_example_of_jpg_runs(tmp_path: Path) -> None:
    """Example 3: file_type="jpg" instead of the default."""
    arrays = []
    with pixlog.connect(tmp_path / "run") as run:
        examples = []
        for i in range(3):
            pixels = np.random.randint(low=0, high=256, size=(100, 100, 3))
            image = pixlog.Image(pixels, caption=f"random field {i}", file_type="jpg")
            examples.append(image)
            arrays.append(pixels)
        run.log({"examples": examples})
    _assert_logged(tmp_path / "run", arrays, "jpg")
