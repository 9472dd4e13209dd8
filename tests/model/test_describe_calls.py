"""What one log call becomes on the wire: items, buffers, lists, batches, options."""

from __future__ import annotations

import copy
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from described_arrays import array_of, logical_array
from pixlog.errors import InputError, InputTypeError
from pixlog.model.describe import describe
from pixlog.model.image import Image

GRAY = np.arange(12, dtype=np.uint8).reshape(3, 4)


def test_plain_array_is_described_alike_each_time() -> None:
    """The table of shapes answers as the long way did, for each dtype and contract by itself."""
    for _ in range(3):
        for dtype in ("u1", "<f4", ">f4", "?"):
            for contract in ("pixlog", "wandb"):
                array = np.ones((5, 6, 3), dtype)
                described = describe(array, contract=contract)
                assert described.items == [
                    {
                        "data": {
                            "kind": "array",
                            "buffer": 0,
                            "dtype": array.dtype.str,
                            "shape": [5, 6, 3],
                            "layout": "HWC",
                            "origin": "numpy",
                        }
                    }
                ]
                assert described.buffers[0] is array
                assert (described.is_list, list(described.warnings)) == (False, [])


def test_plain_array_table_minds_memory_order() -> None:
    """A Fortran array of a shape that the table knows is described by its axes all the same."""
    array = np.arange(5 * 6 * 3, dtype=np.uint8).reshape(5, 6, 3)
    describe(array)
    described = describe(np.asfortranarray(array))
    assert described.items[0]["data"]["axes"] == [2, 1, 0]
    np.testing.assert_array_equal(logical_array(described), array)


def test_ambiguous_shape_warns_every_time() -> None:
    """The table keeps the warning; whether it is shown again is for the client to say."""
    array = np.zeros((3, 8, 3), np.uint8)
    for _ in range(2):
        (warning,) = describe(array).warnings
        assert "(3, 8, 3)" in warning
    assert not describe(array, layout="CHW").warnings


def test_list_is_one_row_of_items() -> None:
    """Images of any kind in a list keep their order and know their places."""
    first, last = Image(GRAY, caption="a"), Image(GRAY + 1)
    described = describe([first, GRAY + 2, last])
    assert described.is_list
    assert [item["data"]["buffer"] for item in described.items] == [0, 1, 2]
    assert [int(logical_array(described, index)[0, 0]) for index in range(3)] == [0, 2, 1]
    assert described.items[0]["caption"] == "a"
    assert [(image is first or image is last, index) for image, index in described.images] == [
        (True, 0),
        (True, 2),
    ]
    assert describe((GRAY,)).is_list


def test_empty_list_is_a_row_without_images() -> None:
    """An empty list is legal, as in W&B."""
    assert describe([]) == ([], [], True, [], [])


@pytest.mark.parametrize(
    ("shape", "layout"), [((3, 5, 6, 3), "HWC"), ((3, 3, 15, 16), "CHW"), ((3, 5, 6, 1), "HWC")]
)
def test_batch_becomes_a_list(shape: tuple[int, ...], layout: str) -> None:
    """A batch without grid is split into items that are views of it."""
    batch = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    described = describe(batch)
    assert described.is_list
    for index in range(3):
        assert described.items[index]["data"]["layout"] == layout
        np.testing.assert_array_equal(logical_array(described, index), batch[index])
        assert np.shares_memory(described.buffers[index], batch)


def test_batch_in_fortran_order_is_split() -> None:
    """Images of a batch that lie interleaved are still themselves."""
    batch = np.asfortranarray(np.arange(2 * 5 * 6 * 3).reshape(2, 5, 6, 3))
    described = describe(batch)
    for index in range(2):
        np.testing.assert_array_equal(logical_array(described, index), batch[index])


@pytest.mark.parametrize("grid", [True, 3])
def test_batch_with_grid_is_one_item(grid: bool | int) -> None:
    """With grid the whole batch goes as one item that says so."""
    described = describe(np.zeros((4, 5, 6, 3)), grid=grid)
    (item,) = described.items
    assert not described.is_list
    assert (item["data"]["layout"], item["grid"], item["data"]["shape"]) == ("NHWC", grid, [4, 5, 6, 3])
    assert describe(np.zeros((4, 5, 6, 3)), grid=False).is_list


def test_batch_of_one_is_a_single_image() -> None:
    """A leading axis of one is no batch, unless the layout says that it is."""
    assert not describe(np.zeros((1, 5, 6, 3))).is_list
    described = describe(np.zeros((1, 5, 6, 3)), layout="NHWC")
    assert described.is_list
    assert described.items[0]["data"]["shape"] == [5, 6, 3]


def test_options_of_list_are_dealt_out() -> None:
    """A list of captions, boxes, masks or metadata gives each image its own; anything else is shared."""
    boxes = {"box_data": [{"position": {"minX": 0, "maxX": 1, "minY": 0, "maxY": 1}, "class_id": 1}]}
    described = describe(
        [GRAY, GRAY],
        caption=["a", "b"],
        boxes=[{"g": boxes}, None],
        masks=({}, {"m": {"mask_data": GRAY}}),
        meta=[{"i": 0}, {"i": 1}],
        quality=80,
    )
    one, two = described.items
    assert (one["caption"], two["caption"]) == ("a", "b")
    assert (one["boxes"]["g"]["box_data"][0]["class_id"], "boxes" in two) == (1, False)
    assert ("masks" in one, two["masks"]["m"]["data"]["buffer"]) == (False, 2)
    assert (one["meta"], two["meta"], one["quality"], two["quality"]) == ({"i": 0}, {"i": 1}, 80, 80)
    assert [item["caption"] for item in describe([GRAY, GRAY], caption="same").items] == ["same", "same"]
    batch = describe(np.zeros((2, 5, 6, 3)), caption=["a", "b"])
    assert [item["caption"] for item in batch.items] == ["a", "b"]


def test_options_of_list_must_be_as_many() -> None:
    """Two captions for three images name both numbers."""
    with pytest.raises(InputError, match="2 entries in caption for 3 images"):
        describe([GRAY] * 3, caption=["a", "b"])
    with pytest.raises(InputError, match="2 entries in caption for 3 images"):
        describe(np.zeros((3, 5, 6, 3)), caption=["a", "b"])


def test_list_as_caption_of_one_image_is_a_caption() -> None:
    """For a single image a list is a value like any other."""
    assert describe(GRAY, caption=["a", 1]).items[0]["caption"] == ["a", 1]
    with pytest.raises(InputError, match="boxes"):
        describe(GRAY, boxes=[{}])


def test_unknown_option_is_refused_with_the_nearest() -> None:
    """A misspelt option names the one that was meant."""
    with pytest.raises(InputTypeError, match="did you mean 'caption'"):
        describe(GRAY, captoin="a")


def test_options_win_over_those_of_an_image() -> None:
    """What is given at the call wins over what the Image has, and the Image stays as it was."""
    image = Image(GRAY, caption="a", file_type="jpg", boxes={"g": {"box_data": []}})
    described = describe(image, caption="b")
    assert described.items[0]["caption"] == "b"
    assert described.items[0]["file_type"] == "jpg"
    assert (image.caption, described.images) == ("a", [(image, 0)])


def test_image_contract_wins_over_the_clients() -> None:
    """An Image's own contract goes along and settles how its array is read."""
    shape = (3, 20, 30)
    item = describe(Image(np.zeros(shape), contract="pixlog"), contract="wandb").items[0]
    assert (item["contract"], item["data"]["layout"]) == ("pixlog", "CHW")
    with pytest.raises(InputError):
        describe(Image(np.zeros(shape)), contract="wandb")
    with pytest.raises(InputError):
        Image(np.zeros(shape), contract="wandb")


def test_masks_are_buffers_of_their_own() -> None:
    """A mask is described like an array, with the labels that were given."""
    image = Image(
        GRAY,
        masks={
            "a": {"mask_data": GRAY.astype(np.int64), "class_labels": {1: "x"}},
            "b": {"mask_data": GRAY.T.copy().T > 3},
        },
    )
    described = describe(image)
    masks = described.items[0]["masks"]
    assert (masks["a"]["class_labels"], masks["a"]["labels_given"]) == ({1: "x"}, True)
    assert (masks["b"]["labels_given"], "class_labels" in masks["b"]) == (False, False)
    assert masks["a"]["data"]["dtype"] == "|u1"
    np.testing.assert_array_equal(array_of(masks["a"]["data"], described.buffers), GRAY)
    np.testing.assert_array_equal(array_of(masks["b"]["data"], described.buffers), GRAY > 3)


def test_every_option_reaches_the_wire() -> None:
    """What was given is in the item under its own name, in types that msgpack knows; what was not is absent."""
    options: dict[str, Any] = {
        "mode": "L",
        "caption": np.float32(0.5),
        "grouping": np.int64(2),
        "classes": [{"id": np.int8(1), "name": "a"}],
        "file_type": "webp",
        "value_range": (np.float64(0), 10),
        "color": "bgr",
        "quality": np.int32(80),
        "lossless": np.bool_(False),
        "level": "small",
        "meta": {"epoch": np.int64(3), "t": (1, 2)},
        "background": "#ff8000",
        "dedup": True,
    }
    before = copy.deepcopy(options)
    described = describe(np.zeros((5, 6, 3)), **options)
    assert options == before
    item = msgpack.unpackb(msgpack.packb(described.items[0]), strict_map_key=False)
    del item["data"]
    assert item == {
        "mode": "L",
        "caption": 0.5,
        "grouping": 2,
        "classes": [{"id": 1, "name": "a"}],
        "file_type": "webp",
        "value_range": [0.0, 10],
        "color": "BGR",
        "quality": 80,
        "lossless": False,
        "level": "small",
        "meta": {"epoch": 3, "t": [1, 2]},
        "background": [255, 128, 0],
        "dedup": True,
    }
    assert describe(Image(GRAY)).items[0].keys() == {"data"}


@given(shape=st.lists(st.integers(1, 9), min_size=2, max_size=4), origin_chw=st.booleans())
def test_described_values_are_the_arrays(shape: list[int], origin_chw: bool) -> None:
    """Whatever shape is accepted, its items hold exactly the values of the array, in order."""
    array = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    if origin_chw:
        array = array.T
    try:
        described = describe(array)
    except InputError:
        return
    values = [logical_array(described, index).ravel() for index in range(len(described.items))]
    np.testing.assert_array_equal(np.concatenate(values), array.ravel())
