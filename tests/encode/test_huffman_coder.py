"""The compiled deflate gives streams that zlib reads back, whatever the bytes are and however they are cut in bands."""

from __future__ import annotations

import threading
import zlib
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixlogd.encode import compiled
from pixlogd.encode.huffman import deflate_at_once, deflate_blocks

pytestmark = pytest.mark.skipif(
    compiled.library is None, reason="the package was built without a C compiler: there is no libpng_rows.so"
)

Bytes = npt.NDArray[np.uint8]

_BLOCK = 32768  # BLOCK in huffman.c


def _streamed(bands: list[bytes]) -> bytes:
    blocks = [deflate_blocks(band, is_final=False) for band in bands]
    end = deflate_blocks(b"", is_final=True)
    return b"".join([b"\x78\x01", *blocks, end, zlib.adler32(b"".join(bands)).to_bytes(4, "big")])


def _assert_kept(data: bytes) -> None:
    """The data come back from one call, and from bands cut where they are least convenient."""
    assert zlib.decompress(deflate_at_once(data)) == data
    cut = len(data) // 3
    assert zlib.decompress(_streamed([data[:cut], data[cut : cut + 1], data[cut + 1 :]])) == data


def _fibonacci(symbol_count: int) -> Bytes:
    """Bytes whose counts are Fibonacci numbers, which make Huffman's longest codes: one bit more for each symbol."""
    counts = [1, 1]
    while len(counts) < symbol_count:
        counts.append(counts[-1] + counts[-2])
    data = np.repeat(np.arange(symbol_count, dtype=np.uint8), counts)
    np.random.default_rng(symbol_count).shuffle(data)
    return data


def test_deflate_of_nothing_is_a_whole_stream() -> None:
    """No bytes at all, in no band, one or two, make a stream that ends."""
    assert zlib.decompress(deflate_at_once(b"")) == b""
    for bands in ([], [b""], [b"", b""]):
        assert zlib.decompress(_streamed(bands)) == b""


def test_deflate_keeps_every_single_byte() -> None:
    """Each of the 256 streams of one byte comes back."""
    for value in range(256):
        _assert_kept(bytes([value]))


@pytest.mark.parametrize("before", [b"", b"\x01", b"\x01\x01\x02", b"\x02" * 7])
def test_deflate_keeps_runs_of_every_length(before: bytes) -> None:
    """Runs of 1 to 1,100 bytes, past four times the longest match, come back with what surrounds them."""
    for length in range(1, 1100):
        data = before + bytes(length) + b"\x03"
        assert zlib.decompress(deflate_at_once(data)) == data, length


@pytest.mark.parametrize("nbytes", [_BLOCK - 1, _BLOCK, _BLOCK + 1, 3 * _BLOCK - 1, 3 * _BLOCK, 300_000])
def test_deflate_joins_blocks(nbytes: int) -> None:
    """Noise, one symbol and small differences come back where blocks end at, before and behind the last byte."""
    rng = np.random.default_rng(nbytes)
    _assert_kept(rng.integers(0, 256, nbytes, np.uint8).tobytes())
    _assert_kept(bytes(nbytes))
    _assert_kept(rng.normal(0, 2, nbytes).astype(np.int8).tobytes())


@pytest.mark.parametrize("symbol_count", range(2, 23))
def test_deflate_limits_the_length_of_codes(symbol_count: int) -> None:
    """Counts of which Huffman would make codes of up to 22 bits come back, coded in fewer bits than eight a byte."""
    data = _fibonacci(symbol_count)[: 2 * _BLOCK].tobytes()
    _assert_kept(data)
    if len(data) > 1000:
        assert len(deflate_at_once(data)) < 0.5 * len(data)


def test_deflate_limits_the_code_of_code_lengths() -> None:
    """Blocks whose lengths are themselves distributed unevenly, from 2 to 256 symbols in use, come back."""
    rng = np.random.default_rng(0)
    for symbol_count in range(2, 257):
        weights = 0.5 ** np.minimum(np.arange(symbol_count) / rng.integers(1, 30), 15)
        _assert_kept(rng.choice(symbol_count, 4000, p=weights / weights.sum()).astype(np.uint8).tobytes())


def test_deflate_stores_what_does_not_shrink() -> None:
    """Noise grows by no more than five bytes a block and the eleven around a stream."""
    data = np.random.default_rng(0).integers(0, 256, 10 * _BLOCK, np.uint8).tobytes()
    assert len(data) < len(deflate_at_once(data)) <= len(data) + 5 * 10 + 11


def test_deflate_spends_little_on_one_symbol() -> None:
    """A megabyte of zeros takes less than three kilobytes."""
    assert len(deflate_at_once(bytes(1 << 20))) < 3000


@settings(max_examples=300, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    runs=st.lists(st.tuples(st.integers(0, 600), st.sampled_from([1, 2, 3, 40, 256])), max_size=30),
    cuts=st.lists(st.integers(0, 20_000), max_size=4),
)
def test_deflate_keeps_runs_and_noise_in_any_bands(
    seed: int, runs: list[tuple[int, int]], cuts: list[int]
) -> None:
    """Pieces of one symbol, few symbols and all of them, cut into bands anywhere, come back."""
    rng = np.random.default_rng(seed)
    pieces = [rng.integers(0, symbols, nbytes).astype(np.uint8) for nbytes, symbols in runs]
    data = np.concatenate([np.zeros(0, np.uint8), *pieces]).tobytes()
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    assert zlib.decompress(_streamed([data[a:b] for a, b in pairwise(places)])) == data
    assert zlib.decompress(deflate_at_once(data)) == data


def test_deflate_keeps_nothing_between_threads() -> None:
    """Four threads at once give the bytes that one thread gives."""
    rng = np.random.default_rng(4)
    inputs = [rng.normal(0, width, 200_000).astype(np.int8).tobytes() for width in (0.2, 1, 5, 40)]
    alone = [_streamed([data[:90_000], data[90_000:]]) for data in inputs]
    differing: list[int] = []

    def work(offset: int) -> None:
        for i in range(40):
            at = (i + offset) % len(inputs)
            if _streamed([inputs[at][:90_000], inputs[at][90_000:]]) != alone[at]:
                differing.append(at)

    threads = [threading.Thread(target=work, args=(offset,)) for offset in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not differing


def test_deflate_refuses_too_little_room() -> None:
    """The library writes nothing where there is less room than it may need, and says 0."""
    assert compiled.library is not None
    data = np.zeros(1000, np.uint8)
    out = np.full(2000, 7, np.uint8)
    capacity = compiled.library.pixlog_deflate_bound(data.size) - 1
    assert compiled.library.pixlog_deflate(data.ctypes.data, data.size, out.ctypes.data, capacity, 1) == 0
    assert (out == 7).all()


def test_deflate_refuses_bytes_that_do_not_lie_together() -> None:
    """Every other byte of an array is a ValueError, not a stream of the wrong bytes."""
    with pytest.raises(ValueError, match="contiguous"):
        deflate_blocks(np.zeros(100, np.uint8)[::2], is_final=True)
