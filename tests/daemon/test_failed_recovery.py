"""A spill file that cannot be replayed for now is free for whoever tries next."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import time
from pathlib import Path

import pytest

from daemon_rooms import client_of, entry_of, open_run, recovered_in
from pixlogd import pipeline
from pixlogd.rundir import recovery
from pixlogd.rundir.spill_writing import write_raw
from wire_frames import CLIENT, log_header


def test_claim_is_given_back_when_a_replay_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the manifest cannot be read the file keeps its name; afterwards the next try saves what is in it."""
    with open_run(tmp_path / "before") as before:
        client = client_of(before, pid=1 << 22)
        write_raw(
            tmp_path / "run" / "spill", "node1-1-1", [entry_of(client, log_header(n)) for n in range(3)]
        )

    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with open_run(tmp_path / "run") as run:
        with monkeypatch.context() as patch:
            patch.setattr(recovery, "recall", refuse)
            assert asyncio.run(recovered_in(run)) == [f"{CLIENT}-left-by-node1-1-1.frames"]
        assert asyncio.run(recovered_in(run)) == []
        assert run.tally.saved == 3


def test_young_file_without_a_hello_is_left_alone(tmp_path: Path) -> None:
    """A client on another host may have begun it a moment ago; after ten minutes nobody comes back for it."""
    with open_run(tmp_path / "run") as run:
        path = tmp_path / "run" / "spill" / f"{CLIENT}-0000.frames"
        path.touch()
        assert asyncio.run(recovered_in(run)) == [path.name]
        os.utime(path, (time.time() - 700,) * 2)
        assert asyncio.run(recovered_in(run)) == []


def test_file_that_is_renamed_before_it_is_read_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A client that closes renames its files, and another daemon claims them: the log says nothing of that."""
    with open_run(tmp_path / "run") as run:
        gone = tmp_path / "run" / "spill" / f"{CLIENT}-0000.frames"
        monkeypatch.setattr(recovery, "find_spill_files", lambda *_, **__: [gone])
        assert asyncio.run(recovered_in(run)) == []
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_file_of_which_the_pixels_cannot_be_read_is_kept_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its calls fail with the reason, and whoever can read more of the file later still has it."""

    def refuse(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with open_run(tmp_path / "run") as run:
        client = client_of(run, pid=1 << 22)
        write_raw(
            tmp_path / "run" / "spill", "node1-1-1", [entry_of(client, log_header(n)) for n in range(3)]
        )
        run.forget(client)
        monkeypatch.setattr(os, "preadv", refuse)
        monkeypatch.setattr(pipeline, "_REST_FIRST_S", 0.001)
        assert asyncio.run(recovered_in(run)) == [f"{CLIENT}-left-by-node1-1-1.frames.damaged"]
        assert (run.tally.saved, run.tally.failed) == (0, 3)
