"""What is not a frame is refused at once, before anything is allocated for it."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixlog.errors import ProtocolError
from pixlog.protocol import MAGIC, MAJOR, PRELUDE, FrameDecoder, Kind, Limits, encode_head, unpack
from wire_frames import decode, frame, payload_of

SMALL = Limits(head_nbytes=100, payload_nbytes=1000)


def prelude(
    magic: bytes = MAGIC,
    major: int = MAJOR,
    kind: int = Kind.LOG,
    head_nbytes: int = 0,
    payload_nbytes: int = 0,
) -> bytes:
    """Return the first 16 bytes of a frame."""
    return PRELUDE.pack(magic, major, kind, head_nbytes, payload_nbytes)


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (b"GET / HTTP/1.1\r\n", "frame begins with b'GE', expected b'PX'"),
        (prelude(magic=b"XP"), "frame begins with b'XP', expected b'PX'"),
        (prelude(major=2), "frame of protocol version 2, expected 1"),
        (prelude(major=0, kind=Kind.ARENA), "frame of protocol version 0, expected 1"),
        (prelude(kind=0), "frame of unknown kind 0"),
        (prelude(kind=255), "frame of unknown kind 255"),
        (prelude(head_nbytes=101), "header of 101 bytes, at most 100 are taken"),
        (prelude(payload_nbytes=1001), "payload of 1001 bytes, at most 1000 are taken"),
        (prelude(payload_nbytes=(1 << 64) - 1), f"payload of {(1 << 64) - 1} bytes, at most 1000 are taken"),
    ],
)
def test_prelude_is_refused_as_soon_as_it_is_whole(stream: bytes, message: str) -> None:
    """Wrong magic, version, kind and sizes are refused by the first 16 bytes, and by no fewer."""
    decoder = FrameDecoder(SMALL)
    assert decoder.feed_bytes(stream[:15]) == []
    with pytest.raises(ProtocolError, match=f"^{re.escape(message)}$"):
        decoder.feed_bytes(stream[15:16])


@pytest.mark.parametrize("kind", [Kind.HELLO, Kind.WELCOME, Kind.ERROR, Kind.CONTROL, Kind.REPLY])
def test_frames_of_greeting_are_read_in_any_version(kind: Kind) -> None:
    """What is said before versions are known may come in another version, so that both sides can say so."""
    stream = bytearray(frame(kind, {"version": [9, 0]}))
    stream[2] = 9
    (one,) = decode(bytes(stream))
    assert one.header == {"version": [9, 0]}


def test_limits_are_inclusive() -> None:
    """A header and a payload of just the largest sizes are taken."""
    payload = b"x" * 1000
    header = {"c": "c" * (100 - len("\x92\x81\xa1c\xd9\x00\xc6\x00\x00\x00\x00"))}
    head = encode_head(Kind.LOG, header, len(payload))
    assert len(head) - PRELUDE.size == 100
    (one,) = decode(head + payload, SMALL)
    assert one.header == header
    assert payload_of(one) == payload


@pytest.mark.parametrize(
    ("body", "payload_nbytes", "message"),
    [
        (b"\x91", 0, "body is not msgpack"),
        (b"", 0, "body without a payload is not a msgpack array of one"),
        (b"\x92\x80\x80", 0, "body without a payload is not a msgpack array of one"),
        (b"\x91\x80\x80", 0, "body is not msgpack: ExtraData"),
        (b"\x91\x90", 0, "header is a list, expected a map"),
        (b"\x91\xc0", 0, "header is a NoneType, expected a map"),
        (b"\x91\xc1", 0, "body is not msgpack"),
        (b"\x91\xdf\xff\xff\xff\xff", 0, "body is not msgpack"),  # a map of 4 billion entries
        (b"\x91" + b"\x91" * 90, 0, "body is not msgpack"),
        (b"\x91\x81\x80\x80", 0, "body is not msgpack"),  # a map as the key of a map
        (b"\x91\x81\xa1\xff\x80", 0, "body is not msgpack"),  # text that is not UTF-8
        (b"\x92\x80\xc6", 4, "body with a payload is not a msgpack array of two"),
        (b"\x91\x80\xc6\x00\x00\x00\x04", 4, "body with a payload is not a msgpack array of two"),
        (b"\x92\x80\xc5\x00\x00\x00\x04", 4, "payload is not a bin 32 of 4 bytes"),
        (b"\x92\x80\xc6\x00\x00\x00\x05", 4, "payload is not a bin 32 of 4 bytes"),
    ],
)
def test_body_that_is_no_frame_is_refused(body: bytes, payload_nbytes: int, message: str) -> None:
    """A body must be one msgpack list of a map, and of the announced bin 32 where a payload was announced."""
    stream = prelude(head_nbytes=len(body), payload_nbytes=payload_nbytes) + body + b"1234"[:payload_nbytes]
    with pytest.raises(ProtocolError, match=re.escape(message)):
        decode(stream, SMALL)


@given(data=st.binary(max_size=200))
def test_unpack_raises_nothing_but_protocol_errors(data: bytes) -> None:
    """Any bytes either are one msgpack value or a ProtocolError."""
    with contextlib.suppress(ProtocolError):
        unpack(data)


@given(data=st.binary(min_size=16, max_size=400), cut=st.integers(0, 400))
def test_decoder_raises_nothing_but_protocol_errors(data: bytes, cut: int) -> None:
    """Any stream that begins like a frame either decodes or is a ProtocolError, however it is cut."""
    stream = prelude(head_nbytes=data[0], payload_nbytes=data[1] if data[2] % 2 else 0) + data
    decoder = FrameDecoder(SMALL)
    with contextlib.suppress(ProtocolError):
        decoder.feed_bytes(stream[:cut])
        decoder.feed_bytes(stream[cut:])


def test_unpack_refuses_deep_nesting() -> None:
    """Lists nested ten thousand deep are a ProtocolError, not the end of the process."""
    with pytest.raises(ProtocolError, match="body is not msgpack"):
        unpack(b"\x91" * 10_000 + b"\xc0")
