"""The daemon leaves the processor to training."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

import daemons
import pixlog

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="scheduling policies are Linux's")


def scheduling_of(run_dir: Path) -> set[tuple[int, int]]:
    """Return (policy, nice) of every thread of the run's daemon, encoders included."""
    pid = daemons.status_of(run_dir)["pid"]
    threads = [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    assert len(threads) > 1
    return {(os.sched_getscheduler(thread), os.getpriority(os.PRIO_PROCESS, thread)) for thread in threads}


@pytest.mark.parametrize(("setting", "nice"), [("", 10), ("7", 7), ("0", 0)])
def test_daemon_steps_back_as_its_settings_say(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch, setting: str, nice: int
) -> None:
    """Every thread has the nice value of the settings and, unless that is 0, never preempts who wakes it."""
    monkeypatch.setenv("PIXLOG_NICE", setting)
    own = os.getpriority(os.PRIO_PROCESS, 0)
    with pixlog.connect(run_dir) as client:
        client.log_image("k", np.zeros((8, 8), np.uint8))
        client.flush()
        policy = os.SCHED_BATCH if nice else os.sched_getscheduler(0)
        assert scheduling_of(run_dir) == {(policy, min(19, own + nice))}


def _autogroups_are_on() -> bool:
    switch = Path("/proc/sys/kernel/sched_autogroup_enabled")
    return Path("/proc/self/autogroup").exists() and switch.exists() and switch.read_text().strip() == "1"


@pytest.mark.skipif(not _autogroups_are_on(), reason="this kernel groups no sessions, or is told not to")
def test_daemon_lets_its_session_step_back(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where processors are shared out among sessions first, the session that is the daemon's alone has its nice."""
    monkeypatch.setenv("PIXLOG_NICE", "7")
    before = Path("/proc/self/autogroup").read_text()
    with pixlog.connect(run_dir):
        pid = daemons.status_of(run_dir)["pid"]
        assert Path(f"/proc/{pid}/autogroup").read_text().split()[-1] == "7"
    assert Path("/proc/self/autogroup").read_text() == before
