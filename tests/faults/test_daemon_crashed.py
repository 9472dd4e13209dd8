"""A daemon that crashes says why in the run's log, the client names that file, and no image is lost."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import daemons
import pixlog
from accounting import check_accounts
from pixlog.rendezvous import socket_for
from swallowed import Swallowed
from waiting import scaled_s, wait_until

_FAULTY_DAEMON = """
import sys
from pathlib import Path
from pixlogd import pipeline, server, spawned

def settle(self, run, finished, settled=pipeline.Pipeline._settle):
    settled(self, run, finished)
    if run.tally.saved >= 5:
        raise RuntimeError("the planted error")

def on_log(self, connection, event):
    raise RuntimeError("the planted error")

if sys.argv[1] == "pipeline":
    pipeline.Pipeline._settle = settle
else:
    server.Server._on_log = on_log
sys.exit(spawned._become_daemon(Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])))
"""


@pytest.fixture
def caplog_warnings(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Return what the client warned of."""
    caplog.set_level(logging.WARNING, "pixlog")
    return caplog


def faulty_daemon(where: str, run_dir: Path) -> subprocess.Popen[bytes]:
    """Start a daemon of the run with an error planted in it; returns when it listens."""
    path = socket_for(run_dir)
    ready, write = os.pipe()
    command = [sys.executable, "-c", _FAULTY_DAEMON, where, str(run_dir), str(path), str(write)]
    process = subprocess.Popen(command, pass_fds=(write,))
    os.close(write)
    assert os.read(ready, 100) == b"ready\n"
    os.close(ready)
    return process


def test_crashed_daemon_leaves_its_traceback(
    run_dir: Path, runtime_dir: Path, caplog_warnings: pytest.LogCaptureFixture, swallowed: Swallowed
) -> None:
    """An error that nobody foresaw ends the daemon with a traceback; the client finds another and names the log."""
    swallowed.expect("the planted error")
    with faulty_daemon("pipeline", run_dir) as crashing, pixlog.connect(run_dir) as client:
        for step in range(20):
            client.log_image("k", np.full((20, 20), step, np.uint8), step=step)
        assert crashing.wait(scaled_s(30)) == 1
        for step in range(20, 40):
            client.log_image("k", np.full((20, 20), step, np.uint8), step=step)
        assert client.flush(scaled_s(60)) == 0
        stats = client.close()
    log = (run_dir / "daemon.log").read_text()
    assert "the daemon crashed\nTraceback (most recent call last):" in log
    assert "RuntimeError: the planted error" in log
    assert f"{run_dir}/daemon.log" in caplog_warnings.text
    assert stats.reconnects >= 1
    account = check_accounts(run_dir, clients={client.id: stats})
    assert len(account.saved) == 40


def test_segfault_leaves_its_traceback(
    run_dir: Path, runtime_dir: Path, caplog_warnings: pytest.LogCaptureFixture
) -> None:
    """A crash below Python leaves the stack of every thread in the log, and nothing is lost."""
    with pixlog.connect(run_dir) as client:
        client.log_image("k", np.zeros((20, 20), np.uint8))
        assert client.flush(scaled_s(60)) == 0
        os.kill(daemons.the_daemon_of(runtime_dir).pid, signal.SIGSEGV)
        wait_until(lambda: "Fatal Python error: Segmentation fault" in (run_dir / "daemon.log").read_text())
        for _ in range(20):
            client.log_image("k", np.zeros((20, 20), np.uint8))
        assert client.flush(scaled_s(60)) == 0
    assert f"{run_dir}/daemon.log" in caplog_warnings.text
    assert len(check_accounts(run_dir).saved) == 21


def test_error_over_one_client_spares_the_others(
    run_dir: Path, runtime_dir: Path, swallowed: Swallowed
) -> None:
    """An error while one client's frame is handled ends its connection, with a traceback, and not the daemon."""
    swallowed.expect("the planted error")
    with faulty_daemon("connection", run_dir) as daemon:
        with pixlog.connect(run_dir) as client:
            client.log_image("k", np.zeros((20, 20), np.uint8))
            wait_until(lambda: "planted error" in (run_dir / "daemon.log").read_text())
            assert daemon.poll() is None
            with pixlog.connect(run_dir):
                pass
            daemon.terminate()
            assert daemon.wait(scaled_s(30)) == 0
            assert client.flush(scaled_s(60)) == 0
        assert len(check_accounts(run_dir).saved) == 1
