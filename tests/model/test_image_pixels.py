"""Image.image shows the very pixels that the daemon stores."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image as PilImage

from described_arrays import buffer_bytes
from pixlog.capture import ArraySource
from pixlog.errors import InputError, InputFileError
from pixlog.model.describe import describe
from pixlog.model.image import Image
from pixlogd.convert import convert

RNG = np.random.default_rng(7)


def _stored(image: Image) -> Any:
    """Return the picture that the daemon makes of an image."""
    described = describe(image)
    buffers = [memoryview(buffer_bytes(buffer)) for buffer in described.buffers]
    (item,) = described.items
    return convert(item, buffers, contract=image._content.contract or "pixlog").picture


def _assert_shows_what_is_stored(image: Image) -> None:
    shown, picture = image.image, _stored(image)
    assert shown is not None
    assert shown.mode == picture.mode
    np.testing.assert_array_equal(np.asarray(shown), picture.pixels)


ARRAYS: list[npt.NDArray[Any]] = [
    RNG.integers(0, 256, (5, 6, 3), np.uint8),
    RNG.integers(0, 256, (5, 6, 4), np.uint8),
    RNG.integers(0, 256, (5, 6, 2), np.uint8),
    RNG.integers(-300, 1000, (5, 6)),
    RNG.integers(0, 2, (5, 6)).astype(bool),
    RNG.random((3, 25, 26)),
    RNG.random((5, 6)) * 2 - 1,
    (RNG.random((5, 6, 3)) * 1000).astype(">f4"),
    np.asfortranarray(RNG.random((5, 6, 3)))[::-1],
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{array.shape}")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"normalize": "minmax"},
        {"normalize": "none"},
        {"normalize": "wandb"},
        {"value_range": (-1, 3)},
        {"mode": "L"},
        {"mode": "RGB"},
        {"mode": "1"},
        {"contract": "wandb"},
    ],
    ids=str,
)
def test_image_property_shows_what_is_stored(array: npt.NDArray[Any], options: dict[str, Any]) -> None:
    """For arrays under every rule, mode and contract the PIL image equals the daemon's picture."""
    try:
        image = Image(array, **options)
        _stored(image)
    except InputError:
        pytest.skip("refused under this contract")
    _assert_shows_what_is_stored(image)


@pytest.mark.parametrize("options", [{}, {"contract": "wandb"}, {"grid": 2}, {"grid": True}], ids=str)
@pytest.mark.parametrize(
    "shape", [(3, 12, 14), (1, 12, 14), (2, 12, 14), (9, 3, 12, 14), (3, 1, 12, 14), (12, 14)]
)
def test_image_property_shows_what_is_stored_of_tensors(
    shape: tuple[int, ...], options: dict[str, Any]
) -> None:
    """Tensors are stretched and laid out in grids as the daemon does it."""
    tensor = (RNG.random(shape) * 300).astype(np.float32)
    image = Image(ArraySource(tensor, "<f4", "torch"), **options)
    if shape[0] == 9 and not options:
        with pytest.raises(InputError, match="batch of 9"):
            assert image.image
        return
    if image._content.batch_count is not None and not options:
        return
    _assert_shows_what_is_stored(image)


@pytest.mark.parametrize(
    "array", [RNG.integers(0, 65536, (5, 6), np.uint16), RNG.random((5, 6)).astype("<f4")]
)
def test_image_property_keeps_depth(array: npt.NDArray[Any]) -> None:
    """With depth="keep" 16-bit and float values are shown as they are."""
    image = Image(array, depth="keep")
    _assert_shows_what_is_stored(image)
    np.testing.assert_array_equal(np.asarray(image.image), array)


@pytest.mark.parametrize(("color", "channels"), [("BGR", 3), ("BGRA", 4)])
def test_image_property_swaps_colours(color: str, channels: int) -> None:
    """Blue-first channels are shown red first."""
    array = RNG.integers(0, 256, (5, 6, channels), np.uint8)
    image = Image(array, color=color)
    _assert_shows_what_is_stored(image)
    assert np.asarray(image.image)[0, 0, 0] == array[0, 0, 2]


@pytest.mark.parametrize("contract", ["pixlog", "wandb"])
@pytest.mark.parametrize(
    ("mode", "told"), [("1", 255), ("L", 7), ("RGB", (7, 8, 9)), ("P", 7), ("P", b"\0\x80"), ("I;16", 7)]
)
def test_image_property_shows_transparent_colours(mode: str, told: object, contract: str) -> None:
    """A transparent colour is alpha where the stored picture has it."""
    picture = PilImage.frombytes(mode, (8, 2), bytes(range(48))[: len(PilImage.new(mode, (8, 2)).tobytes())])
    picture.info["transparency"] = told
    image = Image(picture, contract=contract)
    _assert_shows_what_is_stored(image)
    assert image.image is not None
    shows_it = image.image.has_transparency_data
    assert shows_it == (contract == "pixlog" and mode != "I;16")


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I", "I;16", "F", "CMYK"])
def test_image_property_shows_pil_images(mode: str) -> None:
    """A PIL image is shown in its own mode, mode I with the 16 bits that are stored, F by the range rules."""
    picture = PilImage.new(mode, (6, 5))
    picture.putpixel((2, 2), 1)
    _assert_shows_what_is_stored(Image(picture))


@given(array=hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=8)))
def test_image_property_of_uint8_is_exact(array: npt.NDArray[np.uint8]) -> None:
    """8-bit pixels come back bit for bit."""
    np.testing.assert_array_equal(np.asarray(Image(array).image), array)


@given(
    array=hnp.arrays(np.float64, (4, 5), elements=st.floats(0, 1)),
    channels=st.sampled_from([1, 3]),
)
def test_image_property_of_unit_floats_is_within_half_a_level(
    array: npt.NDArray[np.float64], channels: int
) -> None:
    """Floats in [0, 1] come back within half a level."""
    shown = np.asarray(Image(np.repeat(array[:, :, None], channels, axis=2)).image).reshape(4, 5, channels)
    assert np.abs(shown / 255 - array[:, :, None]).max() <= 0.5 / 255 + 1e-9


def test_image_property_decodes_lossy_types() -> None:
    """A jpg shows what is left after encoding, alpha flattened on the background."""
    noise = RNG.integers(0, 256, (16, 16, 4), np.uint8)
    noise[0, 0] = (9, 9, 9, 0)
    shown = Image(noise, file_type="jpg", quality=30, background=(255, 0, 0)).image
    assert shown is not None
    assert shown.mode == "RGB"
    assert not np.array_equal(np.asarray(shown), noise[:, :, :3])
    lossless = Image(noise, file_type="webp", lossless=True).image
    np.testing.assert_array_equal(np.asarray(lossless), noise)


def test_image_property_decodes_files() -> None:
    """Encoded bytes are decoded; what does not decode is an error with the built-in class of files."""
    file = BytesIO()
    PilImage.new("P", (4, 3)).save(file, "png")
    shown = Image(file).image
    assert shown is not None
    assert (shown.mode, shown.size) == ("P", (4, 3))
    with pytest.raises(InputFileError, match="does not decode"):
        assert Image(file.getvalue()[:50]).image
