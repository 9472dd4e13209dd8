"""PyTorch tensors, their subclasses and parameters, on any device."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from pixlog.capture.source import Array, ArraySource, snapshot
from pixlog.errors import InputTypeError

ORIGIN = "torch"


def from_torch(tensor: Any, *, owned: bool) -> ArraySource:
    """Describe a tensor by its memory: no cast, no reordering, no graph.

    Gradients are detached; bfloat16 travels as its raw words; a tensor in channels-last memory keeps that order.
    """
    torch = sys.modules["torch"]
    try:
        plain = tensor.detach()
        if str(plain.layout) != "torch.strided":
            plain = plain.to_dense()
        # Subclasses may override any method; what is logged is the plain tensor underneath.
        plain = plain.as_subclass(torch.Tensor)
        host, private = _to_host(_settled(plain))
        array, dtype = _as_array(torch, host)
    except InputTypeError:
        raise
    except Exception as exc:
        raise InputTypeError(
            f"a {type(tensor).__name__} of {getattr(tensor, 'dtype', '?')} on {getattr(tensor, 'device', '?')} "
            f"could not be read: {exc}"
        ) from exc
    return ArraySource(array if owned or private else snapshot(array), dtype, ORIGIN)


def _settled(tensor: Any) -> Any:
    """Return the tensor with quantisation, conjugation and negation carried out, where there is any."""
    if tensor.is_quantized:
        return tensor.dequantize()
    return tensor.resolve_conj().resolve_neg()


def _to_host(tensor: Any) -> tuple[Any, bool]:
    """Return the tensor in host memory, and whether that memory is ours alone.

    The one place that waits for an accelerator: the copy is synchronous.
    """
    if tensor.device.type == "cpu":
        return tensor, False
    if tensor.device.type == "meta":
        raise InputTypeError(f"a meta tensor of shape {tuple(tensor.shape)} has no values to log")
    return tensor.cpu(), True


def _as_array(torch: Any, tensor: Any) -> tuple[Array, str]:
    if tensor.dtype == torch.bfloat16:
        words: Array = tensor.view(torch.int16).numpy().view(np.uint16)
        return words, "bfloat16"
    if str(tensor.dtype).startswith("torch.float8"):
        tensor = tensor.to(torch.float32)
    array: Array = tensor.numpy()
    return array, array.dtype.str
