"""The one memory copy of a call: its pixels, gathered into one payload."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from pixlog.device.copies import DeviceBlock
from pixlog.device.device_array import DeviceArray
from pixlog.protocol import Buffer
from pixlog.sending.arena import Memory, aligned
from pixlog.sending.stream_copy import stream_into

Pixels: TypeAlias = np.ndarray[Any, np.dtype[Any]] | DeviceArray | Buffer
"""What a call hands over to be copied: an array of any strides, a snapshot on a device, or bytes."""


class Move(NamedTuple):
    """``len(memory)`` bytes of a block on a device, from ``offset`` on, that are to be copied to ``memory``."""

    block: DeviceBlock
    offset: int
    memory: Memory


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
    return len(piece) if isinstance(piece, (bytes, bytearray)) else piece.nbytes


def copy_into(
    memory: Memory, start: int, pixels: Sequence[Pixels], extents: Sequence[tuple[int, int]]
) -> list[Move]:
    """Copy each piece to its extent after ``memory[start]``, arrays in C order: the one memory copy of a call.

    What lies on a device is not waited for: how to copy it is returned.
    """
    moves: list[Move] = []
    for piece, (offset, nbytes) in zip(pixels, extents, strict=True):
        if isinstance(piece, np.ndarray):
            if not stream_into(memory, start + offset, piece):
                np.ndarray(piece.shape, piece.dtype, memory.data, start + offset)[...] = piece
        elif isinstance(piece, DeviceArray):
            if not piece.c_contiguous:  # with gaps, or backwards
                np.ndarray(piece.shape, piece.dtype, memory.data, start + offset)[...] = piece.to_host()
            elif nbytes:
                moves.append(
                    Move(piece.block, piece.offset, memory[start + offset : start + offset + nbytes])
                )
        elif nbytes:
            memory[start + offset : start + offset + nbytes] = np.frombuffer(piece, np.uint8)
    return moves


def copy_now(
    memory: Memory, start: int, pixels: Sequence[Pixels], extents: Sequence[tuple[int, int]]
) -> None:
    """As :func:`copy_into`, waiting for what lies on a device; raises whatever that raises."""
    host: dict[int, Memory] = {}
    for block, offset, destination in copy_into(memory, start, pixels, extents):
        if id(block) not in host:
            host[id(block)] = block.read()
        destination[...] = host[id(block)][offset : offset + len(destination)]


def lying_in_place(pixels: Sequence[Pixels]) -> Buffer | None:
    """Return the payload of a call where it lies, if that is one piece of host memory; else None."""
    (piece, *others) = pixels
    if others or not isinstance(piece, np.ndarray) or not piece.flags.c_contiguous:
        return None
    return piece.reshape(-1).view(np.uint8).data


def private_copy(piece: Pixels) -> Pixels:
    """Copy one piece, for a call that has to wait its turn."""
    if isinstance(piece, DeviceArray):
        return piece  # a snapshot already
    return piece.copy() if isinstance(piece, np.ndarray) else bytes(piece)
