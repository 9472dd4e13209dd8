"""Bounding boxes: every rule of W&B's, minus its bugs, and rotation beyond it."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest

from pixlog.errors import InputError, InputKeyError, InputTypeError
from pixlog.model.boxes import BoundingBoxes2D

MIDDLE = {"middle": [0.5, 0.5], "width": 0.1, "height": 0.2}
CORNERS = {"minX": 0.1, "maxX": 0.2, "minY": 0.3, "maxY": 0.4}


def _box(**fields: Any) -> dict[str, Any]:
    return {"position": MIDDLE, "class_id": 1, **fields}


def _boxes(*boxes: Any, **fields: Any) -> BoundingBoxes2D:
    return BoundingBoxes2D({"box_data": list(boxes), **fields}, "pred")


@pytest.mark.parametrize(
    "box",
    [
        _box(),
        _box(position=CORNERS),
        _box(position={**CORNERS, "minX": 0.9}),
        _box(position={"minX": -5, "maxX": 1e9, "minY": math.nan, "maxY": True}),
        _box(position={name: np.float32(value) for name, value in CORNERS.items()}),
        _box(position={**MIDDLE, "middle": (1, 2)}),
        _box(position={**MIDDLE, "middle": np.array([1, 2])}),
        _box(position={**MIDDLE, "middle": ["a", "b"]}),
        _box(domain="unheard of"),
        _box(class_id=np.int64(3)),
        _box(class_id=True),
        _box(class_id=2**40),
        _box(scores={"acc": 0.5, "nan": math.nan, "ok": True, "np": np.float16(1)}),
        _box(scores={}),
        _box(box_caption=""),
        _box(anything=[{"else": 1}]),
    ],
)
def test_boxes_accept_what_wandb_accepts(box: dict[str, Any]) -> None:
    """Both forms of position, any range, NumPy numbers and further entries are fine."""
    assert len(_boxes(box).box_data) == 1


@pytest.mark.parametrize(
    ("box", "told"),
    [
        ({"class_id": 1}, "position"),
        (_box(position=None), "position"),
        (_box(position={"middle": [1, 2], "width": 1}), "minX"),
        (_box(position={"middle": [1, 2, 3], "width": 1, "height": 1}), "middle"),
        (_box(position={"middle": 3, "width": 1, "height": 1}), "middle"),
        (_box(position={**MIDDLE, "width": "1"}), "width"),
        (_box(position={**MIDDLE, "width": np.array(1.0)}), "width"),
        (_box(position={"minX": 1, "maxX": 2, "minY": 3}), "maxY"),
        (_box(class_id=1.0), "class_id"),
        (_box(class_id="1"), "class_id"),
        (_box(class_id=None), "class_id"),
        (_box(scores=[1]), "scores"),
        (_box(scores={1: 0.5}), "scores"),
        (_box(scores={"a": None}), "scores"),
        (_box(box_caption=None), "box_caption"),
        (_box(box_caption=3), "box_caption"),
        (_box(extra=object()), "object"),
        ("box", "str"),
    ],
)
def test_boxes_refuse_wrong_types(box: Any, told: str) -> None:
    """What W&B refuses with a TypeError is one here, and the message names the box and the entry."""
    with pytest.raises(TypeError, match=told) as caught:
        _boxes(_box(), box)
    assert isinstance(caught.value, InputTypeError)
    assert "boxes['pred']" in str(caught.value)


def test_boxes_need_box_data() -> None:
    """Missing box_data is a KeyError whose message is a sentence; a tuple of boxes is a TypeError."""
    with pytest.raises(KeyError) as caught:
        BoundingBoxes2D({"boxes": []}, "pred")
    assert isinstance(caught.value, InputKeyError)
    assert str(caught.value) == "boxes['pred'] has no 'box_data'; got ['boxes']"
    others: list[Any] = [(), {}, None]
    for data in others:
        with pytest.raises(TypeError, match="box_data"):
            BoundingBoxes2D({"box_data": data}, "pred")
    with pytest.raises(TypeError, match="list"):
        BoundingBoxes2D([], "pred")  # type: ignore[arg-type]


def test_boxes_without_class_id_need_labels() -> None:
    """A box may leave its class out only where the group names classes."""
    box = {"position": MIDDLE}
    assert _boxes(box, class_labels={1: "a"}).class_labels == {1: "a"}
    with pytest.raises(KeyError, match="class_id"):
        _boxes(box)


@pytest.mark.parametrize("labels", [{"1": "a"}, {1: 2}, {None: "a"}, [], None])
def test_boxes_refuse_wrong_class_labels(labels: Any) -> None:
    """Labels are a dict from numbers to strings; anything else is a TypeError."""
    with pytest.raises(TypeError, match="class_labels"):
        _boxes(class_labels=labels)


def test_boxes_label_classes_by_their_ids() -> None:
    """Without labels each id that occurs is called class_<id>, in order, and ids of any size survive."""
    boxes = _boxes(_box(class_id=2**40), _box(class_id=3), _box(class_id=np.int64(3)), _box(class_id=-1))
    assert boxes.class_labels == {-1: "class_-1", 3: "class_3", 2**40: f"class_{2**40}"}
    assert not boxes.labels_given
    assert "class_labels" not in boxes.to_item()
    assert _boxes().class_labels == {}


def test_boxes_keep_labels_with_plain_keys() -> None:
    """Labels given are kept, NumPy ids as ints, and go along with the boxes."""
    boxes = _boxes(_box(), class_labels={np.int64(1): "cat", 2.0: "dog", np.float32(3): "cow"}, note="kept")
    assert boxes.labels_given
    assert boxes.to_item() == {
        "box_data": [_box()],
        "class_labels": {1: "cat", 2: "dog", 3: "cow"},
        "note": "kept",
    }
    assert {type(key) for key in boxes.class_labels} == {int}


@pytest.mark.parametrize("class_id", [2.5, np.float32(0.5), float("nan"), float("inf")])
def test_boxes_refuse_class_ids_that_are_no_whole_numbers(class_id: Any) -> None:
    """A label that no box can have is refused in words that say where."""
    with pytest.raises(InputError, match=r"class_labels'\] has the class id .*, expected whole numbers"):
        _boxes(_box(), class_labels={1: "cat", class_id: "half"})


def test_boxes_never_touch_what_they_were_given() -> None:
    """The caller's dicts are neither changed nor kept."""
    val: dict[str, Any] = {
        "box_data": [
            {"position": {"middle": np.array([1.0, 2.0]), "width": 1, "height": 2}, "class_id": np.int64(1)}
        ]
    }
    before = copy.deepcopy(val)
    boxes = BoundingBoxes2D(val, "pred")
    assert val["box_data"][0]["class_id"] is not boxes.box_data[0]["class_id"]
    np.testing.assert_equal(val, before)
    val["box_data"][0]["class_id"] = 99
    assert boxes.box_data[0]["class_id"] == 1


def test_rotated_box_is_in_degrees() -> None:
    """A box about its middle may be turned by rotation_deg; corners cannot, and it must be a finite number."""
    assert (
        _boxes(_box(position={**MIDDLE, "rotation_deg": -30})).box_data[0]["position"]["rotation_deg"] == -30
    )
    for position in (
        {**CORNERS, "rotation_deg": 30},
        {**MIDDLE, "rotation_deg": "30"},
        {**MIDDLE, "rotation_deg": math.inf},
        {**MIDDLE, "rotation_deg": None},
    ):
        with pytest.raises(TypeError, match="rotation_deg"):
            _boxes(_box(position=position))


def test_boxes_refuse_numbers_beyond_64_bits() -> None:
    """A whole number that the wire cannot carry is refused here, not lost there."""
    with pytest.raises(InputError, match="64 bits"):
        _boxes(_box(class_id=2**70))
