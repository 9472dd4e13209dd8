"""Thumbnails, made once: a bounded memory cache over a bounded folder in the user's cache directory.

The run directory is the daemon's, so nothing is written there.  A thumbnail is named by the sha256 of the file
that it was made from, so runs that share files share thumbnails, and a stale one cannot exist.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Final

MEMORY_NBYTES: Final = 48 << 20
DISK_NBYTES: Final = 512 << 20
_FILES_BETWEEN_PRUNINGS: Final = 2000
_PRUNED_SHARE: Final = 0.75
_TYPES: Final = {".webp": "image/webp", ".png": "image/png"}

Thumbnail = tuple[bytes, str]
"""Encoded bytes and their content type."""


def cache_dir() -> Path:
    """Return the user's directory for thumbnails: ``$XDG_CACHE_HOME/pixlog/thumbnails`` or the like in ~/.cache."""
    root = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(root) / "pixlog" / "thumbnails"


class ThumbnailCache:
    """Thumbnails by name; ``directory=None`` keeps them in memory alone."""

    def __init__(
        self,
        directory: Path | None,
        *,
        memory_nbytes: int = MEMORY_NBYTES,
        disk_nbytes: int = DISK_NBYTES,
    ) -> None:
        self._directory = directory
        self._memory_nbytes = memory_nbytes
        self._disk_nbytes = disk_nbytes
        self._kept: OrderedDict[str, Thumbnail] = OrderedDict()
        self._kept_nbytes = 0
        self._lock = threading.Lock()
        self._being_made: dict[str, threading.Lock] = {}
        self._written = _FILES_BETWEEN_PRUNINGS - 1  # so that the first file written looks at what is there

    @property
    def memory_nbytes(self) -> int:
        """Bytes of thumbnails held in memory."""
        return self._kept_nbytes

    def get(self, sha256: str, side_px: int, make: Callable[[], Thumbnail]) -> Thumbnail:
        """Return the thumbnail of a file, made with ``make`` unless there is one; made once if many ask."""
        # The digest comes from a manifest: it is hashed again, so that it can name nothing but a cache file.
        name = hashlib.sha256(f"{sha256} {side_px}".encode()).hexdigest()
        if (found := self._from_memory(name)) is not None:
            return found
        with self._lock:
            lock = self._being_made.setdefault(name, threading.Lock())
        with lock:
            try:
                found = self._from_memory(name) or self._from_disk(name)
                if found is None:
                    found = make()
                    self._to_disk(name, found)
                self._to_memory(name, found)
            finally:
                with self._lock:
                    self._being_made.pop(name, None)
        return found

    def _from_memory(self, name: str) -> Thumbnail | None:
        with self._lock:
            found = self._kept.get(name)
            if found is not None:
                self._kept.move_to_end(name)
            return found

    def _to_memory(self, name: str, thumbnail: Thumbnail) -> None:
        with self._lock:
            if name in self._kept:
                return
            self._kept[name] = thumbnail
            self._kept_nbytes += len(thumbnail[0])
            while self._kept_nbytes > self._memory_nbytes and self._kept:
                _, (data, _) = self._kept.popitem(last=False)
                self._kept_nbytes -= len(data)

    def _from_disk(self, name: str) -> Thumbnail | None:
        if self._directory is None:
            return None
        for suffix, kind in _TYPES.items():
            path = self._directory / name[:2] / (name + suffix)
            with contextlib.suppress(OSError):
                data = path.read_bytes()
                os.utime(path)  # what was looked at last is pruned last
                if data:
                    return data, kind
        return None

    def _to_disk(self, name: str, thumbnail: Thumbnail) -> None:
        if self._directory is None:
            return
        suffix = next(suffix for suffix, kind in _TYPES.items() if kind == thumbnail[1])
        folder = self._directory / name[:2]
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder.mkdir(exist_ok=True, mode=0o700)
            descriptor, temporary = tempfile.mkstemp(dir=folder, suffix=".tmp")
            with open(descriptor, "wb") as stream:
                stream.write(thumbnail[0])
            os.replace(temporary, folder / (name + suffix))
        except OSError:  # a full or read-only home costs speed, not the page
            self._directory = None
            return
        with self._lock:
            self._written += 1
            is_due = self._written >= _FILES_BETWEEN_PRUNINGS
            if is_due:
                self._written = 0
        if is_due:
            self._prune(self._directory)

    def _prune(self, directory: Path) -> None:
        files: list[tuple[float, int, str]] = []
        with contextlib.suppress(OSError):
            for folder in os.scandir(directory):
                for entry in os.scandir(folder.path) if folder.is_dir(follow_symlinks=False) else ():
                    status = entry.stat(follow_symlinks=False)
                    files.append((status.st_mtime, status.st_size, entry.path))
        nbytes = sum(size for _, size, _ in files)
        if nbytes <= self._disk_nbytes:
            return
        for _, size, path in sorted(files):
            if nbytes <= self._disk_nbytes * _PRUNED_SHARE:
                break
            with contextlib.suppress(OSError):
                os.unlink(path)
                nbytes -= size
