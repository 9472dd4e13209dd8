"""Whatever is encoded comes back, however the bytes are cut on their way."""

from __future__ import annotations

from typing import Any

import msgpack
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pixlog.protocol import (
    PRELUDE,
    FrameDecoder,
    Kind,
    encode_head,
    encode_head_of,
    encode_log_in_arena,
    pack,
    pack_map,
    unpack,
)
from wire_frames import DECODER_SCRATCH_NBYTES, decode, frame, log_header, payload_of, split_at

# Surrogates included: a key may be any str.
TEXT = st.text(st.characters(), max_size=20)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False)
    | TEXT
    | st.binary(max_size=40)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)
HEADERS = st.dictionaries(TEXT | st.integers(-10, 300), VALUES, max_size=20)
FRAMES = st.tuples(st.sampled_from(Kind), HEADERS, st.binary(max_size=200))
CUTS = st.lists(st.integers(0, 4000), max_size=12)


def received(decoder: FrameDecoder, stream: bytes, cuts: list[int]) -> list[tuple[Kind, Any, bytes]]:
    """Feed a stream in pieces; return what came out."""
    return [
        (one.kind, one.header, payload_of(one))
        for piece in split_at(stream, cuts)
        for one in decoder.feed_bytes(piece)
    ]


@settings(deadline=None)
@given(sent=st.lists(FRAMES, max_size=6), cuts=CUTS)
@example(sent=[(Kind.LOG, {"key": "\ud800", "\udfff": "\udc80"}, b"x")], cuts=[17])
def test_decoder_returns_frames_under_any_splits(
    sent: list[tuple[Kind, dict[Any, Any], bytes]], cuts: list[int]
) -> None:
    """Every frame comes back in order with equal header and payload, wherever the stream is cut."""
    decoder = FrameDecoder()
    stream = b"".join(frame(*one) for one in sent)
    assert received(decoder, stream, cuts) == sent
    assert decoder.idle


def test_decoder_returns_frames_byte_by_byte() -> None:
    """A peer that sends single bytes is understood, and the decoder is idle only between frames."""
    decoder = FrameDecoder()
    stream = frame(Kind.LOG, log_header(3), b"p" * 24)
    for index, byte in enumerate(stream):
        assert decoder.idle == (index == 0)
        frames = decoder.feed_bytes(bytes([byte]))
        assert len(frames) == (index == len(stream) - 1)
    assert payload_of(frames[0]) == b"p" * 24


@settings(deadline=None, max_examples=25)
@given(
    sizes=st.lists(
        st.sampled_from(
            [1, 24, DECODER_SCRATCH_NBYTES - 1, DECODER_SCRATCH_NBYTES, DECODER_SCRATCH_NBYTES + 1]
        )
        | st.integers(1, 700_000),
        min_size=1,
        max_size=4,
    ),
    caption_nbytes=st.sampled_from([0, DECODER_SCRATCH_NBYTES - 40, DECODER_SCRATCH_NBYTES, 600_000]),
    cuts=st.lists(st.integers(0, 2_000_000), max_size=6),
)
def test_decoder_returns_frames_larger_than_its_scratch(
    sizes: list[int], caption_nbytes: int, cuts: list[int]
) -> None:
    """Headers and payloads around and beyond the size of the shared buffer come back whole, small ones between."""
    sent = []
    for number, size in enumerate(sizes):
        sent.append((Kind.LOG, {"n": number, "caption": "c" * caption_nbytes}, bytes([number]) * size))
        sent.append((Kind.ARENA, {"n": number}, b""))
    decoder = FrameDecoder()
    assert received(decoder, b"".join(frame(*one) for one in sent), cuts) == sent
    assert decoder.idle


def test_payload_is_received_in_place() -> None:
    """Once its head is read, a payload has a buffer of exactly its size, and the frame's view is that memory."""
    decoder = FrameDecoder()
    nbytes = 300_000
    assert decoder.feed_bytes(encode_head(Kind.LOG, {"seq": 1}, nbytes)) == []
    assert decoder.payload_nbytes_held == nbytes
    buffer = decoder.get_buffer()
    assert len(buffer) == nbytes
    buffer[:] = b"\x07" * nbytes
    (one,) = decoder.feed(nbytes)
    assert one.payload is not None
    assert one.payload.readonly
    buffer[5] = 9  # what the frame shows is the memory that was received into, not a copy of it
    assert one.payload[5] == 9
    assert decoder.payload_nbytes_held == 0


def test_payload_of_one_frame_survives_the_next() -> None:
    """Payloads are memory of their own: a later frame does not overwrite an earlier one that is still held."""
    decoder = FrameDecoder()
    first, second = (decoder.feed_bytes(frame(Kind.LOG, {}, byte * 50))[0] for byte in (b"a", b"b"))
    assert payload_of(first) == b"a" * 50
    assert payload_of(second) == b"b" * 50


def test_body_is_one_msgpack_value() -> None:
    """The body of a frame is plain msgpack: a list of the header, and of the payload as a bin where there is one."""
    header = {"key": "k", "step": 1}
    assert msgpack.unpackb(frame(Kind.LOG, header)[PRELUDE.size :]) == [header]
    assert msgpack.unpackb(frame(Kind.LOG, header, b"pixels")[PRELUDE.size :]) == [header, b"pixels"]


@given(first=HEADERS, last=HEADERS, payload_nbytes=st.sampled_from([0, 1, 24, (1 << 32) - 1]))
def test_packed_entries_make_the_same_head(
    first: dict[Any, Any], last: dict[Any, Any], payload_nbytes: int
) -> None:
    """A head made from entries that were packed before equals the head of the whole header."""
    last = {name: value for name, value in last.items() if name not in first}
    whole = encode_head(Kind.LOG, {**first, **last}, payload_nbytes)
    assert encode_head_of(Kind.LOG, pack_map(first), last, payload_nbytes) == whole
    assert encode_head(Kind.LOG, {**first, **last}, payload_nbytes) == whole


@given(
    entries=HEADERS,
    step=st.integers(-(1 << 63), (1 << 63) - 1),
    time_s=st.floats(allow_nan=False),
    seq=st.integers(0, (1 << 64) - 1),
    place=st.tuples(st.integers(0, (1 << 32) - 1), *[st.integers(0, (1 << 64) - 1)] * 2),
)
def test_log_in_arena_says_what_its_header_would(
    entries: dict[Any, Any], step: int, time_s: float, seq: int, place: tuple[int, int, int]
) -> None:
    """The short way to the frame of a plain call gives the same header as the long one, whatever the numbers."""
    arena, offset, nbytes = place
    last = {
        "step": step,
        "time": time_s,
        "buffers": [[0, nbytes]],
        "seq": seq,
        "at": ["arena", arena, offset, nbytes],
    }
    first = {name: value for name, value in entries.items() if name not in last}
    (one,) = decode(encode_log_in_arena(pack_map(first), step, time_s, seq, arena, offset, nbytes))
    (other,) = decode(encode_head_of(Kind.LOG, pack_map(first), last))
    assert (one.kind, one.header, one.payload) == (other.kind, other.header, None)


def test_packed_entries_cross_the_size_of_a_small_map() -> None:
    """Entries of a small and of a large map, joined on either side of 15 entries, still are one map."""
    for first_count in (0, 14, 15, 16, 300):
        for last_count in (0, 1, 2, 16):
            first = {f"f{number}": number for number in range(first_count)}
            last = {f"l{number}": number for number in range(last_count)}
            (one,) = decode(encode_head_of(Kind.LOG, pack_map(first), last))
            assert one.header == {**first, **last}


@given(text=st.text(st.characters(categories=["Cs", "L"]), max_size=30))
def test_text_with_surrogates_comes_back(text: str) -> None:
    """Any str survives, half surrogate pairs included."""
    assert unpack(pack(text)) == text
