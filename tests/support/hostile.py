"""Conversations that no client would hold: sound ones, broken at every level, the same for the same seed.

A conversation begins as sound frames.  Then headers are changed somewhere in their depth, whole frames are left
out, doubled, exchanged or replaced, preludes announce what does not come, bytes are flipped, cut and inserted, and
descriptors are attached that are anything but arenas.  Most conversations keep their beginning sound, so that the
rest of them is heard at all.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import msgpack

from pixlog.protocol import MAGIC, MAJOR, PRELUDE, Header, Kind
from sound_frames import ARENA_NBYTES, CLIENT_COUNT, DESCRIPTORS, Sentence, sound_sentences
from wire_frames import hello_header


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes of one send, and the kinds of descriptors to pass with them."""

    data: bytes
    descriptors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Conversation:
    """What is said: HELLO on its own where it is sound, so that a real client would now wait for WELCOME."""

    greeting: bytes | None
    chunks: list[Chunk]


def conversation(seed: int, number: int, run_dir: str) -> Conversation:
    """Return conversation ``number`` of a seed, for a daemon of ``run_dir``."""
    rng = random.Random((seed << 32) + number)
    sentences = rng.choices(sound_sentences(seed), k=rng.randrange(1, 7))
    greeting: bytes | None = None
    if rng.random() < 0.8:
        # Its clients come again and again, and say so: what they log twice may be in the manifest once.
        client = f"{rng.randrange(CLIENT_COUNT):016x}"
        greeting = Sentence(Kind.HELLO, hello_header(run_dir, client=client, resume=0, again=True)).stream()
    elif rng.random() < 0.7:
        sentences.insert(0, Sentence(Kind.HELLO, hello_header(run_dir)))
    else:
        command = rng.choice(("status", "status", "recover", "dance"))
        sentences = [Sentence(Kind.CONTROL, {"command": command, "run_dir": run_dir}), *sentences[:1]]
    for _ in range(rng.choice((0, 1, 1, 2, 4))):
        rng.choice(_FRAME_CHANGES)(rng, sentences)
    chunks = [Chunk(sentence.stream(), sentence.descriptors) for sentence in sentences]
    for _ in range(rng.choice((0, 0, 1, 1, 2, 5))):
        if chunks:
            position = rng.randrange(len(chunks))
            chunk = chunks[position]
            chunks[position] = Chunk(rng.choice(_BYTE_CHANGES)(rng, chunk.data), chunk.descriptors)
    return Conversation(greeting, _cut(rng, chunks))


# Changes of frames


def _change(rng: random.Random, sentences: list[Sentence], **changes: Callable[[Sentence], Any]) -> None:
    """Replace some sentence by one with changed fields."""
    if sentences:
        position = rng.randrange(len(sentences))
        sentence = sentences[position]
        fields = {name: change(sentence) for name, change in changes.items()}
        sentences[position] = replace(sentence, _stream=None, **fields)


def _change_header(rng: random.Random, sentences: list[Sentence]) -> None:
    _change(rng, sentences, header=lambda sentence: _changed(rng, sentence.header))


def _changed(rng: random.Random, value: Any) -> Any:
    """Return a value with something in its depth replaced, left out, doubled or added."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        name = rng.choice(list(value))
        changed = dict(value)
        what = rng.random()
        if what < 0.6:
            changed[name] = _changed(rng, value[name])
        elif what < 0.75:
            del changed[name]
        elif what < 0.9:
            changed[rng.choice((*_HEADER_NAMES, 5, b"k"))] = _odd(rng)
        else:
            changed[name] = _odd(rng)
        return changed
    if isinstance(value, (list, tuple)) and value and rng.random() < 0.9:
        entries = list(value)
        position = rng.randrange(len(entries))
        what = rng.random()
        if what < 0.6:
            entries[position] = _changed(rng, entries[position])
        elif what < 0.75:
            del entries[position]
        elif what < 0.9:
            entries.insert(position, rng.choice(entries))
        else:
            entries *= rng.choice((2, 10))
        return entries
    if isinstance(value, int) and not isinstance(value, bool) and rng.random() < 0.5:
        return value + rng.choice((-1, 1, 7, 1 << 16, 1 << 31, -(1 << 31), 1 << 40))
    return _odd(rng)


def _odd(rng: random.Random) -> Any:
    return rng.choice(_ODD_VALUES)


def _nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


_OUTSIDE: Final = ("../../../../../../tmp/pixlog-escaped", "/tmp/pixlog-escaped", "..", "a/../../b", "\0")
_ODD_VALUES: Final[tuple[Any, ...]] = (
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        2,
        255,
        256,
        65_535,
        (1 << 31) - 1,
        1 << 31,
        1 << 62,
        (1 << 64) - 1,
        -(1 << 63),
    ),
    *(0.0, -0.0, 1.5, 1e308, float("nan"), float("inf"), "", "x", "\ud800", "\0", "x" * 300, "x" * 70_000),
    *_OUTSIDE,
    *(
        "array",
        "pil",
        "encoded",
        "ref",
        "arena",
        "spill",
        "HW",
        "NHWC",
        "|O",
        "|V8",
        "<M8[s]",
        "<f16",
        "U1",
        "RGB",
        "png",
    ),
    *(b"", b"bytes", [], {}, [[]], [0], [0, 0], [1 << 40, 1], [-1, -1], {"kind": "array"}, {"a": {"b": {}}}),
    *(
        ["arena", 0, 0, 24],
        ["arena", 99, 0, 1],
        ["spill", "../x.frames", 0, 1],
        {1: 2},
        {b"b": 1},
        {"data": {}},
    ),
    *(_nested(40), _nested(600), [None] * 1000, msgpack.ExtType(5, b"ext"), msgpack.Timestamp(1)),
)
_HEADER_NAMES: Final = (
    *(
        "at",
        "buffers",
        "items",
        "seq",
        "key",
        "step",
        "time",
        "call",
        "meta",
        "list",
        "contract",
        "state",
        "reason",
    ),
    *(
        "data",
        "kind",
        "boxes",
        "masks",
        "polygons",
        "keypoints",
        "classes",
        "caption",
        "grid",
        "dedup",
        "axes",
    ),
    *(
        "masked",
        "depth",
        "file_type",
        "mode",
        "suffix",
        "palette",
        "transparency",
        "icc",
        "grouping",
        "arena",
        "nbytes",
        "command",
    ),
)


def _drop_frame(rng: random.Random, sentences: list[Sentence]) -> None:
    if sentences:
        del sentences[rng.randrange(len(sentences))]


def _double_frame(rng: random.Random, sentences: list[Sentence]) -> None:
    if sentences:
        sentences.insert(rng.randrange(len(sentences)), rng.choice(sentences))


def _exchange_frames(rng: random.Random, sentences: list[Sentence]) -> None:
    rng.shuffle(sentences)


def _add_frame(rng: random.Random, sentences: list[Sentence]) -> None:
    kind = rng.choice((*Kind, 0, 10, 255))
    header: Header = rng.choice(
        ({}, {"command": "status"}, {"command": "recover"}, {"rows": []}, {"version": [1, 0]}, {"seq": 3})
    )
    sentences.insert(rng.randrange(len(sentences) + 1), Sentence(kind, header, rng.choice((b"", b"p"))))


def _change_kind(rng: random.Random, sentences: list[Sentence]) -> None:
    _change(rng, sentences, kind=lambda _: rng.choice((*Kind, 0, 10, 255)))


def _change_payload(rng: random.Random, sentences: list[Sentence]) -> None:
    _change(
        rng,
        sentences,
        payload=lambda one: rng.choice((b"", one.payload[:-1], one.payload + b"x", bytes(100_000))),
    )


def _add_descriptors(rng: random.Random, sentences: list[Sentence]) -> None:
    more = tuple(rng.choice(DESCRIPTORS) for _ in range(rng.choice((1, 1, 2, 9))))
    _change(rng, sentences, descriptors=lambda sentence: sentence.descriptors + more)


def _drop_descriptors(rng: random.Random, sentences: list[Sentence]) -> None:
    _change(rng, sentences, descriptors=lambda _: ())


def _many_arenas(rng: random.Random, sentences: list[Sentence]) -> None:
    first = rng.randrange(1000)
    sentences += [
        Sentence(Kind.ARENA, {"arena": arena, "nbytes": ARENA_NBYTES}, b"", ("arena",))
        for arena in range(first, first + rng.choice((3, 10, 80)))
    ]


_FRAME_CHANGES: Final[tuple[Callable[[random.Random, list[Sentence]], None], ...]] = (
    *(_change_header,) * 8,
    *(_drop_frame, _double_frame, _exchange_frames, _add_frame, _add_frame, _change_kind, _change_payload),
    *(_add_descriptors, _drop_descriptors, _many_arenas),
)

# Changes of bytes


def _flip_bits(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8)) if changed else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _flip_early_bits(rng: random.Random, data: bytes) -> bytes:
    return _flip_bits(rng, data[:40]) + data[40:]


def _cut_tail(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _cut_middle(rng: random.Random, data: bytes) -> bytes:
    start = rng.randrange(len(data) + 1)
    return data[:start] + data[start + rng.choice((1, 2, 16, 100)) :]


def _insert_bytes(rng: random.Random, data: bytes) -> bytes:
    start = rng.randrange(len(data) + 1)
    return data[:start] + rng.randbytes(rng.choice((1, 2, 16, 100))) + data[start:]


def _replace_prelude(rng: random.Random, data: bytes) -> bytes:
    sizes = (0, 1, 15, 16, 17, 1000, 1 << 20, 1 << 26, (1 << 26) + 1, (1 << 32) - 1)
    payload_sizes = (*sizes, 1 << 30, 1 << 31, 1 << 40, (1 << 64) - 1)
    magic, major, kind, head_nbytes, payload_nbytes = PRELUDE.unpack(data[:16].ljust(16, b"\0"))
    match rng.randrange(5):
        case 0:
            magic = rng.choice((b"PY", b"\0\0", b"GE", MAGIC))
        case 1:
            major = rng.choice((0, MAJOR + 1, 255))
        case 2:
            kind = rng.randrange(256)
        case 3:
            head_nbytes = rng.choice(sizes)
        case _:
            payload_nbytes = rng.choice(payload_sizes)
    return PRELUDE.pack(magic, major, kind, head_nbytes, payload_nbytes) + data[16:]


def _replace_all(rng: random.Random, data: bytes) -> bytes:
    return rng.choice((b"", rng.randbytes(len(data)), b"GET / HTTP/1.1\r\n\r\n", MAGIC * 50, data * 3))


_BYTE_CHANGES: Final[tuple[Callable[[random.Random, bytes], bytes], ...]] = (
    *(_flip_bits, _flip_early_bits, _flip_early_bits, _cut_tail, _cut_middle, _insert_bytes),
    *(_replace_prelude, _replace_prelude, _replace_all),
)


def _cut(rng: random.Random, chunks: list[Chunk]) -> list[Chunk]:
    """Part or join what is sent at once; descriptors stay with the first byte of what they came with."""
    what = rng.random()
    if what < 0.4:
        return chunks
    if what < 0.6:
        joined = b"".join(chunk.data for chunk in chunks)
        return [Chunk(joined, tuple(kind for chunk in chunks for kind in chunk.descriptors))]
    pieces: list[Chunk] = []
    for chunk in chunks:
        cuts = sorted(rng.randrange(len(chunk.data) + 1) for _ in range(rng.choice((0, 1, 3))))
        descriptors = chunk.descriptors
        for start, end in itertools.pairwise([0, *cuts, len(chunk.data)]):
            pieces.append(Chunk(chunk.data[start:end], descriptors))
            descriptors = ()
    return pieces
