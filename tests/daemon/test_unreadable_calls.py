"""A call whose pixels cannot be read stands aside: it is tried again, then fails, and holds nobody up meanwhile."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from accounting import check_accounts
from daemon_rooms import client_of, entry_of, open_run
from pixlogd import pipeline as pipeline_module
from pixlogd.config.settings import Settings
from pixlogd.payload import SpilledPayload
from pixlogd.pipeline import Pipeline
from pixlogd.rundir.open_run import Entry, OpenRun
from pixlogd.work import MOST_READS
from wire_frames import CLIENT, gray_pixels, log_header

OTHER = "f" * 16


@pytest.fixture
def spill_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the name of a spill file under which a socket lies, which nobody can open (ENXIO)."""
    monkeypatch.chdir(tmp_path)  # the names of sockets end at 107 bytes
    path = tmp_path / f"{CLIENT}-0000.frames"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path.name)
    return path


async def bring_to_end(entries: list[Entry], on_settled: Callable[[Entry], None]) -> None:
    """Put calls through a pipeline of one worker."""
    pipeline = Pipeline(Settings(encode_workers=1), lambda: None, lambda _: None)
    for entry in entries:
        entry.on_settled = lambda entry=entry: on_settled(entry)
        pipeline.accept(entry)
    pipeline.dispatch()
    assert await pipeline.drain(60)
    pipeline.stop()
    await pipeline.finish()
    await entries[0].client.run.manifest.close()


def calls_of(run: OpenRun, spill_path: Path) -> tuple[list[Entry], list[Entry]]:
    """Return calls of a client whose spill file cannot be read, and those of another client."""
    spilled = [
        Entry(
            (client := client_of(run)),
            entry_of(client, log_header(seq)).log,
            SpilledPayload(spill_path, 0, 24),
        )
        for seq in range(2)
    ]
    other = client_of(run, client=OTHER)
    return spilled, [entry_of(other, log_header(seq)) for seq in range(5)]


def test_calls_of_others_are_saved_while_a_spill_file_cannot_be_read(
    tmp_path: Path, spill_path: Path
) -> None:
    """Every other call has its row first; once the file can be read again, its calls are saved too."""
    order: list[str] = []

    def on_settled(entry: Entry) -> None:
        order.append(entry.client.hello.client)
        if len(order) == 5:
            assert run.trouble is None
            spill_path.unlink()
            spill_path.write_bytes(gray_pixels(0))

    with open_run(tmp_path / "run") as run:
        spilled, others = calls_of(run, spill_path)
        asyncio.run(bring_to_end([*spilled, *others], on_settled))
        assert order == [OTHER] * 5 + [CLIENT] * 2
        assert run.tally.saved == 7


def test_call_that_can_never_be_read_fails_with_the_reason(
    tmp_path: Path, spill_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its last try the call is failed, and its row says what the system said."""
    monkeypatch.setattr(pipeline_module, "_REST_FIRST_S", 0.001)
    monkeypatch.setattr(pipeline_module, "_REST_MOST_S", 0.001)
    with open_run(tmp_path / "run") as run:
        spilled, others = calls_of(run, spill_path)
        asyncio.run(bring_to_end([*spilled, *others], lambda _: None))
        assert (run.tally.saved, run.tally.failed) == (5, 2)
    rows = check_accounts(tmp_path / "run").rows
    assert {row["reason"] for (client, _), row in rows.items() if client == CLIENT} == {
        "what it consists of cannot be read: No such device or address"
    }


def test_waiting_calls_are_not_compared_with_each_other(
    tmp_path: Path, spill_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole spill file that cannot be read keeps the event loop no longer for each call than a single one does."""
    compared: list[object] = []

    def compare(entry: Entry, other: object) -> bool:
        compared.append(other)
        return entry is other

    monkeypatch.setattr(Entry, "__eq__", compare)
    monkeypatch.setattr(pipeline_module, "_REST_FIRST_S", 0.001)
    monkeypatch.setattr(pipeline_module, "_REST_MOST_S", 0.001)
    with open_run(tmp_path / "run") as run:
        client = client_of(run)
        payload = SpilledPayload(spill_path, 0, 24)
        spilled = [Entry(client, entry_of(client, log_header(seq)).log, payload) for seq in range(200)]
        asyncio.run(bring_to_end(spilled, lambda _: None))
        assert run.tally.failed == 200
    assert not compared


@pytest.mark.parametrize("shortage", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_what_a_daemon_cannot_open_for_a_shortage_of_its_own_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shortage: int
) -> None:
    """Calls are not given up over descriptors or memory that the daemon lacks, however often it tries, and say why."""
    monkeypatch.setattr(pipeline_module, "_REST_FIRST_S", 0.001)
    monkeypatch.setattr(pipeline_module, "_REST_MOST_S", 0.001)
    spill_path = tmp_path / f"{CLIENT}-0000.frames"
    spill_path.write_bytes(gray_pixels(0))
    troubles: list[str | None] = []
    open_file = os.open

    def open_when_tired(path: os.PathLike[str], *args: int, **options: int) -> int:
        if path == spill_path and len(troubles) < 3 * MOST_READS:
            troubles.append(run.trouble)
            raise OSError(shortage, os.strerror(shortage), path)
        return open_file(path, *args, **options)

    with open_run(tmp_path / "run") as run:
        spilled, _ = calls_of(run, spill_path)
        monkeypatch.setattr(os, "open", open_when_tired)
        asyncio.run(bring_to_end(spilled, lambda _: None))
        assert (run.tally.saved, run.tally.failed) == (2, 0)
        assert troubles[1:] == [os.strerror(shortage)] * (3 * MOST_READS - 1)
        assert run.trouble is None
