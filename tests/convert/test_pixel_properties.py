"""What holds for every array under the default contract."""

import contextlib
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from rendering import Call, pixels_of

Array = npt.NDArray[Any]

_SIDES = st.integers(1, 12)
_SHAPES = st.one_of(
    st.tuples(_SIDES, _SIDES),
    st.tuples(_SIDES, _SIDES, st.sampled_from([1, 2, 3, 4])).filter(lambda s: s[0] > 4),
)
_FILE_TYPES = st.sampled_from(["png", "tiff"])


def _flat(image: Array) -> Array:
    return image.reshape(-1)


@given(array=arrays.arrays(np.uint8, _SHAPES), file_type=_FILE_TYPES)
def test_uint8_is_bit_exact(array: Array, file_type: str) -> None:
    """What goes in as uint8 comes out as it was."""
    image = Call().add_array(array, file_type=file_type).decode()
    assert np.array_equal(_flat(pixels_of(image)), _flat(array))


@given(array=arrays.arrays(np.uint16, st.tuples(_SIDES, _SIDES)), file_type=_FILE_TYPES)
def test_uint16_is_bit_exact_when_kept(array: Array, file_type: str) -> None:
    """depth="keep" loses nothing of uint16."""
    image = Call().add_array(array, depth="keep", file_type=file_type).decode()
    assert np.array_equal(pixels_of(image), array)


@given(array=arrays.arrays(np.float32, st.tuples(_SIDES, _SIDES)))
def test_float32_is_bit_exact_when_kept(array: Array) -> None:
    """depth="keep" loses nothing of float32, whatever its bits."""
    image = Call().add_array(array, depth="keep").decode()
    assert pixels_of(image).tobytes() == array.tobytes()


@given(array=arrays.arrays(np.uint8, _SHAPES), dtype=st.sampled_from(["f2", "f4", "f8", ">f4", ">f8"]))
def test_levels_over_255_round_trip(array: Array, dtype: str) -> None:
    """x / 255 in any float dtype comes back as exactly x."""
    image = Call().add_array((array / 255).astype(np.dtype(dtype))).decode()
    assert np.array_equal(_flat(pixels_of(image)), _flat(array))


@given(
    array=arrays.arrays(
        np.float32, st.tuples(_SIDES, _SIDES), elements=st.floats(0, 1, width=32, allow_subnormal=False)
    )
)
def test_unit_floats_round_trip_within_half_a_level(array: Array) -> None:
    """A float in [0, 1] is never further than half a level from what is stored."""
    levels = pixels_of(Call().add_array(array).decode()).astype(np.float64)
    assert np.abs(levels - array.astype(np.float64) * 255).max() <= 0.5 + 1e-4


@given(
    array=arrays.arrays(np.float32, st.tuples(_SIDES, _SIDES), elements=st.floats(-1, 1, width=32)).filter(
        lambda a: bool(a.min() < 0)
    )
)
def test_signed_floats_round_trip_within_half_a_level(array: Array) -> None:
    """A float in [−1, 1] is never further than half a level from what is stored."""
    levels = pixels_of(Call().add_array(array).decode()).astype(np.float64)
    assert np.abs(levels - (array.astype(np.float64) + 1) * 127.5).max() <= 0.5 + 1e-4


@given(
    array=arrays.arrays(arrays.integer_dtypes() | arrays.unsigned_integer_dtypes(), st.tuples(_SIDES, _SIDES))
)
def test_integers_are_clipped_and_never_rescaled(array: Array) -> None:
    """Integers of any dtype and byte order give min(max(x, 0), 255)."""
    expected = np.array([[min(max(int(x), 0), 255) for x in row] for row in array])
    assert np.array_equal(pixels_of(Call().add_array(array).decode()), expected)


@given(
    array=arrays.arrays(arrays.floating_dtypes(sizes=(16, 32, 64)), st.tuples(_SIDES, _SIDES)),
    origin=st.sampled_from(["numpy", "torch"]),
    contract=st.sampled_from(["pixlog", "wandb"]),
    options=st.sampled_from(
        [{}, {"normalize": "none"}, {"normalize": "minmax"}, {"normalize": "wandb"}, {"value_range": [-1, 3]}]
    ),
)
@settings(max_examples=300)
def test_any_float_array_makes_an_image(
    array: Array, origin: str, contract: str, options: dict[str, Any]
) -> None:
    """NaN, infinities, denormals and huge numbers neither raise nor warn, under any rule; NaN is black."""
    call = Call(contract).add_array(array, origin=origin, **options)
    image = pixels_of(call.decode())
    assert not image[np.isnan(array)].any()
    record = call.render().input
    assert isinstance(record, dict)
    assert record["nan"] == np.count_nonzero(np.isnan(array))


@given(data=st.data(), channels=st.sampled_from([1, 3, 4]), count=st.integers(1, 5))
def test_layouts_are_readings_of_the_same_picture(data: st.DataObject, channels: int, count: int) -> None:
    """CHW and HWC, NCHW and NHWC give the same pixels for the same image."""
    batch = data.draw(arrays.arrays(np.uint8, st.tuples(st.just(count), _SIDES, _SIDES, st.just(channels))))
    first = batch.transpose(0, 3, 1, 2)
    last = Call().add_array(batch[0], layout="HWC").decode()
    assert np.array_equal(pixels_of(last), pixels_of(Call().add_array(first[0], layout="CHW").decode()))
    grid = Call().add_array(batch, layout="NHWC", grid=True).decode()
    other = Call().add_array(first, layout="NCHW", grid=True, axes=(0, 2, 3, 1)).decode()
    assert np.array_equal(pixels_of(grid), pixels_of(other))


@given(
    array=arrays.arrays(
        st.sampled_from([np.dtype(code) for code in ("?", "u1", "i2", ">u2", "f2", "f4", ">f8")]), _SHAPES
    ),
    options=st.sampled_from(
        [
            {},
            {"normalize": "minmax"},
            {"depth": "keep"},
            {"color": "BGR"},
            {"mode": "L"},
            {"file_type": "jpg"},
        ]
    ),
    contract=st.sampled_from(["pixlog", "wandb"]),
)
def test_buffers_are_never_changed(array: Array, options: dict[str, Any], contract: str) -> None:
    """Rendering reads the client's memory and writes nothing into it, whether it succeeds or not."""
    call = Call(contract)
    raw = bytearray(array.tobytes())
    call.add_array(array, **options)
    call.buffers = [memoryview(raw)]
    with contextlib.suppress(ValueError):
        call.render()
    assert raw == array.tobytes()
