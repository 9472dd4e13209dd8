"""Spill files: recorded streams within a budget, removed when nothing in them waits any more."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from memfds import open_count
from pixlog.errors import ProtocolError
from pixlog.process_identity import started_ticks
from pixlog.protocol import Buffer, FrameDecoder, Kind, encode_head
from pixlog.sending import spill as spill_module
from pixlog.sending.spill import Spill, Spilled
from pixlogd.payload import SpilledPayload
from pixlogd.rundir.spill_files import find_spill_files, read_spill_file
from small_disks import file_size_limit, tiny_disk
from wire_frames import CLIENT, frame, gray_pixels, hello_header, log_header, payload_of


def spill_into(directory: Path, budget_nbytes: int = 1 << 20) -> Spill:
    """Return a spill with nothing in it."""
    directory.mkdir(parents=True, exist_ok=True)
    return Spill(directory, CLIENT, budget_nbytes, lambda: hello_header("/run"))


def write(spill: Spill, seq: int) -> Spilled | None:
    """Spill one small image."""
    pixels = gray_pixels(seq)
    return spill.write(encode_head(Kind.LOG, log_header(seq), len(pixels)), [pixels])


@pytest.fixture
def spill(tmp_path: Path) -> Iterator[Spill]:
    """Return a spill with a budget of 1 MiB."""
    spill = spill_into(tmp_path)
    yield spill
    spill.close()


def test_spill_file_is_a_recorded_stream(spill: Spill, tmp_path: Path) -> None:
    """It begins with HELLO, then holds every call as a frame with its pixels."""
    places = [write(spill, seq) for seq in range(5)]
    (path,) = tmp_path.iterdir()
    hello, *logs = FrameDecoder().feed_bytes(path.read_bytes())
    assert (hello.kind, hello.header) == (Kind.HELLO, hello_header("/run"))
    assert [(log.kind, log.header["seq"], payload_of(log)) for log in logs] == [
        (Kind.LOG, seq, gray_pixels(seq)) for seq in range(5)
    ]
    for seq, place in enumerate(places):
        assert place is not None
        assert bytes(SpilledPayload(path, place.offset, 24).read()) == gray_pixels(seq)


def test_spill_file_is_named_as_the_daemon_expects(spill: Spill, tmp_path: Path) -> None:
    """The daemon's reader takes the file under its name and finds every call in it."""
    for seq in range(5):
        write(spill, seq)
    (path,) = tmp_path.iterdir()
    assert path.name == f"{CLIENT}-0000.frames"
    assert path.stat().st_mode & 0o077 == 0
    file = read_spill_file(path)
    assert file is not None
    assert [log.seq for log in file.logs] == [0, 1, 2, 3, 4]


def test_spill_keeps_its_budget(tmp_path: Path) -> None:
    """A call that does not fit any more is refused; what is released makes room again."""
    spill = spill_into(tmp_path, 2000)
    places: list[Spilled] = []
    while (place := write(spill, len(places))) is not None:
        places.append(place)
    assert 1 < len(places) < 20
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == spill.nbytes <= 2000
    for place in places:
        spill.release(place)
    assert spill.nbytes == 0
    assert list(tmp_path.iterdir()) == []
    assert write(spill, 0) is not None
    spill.close()


def test_spill_removes_each_file_with_its_last_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files end at a size, and each goes as soon as nothing in it waits, whatever the order."""
    monkeypatch.setattr(spill_module, "_ROTATE_NBYTES", 800)
    spill = spill_into(tmp_path)
    places = [place for seq in range(12) if (place := write(spill, seq)) is not None]
    assert len(list(tmp_path.iterdir())) > 3
    for place in reversed(places):
        spill.release(place)
        waiting = {path.name for path in tmp_path.iterdir()}
        assert waiting == {other.file.path.name for other in places[: places.index(place)]}
    spill.close()


def test_spill_file_that_cannot_be_removed_counts_until_it_is(tmp_path: Path) -> None:
    """It says why, takes its share of the budget, and goes when there is no room left or another file is begun."""
    spill = spill_into(tmp_path, 1000)
    for is_full in (False, True):
        places = [place for seq in range(20 if is_full else 2) if (place := write(spill, seq)) is not None]
        path = places[0].file.path
        path.unlink()
        path.mkdir()  # what is no file cannot be removed as one
        nbytes = spill.nbytes
        reasons = [spill.release(place) for place in places]
        assert [reason is None for reason in reasons] == [True] * (len(places) - 1) + [False]
        assert spill.nbytes == nbytes
        path.rmdir()
        place = write(spill, 20)
        assert place is not None
        assert spill.nbytes == place.end
        assert spill.release(place) is None
        assert (spill.nbytes, list(tmp_path.iterdir())) == (0, [])
    spill.close()


def test_spill_goes_on_after_a_cut_that_the_disk_refuses(
    spill: Spill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When what was never accepted cannot be cut off, no reader finds it, and the next call has a file of its own."""
    first = write(spill, 0)
    assert first is not None
    write(spill, 1)  # cut short before it was accepted

    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "ftruncate", refuse)
        spill.rebuild([first])
    second = write(spill, 1)
    assert second is not None
    assert second.file is not first.file
    read = [read_spill_file(place.file.path) for place in (first, second)]
    assert [[log.seq for log in file.logs] for file in read if file is not None] == [[0], [1]]
    assert spill.nbytes == first.end + second.end


def test_spill_leaves_its_files_for_the_daemon(tmp_path: Path) -> None:
    """Closing keeps what waits, and no descriptor."""
    before = open_count()
    spill = spill_into(tmp_path)
    write(spill, 0)
    spill.close()
    assert len(list(tmp_path.iterdir())) == 1
    assert open_count() == before


def test_spill_on_a_full_disk_keeps_whole_frames() -> None:
    """What the disk does not take is an error at the call and leaves the file as it was before."""
    with tiny_disk(nbytes=64 * 1024) as disk:
        spill = spill_into(disk / "spill")
        assert write(spill, 0) is not None
        with pytest.raises(OSError, match="No space left") as caught:
            spill.write(encode_head(Kind.LOG, log_header(1), 100_000), [bytes(100_000)])
        assert caught.value.errno == errno.ENOSPC
        assert write(spill, 2) is not None
        (path,) = (disk / "spill").iterdir()
        assert path.stat().st_size == spill.nbytes
        file = read_spill_file(path)
        assert file is not None
        assert [log.seq for log in file.logs] == [0, 2]
        spill.close()


def test_spill_that_cannot_begin_leaves_no_file(tmp_path: Path) -> None:
    """A disk that does not even take the first frame leaves no file and no descriptor."""
    before = open_count()
    spill = spill_into(tmp_path)
    with file_size_limit(20), pytest.raises(OSError, match="File too large"):
        write(spill, 0)
    assert list(tmp_path.iterdir()) == []
    assert (spill.nbytes, open_count()) == (0, before)
    assert write(spill, 0) is not None
    spill.close()


def test_spill_goes_on_in_a_new_file_when_its_own_is_removed(spill: Spill, tmp_path: Path) -> None:
    """Calls are never written into a file that nobody can see any more."""
    write(spill, 0)
    shutil.rmtree(tmp_path)
    place = write(spill, 1)
    assert place is not None
    assert place.file.path.exists()
    assert bytes(SpilledPayload(place.file.path, place.offset, 24).read()) == gray_pixels(1)


@pytest.mark.parametrize("cut", [1, 10, 16, 40, -1, -24, -25, -200])
def test_spill_reader_stops_before_a_torn_tail(spill: Spill, tmp_path: Path, cut: int) -> None:
    """A file that ends within a frame yields the whole ones; cut within its first, none."""
    for seq in range(3):
        write(spill, seq)
    (path,) = tmp_path.iterdir()
    os.truncate(path, cut if cut > 0 else path.stat().st_size + cut)
    file = read_spill_file(path)
    if cut > 0:
        assert file is None
    else:
        assert file is not None
        assert [log.seq for log in file.logs] == ([0] if cut == -200 else [0, 1])


@pytest.mark.parametrize(
    "junk",
    [
        pytest.param(b"\0" * 64, id="zeros"),
        pytest.param(frame(Kind.LOG, {"seq": -1}), id="call without a number"),
        pytest.param(frame(Kind.LOG, {})[:3] + b"\xee" + frame(Kind.LOG, {})[4:], id="unknown kind"),
        pytest.param(frame(Kind.LOG, {})[:4] + b"\xff" * 12, id="endless"),
        pytest.param(frame(Kind.LOG, {})[:-1] + b"\xc1", id="no msgpack"),
        pytest.param(frame(Kind.HELLO, {"version": [9, 9]}), id="second hello"),
        pytest.param(frame(Kind.ACK, {"rows": []}), id="ack"),
    ],
)
def test_spill_reader_keeps_what_stands_before_junk(spill: Spill, tmp_path: Path, junk: bytes) -> None:
    """Whatever stands behind whole frames, these are read; a file that begins with it is no spill file."""
    for seq in range(2):
        write(spill, seq)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole + junk)
    file = read_spill_file(path)
    assert file is not None
    assert [log.seq for log in file.logs] == [0, 1]
    path.write_bytes(junk + whole)
    with pytest.raises(ProtocolError):
        read_spill_file(path)


def test_spill_file_without_its_hello_is_nobody_elses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until a file says whose it is, a daemon finds none of a process that lives; of one that died, it does."""
    dead = {"host": "node1", "pid": 1 << 22}
    alive = {"host": "node1", "pid": os.getpid(), "started": started_ticks(os.getpid())}
    real = spill_module._pwrite_all
    found: list[list[str]] = []

    def look_first(fd: int, pieces: Sequence[Buffer], offset: int, file_nbytes: int | None = None) -> None:
        if not offset:
            found.append(
                [path.name.partition(".claimed-")[0] for path in find_spill_files(tmp_path, "node1")]
            )
        real(fd, pieces, offset, file_nbytes)

    monkeypatch.setattr(spill_module, "_pwrite_all", look_first)
    for number, process in enumerate((alive, dead)):
        client = f"{number:016x}"
        hello = hello_header("/run", client=client, **process)
        spill = Spill(tmp_path, client, 1 << 20, hello.copy)
        write(spill, 0)
        spill.close()
    first, second = (f"{number:016x}-0000.frames" for number in range(2))
    assert found == [[], [first, second]]
    assert sorted(path.name for path in tmp_path.iterdir()) == [first, second]


def _flip(data: bytes, offset: int, nbytes: bytes) -> bytes:
    return data[:offset] + nbytes + data[offset + len(nbytes) :]


@pytest.mark.parametrize(
    ("at", "junk"),
    [
        pytest.param(0, b"\0", id="magic"),
        pytest.param(3, b"\xee", id="kind"),
        pytest.param(4, b"\0\xff", id="head beyond the file"),
        pytest.param(7, b"\x01", id="short head"),
        pytest.param(8, b"\xff", id="payload beyond what a file can have"),
        pytest.param(9, b"\x01", id="payload beyond what a frame may have"),
        pytest.param(12, b"\x01", id="payload beyond the file"),
        pytest.param(15, b"\x01", id="payload shorter than it is"),
        pytest.param(16, b"\x93", id="body"),
        pytest.param(17, b"\xc1", id="header"),
    ],
)
def test_spill_reader_finds_the_calls_behind_damage(
    spill: Spill, tmp_path: Path, at: int, junk: bytes
) -> None:
    """One damaged frame in the middle costs its own call and no other, and is never taken for a torn tail."""
    places = [write(spill, seq) for seq in range(4)]
    assert places[0] is not None
    (path,) = tmp_path.iterdir()
    path.write_bytes(_flip(path.read_bytes(), places[0].end + at, junk))
    file = read_spill_file(path)
    assert file is not None
    assert [log.seq for log in file.logs] == [0, 2, 3]
    assert file.damage is not None
    assert f"no frame at byte {places[0].end} of" in file.damage


def test_spill_reader_raises_nothing_but_protocol_errors(spill: Spill, tmp_path: Path) -> None:
    """Whatever single byte of a file is turned, what is read are calls of it, or the file is no spill file."""
    for seq in range(2):
        write(spill, seq)
    (path,) = tmp_path.iterdir()
    data = path.read_bytes()
    for offset in range(len(data)):
        for byte in (b"\0", b"\xff", b"\x91"):
            path.write_bytes(_flip(data, offset, byte))
            with contextlib.suppress(ProtocolError):
                file = read_spill_file(path)
                assert file is None or len(file.logs) <= 2
