"""The default contract's rules, value by value."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pixlog.errors import InputError
from pixlog.pixels.ranged import Ranged
from pixlog.pixels.ranges import RangeChoice, check_range_choice, to_uint8
from pixlog.pixels.samples import Samples, read_samples, round_to_bfloat16, widen_bfloat16


def _samples(values: object, dtype: str) -> Samples:
    array: npt.NDArray[Any] = np.asarray(values, dtype=np.dtype(dtype))
    return read_samples(array.tobytes(), array.dtype.str, array.size)


def _levels(values: object, dtype: str, **choice: Any) -> Ranged:
    tensor = choice.pop("is_tensor", False)
    return to_uint8(_samples(values, dtype), RangeChoice(**choice), is_tensor=tensor)


@pytest.mark.parametrize(
    ("values", "dtype", "levels", "rule"),
    [
        ([False, True], "?", [0, 255], "bool"),
        ([0, 1, 255], "u1", [0, 1, 255], "as_is"),
        ([0, 1, 1], "i8", [0, 1, 1], "as_is"),
        ([-5, 0, 300], "i2", [0, 0, 255], "clip"),
        ([-128, 0, 127], "i1", [0, 0, 127], "clip"),
        ([0, 256, 65535], "u2", [0, 255, 255], "clip"),
        ([-(2**62), 7, 2**62], "i8", [0, 7, 255], "clip"),
        ([0, 2**64 - 1], "u8", [0, 255], "clip"),
        ([0, 0.25, 0.5, 1], "f4", [0, 64, 128, 255], "unit_round"),
        ([0, 0.001, 0.999], "f8", [0, 0, 255], "unit_round"),
        ([-1, -0.5, 0, 1], "f4", [0, 64, 128, 255], "signed_round"),
        ([-0.1, 0.5], "f4", [115, 191], "signed_round"),
        ([0, 1.5, 2.6, 255], "f8", [0, 2, 3, 255], "as_is_round"),
        ([-3, 99.6, 400], "f4", [0, 100, 255], "clip_round"),
        ([0, 1.0001], "f4", [0, 1], "as_is_round"),
        ([0, 0.5, 1], ">f4", [0, 128, 255], "unit_round"),
        ([0, 300], ">i4", [0, 255], "clip"),
        ([0, 0.5, 1], "f2", [0, 128, 255], "unit_round"),
    ],
)
def test_auto_maps_values_by_dtype_and_range(
    values: list[float], dtype: str, levels: list[int], rule: str
) -> None:
    """bool, integers and floats each have their rule, and the rule is named."""
    ranged = _levels(values, dtype)
    assert ranged.levels.tolist() == levels
    assert ranged.rule == rule


def test_auto_stretches_out_of_range_float_tensors() -> None:
    """Torch tensors of floats beyond 0…255 are stretched instead of clipped."""
    ranged = _levels([-10, 95, 200], "f4", is_tensor=True)
    assert ranged.levels.tolist() == [0, 128, 255]
    assert ranged.rule == "minmax"
    assert ranged.note is None


def test_auto_clips_integer_tensors() -> None:
    """Integer tensors are never rescaled."""
    assert _levels([-10, 95, 300], "i4", is_tensor=True).levels.tolist() == [0, 95, 255]


def test_auto_notes_clipped_floats() -> None:
    """The note about clipped floats names the range that came."""
    note = _levels([-3.5, 400], "f4").note
    assert note is not None
    assert "-3.5" in note
    assert "400" in note


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_non_finite_values_become_the_ends_and_are_counted(dtype: str) -> None:
    """NaN becomes 0, infinities 0 and 255, and the finite values decide the rule."""
    ranged = _levels([np.nan, np.inf, -np.inf, 0.5, np.nan], dtype)
    assert ranged.levels.tolist() == [0, 255, 0, 128, 0]
    assert ranged.describe() == {
        "min": 0.5,
        "max": 0.5,
        "nan": 2,
        "posinf": 1,
        "neginf": 1,
        "rule": "unit_round",
    }


def test_arrays_without_finite_values_have_no_extremes() -> None:
    """Nothing but NaN and infinities gives null extremes, never a NaN in the record."""
    ranged = _levels([np.nan, np.inf, -np.inf], "f4")
    assert ranged.levels.tolist() == [0, 255, 0]
    assert ranged.describe()["min"] is None


@pytest.mark.parametrize(
    ("values", "dtype", "levels"),
    [
        ([0.2, 0.9, 254.6, 300, -4], "f4", [0, 1, 255, 255, 0]),
        ([-4, 7, 300], "i4", [0, 7, 255]),
        ([False, True], "?", [0, 1]),
        ([3, 200], "u1", [3, 200]),
        ([np.nan, np.inf, 3], "f4", [0, 255, 3]),
    ],
)
def test_none_casts_with_clipping(values: list[float], dtype: str, levels: list[int]) -> None:
    """normalize="none" looks at no range: values are rounded and clipped."""
    ranged = _levels(values, dtype, normalize="none")
    assert ranged.levels.tolist() == levels
    assert ranged.rule == "cast"


@pytest.mark.parametrize(
    ("values", "dtype", "levels"),
    [
        ([2, 3, 4], "u1", [0, 128, 255]),
        ([-1e300, 0, 1e300], "f8", [0, 128, 255]),
        ([-3e38, 0, 3e38], "f4", [0, 128, 255]),
        ([-1.7e308, 0, 1.7e308], "f8", [0, 128, 255]),
        ([7, 7], "f4", [0, 0]),
        ([False, True], "?", [0, 255]),
        ([1, np.inf, 3, np.nan, -np.inf], "f4", [0, 255, 255, 0, 0]),
        ([5, np.inf], "f4", [0, 255]),
        ([np.nan, np.nan], "f4", [0, 0]),
    ],
)
def test_minmax_stretches_any_dtype(values: list[float], dtype: str, levels: list[int]) -> None:
    """normalize="minmax" maps the finite extremes to 0 and 255 at any magnitude; a constant becomes 0."""
    assert _levels(values, dtype, normalize="minmax").levels.tolist() == levels


def test_minmax_stretches_each_image_of_a_batch() -> None:
    """Images that lie one after the other are stretched one by one."""
    ranged = to_uint8(_samples([0, 1, 10, 20], "f4"), RangeChoice("minmax"), image_count=2)
    assert ranged.levels.tolist() == [0, 255, 0, 255]
    assert (ranged.stats.min, ranged.stats.max) == (0.0, 20.0)


@pytest.mark.parametrize(
    ("values", "dtype", "levels"),
    [
        ([-2, 0, 2, 5, -9], "f4", [0, 128, 255, 255, 0]),
        ([-2, 0, 2, 5, -9], "i2", [0, 128, 255, 255, 0]),
        ([True, False], "?", [191, 128]),
        ([np.nan, np.inf, -np.inf, 1], "f8", [0, 255, 0, 191]),
    ],
)
def test_value_range_maps_its_interval(values: list[float], dtype: str, levels: list[int]) -> None:
    """value_range=(low, high) maps low to 0 and high to 255 and clips what lies outside."""
    ranged = _levels(values, dtype, value_range=(-2.0, 2.0))
    assert ranged.levels.tolist() == levels
    assert ranged.rule == "value_range"


@pytest.mark.parametrize(
    ("normalize", "value_range"),
    [
        ("max", None),
        (None, (1, 1)),
        (None, (2, 1)),
        (None, (0, float("nan"))),
        (None, (0, float("inf"))),
        (None, 3),
        (None, "ab"),
        (None, (0, 1, 2)),
        ("minmax", (0, 1)),
    ],
)
def test_range_choice_refuses_unusable_options(normalize: object, value_range: object) -> None:
    """Unknown rules, empty or infinite intervals, and two rules at once are errors."""
    with pytest.raises(InputError, match="expected"):
        check_range_choice(normalize, value_range)


def test_complex_pixels_are_refused() -> None:
    """Complex values have no brightness."""
    with pytest.raises(InputError, match="complex64"):
        _levels([1 + 2j], "c8")


def test_uint8_is_not_copied() -> None:
    """uint8 levels are the very memory that arrived."""
    raw = np.arange(12, dtype=np.uint8)
    ranged = to_uint8(read_samples(raw.data, "|u1", 12))
    assert np.shares_memory(ranged.levels, raw)


@pytest.mark.parametrize("normalize", ["auto", "none", "minmax", "wandb"])
@pytest.mark.parametrize("dtype", ["?", "u1", "i2", "f4", ">f4", "f2", "f8"])
def test_input_is_never_changed(normalize: str, dtype: str) -> None:
    """No rule writes into the samples it reads."""
    raw = np.array([0, 1, 0, 1, 1], dtype=np.dtype(dtype))
    before = raw.tobytes()
    to_uint8(read_samples(raw.view(np.uint8).data, raw.dtype.str, raw.size), RangeChoice(normalize))
    assert raw.tobytes() == before


def test_bfloat16_words_are_widened_exactly() -> None:
    """bfloat16 is the upper half of float32, and rounding to it is to nearest even."""
    values = np.array([0, 1, -2.5, 0.1, 3e38, 1 + 2**-8, 1 + 3 * 2**-8], dtype=np.float32)
    rounded = round_to_bfloat16(values)
    words = (rounded.view(np.uint32) >> 16).astype(np.uint16)
    assert widen_bfloat16(words).tolist() == rounded.tolist()
    assert rounded[-2:].tolist() == [1.0, 1 + 2**-6]


def test_bfloat16_follows_the_float_rules() -> None:
    """bfloat16 pixels give the levels of their float32 values."""
    words = (np.array([0, 0.5, 1], dtype=np.float32).view(np.uint32) >> 16).astype(np.uint16)
    samples = read_samples(words.tobytes(), "bfloat16", 3)
    assert to_uint8(samples).levels.tolist() == [0, 128, 255]
    assert samples.name == "bfloat16"


def test_bool_bytes_other_than_one_count_as_true() -> None:
    """A bool array made by a reinterpreting view has odd bytes; they are all True."""
    assert to_uint8(read_samples(bytes([0, 1, 2, 255]), "|b1", 4)).levels.tolist() == [0, 255, 255, 255]


@pytest.mark.parametrize(("dtype", "nbytes"), [("|O", 8), ("<M8", 8), ("|V4", 4), ("<U1", 4), ("|u1", 3)])
def test_samples_refuse_unknown_dtypes_and_wrong_sizes(dtype: str, nbytes: int) -> None:
    """Only numbers are read, and only when the bytes are as many as the shape says."""
    with pytest.raises(InputError, match="expected"):
        read_samples(bytes(nbytes), dtype, 1)
