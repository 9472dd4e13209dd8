"""Options of an image: what each accepts, and errors that name the nearest choice."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from pixlog.errors import InputError, InputTypeError
from pixlog.model.image import Image

RGB = np.zeros((5, 6, 3), np.uint8)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("file_type", "PNG", "did you mean 'png'"),
        ("file_type", ".jpg", "did you mean 'jpg'"),
        ("file_type", "jpge", "did you mean"),
        ("file_type", "tif", "did you mean 'tiff'"),
        ("file_type", "", "expected one of 'png'"),
        ("mode", "rgb", "did you mean 'RGB'"),
        ("mode", "XYZ", "expected one of '1'"),
        ("normalize", "min-max", "did you mean 'minmax'"),
        ("layout", "HCW", "did you mean"),
        ("color", "GBR", "did you mean"),
        ("level", "Fast", "did you mean 'fast'"),
        ("depth", "16", "expected one of 'keep'"),
        ("contract", "wandb2", "did you mean 'wandb'"),
        ("quality", 0, "expected 1 to 100"),
        ("quality", 101, "expected 1 to 100"),
        ("value_range", (1, 1), "low < high"),
        ("value_range", (1, 0), "low < high"),
        ("value_range", (0, math.inf), "finite"),
        ("value_range", (0, math.nan), "finite"),
        ("value_range", (1, 2, 3), "low, high"),
        ("background", (1, 2), "three whole numbers"),
        ("background", (1, 2, 256), "three whole numbers"),
        ("background", "red", "#rrggbb"),
        ("background", "#12345", "#rrggbb"),
        ("grid", 0, "at least 1 column"),
        ("meta", {"a": 2**70}, "64 bits"),
    ],
)
def test_option_with_wrong_value_is_refused(name: str, value: Any, told: str) -> None:
    """A wrong value is an InputError that says what was got and what is possible."""
    with pytest.raises(InputError, match=name) as caught:
        Image(RGB, **{name: value})
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("file_type", 3),
        ("mode", b"L"),
        ("normalize", 1),
        ("value_range", 3),
        ("layout", 3),
        ("color", 3),
        ("quality", "80"),
        ("quality", 80.5),
        ("quality", True),
        ("lossless", 1),
        ("dedup", "yes"),
        ("level", 6),
        ("grid", 2.5),
        ("grid", "yes"),
        ("background", 3),
        ("background", (1.5, 2, 3)),
        ("meta", [1]),
        ("meta", {"a": object()}),
        ("meta", {(1, 2): "a"}),
        ("caption", object()),
        ("grouping", b"x"),
        ("depth", 16),
    ],
)
def test_option_of_wrong_type_is_refused(name: str, value: Any) -> None:
    """A wrong type is an InputTypeError, also a TypeError, that names the option."""
    with pytest.raises(InputTypeError, match=name):
        Image(RGB, **{name: value})


@pytest.mark.parametrize("file_type", ["png", "jpg", "jpeg", "bmp", "webp", "gif", "tiff", "avif"])
def test_file_type_is_the_format(file_type: str) -> None:
    """The format is the literal file type; W&B's contract knows four."""
    assert Image(RGB, file_type=file_type).format == file_type
    if file_type in ("png", "jpg", "jpeg", "bmp"):
        assert Image(RGB, file_type=file_type, contract="wandb").format == file_type
    else:
        with pytest.raises(InputError, match="expected one of"):
            Image(RGB, file_type=file_type, contract="wandb")


def test_normalize_takes_bools() -> None:
    """True and False mean "auto" and "none", as some versions of wandb.Image had them."""
    assert Image(RGB, normalize=True)._content.options == {"normalize": "auto"}
    assert Image(RGB, normalize=False)._content.options == {"normalize": "none"}


def test_normalize_and_value_range_exclude_each_other() -> None:
    """Two rules at once are an error."""
    Image(RGB, normalize="auto", value_range=(0, 1))
    with pytest.raises(InputError, match="expected one of them"):
        Image(RGB, normalize="minmax", value_range=(0, 1))


def test_captions_of_any_plain_kind_are_kept() -> None:
    """Captions may be numbers, lists and text that UTF-8 cannot hold, which is spelt out."""
    for caption in ("", 0, 2.5, True, ["a", {"b": None}], "ünï→"):
        assert Image(RGB, caption=caption).caption == caption
    assert Image(RGB, caption="a\udcffb").caption == "a\\udcffb"
    assert Image(RGB, caption=np.array([1, 2])).caption == [1, 2]


def test_meta_nested_without_end_is_refused() -> None:
    """A dict that contains itself is an error and not a crash."""
    meta: dict[str, Any] = {}
    meta["again"] = meta
    with pytest.raises(InputError, match="deep"):
        Image(RGB, meta=meta)
