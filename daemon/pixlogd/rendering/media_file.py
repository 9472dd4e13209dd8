"""Files that a row names, on their way to the store."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from pixlogd.rendering.names import media_path
from pixlogd.rundir.store import Placement

Data = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class MediaFile:
    """A file to be stored: where it goes, its bytes, and what it is to the row.

    ``index`` is the image's place in the row, ``group`` the overlay's name.
    """

    path: str
    data: Data
    sha256: str
    size: int
    role: str
    index: int
    group: str | None = None

    def record(self) -> dict[str, Any]:
        """Return the entry of the row's ``files``."""
        entry = _record(self)
        if self.group is not None:
            entry["group"] = self.group
        return entry


@dataclass(frozen=True, slots=True)
class EarlierFile:
    """An image file that an earlier row has stored; image ``index`` of this row is the same file."""

    path: str
    sha256: str
    size: int
    index: int
    role: str = "image"
    placement: Placement | None = None

    def record(self) -> dict[str, Any]:
        """Return the entry of the row's ``files``."""
        return {**_record(self), **(self.placement or {})}


def _record(file: MediaFile | EarlierFile) -> dict[str, Any]:
    return {
        "path": file.path,
        "sha256": file.sha256,
        "size": file.size,
        "role": file.role,
        "index": file.index,
    }


@dataclass(frozen=True, slots=True)
class Naming:
    """What the files of one row share in their names."""

    key: str
    step: int
    contract: str

    def file(self, data: Data, suffix: str, role: str, index: int, group: str | None = None) -> MediaFile:
        """Name new bytes by their digest."""
        digest = hashlib.sha256(data).hexdigest()
        path = media_path(role, self.key, self.step, digest, suffix, contract=self.contract)
        size = data.nbytes if isinstance(data, memoryview) else len(data)
        return MediaFile(path, data, digest, size, role, index, group)
