"""The contract "wandb": outputs of wandb 0.18.0, written down from running it."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pixlog.errors import InputTypeError
from pixlog.pixels.samples import Samples, read_samples
from pixlog.pixels.wandb_rules import array_to_uint8, tensor_to_uint8


def _samples(values: object, dtype: str) -> Samples:
    array: npt.NDArray[Any] = np.asarray(values, dtype=np.dtype(dtype))
    return read_samples(array.tobytes(), array.dtype.str, array.size)


@pytest.mark.parametrize(
    ("values", "dtype", "levels"),
    [
        ([0, 0.001, 0.00392, 0.004, 0.5, 0.999, 1], "f8", [0, 0, 0, 1, 127, 254, 255]),
        ([0, 0.5, 1.0001], "f8", [0, 0, 1]),
        ([0, 0.5, 254.9, 255], "f8", [0, 0, 254, 255]),
        ([0, 0.5, 300], "f8", [0, 0, 255]),
        ([-1, -0.5, 0, 0.5, 1], "f8", [0, 63, 127, 191, 255]),
        ([-0.1, 0.5], "f8", [0, 255]),
        ([-10, 0, 145, 300], "f8", [0, 8, 127, 255]),
        ([0, 1, 255], "i8", [0, 1, 255]),
        ([0, 1], "i8", [0, 255]),
        ([0, 1], "u1", [0, 255]),
        ([-1, 0, 1], "i8", [0, 127, 255]),
        ([-5, 0, 300], "i8", [0, 4, 255]),
        ([0, 300], "i8", [0, 255]),
        ([0, 256, 65535], "u2", [0, 255, 255]),
        ([False, True], "?", [0, 255]),
        ([0, 0], "f8", [0, 0]),
        ([1, 1], "f8", [255, 255]),
        ([5, 5], "f8", [5, 5]),
        ([-5, -5], "f8", [0, 0]),
        ([-5, -5], "i4", [0, 0]),
        ([0, 0.25, 0.5, 0.999, 1, 0.1], "f4", [0, 63, 127, 254, 255, 25]),
        ([-1, -0.5, 0, 0.25, 0.5, 1], "f4", [0, 63, 127, 159, 191, 255]),
        ([0, 1.5, 2.9, 100.7, 254.99, 255], "f8", [0, 1, 2, 100, 254, 255]),
        ([-300, -1, 0, 255, 256, 1000], "i4", [0, 58, 58, 108, 109, 255]),
        ([65236, 65535, 0, 255, 256, 1000], "u2", [255, 255, 0, 255, 255, 255]),
        ([0.5 + 3j, 1], "c16", [127, 255]),
    ],
)
def test_array_rule_gives_the_levels_of_wandb(values: list[float], dtype: str, levels: list[int]) -> None:
    """Every worked example of the array rule comes out as in 0.18.0."""
    assert array_to_uint8(_samples(values, dtype)).levels.tolist() == levels


@pytest.mark.parametrize(
    ("values", "dtype", "levels"),
    [
        ([np.nan, 0.5, 1], "f4", [0, 127, 255]),
        ([np.inf, 0.5, 1], "f4", [255, 127, 255]),
        ([-np.inf, 0.5, 1], "f4", [0, 127, 255]),
        ([-np.inf, -1, 0, 1, np.inf, np.nan], "f8", [0, 0, 127, 255, 255, 0]),
        ([-100, 0, 100], "i1", [0, 127, 255]),
        ([0, 1], "i1", [0, 255]),
        ([-30000, 0, 30000], "i2", [0, 127, 255]),
    ],
)
def test_array_rule_defines_what_wandb_leaves_to_the_machine(
    values: list[float], dtype: str, levels: list[int]
) -> None:
    """Non-finite values take no part in a decision, and small integers do not overflow."""
    assert array_to_uint8(_samples(values, dtype)).levels.tolist() == levels


@pytest.mark.parametrize(
    ("values", "dtype", "levels"),
    [
        ([2, 127, 253], "u1", [0, 126, 255]),
        ([7, 7], "u1", [0, 0]),
        ([0.25, 0.5, 0.75], "f4", [0, 127, 255]),
        ([0, 1e-6], "f8", [0, 25]),
        ([np.nan, 0, 1], "f4", [0, 0, 255]),
    ],
)
def test_tensor_rule_stretches_everything(values: list[float], dtype: str, levels: list[int]) -> None:
    """Torch tensors run from their minimum to their maximum, with a span of at least 1e-5."""
    assert tensor_to_uint8(_samples(values, dtype)).levels.tolist() == levels


@pytest.mark.parametrize("dtype", ["?", "i8", "i1", "u2"])
def test_tensor_rule_refuses_dtypes_that_wandb_cannot_stretch(dtype: str) -> None:
    """Only uint8 and floats can be logged as tensors under this contract."""
    with pytest.raises(InputTypeError, match="expected uint8"):
        tensor_to_uint8(_samples([0, 1], dtype))


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "i2", "u1", "u2", "i8", "?"])
def test_array_rule_agrees_with_a_literal_reading(dtype: str) -> None:
    """On random arrays larger than a chunk the rule equals its definition computed in one go."""
    rng = np.random.default_rng(7)
    for low, high in ((0, 1), (0, 200), (-3, 90), (0, 2)):
        values = rng.uniform(low, high, 140_001).astype(np.dtype(dtype))
        assert np.array_equal(array_to_uint8(_samples(values, dtype)).levels, _literally(values))


def _literally(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    wide: npt.NDArray[Any] = values.astype(np.int64) if values.dtype.kind in "biu" else values
    low = wide.min()
    if low < 0:
        wide = (wide - low) / (wide.max() - low)
    if wide.max() <= 1:
        wide = (wide * 255).astype(np.int32)
    return wide.clip(0, 255).astype(np.uint8)
