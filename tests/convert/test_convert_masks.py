"""Masks keep class ids as pixel values."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from pixlog.errors import InputError, InputTypeError
from pixlogd.rendering.render import Rendered
from rendering import Call, decode, encoded, pixels_of

Array = npt.NDArray[Any]


def _with_mask(
    mask: Array, contract: str = "pixlog", axes: tuple[int, ...] | None = None, **entry: Any
) -> Rendered:
    call = Call(contract)
    image = np.zeros((2, 3, 3), dtype=np.uint8)
    image[0, 0] = 200
    masks = {"pred": {"data": call.array_data(mask, layout="HW", axes=axes), **entry}}
    return call.add_array(image, masks=masks).render()


def _ids(rendered: Rendered) -> list[list[int]]:
    ids: list[list[int]] = pixels_of(decode(rendered, 1)).tolist()
    return ids


IDS = [[0, 1, 2], [1, 255, 3]]


@pytest.mark.parametrize("dtype", ["u1", "i2", ">i4", "i8", "u8", "f4", "f8"])
@pytest.mark.parametrize("contract", ["pixlog", "wandb"])
def test_mask_stores_ids_as_gray_levels(dtype: str, contract: str) -> None:
    """Ids up to 255 of any dtype make an 8-bit gray PNG with exactly those values."""
    rendered = _with_mask(np.array(IDS, dtype=np.dtype(dtype)), contract)
    assert decode(rendered, 1).mode == "L"
    assert _ids(rendered) == IDS


@pytest.mark.parametrize("dtype", ["u2", "i4", ">i8", "f4"])
def test_mask_stores_large_ids_in_16_bits(dtype: str) -> None:
    """Ids from 256 to 65535 make a 16-bit PNG."""
    ids = [[0, 1, 256], [32767, 65535, 2]]
    if dtype == "f4":
        rendered = _with_mask(np.array(ids, dtype=np.float32))
    else:
        rendered = _with_mask(np.array(ids).astype(np.dtype(dtype)))
    assert decode(rendered, 1).mode == "I;16"
    assert _ids(rendered) == ids


@pytest.mark.parametrize("contract", ["pixlog", "wandb"])
def test_mask_stores_bools_as_zero_and_one(contract: str) -> None:
    """True is class 1, not white."""
    assert _ids(_with_mask(np.array([[True, False, True]] * 2), contract)) == [[1, 0, 1]] * 2


def test_mask_cuts_fractions_off() -> None:
    """Float ids are truncated, never scaled."""
    values = np.array([[0.2, 0.9, 1.5], [200.7, 0, 1]])
    assert _ids(_with_mask(values)) == [[0, 0, 1], [200, 0, 1]]


@pytest.mark.parametrize(
    ("value", "dtype", "contract"),
    [
        (-1, "i4", "pixlog"),
        (65536, "i4", "pixlog"),
        (np.nan, "f4", "pixlog"),
        (-1.0, "f4", "pixlog"),
        (256, "i4", "wandb"),
        (-1, "i2", "wandb"),
        (256.0, "f4", "wandb"),
        (np.nan, "f8", "wandb"),
    ],
)
def test_mask_refuses_ids_out_of_range(value: float, dtype: str, contract: str) -> None:
    """Ids that no pixel holds are an error that names the group and the limit."""
    mask = np.full((2, 3), value, dtype=np.dtype(dtype))
    with pytest.raises(InputTypeError, match=r"mask 'pred'.*expected 0 to"):
        _with_mask(mask, contract)


def test_mask_refuses_complex_and_three_dimensional_ids() -> None:
    """A mask is (H, W) of integers."""
    with pytest.raises(InputTypeError, match="complex"):
        _with_mask(np.zeros((2, 3), np.complex64))
    call = Call()
    data = call.array_data(np.zeros((2, 3, 3), np.uint8))
    call.add_array(np.zeros((2, 3), np.uint8), masks={"pred": {"data": {**data, "layout": "HW"}}})
    with pytest.raises(InputTypeError, match=r"\(2, 3, 3\)"):
        call.render()


def test_mask_of_another_size_is_refused_by_default() -> None:
    """A mask that does not cover its image is an error naming both sizes; W&B does not check."""
    mask = np.zeros((4, 5), dtype=np.uint8)
    with pytest.raises(InputError, match="5×4 pixels, expected the image's 3×2"):
        _with_mask(mask)
    assert decode(_with_mask(mask, "wandb"), 1).size == (5, 4)


def test_mask_undoes_the_axis_order_of_the_wire() -> None:
    """A Fortran-ordered mask is put right."""
    assert _ids(_with_mask(np.array(IDS, dtype=np.uint8), axes=(1, 0))) == IDS


def test_mask_files_are_kept_byte_for_byte() -> None:
    """A mask given as a file is stored as it is, under its own suffix."""
    content = encoded(Image.fromarray(np.array(IDS, dtype=np.uint8)), "bmp")
    call = Call()
    data = {"kind": "encoded", "buffer": call.buffer(content), "suffix": ".BMP"}
    rendered = call.add_array(np.zeros((2, 3), np.uint8), masks={"pred": {"data": data}}).render()
    assert bytes(rendered.new_files[1].data) == content
    assert rendered.files[1].path.startswith("media/images/mask/k_0_")
    assert rendered.files[1].path.endswith(".BMP")


def test_mask_labels_go_into_the_input_record() -> None:
    """Given labels are recorded; without any, every id that occurs is named class_<id>."""
    given = _with_mask(np.array(IDS, dtype=np.uint8), class_labels={1: "cat"}, labels_given=True).input
    assert isinstance(given, dict)
    assert given["masks"]["pred"]["class_labels"] == {"1": "cat"}
    default = _with_mask(np.array(IDS, dtype=np.uint8)).input
    assert isinstance(default, dict)
    assert default["masks"]["pred"]["class_labels"] == {str(i): f"class_{i}" for i in (0, 1, 2, 3, 255)}
