"""Media files on disk: whole or not there, from many threads, and wherever directories come and go."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fsync_log import FsyncLog
from pixlogd.rundir.store import FileStore
from small_disks import file_size_limit, tiny_disk


@dataclass(frozen=True)
class Media:
    """A file to be stored."""

    path: str
    data: bytes | bytearray | memoryview


def temporaries_of(run_dir: Path) -> list[Path]:
    """Return what lies under temporary names."""
    return [path for path in run_dir.glob(".writing-*/*") if path.is_file()]


@pytest.fixture(params=[True, False], ids=["nameless", "renamed"])
def store(run_dir: Path, request: pytest.FixtureRequest) -> Iterator[FileStore]:
    """Return the store of a run directory that does not exist yet, in both ways of writing."""
    store = FileStore(run_dir, "node1-7", fsync=False, nameless=request.param)
    yield store
    store.close()


def test_store_writes_files_where_they_belong(store: FileStore, run_dir: Path) -> None:
    """Every file of a call lies in its place with its bytes, whatever kind of buffer held them."""
    files = [
        Media("media/images/a.png", b"one"),
        Media("media/images/deep/er/b.png", bytearray(b"two")),
        Media("media/metadata/c.json", memoryview(b"three")),
        Media("media/images/empty.png", b""),
    ]
    assert store.write(files) == [None] * 4
    assert [(run_dir / media.path).read_bytes() for media in files] == [b"one", b"two", b"three", b""]
    assert temporaries_of(run_dir) == []


def test_store_replaces_a_file_by_the_same_name(store: FileStore, run_dir: Path) -> None:
    """Writing a file again, as after a crash, leaves one whole file."""
    for _ in range(2):
        store.write([Media("media/images/a.png", b"same")])
    assert [path.name for path in (run_dir / "media/images").iterdir()] == ["a.png"]


def test_store_removes_its_temporary_directory(run_dir: Path) -> None:
    """After close nothing temporary is left, and closing a store that wrote nothing is fine."""
    store = FileStore(run_dir, "node1-7", fsync=False, nameless=False)
    store.close()
    store.write([Media("media/a", b"x")])
    store.close()
    assert [path.name for path in run_dir.iterdir()] == ["media"]


def test_store_closes_over_what_is_not_its_own(run_dir: Path) -> None:
    """A file that somebody else keeps among the temporary ones stays, and does not spoil the daemon's end."""
    store = FileStore(run_dir, "node1-7", fsync=False, nameless=False)
    store.write([Media("media/a", b"x")])
    kept = run_dir / ".writing-node1-7" / ".nfs0001"
    kept.touch()
    store.close()
    assert kept.exists()


def test_store_makes_directories_again(store: FileStore, run_dir: Path) -> None:
    """A run directory that is removed under the daemon is made again by the next file."""
    store.write([Media("media/images/a", b"1")])
    shutil.rmtree(run_dir)
    store.write([Media("media/images/b", b"2")])
    shutil.rmtree(run_dir / "media")
    store.write([Media("media/images/c", b"3")])
    shutil.rmtree(run_dir / ".writing-node1-7", ignore_errors=True)
    store.write([Media("media/images/d", b"4")])
    assert sorted(path.name for path in (run_dir / "media/images").iterdir()) == ["c", "d"]


def test_store_leaves_nothing_of_a_write_that_failed() -> None:
    """On a full disk the file is not there, nor is its temporary beginning; with space again it is written."""
    with tiny_disk(nbytes=128 * 1024) as disk:
        store = FileStore(disk / "run", "node1-7", fsync=False)
        store.write([Media("media/small", b"s" * 1000)])
        with pytest.raises(OSError, match="No space left") as caught:
            store.write([Media("media/large", b"l" * 300_000)])
        assert caught.value.errno == errno.ENOSPC
        assert sorted(path.name for path in (disk / "run/media").iterdir()) == ["small"]
        assert temporaries_of(disk / "run") == []
        store.write([Media("media/large", b"l" * 50_000)])
        assert (disk / "run/media/large").stat().st_size == 50_000
        store.close()


def test_store_leaves_nothing_beyond_a_file_size_limit(store: FileStore, run_dir: Path) -> None:
    """A file that the system takes only a part of is an error and leaves nothing."""
    store.write([Media("media/a", b"x")])
    with file_size_limit(10_000), pytest.raises(OSError, match="File too large"):
        store.write([Media("media/b", b"y" * 10_001)])
    assert [path.name for path in (run_dir / "media").iterdir()] == ["a"]
    assert temporaries_of(run_dir) == []


def test_store_fails_where_a_directory_is_a_file(store: FileStore, run_dir: Path) -> None:
    """A file in the place of a directory is an error of the disk, and the temporary file is gone."""
    store.write([Media("media/a", b"x")])
    with pytest.raises(NotADirectoryError):
        store.write([Media("media/a/b", b"y")])
    (run_dir / "media/c").mkdir()
    with pytest.raises(IsADirectoryError):
        store.write([Media("media/c", b"y")])
    assert temporaries_of(run_dir) == []


def test_store_shows_only_whole_files(store: FileStore, run_dir: Path) -> None:
    """Whoever looks while eight threads write the same and different names sees whole files and no others."""
    sizes = {f"media/images/{name}": 200_000 + number for number, name in enumerate("abcdef")}
    files = [Media(path, bytes([size % 251]) * size) for path, size in sizes.items()]
    (run_dir / "media/images").mkdir(parents=True)
    stop, seen, torn = threading.Event(), set(), []

    def look() -> None:
        while not stop.is_set():
            for media in files:
                try:
                    data = (run_dir / media.path).read_bytes()
                except FileNotFoundError:
                    continue
                seen.add(media.path)
                if data != media.data:
                    torn.append((media.path, len(data)))

    def write(turn: int) -> None:
        for _ in range(15):
            store.write(files[turn % 6 :] + files[: turn % 6])

    reader = threading.Thread(target=look)
    writers = [threading.Thread(target=write, args=(turn,)) for turn in range(8)]
    for thread in [reader, *writers]:
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    reader.join()
    assert torn == []
    assert seen == set(sizes)
    assert temporaries_of(run_dir) == []


def test_store_flushes_nameless_file_then_directory(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With fsync, a file is on the disk before it gets its name, and the name after that."""
    log = FsyncLog(monkeypatch)
    store = FileStore(run_dir, "node1-7", fsync=True)
    run_dir.mkdir()
    store.write([Media("media/images/a", b"x")])
    *directories, nameless, last = log.within(run_dir.parent)
    assert directories == [run_dir.parent, run_dir, run_dir / "media"]
    assert nameless.name.endswith(" (deleted)")
    assert last == run_dir / "media/images"
    store.close()


def test_store_leaves_nothing_when_it_is_killed(run_dir: Path) -> None:
    """A process that dies with half a file written leaves no file under any name."""
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from pixlogd.rundir import store\n"
        "real = os.write\n"
        "def half(fd, data):\n"
        "    real(fd, bytes(data)[:5])\n"
        "    os._exit(9)\n"
        "os.write = half\n"
        "media = type('Media', (), {'path': 'media/a', 'data': b'1234567890'})\n"
        "store.FileStore(Path(sys.argv[1]), 'node1-7', fsync=False).write([media])\n"
    )
    assert subprocess.run([sys.executable, "-c", program, str(run_dir)], check=False).returncode == 9
    assert [path for path in run_dir.rglob("*") if path.is_file()] == []


def test_store_flushes_file_then_directory(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With fsync, the file is on the disk before its name is, and every new directory's name before that."""
    log = FsyncLog(monkeypatch)
    store = FileStore(run_dir, "node1-7", fsync=True, nameless=False)
    run_dir.mkdir()
    store.write([Media("media/images/a", b"x")])
    temporary, *directories = log.within(run_dir.parent)
    assert temporary.parent.name == ".writing-node1-7"
    assert directories == [run_dir.parent, run_dir, run_dir / "media", run_dir / "media/images"]
    log.paths.clear()
    store.write([Media("media/images/b", b"x")])
    assert [path.parent.name for path in log.paths] == [".writing-node1-7", "media"]
    store.close()


def test_store_flushes_nothing_without_fsync(
    store: FileStore, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without fsync nothing waits for the disk."""
    log = FsyncLog(monkeypatch)
    store.write([Media("media/images/a", b"x")])
    assert log.paths == []
    assert os.listdir(run_dir / "media/images") == ["a"]
