"""How soon a large run is on the screen: in the viewer, and as a page that was exported to a folder."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image

import pixlog
from bench.harness import Form, Goal, Json, Report, Spread, percentile

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_CHROMIUM: Final = Path("/usr/bin/chromium")
_ARGUMENTS: Final = ("--no-sandbox", "--disable-background-networking", "--disable-gpu")
_KEYS: Final = 10
_FILES: Final = 200
_FIRST_VIEW_S: Final = 2.0
_ROUNDS: Final = 5
_STOPS: Final = 20

_DRAWN: Final = """() => document.querySelectorAll(".cell[data-drawn]:not([hidden])").length > 0
  && !document.querySelector(".cell.waiting:not([hidden])")"""
_FRAMES: Final = """async (count) => {
  const scroller = document.querySelector(".scroller");
  const times = [];
  let last = performance.now();
  for (let frame = 0; frame < count; frame++) {
    scroller.scrollTop += 60;
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    times.push(now - last);
    last = now;
  }
  return times;
}"""


def run(form: Form, directory: Path) -> Report:
    """Write a run of small JPEGs under ten keys; open it; export a part of it and open that."""
    count, exported = form.pick((2_000, 500), (100_000, 10_000))
    report = Report("viewing", f"Looking at a run of {count:,} images")
    if reason := _no_browser():
        report.goals.append(Goal(f"first view of {count:,} images", f"< {_FIRST_VIEW_S:g} s", reason, None))
        return report
    from playwright.sync_api import sync_playwright

    _write(directory / "run", count)
    _write(directory / "part", exported)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(_CHROMIUM), args=list(_ARGUMENTS))
        with _viewer(directory / "run", directory / "cache") as (url, process):
            live = _looked_at(browser, url, form) | {"server_nbytes": _resident(process.pid)}
        begin_s = time.perf_counter()
        made = pixlog.export_run(directory / "part", "html", directory / "page")
        page: Json = {"export_s": time.perf_counter() - begin_s, "nbytes": made.nbytes}
        page |= _looked_at(browser, (directory / "page" / "index.html").as_uri(), form)
        browser.close()
    report.figures = {"count": count, "exported": exported, "viewer": live, "page": page}
    for what, found in (
        (f"viewer: first view of {count:,} images", live),
        (f"exported page of {exported:,}", page),
    ):
        first_view: Json = found["first_view_s"]
        first = Spread(**first_view)
        report.goals.append(
            Goal(
                what,
                f"< {_FIRST_VIEW_S:g} s",
                f"{first.median:.2f} s ({first.low:.2f} to {first.high:.2f})",
                None if form.short else first.median < _FIRST_VIEW_S,
            )
        )
    report.tables.append(
        _table([f"viewer, {count:,} images", f"exported page, {exported:,} images"], [live, page])
    )
    report.notes.append(
        f"The viewer's server held {live['server_nbytes'] / 1e6:.0f} MB afterwards. The export took "
        f"{page['export_s']:.1f} s and {page['nbytes'] / 1e6:.0f} MB. "
        f"{_FILES} JPEGs of 320 × 240 are shared by all rows."
    )
    return report


def _table(names: list[str], columns: list[Json]) -> tuple[list[str], list[list[str]]]:
    def line(name: str, say: Callable[[Json], str]) -> list[str]:
        return [name, *(say(column) for column in columns)]

    return ["", *names], [
        line("first view, all images of it drawn", lambda one: f"{one['first_view_s']['median']:.2f} s"),
        line("one stop on, all keys drawn anew", lambda one: f"{one['stop_ms']['median']:.0f} ms"),
        line("gallery of one key", lambda one: f"{one['gallery_s']:.2f} s"),
        line("scrolling: median frame", lambda one: f"{one['frame_ms']:.0f} ms"),
        line("scrolling: 95th percentile", lambda one: f"{one['frame_p95_ms']:.0f} ms"),
        line("memory of the page (JavaScript heap)", lambda one: f"{one['heap_nbytes'] / 1e6:.0f} MB"),
    ]


def _no_browser() -> str | None:
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return "playwright is not installed"
    return None if _CHROMIUM.exists() else f"there is no {_CHROMIUM}"


def _looked_at(browser: Browser, url: str, form: Form) -> Json:
    first_views = []
    for number in range(rounds := form.pick(1, _ROUNDS)):
        page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
        begin_s = time.perf_counter()
        page.goto(url)
        page.wait_for_function(_DRAWN)
        first_views.append(time.perf_counter() - begin_s)
        if number + 1 < rounds:
            page.context.close()
    stops = [_stop_ms(page) for _ in range(form.pick(2, _STOPS))]
    page.locator("article.card .title").first.click()
    begin_s = time.perf_counter()
    page.wait_for_function('() => document.querySelectorAll(".tile[data-drawn]:not([hidden])").length > 4')
    page.wait_for_function(_DRAWN)
    gallery_s = time.perf_counter() - begin_s
    frames: list[float] = page.evaluate(_FRAMES, form.pick(10, 120))
    heap: int = page.evaluate("() => performance.memory.usedJSHeapSize")
    page.context.close()
    return {
        "first_view_s": Spread.of(first_views).json(),
        "stop_ms": Spread.of(stops).json(),
        "gallery_s": gallery_s,
        "frame_ms": percentile(frames, 0.5),
        "frame_p95_ms": percentile(frames, 0.95),
        "heap_nbytes": heap,
    }


def _stop_ms(page: Page) -> float:
    page.locator("body").press("ArrowLeft")
    begin_s = time.perf_counter()
    page.wait_for_function(_DRAWN)
    return (time.perf_counter() - begin_s) * 1e3


@contextmanager
def _viewer(run_dir: Path, cache: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "pixlog", "view", str(run_dir), "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "XDG_CACHE_HOME": str(cache), "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout is not None
        link = re.search(r"http://\S+", process.stdout.readline())
        assert link is not None
        yield link[0], process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        if process.stdout is not None:
            process.stdout.close()


def _resident(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0


def _write(path: Path, count: int) -> None:
    """Write ``count`` rows over ten keys that share two hundred JPEGs."""
    (path / "manifest").mkdir(parents=True)
    (path / "media").mkdir()
    files = [_file(path, number) for number in range(_FILES)]
    with (path / "manifest" / "20250102T030405Z-node1-77.jsonl").open("w") as lines:
        for seq in range(count):
            entry = files[seq % _FILES]
            value = {
                "_type": "image-file",
                "path": entry["path"],
                "format": "jpg",
                "width": 320,
                "height": 240,
            }
            row: dict[str, Any] = {
                "v": 1,
                "key": f"train/key{seq % _KEYS}",
                "step": seq // _KEYS,
                "rank": 0,
                "client": "00000000000000aa",
                "seq": seq,
                "state": "saved",
                "time": 1_700_000_000 + seq / 100,
                "value": value | {"caption": f"image {seq}"},
                "meta": {"score": seq % 1000 / 1000},
                "host": "node1",
                "pid": 77,
                "files": [entry],
            }
            lines.write(json.dumps(row, separators=(",", ":")) + "\n")


def _file(path: Path, number: int) -> dict[str, Any]:
    rng = np.random.default_rng(number)
    small = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8))
    buffer = io.BytesIO()
    small.resize((320, 240), Image.Resampling.BICUBIC).save(buffer, "jpeg", quality=85)
    name = f"media/{number}.jpg"
    (path / name).write_bytes(buffer.getvalue())
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    return {"path": name, "sha256": digest, "size": len(buffer.getvalue()), "role": "image", "index": 0}
