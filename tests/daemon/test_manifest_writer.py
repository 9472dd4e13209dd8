"""The segment of one daemon: whole lines, appended, and cut back where the disk took a part."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fsync_log import FsyncLog
from pixlog.errors import InputError
from pixlogd.rundir.manifest import ManifestWriter, encode_row
from small_disks import file_size_limit, tiny_disk


def segments_of(run_dir: Path) -> list[Path]:
    """Return the segments of a run, by name."""
    return sorted((run_dir / "manifest").glob("*.jsonl"))


def lines_of(run_dir: Path) -> list[bytes]:
    """Return the lines of all segments, which must be whole."""
    contents = [segment.read_bytes() for segment in segments_of(run_dir)]
    assert all(content.endswith(b"\n") for content in contents if content)
    return b"".join(contents).splitlines(keepends=True)


def line(number: int, nbytes: int = 20) -> bytes:
    """Return one line of just so many bytes."""
    return f"{number:>{nbytes - 1}}\n".encode()


def writing(run_dir: Path, *, fsync: bool = False) -> ManifestWriter:
    """Return a writer whose name does not depend on this process."""
    return ManifestWriter(run_dir, "node1-7", fsync=fsync)


def test_writer_appends_lines_to_one_segment(run_dir: Path) -> None:
    """All batches of one daemon lie in one segment in order; it is named by time, host and pid."""

    async def write() -> None:
        writer = writing(run_dir)
        await writer.append([line(0), line(1)])
        await writer.append([line(2)])
        await writer.close()

    asyncio.run(write())
    (segment,) = segments_of(run_dir)
    assert segment.read_bytes() == line(0) + line(1) + line(2)
    assert re.fullmatch(r"\d{8}T\d{6}Z-node1-7\.jsonl", segment.name)


def test_writer_makes_no_segment_before_its_first_row(run_dir: Path) -> None:
    """A daemon that wrote no row leaves no segment."""
    asyncio.run(writing(run_dir).close())
    assert segments_of(run_dir) == []


def test_writers_of_one_moment_have_segments_of_their_own(run_dir: Path) -> None:
    """Daemons that start in one second under one host and pid never share a segment."""

    async def write() -> None:
        writers = [writing(run_dir) for _ in range(20)]
        await asyncio.gather(*(writer.append([line(number)]) for number, writer in enumerate(writers)))
        for number, writer in enumerate(writers):
            await writer.append([line(100 + number)])
            await writer.close()

    asyncio.run(write())
    contents = sorted(segment.read_bytes() for segment in segments_of(run_dir))
    assert contents == sorted(line(number) + line(100 + number) for number in range(20))


def test_writer_cuts_back_what_a_full_disk_took() -> None:
    """When a batch does not fit, no part of it stays, and it can be appended again when there is space."""

    async def write() -> None:
        with tiny_disk(nbytes=64 * 1024) as disk:
            writer = writing(disk / "run")
            await writer.append([line(0)])
            batch = [line(number, 1000) for number in range(100)]
            with pytest.raises(OSError, match="No space left"):
                await writer.append(batch)
            (segment,) = segments_of(disk / "run")
            assert segment.read_bytes() == line(0)
            await writer.append(batch[:10])
            await writer.close()
            assert segment.read_bytes() == line(0) + b"".join(batch[:10])

    asyncio.run(write())


def test_writer_leaves_whole_lines_at_a_file_size_limit(run_dir: Path) -> None:
    """The same where the system takes a part of a write and then refuses: only whole batches stay, each once."""

    async def write() -> None:
        writer = writing(run_dir)
        await writer.append([line(0)])
        with file_size_limit(5000):
            for _ in range(3):
                with pytest.raises(OSError, match="File too large"):
                    await writer.append([line(1, 4000), line(2, 4000)])
                assert lines_of(run_dir) == [line(0)]
            await writer.append([line(3)])
            await writer.append([line(4, 4900)])
        await writer.append([line(1, 4000), line(2, 4000)])
        await writer.close()

    asyncio.run(write())
    assert sorted(lines_of(run_dir)) == sorted(
        [line(0), line(3), line(4, 4900), line(1, 4000), line(2, 4000)]
    )


def remove_run(run_dir: Path) -> None:
    """Remove the whole run directory."""
    shutil.rmtree(run_dir)


def remove_segment(run_dir: Path) -> None:
    """Remove the segment alone."""
    segments_of(run_dir)[0].unlink()


def move_run(run_dir: Path) -> None:
    """Give the run directory another name."""
    run_dir.rename(run_dir.with_name("moved"))


def move_run_leaving_link(run_dir: Path) -> None:
    """Move the run directory and put a link to it in its place."""
    move_run(run_dir)
    run_dir.symlink_to(run_dir.with_name("moved"))


def replace_run(run_dir: Path) -> None:
    """Put a copy of the run in its place, as a restored backup does."""
    move_run(run_dir)
    shutil.copytree(run_dir.with_name("moved"), run_dir)
    segments_of(run_dir)[0].write_bytes(b"")


@pytest.mark.parametrize("remove", [remove_run, remove_segment, move_run, replace_run])
def test_writer_begins_again_when_its_segment_is_not_in_its_place(
    run_dir: Path, remove: Callable[[Path], None]
) -> None:
    """Rows are never written into a file that nobody can see any more, or that is part of another directory now."""

    async def write() -> None:
        writer = writing(run_dir)
        await writer.append([line(0)])
        remove(run_dir)
        await writer.append([line(1)])
        await writer.append([line(2)])
        await writer.close()

    asyncio.run(write())
    assert lines_of(run_dir) == [line(1), line(2)]
    moved = run_dir.with_name("moved")
    assert not moved.exists() or lines_of(moved) == [line(0)]


def test_writer_goes_on_where_a_link_leads_to_its_moved_run(run_dir: Path) -> None:
    """A run directory that was moved aside with a link in its place is the same one."""

    async def write() -> None:
        writer = writing(run_dir)
        await writer.append([line(0)])
        move_run_leaving_link(run_dir)
        await writer.append([line(1)])
        await writer.close()

    asyncio.run(write())
    (segment,) = segments_of(run_dir)
    assert segment.read_bytes() == line(0) + line(1)


def test_writer_flushes_each_batch_and_the_new_name(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With fsync, a batch is on the disk when append returns, and so is the name of a new segment."""
    log = FsyncLog(monkeypatch)

    async def write(*, fsync: bool) -> None:
        writer = writing(run_dir, fsync=fsync)
        await writer.append([line(0)])
        await writer.append([line(1)])
        await writer.close()

    asyncio.run(write(fsync=True))
    (segment,) = segments_of(run_dir)
    assert log.within(run_dir.parent) == [run_dir.parent, run_dir, segment.parent, segment, segment]
    log.paths.clear()
    asyncio.run(write(fsync=False))
    assert log.paths == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("ä\u2028", "ä\u2028"),
        (float("nan"), "nan"),
        ([float("inf"), {"a": -float("inf")}], ["inf", {"a": "-inf"}]),
        ("half \ud800 pair", "half \ud800 pair"),
        ((1, 2), [1, 2]),
        ({1: "int key"}, {"1": "int key"}),
    ],
)
def test_row_is_one_line_of_json(value: object, expected: object) -> None:
    """Any value of a row becomes one line of standard JSON, NaN by name, half surrogate pairs escaped."""
    encoded = encode_row({"value": value})
    assert encoded.endswith(b"\n")
    assert encoded.count(b"\n") == 1
    assert b"\r" not in encoded

    def no_constant(name: str) -> None:
        raise AssertionError(name)

    assert json.loads(encoded, parse_constant=no_constant) == {"value": expected}


@pytest.mark.parametrize("value", [b"bytes", {(1, 2): 3}, object()])
def test_row_that_json_cannot_say_is_an_input_error(value: object) -> None:
    """What JSON has no word for is refused by name instead of ending a worker."""
    with pytest.raises(InputError, match="the row cannot be written as JSON"):
        encode_row({"value": value})
