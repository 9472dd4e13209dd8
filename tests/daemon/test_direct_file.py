"""Files written past the page cache have the bytes that were written, whatever the sizes and the file system."""

from __future__ import annotations

import errno
import fcntl
import os
import random
from pathlib import Path

import pytest

from memfds import open_count
from pixlogd.rundir.direct_file import DirectFile
from small_disks import tiny_disk

PIECES = [0, 1, 13, 4095, 4096, 4097, 70_000, 4 * 1024 * 1024 - 5, 9_000_001]


@pytest.mark.parametrize("seed", range(4))
def test_direct_file_has_every_byte(tmp_path: Path, seed: int) -> None:
    """Pieces of any size, flushed now and then or only at the end, lie in the file in their order."""
    numbers = random.Random(seed)
    expected = b""
    path = tmp_path / "file"
    with DirectFile(path) as file:
        for nbytes in numbers.sample(PIECES, len(PIECES)):
            piece = numbers.randbytes(nbytes)
            file.write(piece[: nbytes // 3], memoryview(piece)[nbytes // 3 :])
            expected += piece
            if numbers.random() < 0.5:
                file.flush()
                assert path.read_bytes() == expected
        file.flush()
    assert path.read_bytes() == expected
    assert path.stat().st_mode & 0o077 == 0


def test_direct_file_is_whole_where_direct_writes_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system that takes the flag and refuses the write (EINVAL) gets the bytes through the cache."""
    real = os.pwrite

    def refuse_direct(fd: int, data: memoryview, position: int) -> int:
        if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return real(fd, data, position)

    monkeypatch.setattr(os, "pwrite", refuse_direct)
    with DirectFile(tmp_path / "file") as file:
        file.write(b"x" * 10_000)
        file.flush()
    assert (tmp_path / "file").read_bytes() == b"x" * 10_000


def test_direct_file_says_when_the_disk_is_full() -> None:
    """No space is an error at the write or the flush, and the descriptor is closed."""
    before = open_count()
    with tiny_disk(nbytes=64 * 1024) as disk, DirectFile(disk / "file") as file:
        file.write(b"x" * 100_000)
        with pytest.raises(OSError, match="No space left"):
            file.flush()
    assert open_count() == before


def overfill(path: Path) -> None:
    """Write what fits, then what does not, and cut the file back."""
    with DirectFile(path) as file:
        file.write(b"x" * 5000)
        file.flush()
        file.write(b"y" * 100_000)
        try:
            file.flush()
        finally:
            assert 5000 <= file.written_nbytes < file.nbytes == 105_000
            file.end_at(5000)


def test_direct_file_lets_the_error_of_a_full_disk_through() -> None:
    """What leaves the block is the disk's own error, and the bytes that it had taken are known and can be cut."""
    before = open_count()
    with tiny_disk(nbytes=64 * 1024) as disk:
        with pytest.raises(OSError, match="No space left"):
            overfill(disk / "file")
        assert (disk / "file").read_bytes() == b"x" * 5000
    assert open_count() == before


def test_direct_file_is_never_one_that_exists(tmp_path: Path) -> None:
    """A name that is taken is an error, and the file under it stays as it is."""
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        DirectFile(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"old"
