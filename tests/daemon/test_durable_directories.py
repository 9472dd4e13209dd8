"""Directories that are there after a power loss, whoever made them."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from fsync_log import FsyncLog
from pixlogd.rundir.directories import DurableDirectories


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> FsyncLog:
    """Return the record of what is flushed."""
    return FsyncLog(monkeypatch)


def test_names_are_flushed_from_the_file_systems_top_down_and_once(tmp_path: Path, log: FsyncLog) -> None:
    """Every directory above whose name could be missing is flushed, before what it leads to."""
    made = tmp_path / "a/b"
    directories = DurableDirectories(fsync=True)
    directories.make(str(made))
    assert log.within(tmp_path) == [tmp_path, tmp_path / "a"]
    assert log.paths == [path for path in reversed(made.parents) if path in log.paths]
    assert os.path.ismount(log.paths[0])
    log.paths.clear()
    directories.flush_names(str(made))
    assert log.paths == []
    directories.flush_names(str(tmp_path / "a"))
    assert log.paths == []


def test_names_of_a_directory_that_another_made_are_flushed(tmp_path: Path, log: FsyncLog) -> None:
    """That a directory is there does not say that it is on the disk."""
    made = tmp_path / "a/b"
    made.mkdir(parents=True)
    DurableDirectories(fsync=True).flush_names(str(made))
    assert log.within(tmp_path) == [tmp_path, tmp_path / "a"]


def test_names_are_flushed_again_when_the_directory_was_missing(tmp_path: Path, log: FsyncLog) -> None:
    """What was removed and made again is another directory."""
    directories = DurableDirectories(fsync=True)
    directories.make(str(tmp_path / "a/b"))
    shutil.rmtree(tmp_path / "a")
    log.paths.clear()
    directories.make(str(tmp_path / "a/c"))
    assert log.within(tmp_path) == [tmp_path, tmp_path / "a"]


def test_flush_that_failed_is_made_up_for(
    tmp_path: Path, log: FsyncLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory that was made, and whose name the disk then refused, is not taken for safe."""
    directories = DurableDirectories(fsync=True)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", _refuse)
        with pytest.raises(OSError, match="Input/output"):
            directories.make(str(tmp_path / "a/b"))
    assert (tmp_path / "a/b").is_dir()
    directories.flush_names(str(tmp_path / "a/b"))
    assert log.within(tmp_path) == [tmp_path, tmp_path / "a"]


def _refuse(fd: int) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_nothing_is_flushed_without_fsync(tmp_path: Path, log: FsyncLog) -> None:
    """Nobody waits for the disk who did not ask for it."""
    directories = DurableDirectories(fsync=False)
    directories.make(str(tmp_path / "a/b"))
    directories.flush_names(str(tmp_path / "a/b"))
    assert log.paths == []
