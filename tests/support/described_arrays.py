"""Read described arrays back the way the daemon does: bytes, stored shape, axes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pixlog.model.describe import Described


def logical_array(described: Described, index: int = 0) -> npt.NDArray[Any]:
    """Return the array of item ``index`` from its buffer's bytes in C order; bfloat16 as float32."""
    data = described.items[index]["data"]
    assert data["kind"] == "array"
    return array_of(data, described.buffers)


def array_of(data: dict[str, Any], buffers: list[Any]) -> npt.NDArray[Any]:
    """Return the array that one description stands for."""
    raw = buffer_bytes(buffers[data["buffer"]])
    shape = data["shape"]
    axes = data.get("axes", range(len(shape)))
    if data["dtype"] == "bfloat16":
        flat: npt.NDArray[Any] = (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
    else:
        flat = np.frombuffer(raw, data["dtype"])
    return flat.reshape([shape[axis] for axis in axes]).transpose(np.argsort(axes))


def buffer_bytes(buffer: Any) -> bytes:
    """Return a buffer's bytes in C order."""
    return buffer.tobytes() if isinstance(buffer, np.ndarray) else bytes(buffer)
