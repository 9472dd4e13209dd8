"""``zip``: an archive that is a run directory again when it is unpacked.

It holds the chosen rows, in one segment of a manifest, and the media files that they name under the same paths as in
the run, so ``pixlog view``, ``pixlog.Run`` and every script written for a run directory work on what comes out.  Media
are compressed already and stored as they are.  Files of a packed run become files of their own.

The paths are the run's, and its manifest may come from anyone: one that would unpack to a place outside of the run
directory, on any system, or among the rows that the archive writes, is left out and counted.
"""

from __future__ import annotations

import json
import time
import zipfile
from pathlib import Path
from typing import Any, Final

from pixlog.errors import RunError
from pixlog.export.media_bytes import media_bytes
from pixlog.export.selection import Selection
from pixlog.reading.rows import Row

_EARLIEST_YEAR: Final = 1980  # of a date in an archive
_LATEST_YEAR: Final = 2107
_LARGEST_32_BITS: Final = 0xFFFFFFFF
_NOT_MEDIA: Final = ("", "manifest", "spill")


def write(selection: Selection, target: Path) -> None:
    """Write the archive ``target``."""
    root = selection.run.path.name
    lines: list[bytes] = []
    done: set[str] = set()
    with zipfile.ZipFile(target, "x", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for row in selection.rows():
            if _add_files(archive, selection, row, root, done):
                lines.append(_line(row))
        segment = _member(f"{root}/manifest/00010101T000000Z-export-0.jsonl", time.time())
        segment.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(segment, b"".join(lines))


def _add_files(archive: zipfile.ZipFile, selection: Selection, row: Row, root: str, done: set[str]) -> bool:
    """Add the files of a row that are not there yet; return whether the row can be kept."""
    images = list(selection.images_of(row, references=True))
    lost: list[tuple[int, RunError]] = []
    new = {file.relative_path: file for file in row.files if file.relative_path not in done}
    contents: dict[str, bytes] = {}
    for path, file in new.items():
        try:
            data = media_bytes(file)
            _check_member(path)
            contents[path] = data
        except RunError as error:
            if file.role in ("image", "preview"):
                for image in images:
                    selection.leave_out(image, "a file of its row cannot be read", str(error))
                return False
            lost.append((file.index, error))
    for index, problem in lost:
        for image in images:
            if image.index == index:
                selection.leave_out_overlay(image, problem)
    for path, data in contents.items():
        archive.writestr(_member(f"{root}/{path}", row.time), data)
        done.add(path)
    return True


def _check_member(path: str) -> None:
    """Raise ``RunError`` unless a file may lie at ``path`` of an unpacked run; unzip of Windows takes \\ for /."""
    parts = path.replace("\\", "/").split("/")
    if ".." in parts or not parts[-1] or parts[0].casefold() in _NOT_MEDIA or parts[0].startswith("."):
        raise RunError(f"a media file of an archive has its place beside the manifest; got the path {path!r}")


def _line(row: Row) -> bytes:
    fields = row.to_dict()
    if files := fields.get("files"):
        fields["files"] = [_without_place(entry) for entry in files]
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace") + b"\n"


def _without_place(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name not in ("shard", "offset")}


def _member(name: str, unix_s: float) -> zipfile.ZipInfo:
    moment = time.gmtime(min(max(unix_s, 0), _LARGEST_32_BITS))
    year = min(max(moment.tm_year, _EARLIEST_YEAR), _LATEST_YEAR)
    member = zipfile.ZipInfo(name, (year, *moment[1:6]))
    member.external_attr = 0o100644 << 16
    return member
