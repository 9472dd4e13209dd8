"""A file written past the page cache, as fast as the disk takes it.

Theory of operation
    Who overloads a daemon has spilled, and the page cache is full of what the disk has not got yet.  The kernel then
    holds back everybody who writes through that cache: beside 2.2 GB of dirty pages, on a disk that takes 900 MB/s and
    more, 180 to 230 MB/s were left.  Whoever has two seconds to live goes past it (O_DIRECT).

    Direct writes are of whole blocks at whole blocks, from aligned memory.  So bytes are gathered in a buffer of whole
    pages; what fills no block at a flush is written through the cache, and again, as part of its block, by the next.
    A file system that refuses direct writes is written through the cache.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from pathlib import Path
from types import TracebackType

from pixlog.protocol import Buffer

_BLOCK_NBYTES = 4096
_BUFFER_NBYTES = 4 * 1024 * 1024
_O_DIRECT: int = getattr(os, "O_DIRECT", 0)


class DirectFile:
    """A new file that only grows; every method raises OSError when the disk refuses."""

    def __init__(self, path: Path) -> None:
        """Create the file, readable by its owner alone."""
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._memory = mmap.mmap(-1, _BUFFER_NBYTES)  # costs nothing until it is touched
        self._buffer = memoryview(self._memory)
        self._filled_nbytes = 0
        self._position = 0
        self._direct = False
        self._set_direct(_O_DIRECT != 0)

    def __enter__(self) -> DirectFile:
        """Return the file itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()

    def write(self, *buffers: Buffer) -> None:
        """Append bytes; the last few megabytes wait for :meth:`flush`."""
        for buffer in buffers:
            view = memoryview(buffer)
            while view:
                start = self._filled_nbytes
                count = min(len(view), _BUFFER_NBYTES - start)
                self._buffer[start : start + count] = view[:count]
                self._filled_nbytes += count
                view = view[count:]
                if self._filled_nbytes == _BUFFER_NBYTES:
                    self._write_blocks()

    def flush(self) -> None:
        """Write everything that was appended."""
        self._write_blocks()
        if self._filled_nbytes:
            was_direct = self._direct
            self._set_direct(False)
            self._write_first(self._filled_nbytes)
            self._set_direct(was_direct)

    @property
    def nbytes(self) -> int:
        """Bytes that were appended, whether they are written or wait."""
        return self._position + self._filled_nbytes

    @property
    def written_nbytes(self) -> int:
        """Bytes that the disk has taken, after an error in the middle of something too."""
        return os.fstat(self._fd).st_size

    def end_at(self, nbytes: int) -> None:
        """Cut the file to its first ``nbytes``, all of them written; nothing is appended after that."""
        os.ftruncate(self._fd, nbytes)

    def close(self) -> None:
        """Close the file; what was not flushed is not written."""
        self._buffer.release()
        self._memory.close()
        os.close(self._fd)

    def _write_blocks(self) -> None:
        """Write the whole blocks of the buffer, and keep the rest at its beginning."""
        filled = self._filled_nbytes
        whole = filled - filled % _BLOCK_NBYTES
        if whole:
            self._write_first(whole)
            self._buffer[: filled - whole] = self._buffer[whole:filled]
            self._position += whole
            self._filled_nbytes = filled - whole

    def _write_first(self, nbytes: int) -> None:
        """Write the first bytes of the buffer at their place in the file."""
        written = 0
        while written < nbytes:
            # Released here and now: the traceback of an error would keep the slice, and with it the memory, open.
            with self._buffer[written:nbytes] as view:
                try:
                    written += os.pwrite(self._fd, view, self._position + written)
                except OSError as exc:
                    if exc.errno != errno.EINVAL or not self._direct:
                        raise
                    self._set_direct(False)

    def _set_direct(self, direct: bool) -> None:
        if direct == self._direct:
            return
        flags = fcntl.fcntl(self._fd, fcntl.F_GETFL)
        try:
            fcntl.fcntl(self._fd, fcntl.F_SETFL, flags | _O_DIRECT if direct else flags & ~_O_DIRECT)
        except OSError as exc:
            if exc.errno != errno.EINVAL:
                raise
            return
        self._direct = direct
