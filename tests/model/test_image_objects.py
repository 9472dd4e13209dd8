"""Image objects: snapshots, copies, equality, the class methods of W&B."""

from __future__ import annotations

import copy
import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PilImage

from described_arrays import logical_array
from pixlog.errors import InputError, InputTypeError
from pixlog.model.describe import describe
from pixlog.model.image import Image
from pixlog.receipt import Receipt

GRAY = np.arange(12, dtype=np.uint8).reshape(3, 4)
BOXES = {"box_data": [{"position": {"minX": 0, "maxX": 1, "minY": 0, "maxY": 1}, "class_id": 1}]}


def test_image_takes_wandbs_arguments_in_order() -> None:
    """The first eight arguments are wandb.Image 0.18.0's, positional; everything of ours is by keyword."""
    parameters = list(inspect.signature(Image).parameters.values())
    positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert positional == [
        "data_or_path",
        "mode",
        "caption",
        "grouping",
        "classes",
        "boxes",
        "masks",
        "file_type",
    ]
    assert all(p.kind is p.KEYWORD_ONLY for p in parameters[8:])
    image = Image(GRAY, "L", "c", 3, [{"id": 1, "name": "a"}], {"b": BOXES}, None, "bmp")
    assert (image.caption, image.grouping, image.format) == ("c", 3, "bmp")


def test_image_constants_are_wandbs() -> None:
    """The page's class variables."""
    assert (Image.MAX_DIMENSION, Image.MAX_ITEMS) == (65500, 108)


@pytest.mark.parametrize("order", ["C", "F"])
def test_image_is_a_snapshot_of_its_array(order: Any) -> None:
    """A reused buffer never shows: each Image keeps what the array held."""
    buffer = np.zeros((3, 4), np.float32, order=order)
    images = []
    for value in range(3):
        buffer[:] = value
        images.append(Image(buffer))
    described = describe(images)
    assert [float(logical_array(described, index).max()) for index in range(3)] == [0, 1, 2]


def test_image_never_touches_its_arguments() -> None:
    """Arrays, dicts and lists given are the same afterwards, and not kept."""
    arguments: dict[str, Any] = {
        "data_or_path": GRAY.copy(),
        "classes": [{"id": 1, "name": "a"}],
        "boxes": {"b": copy.deepcopy(BOXES)},
        "masks": {"m": {"mask_data": GRAY.astype(np.int64)}},
        "meta": {"a": [1, 2]},
        "polygons": {"p": {"polygon_data": [{"points": [[0, 0], [1, 0], [1, 1]], "class_id": 1}]}},
    }
    before = copy.deepcopy(arguments)
    image = Image(**arguments)
    describe(image)
    np.testing.assert_equal(arguments, before)
    item = copy.deepcopy(describe(image).items[0])
    arguments["meta"]["a"].append(3)
    arguments["boxes"]["b"]["box_data"][0]["class_id"] = 7
    arguments["classes"][0]["name"] = "z"
    assert describe(image).items[0] == item


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (GRAY, (4, 3)),
        (np.zeros((3, 4, 1)), (4, 3)),
        (np.zeros((1, 20, 30)), (30, 20)),
        (np.zeros((3, 20, 30)), (30, 20)),
        (np.zeros((2, 20, 30, 3)), (30, 20)),
        (PilImage.new("L", (4, 3)), (4, 3)),
    ],
)
def test_image_knows_its_size(data: Any, size: tuple[int, int]) -> None:
    """Width and height are those of the picture, not of the array's axes."""
    image = Image(data)
    assert (image.width, image.height) == size
    assert f"{size[0]}×{size[1]}" in repr(image)


def test_image_copy_keeps_all_but_overlays() -> None:
    """A copy has pixels, caption, grouping, options and classes of its original; what is given wins."""
    first = Image(
        GRAY,
        caption="a",
        grouping=2,
        file_type="jpg",
        quality=50,
        boxes={"b": BOXES},
        classes=[{"id": 9, "name": "n"}],
    )
    second = Image(first)
    assert (second.caption, second.grouping, second.format) == ("a", 2, "jpg")
    assert second.classes == first.classes
    assert describe(second).items[0].keys() == {
        "data",
        "caption",
        "grouping",
        "file_type",
        "quality",
        "classes",
    }
    third = Image(first, caption="b", masks={"m": {"mask_data": GRAY}}, file_type="png")
    assert (third.caption, third.grouping, third.format) == ("b", 2, "png")
    assert third.classes != first.classes
    assert np.shares_memory(describe(first).buffers[0], describe(third).buffers[0])
    assert Image(Image("s3://b/a.png")).format == "png"


def test_image_copy_under_wandb_keeps_the_file() -> None:
    """Under the contract "wandb" a copy's mode and file type are its original's."""
    assert Image(Image(GRAY, file_type="bmp"), file_type="jpg", mode="L", contract="wandb").format == "bmp"
    assert "mode" not in describe(Image(Image(GRAY), mode="RGB", contract="wandb")).items[0]


def test_image_is_unhashable() -> None:
    """Images compare by content, so they are no dict keys."""
    with pytest.raises(TypeError, match="unhashable"):
        hash(Image(GRAY))


def test_equality_looks_at_pixels_and_labels() -> None:
    """Grouping, caption, size, classes and pixels count; overlays, format and path do not."""
    image = Image(GRAY, caption="a")
    assert image == Image(GRAY.astype(np.int64), caption="a", file_type="bmp")
    assert image == Image(PilImage.fromarray(GRAY), caption="a")
    assert image != Image(GRAY, caption="b")
    assert image != Image(GRAY, caption="a", grouping=1)
    assert image != Image(GRAY + 1, caption="a")
    assert image != Image(GRAY.T, caption="a")
    assert image != Image(GRAY, caption="a", classes=[{"id": 1, "name": "x"}])
    assert image != Image(np.repeat(GRAY[:, :, None], 3, axis=2), caption="a")
    assert image != Image(GRAY, caption="a", file_type="jpg")
    assert image != GRAY
    assert Image(GRAY, boxes={"b": BOXES}) != Image(GRAY)
    assert Image(GRAY, boxes={"b": BOXES}) == Image(GRAY, boxes={"c": BOXES})


def test_references_are_equal_by_url() -> None:
    """Captions of references do not count."""
    assert Image("s3://b/a.png", caption="x") == Image("s3://b/a.png")
    assert Image("s3://b/a.png") != Image("s3://b/b.png")
    assert Image("s3://b/a.png") != Image(GRAY)


def test_equality_decodes_files(tmp_path: Path) -> None:
    """A file equals the array it decodes to."""
    PilImage.fromarray(GRAY).save(tmp_path / "a.png")
    PilImage.fromarray(GRAY).save(tmp_path / "a.bmp")
    assert Image(tmp_path / "a.png") == Image(GRAY) == Image((tmp_path / "a.bmp").read_bytes())


@pytest.mark.parametrize(
    ("shape", "mode"),
    [
        ((3, 4), "L"),
        ((3, 4, 1), "L"),
        ((3, 4, 3), "RGB"),
        ((3, 4, 4), "RGBA"),
        ((3,), "RGB"),
        ((2, 3, 4), "RGBA"),
    ],
)
def test_guess_mode_goes_by_shape(shape: tuple[int, ...], mode: str) -> None:
    """Two axes are gray, else the last axis counts; only W&B's contract does not know one channel."""
    assert Image(GRAY).guess_mode(np.zeros(shape)) == mode
    if shape == (3, 4, 1):
        with pytest.raises(ValueError, match="3, 4, 1"):
            Image(GRAY, contract="wandb").guess_mode(np.zeros(shape))


@pytest.mark.parametrize(("data", "kind"), [(np.zeros((3, 4, 2)), InputError), (np.zeros(()), InputError)])
def test_guess_mode_refuses_other_shapes(data: Any, kind: type[Exception]) -> None:
    """Other channel counts and zero dimensions are an error; a list is a type error."""
    with pytest.raises(kind):
        Image(GRAY).guess_mode(data)
    with pytest.raises(InputTypeError):
        Image(GRAY).guess_mode([[1, 2]])


def test_to_uint8_follows_wandbs_rule() -> None:
    """Examples of the 0.18.0 rule: unit floats, negative stretch, binary integers, clipping, cutting off."""
    for values, levels in [
        ([0, 0.001, 0.004, 0.5, 0.999, 1.0], [0, 0, 1, 127, 254, 255]),
        ([-1.0, -0.5, 0, 0.5, 1], [0, 63, 127, 191, 255]),
        ([0, 1], [0, 255]),
        ([0, 300], [0, 255]),
        ([0, 0.5, 254.9], [0, 0, 254]),
    ]:
        array = np.array(values)
        result = Image.to_uint8(array)
        assert result.dtype == np.uint8
        np.testing.assert_array_equal(result, levels)
        np.testing.assert_array_equal(array, values)
    assert Image.to_uint8(np.zeros((2, 3, 4, 5))).shape == (2, 3, 4, 5)
    with pytest.raises(ValueError, match="empty"):
        Image.to_uint8(np.zeros((0, 3)))
    with pytest.raises(TypeError):
        Image.to_uint8([1, 2])


def test_to_uint8_returns_a_copy() -> None:
    """Even where nothing changes the caller's array is not handed back."""
    array = GRAY.copy()
    assert not np.shares_memory(Image.to_uint8(array), array)


def test_all_captions_looks_at_the_first() -> None:
    """W&B's rule: captions with None for missing ones, False where the first image has none."""
    some, none, empty = Image(GRAY, caption="x"), Image(GRAY), Image(GRAY, caption="")
    assert Image.all_captions([some, none, empty]) == ["x", None, ""]
    assert Image.all_captions([none, some]) is False
    assert Image.all_captions([empty]) == [""]
    with pytest.raises(InputError):
        Image.all_captions([])


def test_overlays_belong_to_one_image() -> None:
    """Boxes over a batch are refused, unless it is a grid; wrong groups are errors of value or type."""
    batch = np.zeros((2, 5, 6, 3))
    with pytest.raises(InputError, match="batch of 2"):
        Image(batch, boxes={"b": BOXES})
    Image(batch, boxes={"b": BOXES}, grid=True)
    nothings: list[Any] = [{}, None, []]
    for nothing in nothings:
        assert "boxes" not in describe(Image(GRAY, boxes=nothing)).items[0]
    with pytest.raises(ValueError, match="dict from group names"):
        Image(GRAY, boxes=[BOXES])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"boxes\['b'\] is of type list"):
        Image(GRAY, boxes={"b": []})


@pytest.mark.parametrize(
    "options", [{"layout": "HWC"}, {"value_range": (0, 1)}, {"grid": True}, {"color": "BGR"}], ids=str
)
def test_array_options_are_refused_for_other_data(options: dict[str, Any]) -> None:
    """What says how an array is read is an error where there is none, not silently ignored."""
    for data in (PilImage.new("RGB", (4, 3)), "s3://b/a.png"):
        with pytest.raises(InputError, match="how an array is read"):
            Image(data, **options)


def test_color_must_fit_the_channels() -> None:
    """BGR needs three channels, BGRA four."""
    Image(np.zeros((3, 4, 4)), color="BGRA")
    Image(np.zeros((3, 20, 30)), color="bgr")
    with pytest.raises(InputError, match="expects 3 channels, got 4"):
        Image(np.zeros((3, 4, 4)), color="BGR")
    with pytest.raises(InputError, match="expects 3 channels, got 1"):
        Image(GRAY, color="BGR")


def _receipt(seq: int) -> Receipt:
    receipt = Receipt(None, "00112233445566ff", "k", 0)  # type: ignore[arg-type]
    receipt.seq = seq
    return receipt


def test_ref_names_an_earlier_image() -> None:
    """An Image.ref sends no pixels, only whose they are, with new overlays over them."""
    image = Image.ref(_receipt(7), 2, boxes={"b": BOXES}, caption="again")
    described = describe(image)
    assert described.buffers == []
    assert described.items[0]["data"] == {"kind": "ref", "client": "00112233445566ff", "seq": 7, "index": 2}
    assert described.items[0]["caption"] == "again"
    assert image.image is None
    assert image == Image.ref(_receipt(7), 2, caption="again", boxes={"b": BOXES})
    assert image != Image.ref(_receipt(8), 2, caption="again", boxes={"b": BOXES})
    for wrong in (-1, True, "0"):
        with pytest.raises(InputTypeError, match="index"):
            Image.ref(_receipt(7), wrong)  # type: ignore[arg-type]
    with pytest.raises(InputTypeError, match="Receipt"):
        Image.ref(image)  # type: ignore[arg-type]
