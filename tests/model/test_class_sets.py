"""Class sets: W&B's rules, colours beyond them, and how classes of one image merge."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pixlog.errors import InputError
from pixlog.model.classes import Classes
from pixlog.model.describe import describe
from pixlog.model.image import Image

POSITION = {"minX": 0, "maxX": 1, "minY": 0, "maxY": 1}


def test_classes_keep_entries_in_order() -> None:
    """Ids of any kind, duplicates, colours and further entries are kept; equality minds the order."""
    given: list[dict[str, Any]] = [
        {"id": np.int64(1), "name": "a", "color": "#ff8800"},
        {"id": "x", "name": "b", "color": (255, 0, 0), "parent": None},
        {"id": 1.0, "name": "again"},
    ]
    classes = Classes(given)
    assert classes.to_json() == {
        "_type": "classes",
        "class_set": [
            {"id": 1, "name": "a", "color": "#ff8800"},
            {"id": "x", "name": "b", "color": [255, 0, 0], "parent": None},
            {"id": 1, "name": "again"},
        ],
    }
    assert type(classes.class_set[2]["id"]) is int
    assert classes == Classes(tuple(given))
    assert classes != Classes(given[::-1])
    assert classes != given
    given.append({"id": 2, "name": "c"})
    classes.class_set.clear()
    assert len(classes.class_set) == 3


@pytest.mark.parametrize(
    ("class_set", "kind"),
    [
        (None, TypeError),
        ({"id": 1, "name": "a"}, TypeError),
        ("ab", TypeError),
        ([1], TypeError),
        ([{"id": 1}], KeyError),
        ([{"name": "a"}], KeyError),
        ([{"id": object(), "name": "a"}], TypeError),
        ([{"id": 1, "name": "a", "color": (1, 2)}], ValueError),
        ([{"id": 1, "name": "a", "color": (1, 2, 300)}], ValueError),
        ([{"id": 1, "name": "a", "color": ""}], ValueError),
    ],
)
def test_classes_refuse_other_things(class_set: Any, kind: type[Exception]) -> None:
    """Each refusal is an InputError and the built-in class; in an Image's classes it is the same."""
    for make in (Classes, lambda value: Image(np.zeros((2, 2)), classes=value)):
        if class_set is None and make is not Classes:
            continue
        with pytest.raises(kind) as caught:
            make(class_set)
        assert isinstance(caught.value, InputError)


def test_classes_of_image_merge_in_order() -> None:
    """Boxes come first, then masks, then classes; a later name wins, the first occurrence fixes the position."""
    image = Image(
        np.zeros((2, 2)),
        boxes={"b": {"box_data": [{"position": POSITION}], "class_labels": {1: "box", 2: "b2"}}},
        masks={"m": {"mask_data": np.zeros((2, 2), np.uint8), "class_labels": {1: "mask", 3: "m3"}}},
        classes=[{"id": 1, "name": "C", "color": "red"}, {"id": 5, "name": "E"}],
    )
    assert image.classes is not None
    assert image.classes.class_set == [
        {"id": 1, "name": "C", "color": "red"},
        {"id": 2, "name": "b2"},
        {"id": 3, "name": "m3"},
        {"id": 5, "name": "E"},
    ]


def test_image_without_classes_has_none() -> None:
    """An empty list of classes is no classes."""
    assert Image(np.zeros((2, 2)), classes=[]).classes is None
    assert Image(np.zeros((2, 2))).classes is None


@pytest.mark.parametrize("color", ["gren", "#ff880", "transparent"])
def test_misspelt_color_is_kept_and_told(color: str) -> None:
    """The warning names the entry, the text that was got and the forms that a colour may have; no image is lost."""
    classes = Classes([{"id": 0, "name": "a", "color": "green"}, {"id": 1, "name": "b", "color": color}])
    described = describe(np.zeros((2, 2), np.uint8), contract="pixlog", classes=classes)
    assert described.items[0]["classes"] == classes.class_set
    (warning,) = described.warnings
    assert warning.startswith(f"classes[1]['color'] is {color!r}, expected a CSS colour (such as 'red'")
