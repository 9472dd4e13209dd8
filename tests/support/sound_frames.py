"""What clients do say: a thousand sound frames for a seed, of every kind of image, place and option."""

from __future__ import annotations

import functools
import io
import random
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from PIL import Image

from pixlog.protocol import Header, Kind, encode_head

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


def _encoded_frame(kind: int, header: Header, payload: bytes) -> bytes:
    return encode_head(kind, header, len(payload)) + payload  # type: ignore[arg-type]


@functools.lru_cache(maxsize=4)
def sound_sentences(seed: int) -> list[Sentence]:
    """Return a thousand frames, the same for the same seed."""
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
