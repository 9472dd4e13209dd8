"""Conversations that no client would hold: sound ones, broken at every level, the same for the same seed.

A conversation begins as sound frames.  Then headers are changed somewhere in their depth, whole frames are left
out, doubled, exchanged or replaced, preludes announce what does not come, bytes are flipped, cut and inserted, and
descriptors are attached that are anything but arenas.  Most conversations keep their beginning sound, so that the
rest of them is heard at all.
"""

from __future__ import annotations

import functools
import io
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import msgpack
import numpy as np
from PIL import Image

from pixlog.protocol import MAGIC, MAJOR, PRELUDE, Header, Kind, encode_head
from wire_frames import hello_header

DESCRIPTORS: Final = (
    *("arena", "arena", "arena", "unsealed", "half sealed", "short", "empty"),
    *("shrunk", "null", "pipe", "file", "directory", "socket"),
)
"""The kinds of descriptors; a caller makes them as real as it needs them."""

CLIENT_COUNT: Final = 20
ARENA_NBYTES: Final = 65_536
MOST_PAYLOAD_NBYTES: Final = 1 << 20


@dataclass(slots=True)
class Sentence:
    """One frame to be said, and the kinds of descriptors to pass with it; never changed, only replaced."""

    kind: int
    header: Any
    payload: bytes = b""
    descriptors: tuple[str, ...] = ()
    _stream: bytes | None = None

    def stream(self) -> bytes:
        """Return its bytes; an unpackable header becomes an empty one."""
        if self._stream is None:
            header = self.header if isinstance(self.header, dict) else {"odd": self.header}
            try:
                self._stream = _encoded_frame(self.kind, header, self.payload)
            except (ValueError, OverflowError, TypeError):
                self._stream = _encoded_frame(self.kind, {}, self.payload)
        return self._stream


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
    sentences = rng.choices(_sound_sentences(seed), k=rng.randrange(1, 7))
    greeting: bytes | None = None
    if rng.random() < 0.8:
        # Its clients come again and again, and say so: what they log twice may be in the manifest once.
        client = f"{rng.randrange(CLIENT_COUNT):016x}"
        greeting = Sentence(Kind.HELLO, hello_header(run_dir, client=client, resume=0, again=True)).stream()
    else:
        sentences.insert(0, Sentence(Kind.HELLO, hello_header(run_dir)))
    for _ in range(rng.choice((0, 1, 1, 2, 4))):
        rng.choice(_FRAME_CHANGES)(rng, sentences)
    chunks = [Chunk(sentence.stream(), sentence.descriptors) for sentence in sentences]
    for _ in range(rng.choice((0, 0, 1, 1, 2, 5))):
        if chunks:
            position = rng.randrange(len(chunks))
            chunk = chunks[position]
            chunks[position] = Chunk(rng.choice(_BYTE_CHANGES)(rng, chunk.data), chunk.descriptors)
    return Conversation(greeting, _cut(rng, chunks))


def _encoded_frame(kind: int, header: Header, payload: bytes) -> bytes:
    return encode_head(kind, header, len(payload)) + payload  # type: ignore[arg-type]


# Sound sentences


@functools.lru_cache(maxsize=4)
def _sound_sentences(seed: int) -> list[Sentence]:
    rng = random.Random(seed)
    return [_sound_sentence(rng, position % 7) for position in range(1000)]


def _sound_sentence(rng: random.Random, position: int) -> Sentence:
    if rng.random() < 0.25:
        header = {"arena": rng.randrange(4), "nbytes": rng.choice((1, 100, ARENA_NBYTES, ARENA_NBYTES + 1))}
        return Sentence(Kind.ARENA, header, b"", (rng.choice(DESCRIPTORS),))
    return _log_sentence(rng, position)


def _log_sentence(rng: random.Random, position: int) -> Sentence:
    buffers: list[bytes] = []
    count = rng.choice((1, 1, 1, 2, 5))
    items = [rng.choice(_SOUND_ITEMS)(rng, buffers) for _ in range(count)]
    extents: list[list[int]] = []
    payload = b""
    for buffer in buffers:
        extents.append([len(payload), len(buffer)])
        payload += buffer
    header: Header = {
        "seq": rng.randrange(5000) + position,
        "key": rng.choice(("k", "val/pred", "ä/\u2028", "\ud800")),
        "step": rng.randrange(-3, 100),
        "time": 1_700_000_000.5,
        "contract": rng.choice(("pixlog", "pixlog", "wandb")),
        "items": items,
        "buffers": extents,
    }
    if count > 1:
        header["list"] = True
    if rng.random() < 0.1:
        header |= {"items": [], "buffers": [], "state": "dropped", "reason": "buffer full"}
    if rng.random() < 0.3:
        header |= {"meta": {"lr": 0.1, "names": ["a", "b"]}, "call": "c-1"}
    place = rng.random()
    if place < 0.3:
        header["at"] = ["arena", rng.randrange(4), rng.choice((0, 64, 60_000)), len(payload)]
        return Sentence(Kind.LOG, header)
    if place < 0.4:
        name = f"{rng.randrange(CLIENT_COUNT):016x}-0000.frames"
        header["at"] = ["spill", name, rng.randrange(500), len(payload)]
        return Sentence(Kind.LOG, header)
    return Sentence(Kind.LOG, header, payload)


def _array_item(rng: random.Random, buffers: list[bytes]) -> Header:
    dtype = rng.choice(("|u1", "<f4", ">f8", "<i8", "|b1", "<u2", "<c8", "bfloat16", "<f2"))
    shape, layout = rng.choice((([4, 6], "HW"), ([4, 6, 3], "HWC"), ([3, 4, 6], "CHW"), ([4, 6, 4], "HWC")))
    itemsize = 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize
    buffers.append(rng.randbytes(shape[0] * shape[1] * (shape[2] if len(shape) > 2 else 1) * itemsize))
    data: Header = {
        "kind": "array",
        "buffer": len(buffers) - 1,
        "dtype": dtype,
        "shape": shape,
        "layout": layout,
        "origin": rng.choice(("numpy", "torch", "jax", "tensorflow", "dlpack")),
    }
    if rng.random() < 0.2:
        data["axes"] = rng.sample(range(len(shape)), len(shape))
    item: Header = {"data": data}
    for name, choices in _OPTIONS:
        if rng.random() < 0.08:
            item[name] = rng.choice(choices)
    if rng.random() < 0.1:
        box = {"position": {"minX": 0.1, "maxX": 0.5, "minY": 0.1, "maxY": 0.5}, "class_id": 1}
        item["boxes"] = {"g": {"box_data": [box], "class_labels": {1: "cat"}}}
    if rng.random() < 0.1:
        buffers.append(rng.randbytes(24))
        mask = {"kind": "array", "buffer": len(buffers) - 1, "dtype": "|u1", "shape": [4, 6], "layout": "HW"}
        item["masks"] = {"m": {"data": mask, "labels_given": False}}
    return item


def _pil_item(rng: random.Random, buffers: list[bytes]) -> Header:
    mode, sample_nbytes = rng.choice(
        (("L", 1), ("RGB", 3), ("RGBA", 4), ("P", 1), ("F", 4), ("I;16", 2), ("CMYK", 4))
    )
    buffers.append(rng.randbytes(24 * sample_nbytes))
    data: Header = {"kind": "pil", "buffer": len(buffers) - 1, "mode": mode, "size": [6, 4], "origin": "pil"}
    if mode == "P":
        buffers.append(rng.randbytes(768))
        data["palette"] = {"mode": "RGB", "buffer": len(buffers) - 1}
    return {"data": data}


def _encoded_item(rng: random.Random, buffers: list[bytes]) -> Header:
    buffers.append(_ENCODED[rng.randrange(len(_ENCODED))])
    return {
        "data": {"kind": "encoded", "buffer": len(buffers) - 1, "suffix": rng.choice((".png", ".JPG", ""))}
    }


def _reference_item(rng: random.Random, buffers: list[bytes]) -> Header:
    del buffers
    if rng.random() < 0.5:
        return {"data": {"kind": "reference", "url": "s3://bucket/key.png"}}
    client = f"{rng.randrange(CLIENT_COUNT):016x}"
    return {"data": {"kind": "ref", "client": client, "seq": rng.randrange(50), "index": rng.randrange(3)}}


def _encoded(mode: str, file_type: str) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (7, 5), 99 if mode == "L" else None).save(buffer, file_type)
    return buffer.getvalue()


_ENCODED: Final = [
    _encoded("L", "png"),
    _encoded("RGB", "jpeg"),
    _encoded("RGB", "gif"),
    _encoded("RGB", "bmp"),
]
_SOUND_ITEMS: Final = (_array_item, _array_item, _array_item, _pil_item, _encoded_item, _reference_item)
_OPTIONS: Final[tuple[tuple[str, tuple[Any, ...]], ...]] = (
    ("caption", ("a caption", "")),
    ("mode", ("L", "RGB", "P")),
    ("file_type", ("png", "jpg", "webp", "tiff", "gif", "bmp")),
    ("normalize", ("auto", "none", "minmax")),
    ("value_range", ([0, 1], [-1.0, 1.0])),
    ("color", ("BGR", "RGB")),
    ("quality", (1, 50, 100)),
    ("lossless", (True,)),
    ("level", ("fast", "small", "pillow")),
    ("depth", ("keep",)),
    ("background", ([1, 2, 3],)),
    ("grid", (True, 2)),
    ("dedup", (True,)),
    ("meta", ({"a": 1},)),
)

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
    kind = rng.choice((*Kind, 0, 9, 255))
    header: Header = rng.choice(
        ({}, {"command": "status"}, {"command": "recover"}, {"rows": []}, {"version": [1, 0]})
    )
    sentences.insert(rng.randrange(len(sentences) + 1), Sentence(kind, header, rng.choice((b"", b"p"))))


def _change_kind(rng: random.Random, sentences: list[Sentence]) -> None:
    _change(rng, sentences, kind=lambda _: rng.choice((*Kind, 0, 9, 255)))


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
