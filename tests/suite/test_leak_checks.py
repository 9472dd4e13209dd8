"""The suite's own guards see what they are there to see."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import daemons
import leaks
import processes
from waiting import wait_until


def test_leak_check_names_open_descriptor(tmp_path: Path) -> None:
    """A file that stays open is reported with its path, and no longer once it is closed."""
    before = leaks.take_snapshot()
    path = tmp_path / "open"
    with path.open("w"):
        assert any(str(path) in line for line in leaks.leaks_since(before))
    assert leaks.leaks_since(before) == []


def test_leak_check_names_running_thread() -> None:
    """A thread that still runs is reported by its name."""
    before = leaks.take_snapshot()
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="forgotten", daemon=True)
    thread.start()
    try:
        assert leaks.leaks_since(before) == ["thread 'forgotten'"]
    finally:
        stop.set()
        thread.join()


@pytest.mark.skipif(not processes.PROC.is_dir(), reason="needs /proc")
def test_leak_check_names_child_process() -> None:
    """A child that was not waited for is reported, running or zombie."""
    before = leaks.take_snapshot()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert [f"child process pid {child.pid} " in line for line in leaks.leaks_since(before)[-1:]] == [
            True
        ]
    assert leaks.leaks_since(before) == []


@pytest.mark.skipif(not processes.PROC.is_dir(), reason="needs /proc")
def test_leak_check_fails_test_that_leaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is still there after the grace fails with a list."""
    monkeypatch.setattr(leaks, "_GRACE_S", 0.01)
    before = leaks.take_snapshot()
    read_fd, write_fd = os.pipe()
    try:
        with pytest.raises(
            AssertionError, match=rf"left behind: descriptor {read_fd} .*descriptor {write_fd}"
        ):
            leaks.assert_nothing_leaked(before)
    finally:
        os.close(read_fd)
        os.close(write_fd)


@pytest.mark.skipif(not processes.PROC.is_dir(), reason="needs /proc")
def test_daemon_listing_finds_detached_process(runtime_dir: Path) -> None:
    """A process in a session of its own is found by its runtime directory, ended, and seen to be gone."""
    script = "import time, sys; time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script, "pixlogd"], start_new_session=True) as process:
        wait_until(lambda: [found.pid for found in daemons.daemons_of(runtime_dir)] == [process.pid])
        daemons.end_daemons_of(runtime_dir)
    assert daemons.started_in(runtime_dir) == []


def test_wait_until_reports_last_value() -> None:
    """A condition that stays false fails with what it was and what it returned."""
    with pytest.raises(AssertionError, match="for a row, got 0"):
        wait_until(lambda: 0, timeout_s=0.01, what="a row")
