"""``html``: one folder with a page that a browser opens from the disk, without a server or a network.

``index.html`` is the viewer itself, its modules in one script and its style sheets inline, both named by their hash in
the page's Content-Security-Policy: no other script or style of the page runs.  Beside it, in ``data``, lie scripts that
deliver bytes and nothing else (``packs.py``): the table of rows, the rows in chunks, the media and thumbnails in packs.
The page loads each when it is looked at, so it opens as quickly on ten thousand images as on ten.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
import zlib
from array import array
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from html import escape
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pixlog import __version__
from pixlog.export.html.bundle import viewer_script, viewer_styles
from pixlog.export.html.entries import Entry, ImageParts, entry_of
from pixlog.export.html.packs import Packs, Place, ScriptFolder
from pixlog.export.selection import Selection
from pixlog.reading.decoding import pillow
from pixlog.reading.row_prefix import STATES
from pixlog.reading.rows import Row
from pixlog.view.packing import pack

ROWS_A_CHUNK: Final = 256
_AXES: Final = 200
"""So many names of numeric meta entries become axes, those that most rows have."""

_PAGE: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<style>{styles}</style>
</head>
<body>
<noscript>This page needs JavaScript. Exported by pixlog; the run itself holds ordinary image files.</noscript>
<script>{script}</script>
</body>
</html>
"""


def write(selection: Selection, target: Path) -> None:
    """Write the folder ``target``: every chosen row, those that failed or were dropped too."""
    pillow()  # a missing package is told before anything is written
    target.mkdir()
    folder = ScriptFolder(target / "data")
    packs = Packs(folder)
    columns = _Columns()
    chunk: list[dict[str, Any]] = []
    with closing(_entries(selection, packs)) as entries:
        for entry in entries:
            for image, problem in entry.troubles:
                selection.leave_out(image, "its files cannot be read", problem)
            for image, error in entry.lost_overlays:
                selection.leave_out_overlay(image, error)
            columns.add(entry)
            chunk.append(_with_places(entry, packs))
            if len(chunk) == ROWS_A_CHUNK:
                _write_rows(folder, columns.count - 1, chunk)
                chunk = []
    if chunk:
        _write_rows(folder, columns.count - 1, chunk)
    packs.close()
    columns.write(folder, selection.run.path.name)
    (target / "index.html").write_text(
        _page(selection.run.path.name), encoding="utf-8", errors="backslashreplace"
    )


def _entries(selection: Selection, packs: Packs) -> Generator[Entry, None, None]:
    """Read rows on several threads, a few rows ahead; yield them in order."""
    workers = min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 4)
    ahead: deque[Future[Entry]] = deque()
    with ThreadPoolExecutor(workers, "export") as pool:
        try:
            for number, row in enumerate(_counted(selection)):
                ahead.append(pool.submit(entry_of, number, row, packs.places))
                if len(ahead) > 4 * workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


def _counted(selection: Selection) -> Iterator[Row]:
    for row in selection.rows():
        for _ in selection.images_of(row, references=True):
            pass
        yield row


def _with_places(entry: Entry, packs: Packs) -> dict[str, Any]:
    for number, parts in entry.parts.items():
        entry.json["images"][number]["files"] = _places(parts, packs)
    return entry.json


def _places(parts: ImageParts, packs: Packs) -> dict[str, Any]:
    def place(content: tuple[Any, bytes | None] | None) -> Place | None:
        return None if content is None else packs.add(*content)

    # What the board draws first and small lies together; the picture itself often has a pack of its own.
    return {
        "thumbnail": place(parts.thumbnail),
        "masks": [(group, place(content)) for group, content in parts.masks],
        "shapes": place(parts.shapes),
        "stored": place(parts.stored),
        "shown": place(parts.shown),
        "values": place(parts.values),
    }


def _write_rows(folder: ScriptFolder, last: int, chunk: list[dict[str, Any]]) -> None:
    text = json.dumps(chunk, separators=(",", ":"), allow_nan=False)
    folder.write_deflated(f"rows-{last // ROWS_A_CHUNK}", text.encode("ascii"))


class _Columns:
    """The indexed fields of all rows, and their numeric meta entries."""

    def __init__(self) -> None:
        self.count = 0
        self._keys: dict[str, int] = {}
        self._calls: dict[tuple[str, str], int] = {}
        self._key, self._rank, self._call, self._images = array("i"), array("i"), array("i"), array("i")
        self._step, self._time, self._state = array("d"), array("d"), array("B")
        self._meta: dict[str, tuple[array[int], array[float]]] = {}

    def add(self, entry: Entry) -> None:
        row = entry.json
        self._key.append(self._keys.setdefault(row["key"], len(self._keys)))
        self._step.append(row["step"])
        self._rank.append(row["rank"])
        self._state.append(STATES.index(row["state"]))
        self._time.append(row["time"])
        call = row["call"]
        number = -1 if call is None else self._calls.setdefault((row["client"], call), len(self._calls))
        self._call.append(number)
        self._images.append(len(row["images"]))
        for name, value in entry.meta.items():
            rows, values = self._meta.setdefault(name, (array("q"), array("d")))
            rows.append(self.count)
            values.append(value)
        self.count += 1

    def write(self, folder: ScriptFolder, run_name: str) -> None:
        names = sorted(self._meta, key=lambda name: -len(self._meta[name][0]))[:_AXES]
        names.sort()
        for number, name in enumerate(names):
            rows, values = self._meta[name]
            column = np.full(self.count, np.nan)
            column[np.frombuffer(rows, np.int64)] = np.frombuffer(values)
            folder.write_deflated(f"meta-{number}", pack({}, {"value": column}))
        head = {
            "name": run_name,
            "version": __version__,
            "exported": time.strftime("%Y-%m-%d %H:%M"),
            "count": self.count,
            "rowsAChunk": ROWS_A_CHUNK,
            "keys": list(self._keys),
            "metaNames": names,
        }
        columns: dict[str, npt.NDArray[Any]] = {
            "key": np.frombuffer(self._key, np.int32),
            "rank": np.frombuffer(self._rank, np.int32),
            "call": np.frombuffer(self._call, np.int32),
            "images": np.frombuffer(self._images, np.int32),
            "step": np.frombuffer(self._step),
            "time": np.frombuffer(self._time),
            "state": np.frombuffer(self._state, np.uint8),
        }
        folder.write("run", zlib.compress(pack(head, columns), 6))


def _page(run_name: str) -> str:
    script, styles = viewer_script(), viewer_styles()
    policy = "; ".join(
        (
            "default-src 'none'",
            # The viewer, and the scripts that it adds itself, which can only be parts of the export.
            f"script-src '{_hash(script)}' 'strict-dynamic'",
            f"style-src '{_hash(styles)}'",
            "img-src blob:",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types pixlog",
        )
    )
    return _PAGE.format(policy=policy, title=escape(run_name), styles=styles, script=script)


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
