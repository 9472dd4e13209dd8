"""Packed media: members of tar shards, reached by shard and offset."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from fsync_log import FsyncLog
from pixlogd.rundir.packed_store import PackedStore
from pixlogd.rundir.store import Placement
from waiting import scaled_s


@dataclass(frozen=True, slots=True)
class Media:
    """A file to be stored."""

    path: str
    data: bytes


def store_in(run_dir: Path, *, shard_nbytes: int = 1 << 30, fsync: bool = False) -> PackedStore:
    """Return a packed store."""
    return PackedStore(run_dir, "node1-7", fsync=fsync, shard_nbytes=shard_nbytes)


def read(run_dir: Path, place: Placement, nbytes: int) -> bytes:
    """Return what lies at a placement."""
    with (run_dir / place["shard"]).open("rb") as shard:
        shard.seek(place["offset"])
        return shard.read(nbytes)


def shards_of(run_dir: Path) -> list[Path]:
    """Return the shards of a run."""
    return sorted((run_dir / "media/shards").iterdir())


@pytest.mark.parametrize(
    "name", ["media/images/a.png", "media/images/" + "k" * 200 + "_0_ab.png", "media/ü/é.png"]
)
def test_packed_store_places_members_where_it_says(run_dir: Path, name: str) -> None:
    """A member's bytes lie at its offset, and tar finds it under its path, however long or accented."""
    store = store_in(run_dir)
    (empty, place) = store.write([Media("media/empty.json", b""), Media(name, b"pixels")])
    store.close()
    assert read(run_dir, place, 6) == b"pixels"
    assert read(run_dir, empty, 0) == b""
    with tarfile.open(shards_of(run_dir)[0]) as shard:
        assert shard.getnames() == ["media/empty.json", name]
        member = shard.extractfile(name)
        assert member is not None
        assert member.read() == b"pixels"


def test_packed_store_is_read_by_tar_while_it_grows(run_dir: Path) -> None:
    """GNU tar lists every member of a shard that its writer has not ended."""
    store = store_in(run_dir)
    for number in range(20):
        store.write([Media(f"media/{number}.png", bytes(number * 100))])
    done = subprocess.run(
        ["tar", "tf", shards_of(run_dir)[0]], capture_output=True, text=True, check=True, timeout=scaled_s(30)
    )
    assert done.stdout.split() == [f"media/{number}.png" for number in range(20)]
    store.close()


def test_packed_store_begins_another_shard_when_one_is_full(run_dir: Path) -> None:
    """No shard grows beyond its limit, and none is made for each file."""
    store = store_in(run_dir, shard_nbytes=20_000)
    places = [store.write([Media(f"media/{number}.png", bytes(3000))])[0] for number in range(40)]
    store.close()
    shards = shards_of(run_dir)
    assert 5 <= len(shards) <= 12
    assert {place["shard"] for place in places} == {f"media/shards/{shard.name}" for shard in shards}
    assert max(shard.stat().st_size for shard in shards) <= 20_000 + 1024


def test_packed_store_serves_threads_at_once(run_dir: Path) -> None:
    """What many threads append at the same time lies where each was told, and the archive has no hole."""
    store = store_in(run_dir)
    places: dict[bytes, Placement] = {}

    def append(thread: int) -> None:
        for number in range(100):
            data = f"{thread}:{number};".encode() * (1 + number * 7)
            places[data] = store.write([Media(f"media/{thread}-{number}.bin", data)])[0]

    threads = [threading.Thread(target=append, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.close()
    assert all(read(run_dir, place, len(data)) == data for data, place in places.items())
    with tarfile.open(shards_of(run_dir)[0]) as shard:
        assert len(shard.getnames()) == 400


def test_packed_store_begins_again_when_its_shard_is_gone(run_dir: Path) -> None:
    """A shard that somebody removed under the daemon is not written to any more."""
    store = store_in(run_dir)
    store.write([Media("media/a.png", b"a")])
    shards_of(run_dir)[0].unlink()
    (place,) = store.write([Media("media/b.png", b"b")])
    store.close()
    assert read(run_dir, place, 1) == b"b"


def test_packed_store_flushes_the_name_of_a_shard_and_those_above(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With fsync, a shard's name is on the disk with those of its directories, whoever made them; each once."""
    log = FsyncLog(monkeypatch)
    (run_dir / "media").mkdir(parents=True)
    store = store_in(run_dir, fsync=True)
    store.write([Media("media/a.png", b"a")])
    store.write([Media("media/b.png", b"b")])
    store.close()
    assert log.within(run_dir.parent) == [
        run_dir.parent,
        run_dir,
        run_dir / "media",
        run_dir / "media/shards",
    ]


def test_packed_store_begins_again_when_its_run_is_moved(run_dir: Path) -> None:
    """A shard that went elsewhere with its run directory is not written to any more, and stays readable."""
    store = store_in(run_dir)
    (before,) = store.write([Media("media/a.png", b"a")])
    run_dir.rename(run_dir.with_name("moved"))
    (after,) = store.write([Media("media/b.png", b"b")])
    store.close()
    assert read(run_dir.with_name("moved"), before, 1) == b"a"
    assert read(run_dir, after, 1) == b"b"


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
sys.path[:0] = {paths!r}
from test_packed_store import Media, store_in
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
most = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, most))
store = store_in(Path({run_dir!r}))
store.write([Media("media/a.bin", bytes(5000))])
try:
    store.write([Media("media/b.bin", bytes(50_000))])
except OSError as exc:
    print("refused", exc.errno)
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
store.write([Media("media/c.bin", b"after")])
store.close()
"""


def test_packed_store_is_as_it_was_after_a_refused_write(run_dir: Path) -> None:
    """A write that the disk takes only a part of leaves nothing, and the next one follows the last whole member."""
    here = Path(__file__).parent
    script = FULL_DISK.format(run_dir=str(run_dir), paths=[str(here), str(here.parent / "support")])
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=scaled_s(60)
    )
    assert done.stdout.startswith("refused")
    with tarfile.open(shards_of(run_dir)[0]) as shard:
        assert shard.getnames() == ["media/a.bin", "media/c.bin"]
