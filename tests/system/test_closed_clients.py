"""What a client leaves behind when it is closed is brought to its end while its process goes on."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np

import daemons
import pixlog
from accounting import check_accounts
from waiting import wait_until

COUNT = 20


def test_spill_of_a_closed_client_is_emptied_while_its_process_lives(
    run_dir: Path, runtime_dir: Path
) -> None:
    """Images that the daemon had heard of, and others that it had not, are saved, and no file of them stays."""
    client = pixlog.connect(run_dir, buffer_bytes="256KiB")
    client.log_image("first", np.zeros((4, 4), np.uint8))
    client.flush()
    daemon = daemons.the_daemon_of(runtime_dir)
    os.kill(daemon.pid, signal.SIGSTOP)
    try:
        for step in range(COUNT):
            client.log_image("k", np.full((100, 100, 3), step, np.uint8), step=step)
        assert client.stats().spilled > COUNT // 4
        stats = client.close(timeout_s=0.1)
        assert stats.pending == COUNT
    finally:
        os.kill(daemon.pid, signal.SIGCONT)
    wait_until(lambda: not list((run_dir / "spill").iterdir()), timeout_s=30)
    assert len(check_accounts(run_dir).saved) == COUNT + 1
