"""Arrays of every layout, memory order, dtype and contract become the right pictures."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pixlog.errors import InputError, InputTypeError
from pixlogd.convert import convert
from rendering import Call, decode, pixels_of

Array = npt.NDArray[Any]
RNG = np.random.default_rng(5)


def _bytes(*shape: int) -> Array:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize(
    ("shape", "mode"),
    [
        ((5, 7), "L"),
        ((5, 7, 1), "L"),
        ((5, 7, 2), "LA"),
        ((5, 7, 3), "RGB"),
        ((5, 7, 4), "RGBA"),
        ((1, 5, 7, 3), "RGB"),
        ((1, 7, 3), "RGB"),
        ((5, 1, 3), "RGB"),
        ((1, 1, 3), "RGB"),
        ((1, 1, 1), "L"),
        ((1, 1), "L"),
    ],
)
def test_convert_keeps_uint8_channel_last_arrays(shape: tuple[int, ...], mode: str) -> None:
    """uint8 pixels come back bit for bit in the mode that the channel count means."""
    array = _bytes(*shape)
    image = Call().add_array(array).decode()
    assert image.mode == mode
    assert np.array_equal(pixels_of(image).ravel(), array.ravel())
    rows, columns = shape[1:3] if len(shape) == 4 else shape[:2]
    assert image.size == (columns, rows)


@pytest.mark.parametrize(
    ("shape", "origin"),
    [
        ((3, 5, 7), "numpy"),
        ((4, 5, 7), "torch"),
        ((2, 5, 7), "torch"),
        ((1, 5, 7), "torch"),
        ((3, 70, 9), "torch"),
    ],
)
def test_convert_puts_channels_last(shape: tuple[int, ...], origin: str) -> None:
    """Channel-first arrays give the same picture as their channel-last transposes."""
    array = _bytes(*shape)
    image = Call().add_array(array, origin=origin).decode()
    assert np.array_equal(pixels_of(image), array.transpose(1, 2, 0).squeeze())


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (2, 1, 0), (1, 0, 2), (0, 2, 1), (1, 2, 0)])
@pytest.mark.parametrize("dtype", ["u1", "f4"])
def test_convert_undoes_the_axis_order_of_the_wire(axes: tuple[int, ...], dtype: str) -> None:
    """An array sent transposed (Fortran, channels-last tensors) is put right."""
    array = _bytes(70, 6, 3).astype(dtype)
    image = Call().add_array(array, axes=axes).decode()
    assert np.array_equal(pixels_of(image), array.astype(np.uint8))


@pytest.mark.parametrize("origin", ["numpy", "torch"])
def test_convert_undoes_the_axis_order_of_a_batch(origin: str) -> None:
    """A grid over a batch whose images do not lie one after the other stretches each image by itself."""
    array = np.stack([np.full((2, 2, 3), 1000.0), np.zeros((2, 2, 3))])
    array[0, 0, 0, 0] = 999
    array[1, 0, 0, 0] = 1
    call = Call().add_array(
        array, origin=origin, axes=(1, 2, 3, 0), layout="NHWC", grid=True, normalize="minmax"
    )
    pixels = pixels_of(call.decode())
    assert pixels[2:4, 2:4].min() == 0
    assert pixels[2:4, 2:4].max() == 255
    assert pixels[2:4, 6:8].max() == 255


@pytest.mark.parametrize("dtype", [">u2", ">i4", ">f4", ">f8", "<i8", "<u4"])
def test_convert_reads_every_byte_order(dtype: str) -> None:
    """Big-endian and wide arrays give the pixels of their values."""
    array = _bytes(5, 7, 3).astype(dtype)
    assert np.array_equal(pixels_of(Call().add_array(array).decode()), array.astype(np.uint8))


def test_convert_reads_bfloat16() -> None:
    """bfloat16 words are floats."""
    words = (np.array([[0, 0.5], [0.25, 1]], dtype=np.float32).view(np.uint32) >> 16).astype("<u2")
    call = Call().add_array(words, dtype="bfloat16", origin="torch")
    assert pixels_of(call.decode()).tolist() == [[0, 128], [64, 255]]
    assert call.render().input["dtype"] == "bfloat16"  # type: ignore[call-overload]


def test_convert_refuses_complex_pixels() -> None:
    """Complex arrays fail by default, and count with their real part under the contract "wandb"."""
    array = np.array([[0.5 + 1j, 1]])
    with pytest.raises(InputError, match="complex128"):
        Call().add_array(array).render()
    assert pixels_of(Call("wandb").add_array(array).decode()).tolist() == [[127, 255]]


@pytest.mark.parametrize(("color", "order"), [("BGR", [2, 1, 0]), ("BGRA", [2, 1, 0, 3])])
@pytest.mark.parametrize("layout", ["HWC", "CHW"])
def test_convert_swaps_blue_first_channels(color: str, order: list[int], layout: str) -> None:
    """color="BGR" and "BGRA" bring red to the front in either layout."""
    array = _bytes(70, 5, len(order))
    sent = array.transpose(2, 0, 1) if layout == "CHW" else array
    image = Call().add_array(sent, layout=layout, color=color).decode()
    assert np.array_equal(pixels_of(image), array[:, :, order])


def test_convert_refuses_a_colour_order_of_another_channel_count() -> None:
    """color="BGR" on gray or four channels is an error that counts them."""
    for shape, count in (((4, 5), 1), ((4, 5, 4), 4)):
        with pytest.raises(InputError, match=f"{count} channels"):
            Call().add_array(_bytes(*shape), color="BGR").render()


@pytest.mark.parametrize(("count", "size"), [(2, (16, 8)), (9, (58, 14)), (1, (5, 4))])
@pytest.mark.parametrize("contract", ["pixlog", "wandb"])
def test_convert_lays_out_batches_as_a_grid(count: int, size: tuple[int, int], contract: str) -> None:
    """grid=True gives rows of eight with a border of two pixels, a batch of one no border."""
    array = _bytes(count, 3, 4, 5)
    image = Call(contract).add_array(array, origin="torch", layout="NCHW", grid=True).decode()
    assert image.size == size
    if contract == "pixlog" and count > 1:
        assert np.array_equal(pixels_of(image)[2:6, 9:14], array[1].transpose(1, 2, 0))
        assert not pixels_of(image)[:2].any()


def test_convert_takes_the_number_of_grid_columns() -> None:
    """grid=3 makes three columns."""
    assert Call().add_array(_bytes(4, 6, 5, 1), grid=3).decode().size == (3 * 7 + 2, 2 * 8 + 2)


def test_convert_refuses_a_batch_without_a_grid() -> None:
    """A batch that was not split is an error naming its length."""
    with pytest.raises(InputError, match="batch of 4 images"):
        Call().add_array(_bytes(4, 6, 5, 3)).render()


@pytest.mark.parametrize(
    ("shape", "mode", "expected"),
    [
        ((4, 5), "RGB", "RGB"),
        ((4, 5), "RGBA", "RGBA"),
        ((4, 5), "1", "1"),
        ((4, 5), "P", "P"),
        ((4, 5), "I", "I;16"),
        ((4, 5, 3), "L", "L"),
        ((4, 5, 4), "RGB", "RGB"),
        ((4, 5, 2), "LA", "LA"),
        ((4, 5, 3), "HSV", "RGB"),
        ((4, 5, 3), "CMYK", "RGB"),
    ],
)
def test_convert_converts_to_the_mode_asked_for(shape: tuple[int, ...], mode: str, expected: str) -> None:
    """mode= is a real Pillow conversion; a mode that png lacks comes back in the nearest one."""
    assert Call().add_array(_bytes(*shape), mode=mode).decode().mode == expected


def test_convert_uses_pillows_luma() -> None:
    """RGB to L follows ITU-R 601."""
    pixel = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], dtype=np.uint8)
    assert pixels_of(Call().add_array(pixel, mode="L").decode()).tolist() == [[76, 150, 29]]


@pytest.mark.parametrize("contract", ["pixlog", "wandb"])
def test_convert_refuses_an_unknown_mode(contract: str) -> None:
    """A mode name that Pillow does not know is an error that repeats it."""
    with pytest.raises(InputError, match="XYZ"):
        Call(contract).add_array(_bytes(4, 5), mode="XYZ").render()


@pytest.mark.parametrize("dtype", ["<u2", ">u2"])
@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_depth_keep_stores_uint16_bit_for_bit(dtype: str, shape: tuple[int, ...]) -> None:
    """16-bit samples survive in a PNG, with an 8-bit preview beside it."""
    array = RNG.integers(0, 65536, shape).astype(dtype)
    call = Call().add_array(array, depth="keep")
    converted = convert(call.header["items"][0], call.buffers, contract="pixlog")
    assert np.array_equal(converted.picture.pixels, array)
    rendered = call.render()
    assert [file.role for file in rendered.files] == ["image", "preview"]
    assert decode(rendered, 1).size == (7, 5)
    if len(shape) == 2:
        assert np.array_equal(pixels_of(decode(rendered)), array)


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f2"])
def test_depth_keep_stores_floats_bit_for_bit(dtype: str) -> None:
    """Floats survive in a TIFF, NaN included; float16 is widened."""
    array = np.array([[0, -3.25, np.nan], [1e4, np.inf, 0.1]], dtype=dtype)
    rendered = Call().add_array(array, depth="keep").render()
    assert rendered.value["format"] == "tiff"
    assert np.array_equal(pixels_of(decode(rendered)), array.astype(np.float32), equal_nan=True)
    assert decode(rendered, 1).mode == "L"
    assert isinstance(rendered.input, dict)
    assert (rendered.input["rule"], rendered.input["preview_rule"]) == ("keep", "minmax")


@pytest.mark.parametrize(
    ("array", "options", "message"),
    [
        (np.zeros((2, 2), np.int32), {}, "int32"),
        (np.zeros((2, 2), np.float64), {}, "float64"),
        (np.zeros((2, 2, 3), np.float32), {}, "one channel"),
        (np.zeros((2, 2), np.uint16), {"file_type": "jpg"}, "expected png or tiff"),
        (np.zeros((2, 2), np.float32), {"file_type": "png"}, "expected tiff"),
        (np.zeros((2, 2), np.uint16), {"mode": "L"}, "mode='L'"),
    ],
)
def test_depth_keep_refuses_what_no_file_keeps(array: Array, options: dict[str, Any], message: str) -> None:
    """Dtypes, channel counts and file types without a bit-exact form are errors."""
    with pytest.raises(InputError, match=message):
        Call().add_array(array, depth="keep", **options).render()


def test_depth_keep_leaves_eight_bit_images_alone() -> None:
    """uint8 has nothing more to keep: one ordinary file."""
    assert len(Call().add_array(_bytes(3, 4), depth="keep").render().files) == 1


@pytest.mark.parametrize(
    ("shape", "mode"), [((5, 7), "RGB"), ((1, 5, 7), "RGB"), ((2, 5, 7), "LA"), ((4, 5, 7), "RGBA")]
)
def test_wandb_contract_gives_tensors_their_modes(shape: tuple[int, ...], mode: str) -> None:
    """Gray tensors become RGB, two channels LA, and mode= is ignored."""
    image = Call("wandb").add_array(_bytes(*shape), origin="torch", mode="1").decode()
    assert image.mode == mode
    assert image.size == (7, 5)


def test_wandb_contract_always_makes_a_grid_of_a_tensor_batch() -> None:
    """A batch of tensors is one grid picture, stretched as a whole."""
    batch = np.zeros((2, 1, 3, 4), dtype=np.float32)
    batch[1] = 2
    image = Call("wandb").add_array(batch, origin="torch").decode()
    assert (image.mode, image.size) == ("RGB", (14, 7))
    assert pixels_of(image)[2:5, 2:6].max() == 0
    assert pixels_of(image)[2:5, 8:12].min() == 255


def test_wandb_contract_needs_mode_la_for_two_channels() -> None:
    """(H, W, 2) is an error unless mode says LA."""
    with pytest.raises(InputError, match="2 channels"):
        Call("wandb").add_array(_bytes(4, 5, 2)).render()
    assert Call("wandb").add_array(_bytes(4, 5, 2), mode="LA").decode().mode == "LA"


def test_wandb_contract_refuses_integer_tensors() -> None:
    """Integer tensors other than uint8 fail as in 0.18.0."""
    with pytest.raises(InputTypeError, match="int64"):
        Call("wandb").add_array(np.zeros((3, 4, 5), np.int64), origin="torch").render()


def test_wandb_contract_obeys_an_explicit_rule() -> None:
    """normalize= and value_range= are pixlog's own and pin the rule under either contract."""
    array = np.array([[0, 1], [1, 2]], dtype=np.uint8)
    call = Call("wandb").add_array(array, value_range=[0, 2])
    assert pixels_of(call.decode()).tolist() == [[0, 128], [128, 255]]


def test_wandb_rule_is_available_by_name() -> None:
    """normalize="wandb" applies 0.18.0's rule under the default contract."""
    array = np.array([[0, 0.999]], dtype=np.float32)
    assert pixels_of(Call().add_array(array, normalize="wandb").decode()).tolist() == [[0, 254]]


def test_convert_records_what_came_in() -> None:
    """The input record holds dtype, shape, layout, origin, extremes and the rule, in plain JSON types."""
    array = np.array([[0.25, np.nan]], dtype=">f8")
    assert Call().add_array(array).render().input == {
        "kind": "array",
        "dtype": "float64",
        "shape": [1, 2],
        "layout": "HW",
        "origin": "numpy",
        "min": 0.25,
        "max": 0.25,
        "nan": 1,
        "posinf": 0,
        "neginf": 0,
        "rule": "unit_round",
    }


def test_convert_looks_into_the_buffer_for_dense_uint8() -> None:
    """A dense uint8 image is not copied on its way to the encoder."""
    array = _bytes(6, 5, 3)
    call = Call().add_array(array)
    picture = convert(call.header["items"][0], call.buffers, contract="pixlog").picture
    assert np.shares_memory(picture.pixels, np.frombuffer(call.buffers[0], np.uint8))


def test_convert_names_the_bytes_that_are_missing() -> None:
    """A buffer that does not match its shape is an error, not a crash."""
    call = Call().add_array(_bytes(4, 4))
    call.header["items"][0]["data"]["shape"] = [4, 5]
    with pytest.raises(InputError, match="got 16 bytes for 20 samples"):
        call.render()
