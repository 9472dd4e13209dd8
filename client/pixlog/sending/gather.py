"""The one memory copy of a call: its pixels, gathered into one payload."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from pixlog.protocol import Buffer
from pixlog.sending.arena import Memory, aligned

Pixels: TypeAlias = np.ndarray[Any, np.dtype[Any]] | Buffer
"""What a call hands over to be copied: an array of any strides, or bytes."""


def lay_out(pixels: Sequence[Pixels]) -> tuple[list[tuple[int, int]], int]:
    """Place the buffers of one call behind one another; return their extents and the payload's bytes."""
    if len(pixels) == 1:
        nbytes = _nbytes_of(pixels[0])
        return [(0, nbytes)], nbytes
    extents: list[tuple[int, int]] = []
    end = 0
    for piece in pixels:
        offset, nbytes = aligned(end), _nbytes_of(piece)
        extents.append((offset, nbytes))
        end = offset + nbytes
    return extents, end


def _nbytes_of(piece: Pixels) -> int:
    return piece.nbytes if isinstance(piece, (np.ndarray, memoryview)) else len(piece)


def copy_into(
    memory: Memory, start: int, pixels: Sequence[Pixels], extents: Sequence[tuple[int, int]]
) -> None:
    """Copy each piece to its extent after ``memory[start]``, arrays in C order: the one memory copy of a call."""
    for piece, (offset, nbytes) in zip(pixels, extents, strict=True):
        if isinstance(piece, np.ndarray):
            np.ndarray(piece.shape, piece.dtype, memory.data, start + offset)[...] = piece
        elif nbytes:
            memory[start + offset : start + offset + nbytes] = np.frombuffer(piece, np.uint8)


def private_copy(piece: Pixels) -> Pixels:
    """Copy one piece, for a call that has to wait its turn."""
    return piece.copy() if isinstance(piece, np.ndarray) else bytes(piece)
