"""Exports of a run of 10,000 images with masks, boxes, captions and ``meta``, to every format that there is."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

import pixlog
from bench.harness import Form, Goal, Json, Report, Spread, ratio, rounds
from bench.sample_images import SHAPES, images
from pixlog.export.formats import FORMATS

_KEYS: Final = 10
_MOST_S: Final = 15.0
_BY_IMAGE: Final = ("zip", "imagefolder", "webdataset", "coco", "parquet", "parquet, embedded")
_OF_ONE_KEY: Final = ("gif", "mp4")
_COPY: Final = "cp -r of the media"

_PROGRAM: Final = """
import json, re, sys, time
start = time.perf_counter()
import pixlog
report = pixlog.export_run(sys.argv[1], sys.argv[2], sys.argv[3], **json.loads(sys.argv[4]))
print(json.dumps({"s": time.perf_counter() - start, "images": report.counts.images, "nbytes": report.nbytes,
    "left_out": report.counts.left_out.total(),
    "memory_nbytes": int(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1]) * 1024}))
"""


def run(form: Form, directory: Path) -> Report:
    """Log the run, then export it to one format after the other, each in a process of its own."""
    count = form.pick(60, 10_000)
    run_dir = directory / "exported"
    _log(run_dir, count)
    forms: dict[str, tuple[str, Json]] = {name: (name, {}) for name in FORMATS}
    forms["parquet, embedded"] = ("parquet", {"embed": True})
    for name in _OF_ONE_KEY:
        if name in forms:
            forms[name] = (name, {"key": "val/photos0"})
    contestants: dict[str, Callable[[], Json]] = {_COPY: lambda: _copied(run_dir, directory / "copy")}
    for title, (name, options) in forms.items():
        contestants[title] = _bound(run_dir, directory / "export", name, options)
    found = rounds(contestants, form.pick(1, 2))
    report = Report("exports", f"Exports of a run of {count:,} images of 256², with masks and boxes")
    report.figures = {title: _summary(entries) for title, entries in found.items()}
    copies = [entry["s"] for entry in found[_COPY]]
    rows = []
    for title, entries in found.items():
        entry = report.figures[title]
        times = ratio([one["s"] for one in entries], copies)
        memory = f"{entry['memory_nbytes'] / 1e6:.0f} MB" if entry["memory_nbytes"] else "—"
        pace = f"{entry['images'] / entry['s']['median']:,.0f}"
        size = f"{entry['nbytes'] / 1e6:,.1f} MB"
        rows.append([title, f"{entry['s']['median']:.2f} s", f"{times.median:.1f}×", pace, size, memory])
    report.tables.append((["to", "time", f"of {_COPY}", "images/s", "size", "peak memory"], rows))
    report.notes.append(
        f"Each export is a process of its own, its start included; {', '.join(_OF_ONE_KEY)} are of one key of {_KEYS}."
    )
    for title in _BY_IMAGE:
        entry = report.figures[title]
        seconds, images_written = entry["s"]["median"], entry["images"]
        assert images_written == count, (title, entry)
        report.goals.append(
            Goal(
                f"export of {count:,} images to {title}",
                f"≤ {_MOST_S:g} s",
                f"{seconds:.1f} s, {images_written:,} images",
                seconds <= _MOST_S if count >= 10_000 else None,
            )
        )
    return report


def _log(run_dir: Path, count: int) -> None:
    base = images(SHAPES["256²"], 64)
    rows, columns = np.mgrid[:256, :256]
    labels = {0: "background", 1: "disc", 2: "corner"}
    with pixlog.connect(run_dir, strict=True, on_full="block", timeout_s=600) as client:
        for number in range(count):
            middle = 60 + number % 130
            ids = ((rows - middle) ** 2 + (columns - middle) ** 2 < 2500).astype(np.uint8)
            ids[:40, 200:] = 2
            boxes = [
                {
                    "position": {"middle": [0.1 * n + 0.2, middle / 256], "width": 0.1, "height": 0.2},
                    "class_id": 1 + n % 2,
                    "scores": {"confidence": 0.3 * n},
                }
                for n in range(3)
            ]
            client.log_image(
                f"val/photos{number % _KEYS}",
                np.roll(base[number % len(base)], number, axis=1),
                step=number // _KEYS,
                caption=f"photo {number}",
                meta={"score": number / count, "epoch": number // 1000},
                masks={"truth": {"mask_data": ids, "class_labels": labels}},
                boxes={"found": {"box_data": boxes, "class_labels": labels}},
            )
        assert client.flush(600) == 0


def _bound(run_dir: Path, out: Path, name: str, options: Json) -> Callable[[], Json]:
    return lambda: _exported(run_dir, out, name, options)


def _exported(run_dir: Path, out: Path, name: str, options: Json) -> Json:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(run_dir), name, str(out), json.dumps(options)],
        capture_output=True,
        text=True,
        check=True,
    )
    _remove(out)
    found: Json = json.loads(done.stdout)
    assert found["left_out"] == 0, found
    return found


def _copied(run_dir: Path, out: Path) -> Json:
    start = time.perf_counter()
    subprocess.run(["cp", "-r", str(run_dir / "media"), str(out)], check=True)
    seconds = time.perf_counter() - start
    files = [path for path in out.rglob("*") if path.is_file()]
    found = {
        "s": seconds,
        "images": sum(path.parent.parent.name == "images" for path in files),
        "nbytes": sum(path.stat().st_size for path in files),
        "memory_nbytes": 0,
    }
    _remove(out)
    return found


def _remove(out: Path) -> None:
    if out.is_dir():
        shutil.rmtree(out)
    else:
        out.unlink()


def _summary(entries: list[Json]) -> dict[str, Any]:
    last = entries[-1]
    return {
        "s": Spread.of([entry["s"] for entry in entries]).json(),
        "images": last["images"],
        "nbytes": last["nbytes"],
        "memory_nbytes": max(entry["memory_nbytes"] for entry in entries),
    }
