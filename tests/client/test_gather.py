"""The one copy of a call: many pieces of any kind into one payload."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixlog.sending.gather import copy_into, lay_out, private_copy

PIECES = [
    pytest.param(b"", id="empty"),
    pytest.param(b"bytes", id="bytes"),
    pytest.param(bytearray(b"bytearray"), id="bytearray"),
    pytest.param(memoryview(b"view"), id="view"),
    pytest.param(np.arange(24, dtype=np.uint8).reshape(2, 3, 4), id="array"),
    pytest.param(np.arange(24, dtype="<f4").reshape(2, 3, 4)[::-1, :, ::2], id="strided"),
    pytest.param(np.arange(24, dtype=">i8").reshape(2, 3, 4).transpose(2, 0, 1), id="big-endian, transposed"),
    pytest.param(np.broadcast_to(np.uint8(7), (5, 5)), id="broadcast"),
    pytest.param(np.array(3.5), id="no axes"),
    pytest.param(np.zeros((0, 4)), id="no elements"),
    pytest.param(np.array([True, False]), id="bool"),
    pytest.param(np.array([1 + 2j], "<c8"), id="complex"),
]


def bytes_of(piece: Any) -> bytes:
    """Return what a piece means in C order."""
    return piece.tobytes() if isinstance(piece, np.ndarray) else bytes(piece)


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("start", [0, 64, 1])
def test_piece_is_copied_in_c_order(piece: Any, start: int) -> None:
    """Each kind of piece lies in the memory as its bytes in C order, and nothing around it is touched."""
    extents, nbytes = lay_out([piece])
    memory = np.full(start + nbytes + 10, 255, np.uint8)
    copy_into(memory, start, [piece], extents)
    assert extents == [(0, len(bytes_of(piece)))]
    assert memory[start : start + nbytes].tobytes() == bytes_of(piece)
    assert (memory[:start] == 255).all()
    assert (memory[start + nbytes :] == 255).all()


@given(sizes=st.lists(st.integers(0, 300), min_size=1, max_size=8))
def test_pieces_lie_apart_in_order(sizes: list[int]) -> None:
    """Several pieces lie behind one another, each aligned, and the payload ends with the last."""
    pieces = [bytes([number]) * size for number, size in enumerate(sizes)]
    extents, nbytes = lay_out(pieces)
    memory = np.zeros(nbytes, np.uint8)
    copy_into(memory, 0, pieces, extents)
    end = 0
    for piece, (offset, size) in zip(pieces, extents, strict=True):
        assert offset % 64 == 0
        assert offset >= end
        assert memory[offset : offset + size].tobytes() == piece
        end = offset + size
    assert nbytes == end


@pytest.mark.parametrize("piece", PIECES)
def test_private_copy_shares_nothing(piece: Any) -> None:
    """A copy for later has the same bytes in memory of its own."""
    copy = private_copy(piece)
    assert bytes_of(copy) == bytes_of(piece)
    if isinstance(piece, np.ndarray):
        assert isinstance(copy, np.ndarray)
        assert not np.shares_memory(copy, piece)
