"""Polygons and keypoints: shapes that W&B has no word for."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from pixlog.errors import InputError
from pixlog.model.describe import describe
from pixlog.model.image import Image
from pixlog.model.keypoints import Keypoints
from pixlog.model.polygons import Polygons

RING = [[0.1, 0.1], [0.9, 0.1], [0.5, 0.9]]
POINTS = [[0.1, 0.2, 2], [0.3, 0.4, 1], [0.5, 0.6, 0]]


def test_polygons_become_plain_data() -> None:
    """Arrays of points become lists; holes, scores, captions and further entries go along."""
    val = {
        "polygon_data": [
            {
                "points": np.array(RING, np.float64),
                "holes": [np.array(RING) / 2],
                "class_id": np.int64(3),
                "scores": {"iou": np.float32(0.5)},
                "polygon_caption": "lake",
                "domain": "pixel",
            }
        ],
        "class_labels": {np.int64(3): "water"},
    }
    before = copy.deepcopy(val)
    polygons = Polygons(val, "gt")
    np.testing.assert_equal(val, before)
    (polygon,) = polygons.to_item()["polygon_data"]
    assert polygon["points"] == RING
    assert polygon["holes"] == [[[x / 2, y / 2] for x, y in RING]]
    assert (polygon["class_id"], polygon["scores"], polygon["domain"]) == (3, {"iou": 0.5}, "pixel")
    assert polygons.class_labels == {3: "water"}
    assert Polygons({"polygon_data": [{"points": RING, "class_id": 4}]}, "gt").class_labels == {4: "class_4"}


@pytest.mark.parametrize(
    ("polygon", "kind"),
    [
        ({"class_id": 1}, TypeError),
        ({"points": RING}, KeyError),
        ({"points": RING[:2], "class_id": 1}, ValueError),
        ({"points": [[1, 2, 3]] * 3, "class_id": 1}, TypeError),
        ({"points": [[1, 2], [3]], "class_id": 1}, TypeError),
        ({"points": [["a", "b"]] * 3, "class_id": 1}, TypeError),
        ({"points": 3, "class_id": 1}, TypeError),
        ({"points": RING, "class_id": 1.5}, TypeError),
        ({"points": RING, "class_id": 1, "holes": 3}, TypeError),
        ({"points": RING, "class_id": 1, "holes": [RING[:1]]}, ValueError),
        ({"points": RING, "class_id": 1, "polygon_caption": 3}, TypeError),
        ({"points": RING, "class_id": 1, "scores": {"a": "b"}}, TypeError),
        (3, TypeError),
    ],
)
def test_polygons_refuse_other_things(polygon: Any, kind: type[Exception]) -> None:
    """What is no polygon is an input error of the fitting built-in class, with the group's name."""
    with pytest.raises(kind) as caught:
        Polygons({"polygon_data": [polygon]}, "gt")
    assert isinstance(caught.value, InputError)
    assert "polygons['gt']" in str(caught.value)


def test_keypoints_become_plain_data() -> None:
    """Points may have a visibility; skeleton and names belong to the group."""
    val = {
        "keypoint_data": [{"points": np.array(POINTS), "class_id": 1, "keypoint_caption": "Ada"}],
        "skeleton": [(0, 1), np.array([1, 2])],
        "point_names": ["nose", "neck", "hip"],
    }
    keypoints = Keypoints(val, "pose")
    assert keypoints.to_item() == {
        "keypoint_data": [{"points": POINTS, "class_id": 1, "keypoint_caption": "Ada"}],
        "skeleton": [[0, 1], [1, 2]],
        "point_names": ["nose", "neck", "hip"],
    }
    assert keypoints.class_labels == {1: "class_1"}


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"skeleton": [[0, 3]]}, ValueError),
        ({"skeleton": [[-1, 0]]}, ValueError),
        ({"skeleton": [[0]]}, TypeError),
        ({"skeleton": [[0, "1"]]}, TypeError),
        ({"skeleton": 3}, TypeError),
        ({"point_names": ["a"]}, ValueError),
        ({"point_names": [1, 2, 3]}, TypeError),
        ({"keypoint_data": [{"points": [[1]], "class_id": 1}]}, TypeError),
        ({"keypoint_data": [{"points": [], "class_id": 1}]}, TypeError),
        ({"keypoint_data": [{"points": POINTS}]}, KeyError),
        ({"keypoint_data": {}}, TypeError),
        ({"keypoint_data": ["a"]}, TypeError),
    ],
)
def test_keypoints_refuse_other_things(fields: dict[str, Any], kind: type[Exception]) -> None:
    """A skeleton that joins missing points, wrong counts of names and wrong shapes are input errors."""
    val = {"keypoint_data": [{"points": POINTS, "class_id": 1}], **fields}
    with pytest.raises(kind) as caught:
        Keypoints(val, "pose")
    assert isinstance(caught.value, InputError)


def test_shapes_go_along_with_their_image() -> None:
    """Groups given as dicts or as helper objects are in the item under their names."""
    polygons = Polygons({"polygon_data": [{"points": RING, "class_id": 1}]}, "x")
    image = Image(
        np.zeros((4, 4)),
        polygons={"gt": polygons, "pred": {"polygon_data": []}},
        keypoints={"pose": {"keypoint_data": [{"points": POINTS, "class_id": 1}]}},
    )
    item = describe(image).items[0]
    assert item["polygons"]["gt"] == polygons.to_item()
    assert item["polygons"]["pred"] == {"polygon_data": []}
    assert item["keypoints"]["pose"]["keypoint_data"][0]["points"] == POINTS
