"""What is said of an exported image beside its pixels, as plain JSON, in the formats that say it in JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pixlog.reading.meta_numbers import as_json_has_it
from pixlog.reading.overlay_shapes import box_bounds, box_corners, shapes
from pixlog.reading.saved_image import SavedImage
from pixlog.reading.table import optional_text

REFERENCES_NAME: Final = "references.jsonl"
"""File of the images whose pixels are not in the run: one JSON object a line, with their ``url``."""
UNREADABLE: Final = "a file of it cannot be read"
"""Reason for which an image is left out."""


def image_facts(image: SavedImage) -> dict[str, Any]:
    """Return key, step, rank, client, seq, number in its row, time (seconds since 1970) and caption."""
    row = image.row
    return {
        "key": row.key,
        "step": row.step,
        "rank": row.rank,
        "client": row.client,
        "seq": row.seq,
        "image_index": image.index,
        "time": row.time,
        "caption": optional_text(image.caption),
    }


def box_objects(groups: Mapping[str, Any], width: int, height: int) -> tuple[dict[str, list[Any]], int]:
    """Return boxes, given by group, as the Hugging Face form of objects has them, and how many had no position.

    ``bbox`` is [x, y, width, height] in pixels, the upright box about one that is turned; ``categories`` the class id,
    -1 where there is none; ``labels``, ``captions``, ``groups`` text, empty where there is none; ``scores`` the score
    that stands for the box, or None.
    """
    objects: dict[str, list[Any]] = {
        name: [] for name in ("bbox", "categories", "labels", "scores", "captions", "groups")
    }
    without_position = 0
    for box in shapes(groups, "box_data", "box_caption"):
        corners = box_corners(box.content, width, height)
        if corners is None:
            without_position += 1
            continue
        objects["bbox"].append(box_bounds(corners))
        objects["categories"].append(-1 if box.class_id is None else box.class_id)
        objects["labels"].append(box.label or "")
        objects["scores"].append(box.score)
        objects["captions"].append(box.caption or "")
        objects["groups"].append(box.group)
    return objects, without_position


class References:
    """Collects the images that were logged as references, for a file of their own."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []

    def add(self, image: SavedImage) -> None:
        """Take note of one."""
        self._lines.append(json_line(image_facts(image) | {"url": image.url, "meta": image.meta}))

    def write(self, directory: Path) -> None:
        """Write the file, if there is anything to write."""
        if self._lines:
            (directory / REFERENCES_NAME).write_bytes(b"".join(self._lines))


def json_line(fields: dict[str, Any]) -> bytes:
    """Return an object as one line of UTF-8."""
    return json_bytes(fields) + b"\n"


def json_bytes(value: Any) -> bytes:
    """Return a value as compact JSON; half surrogates, which UTF-8 cannot say, as escapes, NaN as "nan"."""
    try:
        try:
            text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        except ValueError:
            value = as_json_has_it(value)
            text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()
