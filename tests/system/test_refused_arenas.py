"""A daemon that will not take a client's shared memory still gets every image."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

import daemons
import pixlog
from waiting import scaled_s


def daemon_pid(run_dir: Path) -> int:
    """Return the pid of the run's daemon."""
    pid = daemons.status_of(run_dir)["pid"]
    assert isinstance(pid, int)
    return pid


def test_successor_that_refuses_arenas_gets_images_inline(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images that wait in several arenas are all saved by a daemon that takes only one arena of a client."""
    pixels = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)
    with pixlog.connect(run_dir, buffer_bytes="128MiB") as client:
        first = daemon_pid(run_dir)
        os.kill(first, signal.SIGSTOP)
        for step in range(60):
            client.log_image("k", pixels, step=step)
        monkeypatch.setenv("PIXLOG_MAX_ARENAS", "1")
        os.kill(first, signal.SIGKILL)
        assert client.flush(scaled_s(60)) == 0
        assert client.stats().saved == 60
        assert daemon_pid(run_dir) != first
    run = pixlog.Run(run_dir)
    assert [row.step for row in run.rows()] == list(range(60))
    assert (next(iter(run.images("k", step=59))).array() == pixels).all()
