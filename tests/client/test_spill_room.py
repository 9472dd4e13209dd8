"""Room that is prepared in the spill ahead of need: no name until it is wanted, nothing that looks whole and is not."""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import pixlog
from memfds import open_count
from pixlog.protocol import Kind, encode_head
from pixlog.sending import spill as spill_module
from pixlog.sending.spill import Spill, Spilled
from pixlog.sending.spill_room import SpillRoom
from pixlog.spill_frames import content_nbytes
from pixlogd.headers import InSpill
from pixlogd.payload import SpilledPayload
from pixlogd.rundir.spill_files import SpillFile, read_spill_file
from scripted_daemon import ScriptedDaemon
from small_disks import file_size_limit
from waiting import wait_until
from wire_frames import CLIENT, gray_pixels, hello_header, log_header

Connect = Callable[..., pixlog.Client]

_ROOM_NBYTES = 100_000


def unnamed_files(directory: Path) -> bool:
    """Whether the file system has files without a name."""
    try:
        SpillRoom(directory, 1).close()
    except OSError:
        return False
    return True


@pytest.fixture(autouse=True)
def _only_where_room_can_be_prepared(tmp_path: Path) -> None:
    if not unnamed_files(tmp_path):
        pytest.skip("no files without a name here")


@pytest.fixture
def spill(tmp_path: Path) -> Iterator[Spill]:
    """Return a spill with room that is ready."""
    spill = Spill(tmp_path, CLIENT, 1 << 20, lambda: hello_header("/run"))
    spill.keep_room(ready_room(tmp_path))
    yield spill
    spill.close()


def ready_room(directory: Path) -> SpillRoom:
    """Return room that is ready."""
    room = SpillRoom(directory, _ROOM_NBYTES)
    while not room.ready:
        room.fill(30_000)
    return room


def write(spill: Spill, seq: int) -> Spilled:
    """Spill one small image."""
    pixels = gray_pixels(seq)
    place = spill.write(encode_head(Kind.LOG, log_header(seq), len(pixels)), [pixels])
    assert place is not None
    return place


def read(path: Path) -> SpillFile:
    """Read a spill file that has a beginning."""
    file = read_spill_file(path)
    assert file is not None
    return file


def test_room_has_no_name_and_takes_no_disk_until_it_is_wanted(tmp_path: Path) -> None:
    """Nobody sees it, no block of the disk is its, and closing it leaves nothing."""
    before = open_count()
    room = ready_room(tmp_path)
    status = os.fstat(room.io.fileno())
    assert (status.st_size, status.st_blocks, status.st_nlink) == (_ROOM_NBYTES, 0, 0)
    assert status.st_mode & 0o077 == 0
    assert list(tmp_path.iterdir()) == []
    room.close()
    assert list(tmp_path.iterdir()) == []
    assert open_count() == before


def test_calls_are_written_into_room_that_is_ready(spill: Spill, tmp_path: Path) -> None:
    """The file gets its name with the first call, holds every frame, and says that it is longer than they are."""
    places = [write(spill, seq) for seq in range(4)]
    (path,) = tmp_path.iterdir()
    assert path.name == f"{CLIENT}-0000.frames"
    assert path.stat().st_size == _ROOM_NBYTES
    file = read(path)
    assert (file.hello.client, file.damage) == (CLIENT, None)
    assert [log.seq for log in file.logs] == [0, 1, 2, 3]
    for seq, place in enumerate(places):
        assert bytes(SpilledPayload(path, place.offset, 24).read()) == gray_pixels(seq)
    assert spill.room is None
    assert spill.nbytes == places[-1].end == content_nbytes(path)


def test_calls_turn_to_room_that_gets_ready(tmp_path: Path) -> None:
    """A file that was begun without room is left for the one with room, and both are read."""
    spill = Spill(tmp_path, CLIENT, 1 << 20, lambda: hello_header("/run"))
    write(spill, 0)
    room = SpillRoom(tmp_path, _ROOM_NBYTES)
    spill.keep_room(room)
    write(spill, 1)
    assert len(list(tmp_path.iterdir())) == 1
    room.fill(_ROOM_NBYTES)
    write(spill, 2)
    assert [[log.seq for log in read(path).logs] for path in sorted(tmp_path.iterdir())] == [[0, 1], [2]]
    spill.close()


@pytest.mark.parametrize("ending", ["next file", "leave"])
def test_finished_file_is_as_long_as_its_frames(
    spill: Spill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    """What was prepared and not used is cut off when another file is begun, and when the client ends."""
    place = write(spill, 0)
    if ending == "leave":
        spill.leave([place])
    else:
        monkeypatch.setattr(spill_module, "_ROTATE_NBYTES", place.end)
        write(spill, 1)
    assert place.file.path.stat().st_size == place.end
    assert [log.seq for log in read(place.file.path).logs] == [0]


def test_process_that_is_killed_in_the_middle_leaves_no_call_that_looks_whole(
    spill: Spill, tmp_path: Path
) -> None:
    """Wherever the writing of a frame ends, the file holds the frames before it, undamaged."""
    first = write(spill, 0)
    (path,) = tmp_path.iterdir()
    before = path.read_bytes()
    second = write(spill, 1)
    after = path.read_bytes()
    for end in range(first.end + 1, second.end + 1):  # its first byte is written last
        path.write_bytes(before[: first.end + 1] + after[first.end + 1 : end] + before[end:])
        file = read(path)
        assert ([log.seq for log in file.logs], file.damage) == ([0], None), end
    path.write_bytes(after)
    assert [log.seq for log in read(path).logs] == [0, 1]


def test_frame_becomes_whole_with_its_first_byte(
    spill: Spill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last thing written of a call is the first byte of its frame; who is interrupted before it spilled nothing."""
    place = write(spill, 0)
    pwrite = os.pwrite

    def interrupted(fd: int, data: memoryview, offset: int) -> int:
        if offset == place.end:
            raise KeyboardInterrupt
        return pwrite(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(spill, 1)
    (path,) = tmp_path.iterdir()
    assert gray_pixels(1) in path.read_bytes()
    assert [log.seq for log in read(path).logs] == [0]
    monkeypatch.undo()
    spill.rebuild([place])
    write(spill, 2)
    file = read(path)
    assert ([log.seq for log in file.logs], file.damage) == ([0, 2], None)


def test_room_whose_directory_is_gone_is_given_up(spill: Spill, tmp_path: Path) -> None:
    """A run directory that was removed is made again, with a file that was not prepared."""
    before = open_count()
    tmp_path.rmdir()
    place = write(spill, 0)
    assert (place.file.path.exists(), place.file.prepared, spill.room) == (True, False, None)
    assert [log.seq for log in read(place.file.path).logs] == [0]
    spill.close()
    assert open_count() == before - 1


def test_room_that_another_thread_lets_go_of_is_not_written_into(
    spill: Spill, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that saw room that is gone when it takes it begins a file that was not prepared."""

    def is_ready_and_then_gone(_: SpillRoom) -> bool:
        letting_go = threading.Thread(target=spill.drop_room)
        letting_go.start()
        letting_go.join()
        return True

    monkeypatch.setattr(SpillRoom, "ready", property(is_ready_and_then_gone))
    place = write(spill, 0)
    assert not place.file.prepared
    assert [log.seq for log in read(place.file.path).logs] == [0]


def test_file_system_without_unnamed_files_has_no_room() -> None:
    """Where a file cannot be without a name, or not be that long, there is an error and no descriptor."""
    before = open_count()
    with pytest.raises(OSError, match="'/proc'") as caught:
        SpillRoom(Path("/proc"), 1)
    assert caught.value.errno in {errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT}
    assert open_count() == before


def test_room_beyond_the_limit_of_a_file_is_refused(tmp_path: Path) -> None:
    """A process whose files may not get that long has no room, and no descriptor of it."""
    before = open_count()
    with file_size_limit(1000), pytest.raises(OSError, match="File too large"):
        SpillRoom(tmp_path, 2000)
    assert open_count() == before


def image(number: int) -> np.ndarray:
    """Return an image of 100,000 bytes that tell its number."""
    return np.full((100, 1000), number, np.uint8)


def test_client_prepares_room_while_its_memory_fills(
    daemon: ScriptedDaemon, connect: Connect, run_dir: Path
) -> None:
    """Room is ready before memory is full, the first call that finds none is written there, and all is gone after."""
    client = connect(buffer_bytes="1MiB", spill_bytes="2MiB", on_full="spill")
    spill = client._delivery._ledger.spill
    for number in range(3):
        client.log_image("k", image(number))
    daemon.wait_for_logs(3)
    assert spill.room is None
    for number in range(3, 8):
        client.log_image("k", image(number))
    wait_until(lambda: spill.room_is_ready)
    assert list((run_dir / "spill").iterdir()) == []
    for number in range(8, 14):
        client.log_image("k", image(number))
    (path,) = (run_dir / "spill").iterdir()
    content = path.read_bytes()
    places = [log.place for log in daemon.wait_for_logs(14)]
    assert [isinstance(place, InSpill) for place in places] == [False] * 10 + [True] * 4
    for number, place in enumerate(places):
        if isinstance(place, InSpill):
            assert content[place.offset : place.offset + place.nbytes] == image(number).tobytes()
    assert read(path).logs[-1].seq == 13
    wait_until(lambda: spill.room_is_ready)  # the next one
    daemon.acknowledge(range(14))
    assert client.flush(timeout_s=10) == 0
    wait_until(lambda: spill.room is None)
    assert list((run_dir / "spill").iterdir()) == []


def fill_to_half(client: pixlog.Client) -> None:
    """Log until room is prepared."""
    for number in range(8):
        client.log_image("k", image(number))


def preparing_thread() -> threading.Thread | None:
    """Return the thread that prepares room and memory, if it runs."""
    return next((thread for thread in threading.enumerate() if thread.name == "pixlog-ahead"), None)


@pytest.mark.skipif(sys.platform != "linux", reason="only there a thread has a priority of its own")
def test_thread_that_prepares_room_gives_way_to_those_that_log(connect: Connect) -> None:
    """Its niceness is above that of the thread that logs, so that it does not take its turn in the middle of a call."""
    client = connect(buffer_bytes="1MiB", spill_bytes="2MiB", on_full="spill")
    fill_to_half(client)
    wait_until(lambda: client._delivery._ledger.spill.room_is_ready)
    thread = preparing_thread()
    assert thread is not None
    assert thread.native_id is not None
    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert os.getpriority(os.PRIO_PROCESS, thread.native_id) == min(19, own + 10)


def preparing(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> tuple[pixlog.Client, list[SpillRoom]]:
    """Return a client whose thread is at a room that never gets ready, and where that is found."""
    begun: list[SpillRoom] = []

    def fill(room: SpillRoom, _: int) -> None:
        if room not in begun:
            begun.append(room)
        time.sleep(0.001)

    monkeypatch.setattr(SpillRoom, "fill", fill)
    client = connect(buffer_bytes="1MiB", spill_bytes="2MiB", on_full="spill")
    fill_to_half(client)
    wait_until(lambda: bool(begun))
    return client, begun


def test_client_that_is_closed_ends_what_is_being_prepared(
    daemon: ScriptedDaemon, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Room that is not ready goes with its client, and so does the thread."""
    client, begun = preparing(connect, monkeypatch)
    daemon.wait_for_logs(8)
    daemon.acknowledge(range(8))
    client.close()
    assert preparing_thread() is None
    assert [room.io.closed for room in begun] == [True]


def test_forked_child_lets_go_of_what_is_being_prepared(
    daemon: ScriptedDaemon, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The descriptor of room that is not ready is closed where the thread that fills it is not."""
    client, begun = preparing(connect, monkeypatch)
    child = os.fork()
    if not child:
        os._exit(0 if begun[0].io.closed else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not begun[0].io.closed
    daemon.acknowledge(range(8))
    client.close()


@pytest.mark.parametrize("on_full", ["block", "drop_newest"])
def test_client_that_does_not_spill_prepares_nothing(
    daemon: ScriptedDaemon, connect: Connect, on_full: str
) -> None:
    """Room is for those who spill."""
    client = connect(buffer_bytes="1MiB", on_full=on_full)
    for number in range(9):
        client.log_image("k", image(number))
    daemon.wait_for_logs(9)
    client._delivery.on_idle()
    assert client._delivery._ledger.spill.room is None
