"""Plain uint8 arrays take a short way through conversion, which leads where the long way leads."""

from __future__ import annotations

import numpy as np
import pytest

from pixlog.errors import InputError
from pixlogd.convert import array as by_rule
from pixlogd.convert import convert


@pytest.mark.parametrize("origin", ["numpy", "torch", "jax", "matplotlib"])
@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        ((5, 7), "HW"),
        ((5, 7, 1), "HWC"),
        ((5, 7, 2), "HWC"),
        ((5, 7, 3), "HWC"),
        ((5, 7, 4), "HWC"),
        ((1, 1), "HW"),
        ((1, 5, 7), "HW"),
        ((3, 5, 7), "CHW"),
    ],
)
def test_plain_array_equals_long_conversion(
    shape: tuple[int, ...], layout: str, origin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pixels, mode, notes and record are the same whichever way was taken."""
    pixels = np.random.default_rng(1).integers(3, 250, shape, dtype=np.uint8)
    data = {
        "kind": "array",
        "buffer": 0,
        "dtype": "|u1",
        "shape": list(shape),
        "layout": layout,
        "origin": origin,
    }
    quick = convert({"data": data}, [memoryview(pixels.tobytes())], contract="pixlog")
    monkeypatch.setattr(by_rule, "_convert_plain", lambda data, buffers: None)
    long = convert({"data": data}, [memoryview(pixels.tobytes())], contract="pixlog")
    assert np.array_equal(quick.picture.pixels, long.picture.pixels)
    assert quick.picture.pixels.flags.c_contiguous
    assert quick.picture.mode == long.picture.mode
    assert list(quick.input.items()) == list(long.input.items())
    assert (quick.preview, quick.notes, quick.from_array) == (long.preview, long.notes, long.from_array)


@pytest.mark.parametrize("nbytes", [0, 34, 36])
def test_plain_array_of_other_size_is_refused(nbytes: int) -> None:
    """A buffer that does not fit the shape fails with both sizes, as ever."""
    data = {"kind": "array", "buffer": 0, "dtype": "|u1", "shape": [5, 7], "layout": "HW", "origin": "numpy"}
    with pytest.raises(InputError, match=f"got {nbytes} bytes for 35 samples"):
        convert({"data": data}, [memoryview(bytes(nbytes))], contract="pixlog")
