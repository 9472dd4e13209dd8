"""What is no image is refused by what it is, with what would do instead."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from pixlog.capture import capture
from pixlog.errors import InputTypeError
from pixlog.model.describe import describe
from pixlog.model.image import Image


@pytest.mark.parametrize(
    ("data", "got"),
    [
        (None, "got None"),
        (3, "got int 3, but only images are logged here"),
        (True, "got bool True, but only images are logged here"),
        (2.5, "got float 2.5, but only images are logged here"),
        (np.float32(1), "got numpy.float32"),
        ({"a": 1}, "got dict"),
        ({1}, "got set"),
        (object(), "got object"),
        (np.ndarray, "got the class numpy.ndarray itself"),
        (sys, "got the module 'sys'"),
        ((entry for entry in [1]), "got generator"),
        ([], "got an empty list"),
        ([None], "list of 1 elements (the first: NoneType)"),
    ],
    ids=str,
)
def test_other_type_is_refused_by_name(data: Any, got: str) -> None:
    """The message says what was got and lists what is expected; the class is also TypeError and ValueError."""
    with pytest.raises(InputTypeError) as caught:
        Image(data)
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, ValueError)
    assert got in str(caught.value)
    assert "expected a NumPy array" in str(caught.value)


@pytest.mark.parametrize("data", [[1, 2, 3], [[1, 2], [3, 4]], ((0.5, 1.0),), [[[0, 1, 2]]]])
def test_list_of_numbers_is_told_about_asarray(data: Any) -> None:
    """Numbers in lists are no images; the message says how to make them one, in a log call too."""
    with pytest.raises(InputTypeError, match=r"numpy\.asarray"):
        capture(data, copy=False)
    with pytest.raises(InputTypeError, match=r"numpy\.asarray"):
        describe(data)


def test_element_of_list_is_named() -> None:
    """In a list the note says which element was refused."""
    with pytest.raises(InputTypeError) as caught:
        describe([np.zeros((4, 4)), None])
    assert caught.value.__notes__ == ["element 1 of the list of 2"]
