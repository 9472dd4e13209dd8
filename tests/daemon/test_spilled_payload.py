"""Payloads in spill files are read, never mapped, and never trusted."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from memfds import open_count
from pixlog.errors import InputError
from pixlogd.payload import ReadMemory, SpilledPayload, buffers_of


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a spill file."""
    path = tmp_path / "00000000000000aa-0000.frames"
    path.write_bytes(bytes(range(100)))
    return path


def test_payload_is_read_from_its_place(file: Path) -> None:
    """The bytes at the offset are what is read, and the descriptor is closed."""
    before = open_count()
    assert bytes(SpilledPayload(file, 10, 20).read()) == bytes(range(10, 30))
    assert bytes(SpilledPayload(file, 80, 20).read()) == bytes(range(80, 100))
    assert open_count() == before


@pytest.mark.parametrize(("offset", "nbytes"), [(81, 20), (0, 101), (1 << 62, 1), (100, 1), (0, 1 << 61)])
def test_payload_beyond_the_file_fails_the_image(file: Path, offset: int, nbytes: int) -> None:
    """A place that the file does not have is the image's failure, found before memory is taken for it."""
    before = open_count()
    with pytest.raises(InputError, match="has 100 bytes, the image ends after them"):
        SpilledPayload(file, offset, nbytes).read()
    assert open_count() == before


def test_payload_of_a_missing_file_fails_the_image(file: Path) -> None:
    """A spill file that is gone, or is a link to elsewhere, fails the image rather than stalling the run."""
    target = file.rename(file.with_suffix(".moved"))
    with pytest.raises(InputError, match=r"spill file .* is gone"):
        SpilledPayload(file, 0, 1).read()
    file.symlink_to(target)
    with pytest.raises(InputError, match=r"spill file .* is gone"):
        SpilledPayload(file, 0, 1).read()


def test_payload_of_a_pipe_fails_the_image(file: Path) -> None:
    """A named pipe under a spill file's name does not make a worker wait for a writer."""
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(InputError, match="has 0 bytes, the image ends after them"):
        SpilledPayload(file, 0, 1).read()


def test_payload_of_a_disk_in_trouble_is_waited_for(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any other error of the disk is not the image's fault: it goes up for another try."""

    def refuse(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OSError, match="Input/output error"):
        SpilledPayload(file, 0, 1).read()


def test_payload_of_a_file_that_shrinks_fails_the_image(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is cut while it is read ends the read, with the image failed, instead of reading for ever."""
    real = os.fstat

    def cut_after(fd: int) -> os.stat_result:
        info = real(fd)
        os.truncate(file, 30)
        return info

    monkeypatch.setattr(os, "fstat", cut_after)
    with pytest.raises(InputError, match="ends after"):
        SpilledPayload(file, 0, 100).read()


def test_payloads_are_read_into_the_memory_that_a_thread_keeps(file: Path) -> None:
    """One payload after another is read into the same memory of a thread, and into other memory of other threads."""
    memory = ReadMemory()
    first = SpilledPayload(file, 10, 20).read(memory)
    second = SpilledPayload(file, 50, 9).read(memory)
    assert bytes(second) == bytes(range(50, 59)) == bytes(first[:9])
    with ThreadPoolExecutor(1) as pool:
        elsewhere = pool.submit(SpilledPayload(file, 0, 20).read, memory).result()
    assert bytes(elsewhere) == bytes(range(20))
    assert bytes(first[:9]) == bytes(range(50, 59))
    assert bytes(SpilledPayload(file, 5, 0).read(memory)) == b""


def test_memory_to_read_into_grows_and_large_memory_is_not_kept() -> None:
    """A larger payload gets larger memory; what is larger than a thread may keep goes with its payload."""
    memory = ReadMemory()
    small, larger = memory.get(100), memory.get(200)
    assert (small.nbytes, larger.nbytes) == (100, 200)
    assert memory.get(150).obj is larger.obj
    huge = memory.get(64 << 20)
    assert huge.nbytes == 64 << 20
    assert memory.get(150).obj is larger.obj


def test_buffers_are_views_of_their_payload(file: Path) -> None:
    """A call's buffers are cut from wherever its payload lies, without copies for memory that is here."""
    payload = memoryview(bytes(range(100)))
    header = {"buffers": [[0, 10], [64, 36], [5, 0]]}
    for place in (payload, SpilledPayload(file, 0, 100)):
        assert [bytes(view) for view in buffers_of(header, place)] == [
            bytes(range(10)),
            bytes(range(64, 100)),
            b"",
        ]
    assert buffers_of(header, payload)[0].obj is payload.obj
    assert buffers_of({}, payload) == ()
    assert [bytes(view) for view in buffers_of({"buffers": [[0, 0]]}, None)] == [b""]
