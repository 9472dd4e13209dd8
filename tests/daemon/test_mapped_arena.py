"""What the daemon maps, and what it refuses to: nothing that a client could shrink under it."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from memfds import open_count, owned, sealed_memfd, unsealed_memfd
from pixlog.errors import ProtocolError
from pixlogd.payload import MappedArena

pytestmark = pytest.mark.skipif(
    not hasattr(os, "memfd_create"), reason="needs memfd_create, which is Linux's"
)
PAGE_NBYTES = os.sysconf("SC_PAGE_SIZE")


def test_arena_shows_what_the_client_writes() -> None:
    """The mapping is shared: what the client writes after passing the arena is what the daemon reads."""
    with owned(sealed_memfd(b"before", nbytes=PAGE_NBYTES)) as fd:
        arena = MappedArena(os.dup(fd), PAGE_NBYTES)
        view = arena.slice(0, 6)
        assert bytes(view) == b"before"
        os.pwrite(fd, b"after!", 0)
        assert bytes(view) == b"after!"
        assert view.readonly


def test_arena_may_be_mapped_in_part() -> None:
    """A client may announce less than the memfd has; what it did not announce is out of reach."""
    arena = MappedArena(sealed_memfd(nbytes=4 * PAGE_NBYTES), PAGE_NBYTES + 5)
    assert len(arena.slice(0, PAGE_NBYTES + 5)) == PAGE_NBYTES + 5
    with pytest.raises(ProtocolError, match=f"of an arena of {PAGE_NBYTES + 5}"):
        arena.slice(PAGE_NBYTES, 6)


@pytest.mark.parametrize(("offset", "nbytes"), [(100, 1), (0, 101), (1 << 62, 1), (1, 1 << 62), (99, 2)])
def test_arena_refuses_slices_outside(offset: int, nbytes: int) -> None:
    """No offset and size reaches beyond the arena's end."""
    arena = MappedArena(sealed_memfd(nbytes=100), 100)
    with pytest.raises(ProtocolError, match="of an arena of 100"):
        arena.slice(offset, nbytes)


def test_arena_stays_mapped_while_a_view_lives() -> None:
    """A call that lies in an arena reads it after the arena itself was forgotten; then its descriptor goes too."""
    before = open_count()
    arena = MappedArena(sealed_memfd(b"pixels"), 6)
    view = arena.slice(0, 6)
    del arena
    assert bytes(view) == b"pixels"
    del view
    assert open_count() == before


def with_seals(seals: int) -> Callable[[], int]:
    """Return a maker of memfds with these seals."""

    def make() -> int:
        fd = unsealed_memfd(nbytes=100)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
        return fd

    return make


def a_hundred_bytes() -> int:
    """Return a good arena of 100 bytes."""
    return sealed_memfd(nbytes=100)


def regular_file() -> int:
    """Return a descriptor of an ordinary file, already unlinked."""
    path = Path("/tmp") / f"pixlog-test-{os.getpid()}"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    path.unlink()
    os.ftruncate(fd, 100)
    return fd


def pipe_end() -> int:
    """Return one end of a pipe."""
    read_fd, write_fd = os.pipe()
    os.close(write_fd)
    return read_fd


def write_only_memfd() -> int:
    """Return a sealed memfd that was opened anew for writing only."""
    with owned(sealed_memfd(nbytes=100)) as fd:
        return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY)


@pytest.mark.parametrize(
    ("make", "nbytes", "message"),
    [
        pytest.param(with_seals(0), 100, "must be sealed against shrinking", id="unsealed"),
        pytest.param(
            with_seals(fcntl.F_SEAL_GROW), 100, "must be sealed against shrinking", id="sealed in part"
        ),
        pytest.param(
            a_hundred_bytes,
            101,
            "an arena of 100 bytes was announced as one of 101",
            id="short",
        ),
        pytest.param(
            a_hundred_bytes,
            (1 << 48) - 1,
            "an arena of 100 bytes was announced",
            id="shorter",
        ),
        pytest.param(sealed_memfd, 0, "an arena of 0 bytes was announced as one of 0", id="empty"),
        pytest.param(a_hundred_bytes, 0, "was announced as one of 0", id="announced empty"),
        pytest.param(regular_file, 100, "arena", id="regular file"),
        pytest.param(pipe_end, 100, "the descriptor of an arena is not a memfd", id="pipe"),
        pytest.param(lambda: os.open("/dev/zero", os.O_RDWR), 100, "is not a memfd", id="device"),
        pytest.param(lambda: os.open("/", os.O_RDONLY), 100, "arena", id="directory"),
        pytest.param(lambda: os.open("/", os.O_PATH), 100, "is not a memfd", id="path only"),
        pytest.param(lambda: socket.socket().detach(), 100, "is not a memfd", id="socket"),
        pytest.param(write_only_memfd, 100, "an arena of 100 bytes cannot be mapped", id="write only"),
    ],
)
def test_arena_refuses_what_is_none(make: Callable[[], int], nbytes: int, message: str) -> None:
    """Whatever else is passed as an arena is refused with a reason, and its descriptor is closed."""
    before = open_count()
    fd = make()
    with pytest.raises(ProtocolError, match=message):
        MappedArena(fd, nbytes)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
    assert open_count() == before


def test_sealed_arena_cannot_be_shrunk_afterwards() -> None:
    """The client that keeps its own descriptor cannot take the memory away from under the daemon."""
    with owned(sealed_memfd(nbytes=PAGE_NBYTES)) as fd:
        arena = MappedArena(os.dup(fd), PAGE_NBYTES)
        with pytest.raises(PermissionError):
            os.ftruncate(fd, 0)
        assert bytes(arena.slice(PAGE_NBYTES - 1, 1)) == b"\0"
