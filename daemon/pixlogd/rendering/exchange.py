"""What the daemon and a worker process say to each other: a batch of calls over, their files and rows' values back.

Pixels and files go through memory that both have mapped, one piece for each lane; the socket carries only where they
lie.  The memory is the daemon's own and sealed, so neither side can make the other's read a SIGBUS.

    byte 0       number of the call in work, or NOTHING; survives the worker, and tells which call ended it
    PIXELS_AT    payloads of the batch, each on a boundary of 64 bytes
    FILES_AT     the files made of them

A message is its length (u32) and msgpack.  A request is a list of calls, an answer a list of as many packed
renderings; a call that the worker could not render, for whatever reason, is None there, and the daemon renders it
itself, so that reasons and tracebacks are the same wherever a picture was worked on.
"""

from __future__ import annotations

import contextlib
import mmap
import socket
import struct
from collections.abc import Sequence
from dataclasses import astuple
from functools import lru_cache
from typing import Any, Final

from pixlog.protocol import Buffer, Header, pack, unpack
from pixlogd.config.encode_defaults import EncodeDefaults
from pixlogd.rendering.media_file import EarlierFile, MediaFile
from pixlogd.rendering.render import Rendered

LARGEST_NBYTES: Final = 3 << 19
"""The largest payload that goes to a worker process: up to there threads stand in each other's way."""
PIXELS_AT: Final = 4096
FILES_AT: Final = PIXELS_AT + (1 << 20) + LARGEST_NBYTES
LANE_NBYTES: Final = FILES_AT + (1 << 20) + LARGEST_NBYTES
NOTHING: Final = 0xFFFFFFFF
_LENGTH: Final = struct.Struct("<I")
_ALIGNMENT: Final = 64


class LaneMemory:
    """The memory of one lane, mapped: ``fd`` is a memfd of LANE_NBYTES, which stays its owner's."""

    def __init__(self, fd: int) -> None:
        self._map = mmap.mmap(fd, LANE_NBYTES)
        self._view = memoryview(self._map)
        self._end = 0

    def mark(self, number: int) -> None:
        """Write down which call is in work."""
        _LENGTH.pack_into(self._map, 0, number)

    @property
    def marked(self) -> int:
        """The number of the call in work, or NOTHING."""
        number: int = _LENGTH.unpack_from(self._map, 0)[0]
        return number

    def put_pixels(self, views: Sequence[memoryview], begin: int) -> tuple[list[tuple[int, int]], int] | None:
        """Copy buffers in from ``begin``; return the place of each and where they end, None when they do not fit."""
        extents = []
        for view in views:
            begin += -begin % _ALIGNMENT
            if begin + view.nbytes > FILES_AT:
                return None
            self._view[begin : begin + view.nbytes] = view.cast("B") if view.nbytes else b""
            extents.append((begin, view.nbytes))
            begin += view.nbytes
        return extents, begin

    def begin_files(self) -> None:
        """Let the next file be the first."""
        self._end = FILES_AT

    def put_file(self, data: Buffer) -> tuple[int, int]:
        """Copy a file in behind those before it; return its place.  Raises ValueError when it does not fit."""
        nbytes = data.nbytes if isinstance(data, memoryview) else len(data)
        begin, end = self._end, self._end + nbytes
        if end > LANE_NBYTES:
            raise ValueError(f"a file of {nbytes} bytes where {LANE_NBYTES - begin} are left")
        self._view[begin:end] = data
        self._end = end
        return begin, nbytes

    def close(self) -> None:
        """Unmap it, or, while somebody looks at a part of it, leave that to the last who does."""
        self._view.release()
        with contextlib.suppress(BufferError):
            self._map.close()

    def slice(self, begin: int, nbytes: int) -> memoryview:
        """Return bytes, read-only."""
        return self._view[begin : begin + nbytes].toreadonly()


def pack_call(header: Header, extents: Sequence[tuple[int, int]], defaults: EncodeDefaults) -> bytes:
    """Pack what rendering needs of a call; raises what :func:`pixlog.protocol.pack` does."""
    return pack(
        [
            header["key"],
            header["step"],
            header.get("contract", "pixlog"),
            bool(header.get("list")),
            header["items"],
            extents,
            astuple(defaults),
        ]
    )


def unpack_call(data: Buffer, memory: LaneMemory) -> tuple[dict[str, Any], list[memoryview], EncodeDefaults]:
    """Return the header, the buffers and the defaults of a packed call."""
    key, step, contract, is_list, items, extents, defaults = unpack(data)
    header = {"key": key, "step": step, "contract": contract, "list": is_list, "items": items}
    *options, background, dedup = defaults
    return (
        header,
        [memory.slice(*extent) for extent in extents],
        _defaults(*options, tuple(background), dedup),
    )


@lru_cache(maxsize=256)
def _defaults(*values: Any) -> EncodeDefaults:
    return EncodeDefaults(*values)


def pack_rendered(rendered: Rendered, memory: LaneMemory, took_s: float) -> bytes:
    """Put the files of a rendering into the lane and pack the rest; raises when either does not go."""
    files = []
    for file in rendered.files:
        if isinstance(file, EarlierFile):
            raise TypeError("an image of an earlier row has no place in an answer")
        place = memory.put_file(file.data)
        files.append([file.path, *place, file.sha256, file.role, file.index, file.group])
    return pack([files, rendered.value, rendered.input, rendered.notes, took_s])


def unpack_rendered(data: Buffer, memory: LaneMemory) -> tuple[Rendered, float]:
    """Return a rendering, whose files lie in the lane until its next batch, and how long it took, in seconds."""
    records, value, record, notes, took_s = unpack(data)
    files: list[MediaFile | EarlierFile] = [
        MediaFile(path, memory.slice(begin, nbytes), sha256, nbytes, role, index, group)
        for path, begin, nbytes, sha256, role, index, group in records
    ]
    return Rendered(files, value, record, notes), took_s


def send_message(sock: socket.socket, body: bytes) -> None:
    """Send one message; raises OSError when nobody is there to read it."""
    sock.sendall(_LENGTH.pack(len(body)) + body)


def receive_message(sock: socket.socket) -> bytearray | None:
    """Receive one message, None when the other side is gone; raises OSError."""
    head = _receive(sock, _LENGTH.size)
    return None if head is None else _receive(sock, _LENGTH.unpack(head)[0])


def _receive(sock: socket.socket, nbytes: int) -> bytearray | None:
    data = bytearray(nbytes)
    view = memoryview(data)
    while view:
        count = sock.recv_into(view)
        if not count:
            return None
        view = view[count:]
    return data
