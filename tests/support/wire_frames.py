"""Frames as any client may build them, and streams taken apart again."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Final

from pixlog.protocol import MAJOR, MINOR, Frame, FrameDecoder, Header, Kind, Limits, encode_head

CLIENT: Final = "00000000000000aa"
DECODER_SCRATCH_NBYTES: Final = 256 * 1024


def frame(kind: Kind, header: Header, payload: bytes = b"") -> bytes:
    """Return one whole frame."""
    return encode_head(kind, header, len(payload)) + payload


def hello_header(run_dir: object, /, **changed: Any) -> Header:
    """Return the header of a HELLO; ``changed`` replaces entries, and leaves out those that are ``...``."""
    header = {
        "version": [MAJOR, MINOR],
        "client": CLIENT,
        "run_dir": str(run_dir),
        "rank": 0,
        "local_rank": None,
        "world_size": None,
        "host": "node1",
        "pid": 4242,
        "started": None,
        "resume": 0,
        "again": False,
    }
    return {name: value for name, value in {**header, **changed}.items() if value is not ...}


def log_header(seq: int, /, *, height: int = 4, width: int = 6, **changed: Any) -> Header:
    """Return the header of a LOG with one gray image; ``changed`` as in :func:`hello_header`."""
    nbytes = height * width
    data = {
        "kind": "array",
        "buffer": 0,
        "dtype": "|u1",
        "shape": [height, width],
        "layout": "HW",
        "origin": "numpy",
    }
    header: Header = {
        "seq": seq,
        "key": "k",
        "step": seq,
        "time": 1_700_000_000.25,
        "contract": "pixlog",
        "items": [{"data": data}],
        "buffers": [[0, nbytes]],
    }
    return {name: value for name, value in {**header, **changed}.items() if value is not ...}


def gray_pixels(seq: int, *, height: int = 4, width: int = 6) -> bytes:
    """Return the pixels of :func:`log_header`, different for each number."""
    return bytes((seq + index) % 256 for index in range(height * width))


def payload_of(one: Frame) -> bytes:
    """Return the inline payload of a frame; empty when it has none."""
    return b"" if one.payload is None else bytes(one.payload)


def split_at(stream: bytes, cuts: Sequence[int]) -> Iterator[bytes]:
    """Cut a stream at the given places."""
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    for start, end in itertools.pairwise(edges):
        yield stream[start:end]


def decode(stream: bytes, limits: Limits | None = None) -> list[Frame]:
    """Return the frames of a whole stream; raises ProtocolError, also when it ends within a frame."""
    decoder = FrameDecoder(limits)
    frames = decoder.feed_bytes(stream)
    assert decoder.idle, "the stream ends within a frame"
    return frames
