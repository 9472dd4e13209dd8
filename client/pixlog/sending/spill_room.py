"""A file for the spill that is ready before it is needed: a call then pays a copy instead of fresh pages.

Theory of operation
    What a call pays for when it writes to a new file is not the disk, which is written to later, but the memory of the
    page cache, which the kernel has to find, page by page.  So while the memory budget fills, a file without a name is
    made, as long as a spill file gets and without one block on the disk, and read once.  It reads zeros, and from then
    on the pages are there.  When the next spill file is wanted, this one gets its name.

    It is read into one small piece of memory again and again, many pages by one call of the system.

    A file that was never wanted goes with its descriptor.  Where the file system has no files without a name, there is
    none, and calls pay as they always did.
"""

from __future__ import annotations

import errno
import os
from io import FileIO
from pathlib import Path
from typing import Final

_PIECE_NBYTES: Final = 64 << 10


class SpillRoom:
    """A file of ``nbytes`` zeros without a name; raises OSError where there can be none.

    Made and filled by one thread; whoever has it when it is :attr:`ready` gives it its name.
    """

    def __init__(self, directory: Path, nbytes: int) -> None:
        self.nbytes = nbytes
        self._filled_nbytes = 0
        self._piece = memoryview(bytearray(min(_PIECE_NBYTES, nbytes)))
        self.io = FileIO(str(directory), "r+", opener=_open_unnamed)
        try:
            os.ftruncate(self.io.fileno(), nbytes)
        except BaseException:
            self.io.close()
            raise

    @property
    def ready(self) -> bool:
        """Whether all of it is in the page cache."""
        return self._filled_nbytes >= self.nbytes

    def fill(self, nbytes: int) -> None:
        """Bring the next ``nbytes`` into the page cache; without the GIL, and without writing anything."""
        end = min(self._filled_nbytes + nbytes, self.nbytes)
        while self._filled_nbytes < end:
            whole, rest = divmod(end - self._filled_nbytes, len(self._piece))
            pieces = [*[self._piece] * whole, self._piece[:rest]]  # the same one: nobody looks at it
            count = os.preadv(self.io.fileno(), pieces, self._filled_nbytes)
            self._filled_nbytes += count or self.nbytes

    def give_name(self, path: Path) -> FileIO:
        """Make it visible as ``path``; raises OSError."""
        fd = self.io.fileno()
        os.link(
            f"/proc/self/fd/{fd}", path, src_dir_fd=fd
        )  # with a directory, or Python does not follow the link
        return self.io

    def close(self) -> None:
        """Let go of it; it is gone if it has no name."""
        self.io.close()


def _open_unnamed(directory: str, _: int) -> int:
    if not hasattr(os, "O_TMPFILE"):
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
    return os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
