"""The scripts that hold an export's data, and files one behind the other in packs.

A script is ``pixlog("name","base64")``: the only way in which a page from ``file://`` can load what lies beside it,
and bytes, not code, so that nothing a run says can be taken for a program.  Small files share a pack, because ten
thousand files of a kilobyte are slow to copy and to load; a large one has its own.
"""

from __future__ import annotations

import binascii
import zlib
from pathlib import Path
from typing import Any, Final

PACK_NBYTES: Final = 384 << 10
"""A pack is closed once it holds so many bytes."""
_OWN_PACK_NBYTES: Final = 128 << 10
"""A file of so many bytes gets a pack of its own."""

Place = tuple[int, int, int]
"""Number of the pack, offset in it and length, in bytes."""


class ScriptFolder:
    """The folder ``data`` of an export."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.mkdir()

    def write(self, name: str, data: bytes) -> None:
        """Write the script that delivers ``data`` under ``name``."""
        with (self._path / f"{name}.js").open("xb") as stream:
            stream.write(f'pixlog("{name}","'.encode("ascii"))
            stream.write(binascii.b2a_base64(data, newline=False))
            stream.write(b'")\n')

    def write_deflated(self, name: str, data: bytes) -> None:
        """Write the script that delivers ``data``, deflated."""
        self.write(name, zlib.compress(data, 6))


class Packs:
    """Files on their way into packs; equal names are stored once."""

    def __init__(self, folder: ScriptFolder) -> None:
        self._folder = folder
        self._count = 0
        self._open: list[bytes] = []
        self._open_nbytes = 0
        self._open_number: int | None = None
        self.places: dict[Any, Place] = {}

    def add(self, name: Any, data: bytes | None) -> Place:
        """Store ``data`` unless ``name`` is stored already; return where it lies.

        ``data`` may be None for a name that is, and a name None if there will be no equal file.
        """
        place = self.places.get(name)
        if place is None:
            if data is None:
                raise KeyError(name)
            place = self._stored(data)
            if name is not None:
                self.places[name] = place
        return place

    def close(self) -> None:
        """Write the pack that is not full yet."""
        if self._open_number is not None:
            self._folder.write(f"pack-{self._open_number}", b"".join(self._open))
            self._open, self._open_nbytes, self._open_number = [], 0, None

    def _stored(self, data: bytes) -> Place:
        if len(data) >= _OWN_PACK_NBYTES:
            number = self._next()
            self._folder.write(f"pack-{number}", data)
            return number, 0, len(data)
        if self._open_number is None:
            self._open_number = self._next()
        place = self._open_number, self._open_nbytes, len(data)
        self._open.append(data)
        self._open_nbytes += len(data)
        if self._open_nbytes >= PACK_NBYTES:
            self.close()
        return place

    def _next(self) -> int:
        self._count += 1
        return self._count - 1
