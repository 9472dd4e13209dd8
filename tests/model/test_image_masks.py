"""Masks: W&B's rules, ids up to 65535, every dtype."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image as PilImage

from pixlog.capture import ArraySource, EncodedSource
from pixlog.errors import InputError, InputTypeError
from pixlog.model.describe import describe
from pixlog.model.image import Image
from pixlog.model.masks import ImageMask


def _ids(data: Any, **fields: Any) -> npt.NDArray[Any]:
    source = ImageMask({"mask_data": data, **fields}, "pred").source
    assert isinstance(source, ArraySource)
    return source.array


@given(
    dtype=st.sampled_from(["?", "u1", "<u2", ">u2", "u4", "u8", "i1", "<i2", ">i4", "i8"]),
    shape=hnp.array_shapes(min_dims=2, max_dims=2, max_side=6),
    data=st.data(),
)
def test_mask_keeps_ids_of_every_integer_dtype(
    dtype: str, shape: tuple[int, int], data: st.DataObject
) -> None:
    """Ids from 0 to 65535 survive in one or two bytes each, whatever held them."""
    kind = np.dtype(dtype)
    top = 1 if kind.kind == "b" else min(65535, int(np.iinfo(kind).max))
    array = data.draw(hnp.arrays(kind, shape, elements=st.integers(0, top)))
    ids = _ids(array)
    np.testing.assert_array_equal(ids, array)
    assert ids.dtype.itemsize <= 2


@pytest.mark.parametrize(
    "data",
    [
        np.array([[-1, 0]]),
        np.array([[0, 65536]]),
        np.array([[0.0, 1e9]]),
        np.array([[np.nan, 1.0]]),
        np.array([[np.inf, 1.0]], dtype=np.float16),
        np.zeros((2, 2), complex),
        np.zeros((2, 2, 1), np.uint8),
        np.zeros(4, np.uint8),
        np.array([["a"]]),
        [[0, 1]],
        None,
        PilImage.new("RGB", (2, 2)),
    ],
    ids=lambda data: str(getattr(data, "dtype", type(data).__name__)),
)
def test_mask_refuses_other_shapes_and_values(data: Any) -> None:
    """Other ids, shapes and types are a TypeError that names the mask."""
    with pytest.raises(TypeError):
        ImageMask({"mask_data": data}, "pred")


def test_mask_names_range_in_its_error() -> None:
    """The message says which values were found and which are possible."""
    with pytest.raises(InputTypeError, match=r"masks\['pred'\].* from -1 to 7, expected ids from 0 to 65535"):
        _ids(np.array([[-1, 7]]))


def test_mask_of_no_pixels_is_refused() -> None:
    """An empty mask is an error of value."""
    with pytest.raises(InputError, match=r"\(0, 4\)"):
        _ids(np.zeros((0, 4), np.uint8))


def test_mask_of_floats_is_left_to_the_contract() -> None:
    """Floats in range pass as they are: what fractions mean differs between the contracts."""
    data = np.array([[0.2, 200.7]], np.float32)
    assert _ids(data).dtype == np.float32
    np.testing.assert_array_equal(_ids(data), data)


@pytest.mark.parametrize("mode", ["1", "L", "P", "I", "I;16", "I;16B"])
def test_mask_may_be_a_pil_image(mode: str) -> None:
    """A PIL image whose pixels are numbers is a mask; of a palette image the indices count."""
    picture = PilImage.new(mode, (11, 3))
    picture.putpixel((10, 2), 1)
    expected = np.zeros((3, 11))
    expected[2, 10] = 1
    np.testing.assert_array_equal(_ids(picture), expected)


def test_mask_labels_classes_by_their_ids() -> None:
    """Without labels each id that occurs is called class_<id>; the caller's dict stays as it was."""
    val = {"mask_data": np.array([[3, 0], [300, 3]])}
    mask = ImageMask(val, "pred")
    assert mask.class_labels == {0: "class_0", 3: "class_3", 300: "class_300"}
    assert (mask.labels_given, mask.given_labels, set(val)) == (False, None, {"mask_data"})
    named = ImageMask({**val, "class_labels": {np.int64(3): "road"}}, "pred")
    assert (named.class_labels, named.labels_given) == ({3: "road"}, True)


@pytest.mark.parametrize("labels", [{"3": "a"}, {3: None}, [], None])
def test_mask_refuses_wrong_class_labels(labels: Any) -> None:
    """Labels follow the rule of boxes."""
    with pytest.raises(TypeError, match="class_labels"):
        _ids(np.zeros((2, 2), np.uint8), class_labels=labels)


def test_mask_needs_data_or_path() -> None:
    """A dict with neither entry is a KeyError."""
    with pytest.raises(KeyError, match="neither 'mask_data' nor 'path'"):
        ImageMask({}, "pred")
    with pytest.raises(TypeError, match="ndarray"):
        ImageMask(np.zeros((2, 2)), "pred")  # type: ignore[arg-type]


def test_mask_file_is_taken_as_it_is(tmp_path: Path) -> None:
    """A path is read at once; its labels are not looked at and not recorded."""
    path = tmp_path / "mask.PNG"
    PilImage.new("L", (4, 3)).save(path)
    content = path.read_bytes()
    for given_path in (path, str(path)):
        mask = ImageMask({"path": given_path, "class_labels": "whatever"}, "pred")
        assert isinstance(mask.source, EncodedSource)
        assert (bytes(mask.source.data), mask.source.suffix) == (content, ".PNG")
        assert (mask.class_labels, mask.labels_given, mask.size) == ({}, False, (4, 3))
    with pytest.raises(FileNotFoundError):
        ImageMask({"path": str(tmp_path / "no.png")}, "pred")
    with pytest.raises(InputTypeError, match="path"):
        ImageMask({"path": 3}, "pred")


def test_mask_is_a_snapshot() -> None:
    """Changing the array after the construction changes nothing, in an Image either."""
    data = np.zeros((3, 3), np.uint8)
    mask = ImageMask({"mask_data": data}, "pred")
    image = Image(np.zeros((3, 3)), masks={"pred": {"mask_data": data}})
    data[:] = 9
    assert mask.class_labels == {0: "class_0"}
    assert image.classes is not None
    assert image.classes.class_set == [{"id": 0, "name": "class_0"}]


@pytest.mark.parametrize(
    "make",
    [
        lambda path: np.zeros((3, 4, 3)),
        lambda path: np.zeros((3, 3, 4)).transpose(1, 2, 0),
        lambda path: PilImage.new("RGB", (4, 3)),
        lambda path: path,
        lambda path: path.read_bytes(),
    ],
    ids=["array", "channel-first", "pil", "path", "bytes"],
)
def test_mask_of_another_size_is_named(tmp_path: Path, make: Any) -> None:
    """A mask that does not cover its image raises with both sizes; W&B's contract stores it."""
    path = tmp_path / "a.png"
    PilImage.new("RGB", (4, 3)).save(path)
    data = make(path)
    masks = {"pred": {"mask_data": np.zeros((6, 8), np.uint8)}}
    with pytest.raises(InputError, match="is 8×6, but the image is 4×3"):
        Image(data, masks=masks)
    Image(data, masks=masks, contract="wandb")
    Image(data, masks={"pred": {"mask_data": np.zeros((3, 4), np.uint8)}})
    with pytest.raises(InputError, match="is 8×6"):
        describe(data, masks=masks)
    assert describe(data, contract="wandb", masks=masks).items[0]["masks"]["pred"]["data"]["shape"] == [6, 8]
