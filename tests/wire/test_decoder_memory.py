"""A decoder costs what was sent, not what was announced."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pixlog.protocol import FrameDecoder, Kind, Limits, encode_head

MIB = 1024 * 1024
PAGE_NBYTES = os.sysconf("SC_PAGE_SIZE")

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="needs /proc to see resident memory"
)


def resident_nbytes() -> int:
    """Return the resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_NBYTES


def announcing(*, head_nbytes: int = 0, payload_nbytes: int = 0) -> bytes:
    """Return the beginning of a frame that announces much."""
    if payload_nbytes:
        return encode_head(Kind.LOG, {"seq": 1}, payload_nbytes)
    return encode_head(Kind.LOG, {"seq": 1})[:4] + head_nbytes.to_bytes(4, "big") + bytes(8) + b"\x91\x81"


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(announcing(payload_nbytes=1024 * MIB), id="payload of 1 GiB"),
        pytest.param(announcing(head_nbytes=64 * MIB), id="header of 64 MiB"),
    ],
)
def test_announced_bytes_are_not_resident(stream: bytes) -> None:
    """Twenty peers that announce a gigabyte each and send nothing of it cost almost no memory."""
    before = resident_nbytes()
    decoders = [FrameDecoder(Limits(payload_nbytes=1024 * MIB)) for _ in range(20)]
    for decoder in decoders:
        assert decoder.feed_bytes(stream) == []
        assert len(decoder.get_buffer()) > 60 * MIB
    assert resident_nbytes() - before < 60 * MIB  # huge pages of 2 MiB, where the kernel deals in those


def test_sent_bytes_are_resident_once() -> None:
    """A payload that arrives in small pieces is held once, in place, and freed with its frame."""
    nbytes = 64 * MIB
    before = resident_nbytes()
    decoder = FrameDecoder()
    decoder.feed_bytes(encode_head(Kind.LOG, {"seq": 1}, nbytes))
    piece = bytes(MIB)
    frames = [one for _ in range(64) for one in decoder.feed_bytes(piece)]
    assert len(frames) == 1
    assert resident_nbytes() - before < 1.1 * nbytes + 4 * MIB
    frames.clear()
    assert resident_nbytes() - before < 0.2 * nbytes


def test_scratch_shrinks_after_large_header() -> None:
    """The buffer that one large header needed is given back when the next frames are small."""
    decoder = FrameDecoder()
    header = {"caption": "c" * (8 * MIB)}
    (one,) = decoder.feed_bytes(encode_head(Kind.LOG, header))
    assert one.header == header
    assert len(decoder.get_buffer()) == 256 * 1024
    decoder.feed_bytes(encode_head(Kind.LOG, {"seq": 2}))
    assert len(decoder.get_buffer()) == 256 * 1024
