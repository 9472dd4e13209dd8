"""Descriptors as clients pass them: good arenas and everything that is none."""

from __future__ import annotations

import fcntl
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


def sealed_memfd(content: bytes = b"", *, nbytes: int | None = None) -> int:
    """Return a memfd of ``nbytes`` that begins with ``content``, sealed against shrinking and growing."""
    fd = unsealed_memfd(content, nbytes=nbytes)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return fd


def unsealed_memfd(content: bytes = b"", *, nbytes: int | None = None) -> int:
    """Return a memfd that its owner can still shrink."""
    fd = os.memfd_create("arena", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.pwrite(fd, content, 0)
    os.ftruncate(fd, len(content) if nbytes is None else nbytes)
    return fd


def half_sealed_memfd(*, nbytes: int) -> int:
    """Return a memfd that is sealed against growing alone: its owner can still shrink it."""
    fd = unsealed_memfd(nbytes=nbytes)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW)
    return fd


def open_count() -> int:
    """Return how many descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))


@contextmanager
def many_descriptors(count: int) -> Iterator[None]:
    """Hold so many descriptors that those opened in the block have large numbers."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count + 200:
        pytest.skip(f"this process may have {hard} descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count + 200), hard))
    held: list[int] = []
    try:
        while len(held) < count:
            held.append(os.open("/dev/null", os.O_RDONLY))
        yield
    finally:
        for fd in held:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def owned(fd: int) -> Iterator[int]:
    """Close a descriptor at the end of the block."""
    try:
        yield fd
    finally:
        os.close(fd)
