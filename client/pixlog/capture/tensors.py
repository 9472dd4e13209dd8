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
        refuse_unreadable(torch, tensor)
        plain = tensor.detach()
        if str(plain.layout) != "torch.strided":
            plain = plain.to_dense()
        # Subclasses may override any method; what is logged is the plain tensor underneath.
        plain = plain.as_subclass(torch.Tensor)
        host, private = _to_host(settled(plain))
        array, dtype = _as_array(torch, host)
    except InputTypeError:
        raise
    except Exception as exc:
        raise InputTypeError(
            f"a {type(tensor).__name__} of {getattr(tensor, 'dtype', '?')} on {getattr(tensor, 'device', '?')} "
            f"could not be read: {exc}"
        ) from exc
    return ArraySource(array if owned or private else snapshot(array), dtype, ORIGIN)


def settled(tensor: Any) -> Any:
    """Return the tensor with quantisation, conjugation and negation carried out, where there is any."""
    if tensor.is_quantized:
        return tensor.dequantize()
    return tensor.resolve_conj().resolve_neg()


def refuse_unreadable(torch: Any, tensor: Any) -> None:
    """Raise InputTypeError where asking for the values of a CUDA tensor would do harm."""
    if tensor.device.type != "cuda":
        return
    if torch.cuda._is_in_bad_fork():
        raise InputTypeError(
            f"a tensor on {tensor.device} cannot be read in a forked process: log it in the parent, or spawn"
        )
    if torch.cuda.is_current_stream_capturing():  # reading them would end the capture
        raise InputTypeError(
            f"a tensor on {tensor.device} has no values while a CUDA graph is being captured: log it after a replay"
        )


def _to_host(tensor: Any) -> tuple[Any, bool]:
    """Return the tensor in host memory, and whether that memory is ours alone.

    The copy from an accelerator is synchronous; ``pixlog.device`` knows another way for some.
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
