"""Arrays for the page: one small JSON header, then the bytes of each array.

The body is the header's length (4 bytes, little-endian), the header, and the arrays one behind the other, each
padded to 8 bytes so that the page can look at them in place as typed arrays.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

_ALIGN: Final = 8


def pack(header: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Return one body; the header gains ``arrays``: name, dtype and length of each in order."""
    listed = [[name, array.dtype.str[1:], int(array.size)] for name, array in arrays.items()]
    head = json_bytes({**header, "arrays": listed})
    parts = [len(head).to_bytes(4, "little"), head, _padding(4 + len(head))]
    for array in arrays.values():
        raw = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
        parts += [raw, _padding(len(raw))]
    return b"".join(parts)


def json_bytes(content: Any) -> bytes:
    """Return ``content`` as JSON in ASCII, where escapes say the half surrogates too that UTF-8 cannot."""
    return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


def _padding(nbytes: int) -> bytes:
    return bytes(-nbytes % _ALIGN)
