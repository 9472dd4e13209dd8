"""Shapes become layouts by the origin's convention, and doubtful ones say so."""

import pytest

from pixlog.errors import InputError, InputTypeError
from pixlog.pixels.layout import LayoutDecision, infer_layout, kept_axes


def _infer(
    shape: tuple[int, ...], origin: str = "numpy", contract: str = "pixlog", layout: str | None = None
) -> LayoutDecision:
    return infer_layout(shape, origin=origin, dtype_kind="u", layout=layout, contract=contract)


@pytest.mark.parametrize(
    ("shape", "origin", "layout"),
    [
        ((5, 7), "numpy", "HW"),
        ((5, 7), "torch", "HW"),
        ((5, 7, 1), "numpy", "HWC"),
        ((5, 7, 2), "numpy", "HWC"),
        ((5, 7, 3), "numpy", "HWC"),
        ((5, 7, 4), "jax", "HWC"),
        ((5, 7, 3), "tensorflow", "HWC"),
        ((1, 7, 9), "numpy", "CHW"),
        ((3, 7, 9), "numpy", "CHW"),
        ((4, 7, 9), "dlpack", "CHW"),
        ((1, 7, 9), "torch", "CHW"),
        ((2, 7, 9), "torch", "CHW"),
        ((3, 7, 9), "torch", "CHW"),
        ((7, 9, 3), "torch", "HWC"),
        ((8, 7, 9, 3), "numpy", "NHWC"),
        ((8, 7, 9, 1), "numpy", "NHWC"),
        ((8, 3, 7, 9), "numpy", "NCHW"),
        ((8, 3, 7, 9), "torch", "NCHW"),
        ((8, 7, 9, 3), "torch", "NHWC"),
        ((1, 5, 7, 3), "numpy", "HWC"),
        ((1, 3, 5, 7), "torch", "CHW"),
        ((1, 1, 5, 7, 3), "numpy", "HWC"),
    ],
)
def test_inference_follows_the_convention_of_the_origin(
    shape: tuple[int, ...], origin: str, layout: str
) -> None:
    """NumPy, JAX and TensorFlow are channel-last, torch is channel-first; the only possible reading always wins."""
    assert _infer(shape, origin) == LayoutDecision(layout)


@pytest.mark.parametrize(
    ("shape", "origin", "layout"),
    [
        ((3, 7, 3), "numpy", "HWC"),
        ((4, 7, 3), "numpy", "HWC"),
        ((3, 7, 4), "jax", "HWC"),
        ((3, 7, 1), "numpy", "HWC"),
        ((3, 7, 2), "numpy", "HWC"),
        ((3, 7, 3), "torch", "CHW"),
        ((4, 7, 3), "torch", "CHW"),
        ((1, 7, 3), "torch", "CHW"),
        ((8, 3, 7, 3), "numpy", "NHWC"),
        ((8, 3, 7, 3), "torch", "NCHW"),
        ((8, 7, 3, 1), "numpy", "HWC"),
    ],
)
def test_inference_flags_shapes_that_read_both_ways(shape: tuple[int, ...], origin: str, layout: str) -> None:
    """When channels could be first or last, the convention wins and the decision names the shape."""
    decision = _infer(shape, origin)
    assert decision.layout == layout
    assert decision.ambiguous is not None
    assert str(shape) in decision.ambiguous


@pytest.mark.parametrize(
    "shape", [(9, 1, 3), (1, 9, 3), (1, 1, 3), (1, 1, 4), (1, 9, 4), (1, 9, 1), (1, 1, 1)]
)
@pytest.mark.parametrize("contract", ["pixlog", "wandb"])
def test_inference_keeps_one_pixel_wide_or_high_images_in_colour(
    shape: tuple[int, ...], contract: str
) -> None:
    """An axis of length 1 is not squeezed out of an image that needs it."""
    assert _infer(shape, contract=contract) == LayoutDecision("HWC")


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((), r"shape \(\)"),
        ((5,), r"shape \(5,\)"),
        ((5, 0), "empty"),
        ((0, 5, 3), "empty"),
        ((5, 7, 9), r"\(N, H, W, 1\)"),
        ((2, 7, 9), r"got an array of shape \(2, 7, 9\)"),
        ((2, 8, 5, 7, 9), "expected"),
        ((8, 5, 7, 9), "expected"),
    ],
)
def test_inference_refuses_what_is_no_image(shape: tuple[int, ...], message: str) -> None:
    """The error names the shape that came and the shapes that are images."""
    with pytest.raises(InputError, match=message):
        _infer(shape)


@pytest.mark.parametrize("kind", ["O", "U", "S", "M", "m"])
def test_inference_refuses_dtypes_without_numbers(kind: str) -> None:
    """Objects, strings and dates are no pixels."""
    with pytest.raises(InputTypeError, match="dtype kind"):
        infer_layout((5, 7), origin="numpy", dtype_kind=kind)


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        ((3, 7, 3), "CHW"),
        ((3, 7, 3), "hwc"),
        ((1, 5, 7), "HW"),
        ((8, 5, 7, 2), "NHWC"),
        ((1, 5, 7, 3), "NHWC"),
        ((1, 5, 7, 3), "HWC"),
        ((2, 5, 7), "CHW"),
    ],
)
def test_explicit_layout_settles_the_reading(shape: tuple[int, ...], layout: str) -> None:
    """What the user says is taken, without a word about ambiguity."""
    assert _infer(shape, layout=layout) == LayoutDecision(layout.upper())


@pytest.mark.parametrize(
    ("shape", "layout", "message"),
    [
        ((5, 7, 3), "WHC", "expected one of HW, HWC"),
        ((5, 7), "HWC", "expected 3 axes"),
        ((5, 7, 3), "HW", "expected 2 axes"),
        ((5, 7, 9), "HWC", "got 9 channels"),
        ((5, 7, 9), "CHW", "got 5 channels"),
    ],
)
def test_explicit_layout_must_fit_the_shape(shape: tuple[int, ...], layout: str, message: str) -> None:
    """A layout of other letters, axis count or channel count is an error with both sides named."""
    with pytest.raises(InputError, match=message):
        _infer(shape, layout=layout)


@pytest.mark.parametrize(
    ("shape", "origin", "layout"),
    [
        ((5, 7), "numpy", "HW"),
        ((5, 7, 1), "numpy", "HWC"),
        ((1, 5, 7), "numpy", "HW"),
        ((5, 1, 7), "numpy", "HW"),
        ((1, 5, 7, 1), "numpy", "HWC"),
        ((5, 7, 3), "numpy", "HWC"),
        ((1, 5, 7, 3), "numpy", "HWC"),
        ((5, 7, 3, 1), "numpy", "HWC"),
        ((5, 1, 7, 3), "numpy", "HWC"),
        ((3, 7, 4), "numpy", "HWC"),
        ((3, 7, 9), "torch", "CHW"),
        ((5, 7), "torch", "HW"),
        ((4, 7, 3), "torch", "CHW"),
        ((1, 3, 7, 9), "torch", "CHW"),
        ((2, 3, 7, 9), "torch", "NCHW"),
    ],
)
def test_wandb_contract_reads_shapes_as_wandb_does(shape: tuple[int, ...], origin: str, layout: str) -> None:
    """Unit axes vanish, NumPy is channel-last, torch channel-first, and nothing is called ambiguous."""
    assert _infer(shape, origin, "wandb") == LayoutDecision(layout)


@pytest.mark.parametrize(
    ("shape", "origin"),
    [
        ((3, 7, 9), "numpy"),
        ((5, 7, 5), "numpy"),
        ((2, 7, 9, 3), "numpy"),
        ((), "numpy"),
        ((4,), "numpy"),
        ((7, 9, 3), "torch"),
        ((5, 7, 9), "torch"),
        ((2, 7, 9, 3), "torch"),
    ],
)
def test_wandb_contract_refuses_the_shapes_wandb_refuses(shape: tuple[int, ...], origin: str) -> None:
    """Channel-first NumPy, NumPy batches and odd channel counts are errors."""
    with pytest.raises(InputError):
        _infer(shape, origin, "wandb")


@pytest.mark.parametrize(
    ("shape", "layout", "axes"),
    [
        ((1, 5, 7, 3), "HWC", (1, 2, 3)),
        ((5, 7, 3, 1), "HWC", (0, 1, 2)),
        ((1, 1, 7), "HW", (1, 2)),
        ((5, 1, 7), "HW", (0, 2)),
        ((1, 1, 3), "HWC", (0, 1, 2)),
    ],
)
def test_kept_axes_drops_leading_then_trailing_then_inner_unit_axes(
    shape: tuple[int, ...], layout: str, axes: tuple[int, ...]
) -> None:
    """Surplus axes of length 1 go in one fixed order, so client and daemon agree."""
    assert kept_axes(shape, layout) == axes
