"""Memory that is shared with another process keeps its size."""

from __future__ import annotations

import os

import pytest

from memfds import open_count, owned
from pixlog.sealed_memory import sealed_memfd

pytestmark = pytest.mark.skipif(
    not hasattr(os, "memfd_create"), reason="needs memfd_create, which is Linux's"
)


def test_sealed_memory_keeps_its_size_and_its_seals() -> None:
    """Nobody can shrink or grow it, or add a seal that would forbid writing."""
    import fcntl

    with owned(sealed_memfd("pixlog-test", 8192)) as fd:
        assert (os.fstat(fd).st_size, os.get_inheritable(fd)) == (8192, False)
        assert os.readlink(f"/proc/self/fd/{fd}").startswith("/memfd:pixlog-test")
        for nbytes in (4096, 16384):
            with pytest.raises(PermissionError):
                os.ftruncate(fd, nbytes)
        with pytest.raises(PermissionError):
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
        assert os.pwrite(fd, b"pixels", 100) == 6


def test_memory_that_cannot_be_had_leaves_no_descriptor() -> None:
    """A size that the system refuses is an OSError, and nothing stays open."""
    before = open_count()
    with pytest.raises(OSError, match=r"Invalid argument|File too large"):
        sealed_memfd("pixlog-test", -1)
    assert open_count() == before
