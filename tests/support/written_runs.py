"""Run directories written by hand, byte for byte as the format says, without a daemon or a client."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

CLIENT = "00000000000000aa"


def encode(pixels: npt.NDArray[Any], file_type: str = "png") -> bytes:
    """Return ``pixels`` as the bytes of an image file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, file_type)
    return buffer.getvalue()


def gray(level: int = 0, *, width: int = 6, height: int = 4) -> npt.NDArray[np.uint8]:
    """Return a small gray image with a gradient, so that no two levels look alike."""
    ramp = np.arange(width * height, dtype=np.uint16).reshape(height, width)
    return ((ramp + level) % 256).astype(np.uint8)


class WrittenRun:
    """A run directory and one segment in it that rows are appended to."""

    def __init__(self, path: Path, *, segment: str = "20250102T030405Z-host-77.jsonl") -> None:
        self.path = path
        self.segment = path / "manifest" / segment
        self.segment.parent.mkdir(parents=True, exist_ok=True)
        self._next_seq: dict[str, int] = {}

    def row(
        self,
        key: str,
        step: int = 0,
        *,
        rank: int = 0,
        client: str = CLIENT,
        seq: int | None = None,
        state: str = "saved",
        time: float | None = None,
        value: dict[str, Any] | None = None,
        files: list[dict[str, Any]] | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        """Append a row and return it; ``more`` are fields such as meta, reason, call, notes."""
        fields = self.fields(
            key,
            step,
            rank=rank,
            client=client,
            seq=seq,
            state=state,
            time=time,
            value=value,
            files=files,
            **more,
        )
        self.append(line_of(fields))
        return fields

    def fields(
        self,
        key: str,
        step: int = 0,
        *,
        rank: int = 0,
        client: str = CLIENT,
        seq: int | None = None,
        state: str = "saved",
        time: float | None = None,
        value: dict[str, Any] | None = None,
        files: list[dict[str, Any]] | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        """Return a row's fields in the order of the format without writing them."""
        if seq is None:
            seq = self._next_seq.get(client, 0)
            self._next_seq[client] = seq + 1
        if state == "saved" and value is None:
            value = {"_type": "image-file", "path": f"media/images/{key}_{step}.png", "format": "png"}
        fields: dict[str, Any] = {
            "v": 1,
            "key": key,
            "step": step,
            "rank": rank,
            "client": client,
            "seq": seq,
            "state": state,
            "time": 1_700_000_000.5 + seq if time is None else time,
            "value": value,
        }
        for name in ("reason", "call", "input", "meta", "local_rank", "world_size"):
            if name in more:
                fields[name] = more.pop(name)
        fields |= {"host": "node1", "pid": 4242, "files": files or []}
        return fields | more

    def image(
        self,
        key: str,
        step: int = 0,
        pixels: npt.NDArray[Any] | None = None,
        *,
        file_type: str = "png",
        **more: Any,
    ) -> dict[str, Any]:
        """Write an image file and its row, as one logged image; masks and boxes by group name."""
        masks: dict[str, npt.NDArray[Any]] = more.pop("masks", {})
        boxes: dict[str, Any] = more.pop("boxes", {})
        caption = more.pop("caption", None)
        pixels = gray(step) if pixels is None else pixels
        entry = self.media(key, step, encode(pixels, file_type), file_type, role="image")
        value: dict[str, Any] = {
            "_type": "image-file",
            **{name: entry[name] for name in ("sha256", "size", "path")},
            "format": file_type,
            "width": pixels.shape[1],
            "height": pixels.shape[0],
        }
        if caption is not None:
            value["caption"] = caption
        files = [entry]
        files += [
            self.media(key, step, encode(mask), "mask.png", role="mask", group=group)
            for group, mask in masks.items()
        ]
        files += [
            self.media(key, step, json.dumps(val).encode(), "boxes2D.json", role="boxes", group=group)
            for group, val in boxes.items()
        ]
        for role, kind in (("mask", "masks"), ("boxes", "boxes")):
            if overlays := {file["group"]: file for file in files if file["role"] == role}:
                value[kind] = {
                    group: {"_type": role, **{name: file[name] for name in ("sha256", "size", "path")}}
                    for group, file in overlays.items()
                }
        return self.row(key, step, value=value, files=files, **more)

    def images(
        self,
        key: str,
        step: int,
        several: list[npt.NDArray[Any]],
        *,
        captions: list[str | None] | None = None,
    ) -> dict[str, Any]:
        """Write several image files and the one row of the list they were logged as."""
        files = [
            self.media(key, step, encode(pixels), "png", role="image", index=index)
            for index, pixels in enumerate(several)
        ]
        value: dict[str, Any] = {
            "_type": "images/separated",
            "width": several[0].shape[1],
            "height": several[0].shape[0],
            "format": "png",
            "count": len(several),
            "filenames": [file["path"] for file in files],
        }
        if captions is not None:
            value["captions"] = captions
        return self.row(key, step, value=value, files=files)

    def media(
        self,
        key: str,
        step: int,
        data: bytes,
        suffix: str,
        *,
        role: str,
        index: int = 0,
        group: str | None = None,
    ) -> dict[str, Any]:
        """Write one media file and return its entry for a row's ``files``."""
        digest = hashlib.sha256(data).hexdigest()
        folder = {"mask": "images/mask", "boxes": "metadata/boxes2D"}.get(role, "images")
        path = f"media/{folder}/{key}_{step}_{digest[:20]}.{suffix}"
        (self.path / path).parent.mkdir(parents=True, exist_ok=True)
        (self.path / path).write_bytes(data)
        entry = {"path": path, "sha256": digest, "size": len(data), "role": role, "index": index}
        return entry if group is None else entry | {"group": group}

    def append(self, data: bytes) -> None:
        """Append raw bytes to the segment."""
        with self.segment.open("ab") as file:
            file.write(data)


def line_of(fields: dict[str, Any]) -> bytes:
    """Return a row as its line of a segment."""
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
