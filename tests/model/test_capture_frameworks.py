"""Tensors of the frameworks that are installed; each test is skipped without its framework."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from described_arrays import logical_array
from pixlog.capture import ArraySource, capture
from pixlog.errors import InputError, InputTypeError
from pixlog.model.describe import describe
from pixlog.model.image import Image
from pixlog.model.masks import ImageMask


@pytest.fixture
def torch() -> Any:
    """Return torch, or skip."""
    return pytest.importorskip("torch", reason="torch is not installed")


@pytest.fixture
def jnp() -> Any:
    """Return jax.numpy, or skip."""
    return pytest.importorskip("jax.numpy", reason="JAX is not installed")


def test_torch_tensor_is_channel_first(torch: Any) -> None:
    """A tensor is described as CHW over its own memory."""
    tensor = torch.arange(3 * 8 * 9, dtype=torch.uint8).reshape(3, 8, 9)
    described = describe(tensor)
    data = described.items[0]["data"]
    assert (data["origin"], data["layout"], data["shape"]) == ("torch", "CHW", [3, 8, 9])
    assert np.shares_memory(described.buffers[0], tensor.numpy())
    np.testing.assert_array_equal(logical_array(described), tensor.numpy())


def test_torch_tensor_with_grad_is_detached(torch: Any) -> None:
    """A tensor in a graph, a parameter and a subclass are read as the values they hold."""
    tensor = torch.rand(3, 8, 9, requires_grad=True)
    for value in (tensor, torch.nn.Parameter(torch.rand(3, 8, 9)), tensor * 2):
        np.testing.assert_array_equal(logical_array(describe(value)), value.detach().numpy())
    assert tensor.requires_grad


def test_torch_subclass_is_a_tensor(torch: Any) -> None:
    """A subclass from a user's module is recognised, whatever it overrides."""

    class Labelled(torch.Tensor):  # type: ignore[misc]
        def numpy(self) -> None:
            raise AssertionError

    tensor = torch.rand(3, 8, 9)
    np.testing.assert_array_equal(logical_array(describe(tensor.as_subclass(Labelled))), tensor.numpy())


@pytest.mark.parametrize("name", ["float16", "float32", "float64", "uint8", "int16", "int64", "bool"])
def test_torch_dtypes_are_kept(torch: Any, name: str) -> None:
    """Every dtype that NumPy has goes over as it is."""
    tensor = torch.ones(3, 8, 9).to(getattr(torch, name))
    described = describe(tensor)
    assert np.dtype(described.items[0]["data"]["dtype"]) == np.dtype(name)


def test_torch_bfloat16_goes_as_words(torch: Any) -> None:
    """Bfloat16, strided or not, travels as 16-bit words and reads back as the same numbers."""
    tensor = torch.rand(3, 8, 9).bfloat16()
    for value in (tensor, tensor[:, ::2], tensor.permute(0, 2, 1)):
        described = describe(value)
        assert described.items[0]["data"]["dtype"] == "bfloat16"
        np.testing.assert_array_equal(logical_array(described), value.float().numpy())


def test_torch_channels_last_keeps_its_memory_order(torch: Any) -> None:
    """A batch in channels-last memory is split into views whose axes say how they lie."""
    batch = torch.rand(2, 3, 8, 9).to(memory_format=torch.channels_last)
    described = describe(batch)
    assert described.is_list
    assert [item["data"]["axes"] for item in described.items] == [[1, 2, 0], [1, 2, 0]]
    np.testing.assert_array_equal(logical_array(described, 1), batch[1].numpy())


def test_torch_unusual_tensors_are_read(torch: Any) -> None:
    """Sparse, negated and conjugated views and expanded tensors hold values like any other."""
    dense = torch.eye(8)
    np.testing.assert_array_equal(logical_array(describe(dense.to_sparse())), dense.numpy())
    expanded = torch.rand(1, 8, 9).expand(3, 8, 9)
    np.testing.assert_array_equal(logical_array(describe(expanded)), expanded.numpy())
    conjugate = torch.complex(torch.rand(8, 9), torch.rand(8, 9)).conj()
    np.testing.assert_array_equal(
        logical_array(describe(conjugate.imag)), conjugate.imag.resolve_neg().numpy()
    )


def test_torch_meta_tensor_is_refused(torch: Any) -> None:
    """A tensor without values says so."""
    with pytest.raises(InputTypeError, match="meta"):
        describe(torch.empty(3, 8, 9, device="meta"))


def test_torch_image_is_a_snapshot(torch: Any) -> None:
    """Changing the tensor after an Image was made of it changes nothing."""
    tensor = torch.zeros(3, 8, 9)
    image = Image(tensor)
    tensor.fill_(1)
    assert logical_array(describe(image)).max() == 0


def test_torch_batch_makes_a_grid_under_wandb(torch: Any) -> None:
    """Under the contract "wandb" a batch is one grid, as wandb.Image 0.18.0 draws it; otherwise a list."""
    batch = torch.rand(5, 3, 8, 9)
    grid = describe(batch, contract="wandb")
    assert not grid.is_list
    assert grid.items[0]["data"]["layout"] == "NCHW"
    assert grid.items[0]["grid"] is True
    assert len(describe(batch).items) == 5


def test_torch_mask_is_accepted(torch: Any) -> None:
    """A mask may be a tensor of any integer dtype or bool."""
    ids = torch.tensor([[0, 1], [300, 2]])
    mask = ImageMask({"mask_data": ids}, "p")
    assert isinstance(mask.source, ArraySource)
    np.testing.assert_array_equal(mask.source.array, ids.numpy())
    assert mask.class_labels == {0: "class_0", 1: "class_1", 2: "class_2", 300: "class_300"}
    half = ImageMask({"mask_data": torch.ones(2, 2).bfloat16()}, "p")
    assert half.class_labels == {1: "class_1"}


def test_torch_scalars_are_plain(torch: Any) -> None:
    """A zero-dimensional tensor in a caption or in metadata is the number it holds."""
    image = Image(
        np.zeros((4, 4)), caption=torch.tensor(3), meta={"loss": torch.tensor(0.5, requires_grad=True)}
    )
    item = describe(image).items[0]
    assert (item["caption"], item["meta"]) == (3, {"loss": 0.5})


def test_jax_array_is_channel_last(jnp: Any) -> None:
    """A JAX array is read without a copy, bfloat16 as its words."""
    array = jnp.arange(8 * 9 * 3, dtype=jnp.uint8).reshape(8, 9, 3)
    described = describe(array)
    assert described.items[0]["data"]["origin"] == "jax"
    assert described.items[0]["data"]["layout"] == "HWC"
    np.testing.assert_array_equal(logical_array(described), np.asarray(array))
    half = describe(array.astype(jnp.bfloat16))
    assert half.items[0]["data"]["dtype"] == "bfloat16"
    np.testing.assert_array_equal(logical_array(half), np.asarray(array.astype(jnp.float32)))


def test_jax_tracer_is_refused(jnp: Any) -> None:
    """Inside jit there is nothing to log yet, and the message says what to do."""
    jax = pytest.importorskip("jax")

    def traced(array: Any) -> Any:
        with pytest.raises(InputTypeError, match=r"jax\.debug\.callback"):
            capture(array, copy=False)
        return array

    jax.jit(traced)(jnp.zeros((4, 4)))


def test_tensorflow_tensor_is_channel_last() -> None:
    """An eager tensor and a variable are read by .numpy()."""
    tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    described = describe(tf.zeros((8, 9, 3)))
    assert described.items[0]["data"]["origin"] == "tensorflow"
    assert describe(tf.Variable(tf.zeros((8, 9, 3)))).items[0]["data"]["layout"] == "HWC"


@pytest.fixture(scope="session")
def _fonts() -> None:
    """Draw once: matplotlib opens its fonts for good."""
    matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    matplotlib.use("Agg")
    from matplotlib import pyplot  # type: ignore[import-not-found,unused-ignore]

    figure, _ = pyplot.subplots()
    figure.canvas.draw()
    pyplot.close(figure)


@pytest.fixture
def pyplot(_fonts: None) -> Any:
    """Return pyplot on a canvas without a display, or skip."""
    from matplotlib import pyplot  # type: ignore[import-not-found,unused-ignore]

    yield pyplot
    pyplot.close("all")


def test_figure_is_rendered_at_the_call(pyplot: Any) -> None:
    """A figure, its axes, a line in them and pyplot itself give the figure's RGBA pixels at its own size."""
    figure, axes = pyplot.subplots(figsize=(2, 1), dpi=50)
    (line,) = axes.plot([0, 1])
    for artist in (figure, axes, line, pyplot):
        item = describe(artist).items[0]
        assert (item["data"]["kind"], item["data"]["mode"], item["data"]["size"]) == (
            "pil",
            "RGBA",
            [100, 50],
        )
    assert pyplot.fignum_exists(figure.number)


def test_figure_cut_to_its_content_is_a_png(pyplot: Any) -> None:
    """Where matplotlib decides the size, its PNG is stored; both ways show the same pixels."""
    from PIL import Image as PilImage

    figure, axes = pyplot.subplots(figsize=(2, 1), dpi=50)
    axes.plot([0, 1])
    with pyplot.rc_context({"savefig.bbox": "tight"}):
        tight = describe(figure)
    assert tight.items[0]["data"]["kind"] == "encoded"
    raw = Image(figure).image
    assert raw is not None
    with PilImage.open(_png_of(figure)) as png:
        np.testing.assert_array_equal(np.asarray(raw), np.asarray(png))


def _png_of(figure: Any) -> Any:
    from io import BytesIO

    file = BytesIO()
    figure.savefig(file, format="png")
    file.seek(0)
    return file


def test_artist_without_figure_is_refused(pyplot: Any) -> None:
    """An artist that is in no figure cannot be rendered."""
    from matplotlib.lines import Line2D  # type: ignore[import-not-found,unused-ignore]

    with pytest.raises(InputError, match="no figure"):
        capture(Line2D([0], [0]), copy=False)
