"""A job whose every process is ended at once keeps what it logged: encoded, or raw until it is recovered."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import daemons
import pixlog
from accounting import check_accounts
from fault_plan import FaultPlan
from nursery import Nursery, Trainer
from pictures import assert_steps_are_numbers
from waiting import scaled_s, wait_until

FULL_HD = (1080, 1920, 3)
GRACE_S = 2.0


def spilled_files(run_dir: Path) -> list[str]:
    """Return what lies in the spill."""
    return sorted(path.name for path in (run_dir / "spill").iterdir())


def recover(run_dir: Path) -> subprocess.CompletedProcess[str]:
    """Run the command that brings a run's spill to its end."""
    return subprocess.run(
        [sys.executable, "-m", "pixlog", "recover", str(run_dir)],
        capture_output=True,
        text=True,
        check=False,
        timeout=scaled_s(300),
    )


def end_job(trainers: list[Trainer], runtime_dir: Path) -> float | None:
    """SIGTERM every process, the stopped daemon among them, SIGKILL every process two seconds later.

    Return how many seconds the daemon took to end by itself, None if it did not.
    """
    daemon = daemons.the_daemon_of(runtime_dir)
    began = time.monotonic()
    kill_at = began + GRACE_S
    os.kill(daemon.pid, signal.SIGTERM)
    os.kill(daemon.pid, signal.SIGCONT)
    for trainer in trainers:
        trainer.send(signal.SIGTERM)
    while time.monotonic() < kill_at and daemon.is_alive():
        time.sleep(0.01)
    took_s = None if daemon.is_alive() else time.monotonic() - began
    if took_s is None:
        os.kill(daemon.pid, signal.SIGKILL)
    for trainer in trainers:
        trainer.kill()
    wait_until(lambda: daemons.gone(runtime_dir))
    return took_s


IN_MEMORY = {
    "defaults": ({}, "with default budgets"),
    "arena": ({"buffer_bytes": "160MiB", "spill_bytes": "4GiB"}, "with up to 320 MiB in shared memory"),
    "spill": ({"buffer_bytes": "16MiB", "spill_bytes": "4GiB"}, "nearly all in the spill"),
}


@pytest.mark.parametrize("budgets", IN_MEMORY)
def test_ended_job_loses_nothing(
    plan: FaultPlan,
    nursery: Nursery,
    tmp_path: Path,
    run_dir: Path,
    runtime_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    budgets: str,
) -> None:
    """Full-HD images that wait when every process is ended are saved once each by ``pixlog recover``."""
    options, in_words = IN_MEMORY[budgets]
    images = logged_count = 0
    rounds = plan.repeats(suite=1, full=20 if budgets == "defaults" else 5)
    count = 250 if rounds >= 5 else 25
    waiting_counts: list[int] = []
    took_s: list[float | None] = []
    for number in range(rounds):
        run = run_dir.with_name(f"run-{number}")
        monkeypatch.setenv("PIXLOG_ENCODE_LEVEL", "pillow")  # slow, so that it is the raw bytes that are left
        monkeypatch.setenv("PIXLOG_ENCODE_WORKERS", "1")
        trainers = [
            nursery.start(
                "training:log_when_told",
                tmp_path / f"trainer-{number}-{rank}",
                run_dir=str(run),
                shape=FULL_HD,
                first=rank * count,
                count=count,
                options=options,
                go=str(tmp_path / f"go-{number}"),
            )
            for rank in range(2)
        ]
        with pixlog.connect(run):  # starts the daemon
            (tmp_path / f"go-{number}").touch()
            for trainer in trainers:
                trainer.wait_for("client")
        # Stopped, it leaves all of them waiting; their frames are in its sockets.
        os.kill(daemons.the_daemon_of(runtime_dir).pid, signal.SIGSTOP)
        for trainer in trainers:
            trainer.wait_for("logged", count=count, timeout_s=120)
        took_s.append(end_job(trainers, runtime_dir))
        logged = {call for trainer in trainers for call in trainer.logged()}
        logged_count += len(logged)
        waiting_counts.append(len(logged - saved_by_now(run)))
        # Of few images a quick machine encodes many before the daemon begins to write raw: one left shows it.
        least = len(logged) * 4 // 5 if rounds >= 5 else 0
        assert waiting_counts[-1] > least, "the daemon was too fast for this test"
        monkeypatch.delenv("PIXLOG_ENCODE_LEVEL")
        monkeypatch.setenv("PIXLOG_ENCODE_WORKERS", "2")
        recovered = recover(run)
        assert recovered.returncode == 0, recovered.stdout + recovered.stderr
        assert spilled_files(run) == []
        account = check_accounts(run)
        lost = logged - account.saved
        assert not lost, f"{len(lost)} of {len(logged)}: {sorted(lost)[:5]}"
        assert_steps_are_numbers(run, list(account.rows.values())[:: 10 if rounds >= 5 else 3])
        images += len(logged & account.saved)
        shutil.rmtree(run)
        plan.record(
            "14 job ended",
            "Every process of a job is sent SIGTERM and two seconds later SIGKILL, then `pixlog recover`; "
            f"full-HD images {in_words}",
            times=number + 1,
            images=logged_count,
            lost=logged_count - images,
            measured=f"{min(waiting_counts)} to {max(waiting_counts)} of {logged_count // (number + 1)} waited; "
            + _in_words(took_s),
        )


def saved_by_now(run_dir: Path) -> set[tuple[str, int]]:
    """Return the calls that have a row."""
    return check_accounts(run_dir).saved


def _in_words(took_s: list[float | None]) -> str:
    ended_s = [seconds for seconds in took_s if seconds is not None]
    if not ended_s:
        return "the daemon never ended by itself"
    return (
        f"the daemon ended by itself {len(ended_s)} times, after {min(ended_s):.1f} to {max(ended_s):.1f} s"
    )
