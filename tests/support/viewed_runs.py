"""Run directories for the tests of the viewer: a few of everything that the page shows, written by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from written_runs import WrittenRun, encode

STEPS = 12
HOSTILE = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>\u202e"\'`</canvas>'
"""What markup would run if a page took text for it."""


def flat(
    red: int, green: int = 0, blue: int = 0, *, width: int = 40, height: int = 30
) -> npt.NDArray[np.uint8]:
    """Return an image of one colour."""
    return np.broadcast_to(np.array([red, green, blue], np.uint8), (height, width, 3)).copy()


def write_training(path: Path) -> WrittenRun:
    """Write a small training: linked inputs, truths and predictions of two ranks, with overlays of every kind.

    The red level of every image is 10 × step + rank, green tells the key, blue is 0.
    """
    run = WrittenRun(path)
    for step in range(STEPS):
        for rank in range(2):
            client = f"{rank:016x}"
            call: dict[str, Any] = {"call": f"{client}-{step}", "rank": rank, "client": client}
            meta: dict[str, Any] = {
                "meta": {"score": round(step / STEPS, 3), "epoch": step // 4, "name": f"cat {step}"}
            }
            run.image("val/input", step, flat(10 * step + rank, 50), caption=f"photo {step}", **call, **meta)
            _with_overlays(run, step, rank, call | meta)
            run.image("val/pred", step, _pred(step, rank), **call, **meta)
        if step % 3 == 0:
            run.image("val/rare", step, flat(10 * step, 200), client="0" * 16)
    run.images("train/batch", 4, [flat(10 * level, 20) for level in range(5)], captions=list("abcde"))
    run.row("train/bad", 2, state="failed", reason="expected at most 4 channels, got 7", value=None)
    run.row("train/bad", 3, state="dropped", reason="the buffer was full", value=None)
    return run


def _pred(step: int, rank: int) -> npt.NDArray[np.uint8]:
    pixels = flat(10 * step + rank, 50)
    pixels[:, :20, 2] = 8  # the left half differs from the input by 8 in blue
    return pixels


def _with_overlays(run: WrittenRun, step: int, rank: int, more: dict[str, Any]) -> None:
    """Write ``val/truth``: class 1 in the left half of the mask, class 2 in its right lower quarter, two boxes."""
    pixels = flat(10 * step + rank, 100)
    mask = np.zeros((30, 40), np.uint8)
    mask[:, :20] = 1
    mask[15:, 20:] = 2
    boxes = {
        "box_data": [
            {
                "position": {"middle": [0.75, 0.25], "width": 0.2, "height": 0.2},
                "class_id": 3,
                "scores": {"confidence": 0.9},
                "box_caption": "sure",
            },
            {
                "position": {"minX": 22, "maxX": 38, "minY": 17, "maxY": 28},
                "domain": "pixel",
                "class_id": 4,
                "scores": {"confidence": 0.2},
            },
        ],
        "class_labels": {"3": "dog", "4": "bird"},
    }
    polygons = {
        "polygon_data": [{"points": [[0.5, 0.5], [0.9, 0.5], [0.9, 0.9]], "class_id": 5}],
        "class_labels": {"5": "roof"},
    }
    keypoints = {
        "keypoint_data": [{"points": [[0.55, 0.1, 2], [0.6, 0.4, 1], [0.95, 0.4, 0]], "class_id": 6}],
        "skeleton": [[0, 1], [1, 2]],
        "class_labels": {"6": "joint"},
    }
    entry = run.media("val/truth", step, encode(pixels), "png", role="image")
    files = [entry, run.media("val/truth", step, encode(mask), "mask.png", role="mask", group="truth")]
    for role, value in (("boxes", boxes), ("polygons", polygons), ("keypoints", keypoints)):
        data = json.dumps(value).encode()
        files.append(run.media("val/truth", step, data, f"{role}.json", role=role, group="truth"))
    labels = {"0": "background", "1": "sky", "2": "tree"}
    run.row(
        "val/truth",
        step,
        value=_value(entry, pixels),
        files=files,
        input={
            "kind": "array",
            "dtype": "float32",
            "shape": [30, 40, 3],
            "layout": "HWC",
            "rule": "unit_round",
            "masks": {"truth": {"dtype": "uint8", "shape": [30, 40], "class_labels": labels}},
            "classes": [{"id": 2, "name": "tree", "color": "#00ff00"}],
        },
        **more,
    )


def _value(entry: dict[str, Any], pixels: npt.NDArray[Any], **more: Any) -> dict[str, Any]:
    named = {name: entry[name] for name in ("sha256", "size", "path")}
    size = {"format": "png", "width": pixels.shape[1], "height": pixels.shape[0]}
    return {"_type": "image-file", **named, **size, **more}


def write_half_surrogates(path: Path) -> WrittenRun:
    """Write a run whose key, caption, meta and group hold half a surrogate pair: JSON can say it, UTF-8 cannot."""
    run = WrittenRun(path)
    half = "\ud800"
    entry = run.media("k", 0, encode(flat(70)), "png", role="image")
    mask = run.media("k", 0, encode(np.ones((30, 40), np.uint8)), "mask.png", role="mask", group=half)
    value = _value(entry, flat(70), caption=f"caption {half}")
    for key in (f"k/{half}", "k/sound"):
        row = run.fields(key, 0, value=value, files=[entry, mask], meta={half: half}, call=None)
        run.append(json.dumps(row).encode("ascii") + b"\n")
    run.append(json.dumps(run.fields(f"bad/{half}", state="failed", reason=half)).encode("ascii") + b"\n")
    return run


def write_list_with_polygons(run: WrittenRun, key: str, sizes: list[tuple[int, int]]) -> None:
    """Write one row of images of these widths and heights, each with its middle third in a polygon given in pixels."""
    images, overlays = [], []
    for index, (width, height) in enumerate(sizes):
        pixels = flat(100, width=width, height=height)
        images.append(run.media(key, 0, encode(pixels), "png", role="image", index=index))
        left, right, top, bottom = width / 3, width * 2 / 3, height / 3, height * 2 / 3
        corners = [[left, top], [right, top], [right, bottom], [left, bottom]]
        data = json.dumps({"polygon_data": [{"points": corners, "domain": "pixel", "class_id": 1}]}).encode()
        overlays.append(run.media(key, 0, data, "json", role="polygons", index=index, group="parts"))
    (width, height), names = sizes[0], [entry["path"] for entry in images]
    size = {"width": width, "height": height, "format": "png"}
    value = {"_type": "images/separated", **size, "count": len(sizes), "filenames": names}
    run.row(key, 0, value=value, files=[*images, *overlays])


def write_deep(run: WrittenRun, key: str, level: int) -> None:
    """Write a row of 16-bit pixels, always the same, with an 8-bit preview of one gray level."""
    pixels = np.arange(1200, dtype=np.uint16).reshape(30, 40)
    entry = run.media(key, 0, encode(pixels, "tiff"), "tiff", role="image")
    preview = np.full((30, 40), level, np.uint8)
    files = [entry, run.media(key, 0, encode(preview), "preview.png", role="preview")]
    run.row(key, 0, value=_value(entry, pixels), files=files)


def write_hostile(path: Path) -> WrittenRun:
    """Write a run whose every text is markup: key, caption, class names, groups, meta, reason, notes."""
    run = WrittenRun(path)
    pixels = flat(120, 60, 30)
    mask = np.ones((30, 40), np.uint8)
    boxes = {
        "box_data": [
            {
                "position": {"middle": [0.5, 0.5], "width": 0.4, "height": 0.4},
                "class_id": 1,
                "box_caption": HOSTILE,
                "scores": {HOSTILE: 0.5},
            }
        ],
        "class_labels": {"1": HOSTILE},
    }
    entry = run.media("k", 0, encode(pixels), "png", role="image")
    files = [
        entry,
        run.media("k", 0, encode(mask), "mask.png", role="mask", group=HOSTILE),
        run.media("k", 0, json.dumps(boxes).encode(), "boxes.json", role="boxes", group=HOSTILE),
    ]
    labels = {"masks": {HOSTILE: {"class_labels": {"1": HOSTILE}}}}
    for key in (f"x/{HOSTILE}", "x/__proto__", "constructor"):
        run.row(
            key,
            0,
            value=_value(entry, pixels, caption=HOSTILE),
            files=files,
            input={"kind": "array", "rule": HOSTILE, HOSTILE: HOSTILE, **labels},
            meta={HOSTILE: 0.5, "text": HOSTILE, "__proto__": 1},
            notes=[HOSTILE],
        )
    run.row("x/failed", 0, state="failed", reason=HOSTILE, value=None)
    return run


def write_large(path: Path, row_count: int) -> WrittenRun:
    """Write many rows under ten keys that share twenty small files."""
    run = WrittenRun(path)
    entries = [
        run.media("k", n, encode(flat(10 * n, 90, width=64, height=64)), "png", role="image")
        for n in range(20)
    ]
    lines = []
    for number in range(row_count):
        entry = entries[number % 20]
        fields = run.fields(
            f"train/key{number % 10}",
            number // 10,
            seq=number,
            value=_value(entry, flat(0, width=64, height=64), caption=f"image {number}"),
            files=[entry],
            meta={"score": number % 1000 / 1000},
        )
        lines.append(json.dumps(fields, separators=(",", ":")).encode() + b"\n")
    run.append(b"".join(lines))
    return run
