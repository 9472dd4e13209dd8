"""Worker processes under load that are killed, left alone, or told to end with the whole job."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import pytest

import daemons
import processes
from accounting import check_accounts
from fault_plan import FaultPlan
from nursery import Nursery, Trainer
from pictures import assert_steps_are_numbers
from waiting import wait_until


@pytest.fixture
def flood(
    nursery: Nursery, tmp_path: Path, run_dir: Path, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> Trainer:
    """Start a trainer that floods a daemon of two encode workers; return it once there are worker processes."""
    monkeypatch.setenv("PIXLOG_ENCODE_WORKERS", "2")
    trainer = nursery.start(
        "training:log_until_killed",
        tmp_path / "trainer",
        run_dir=str(run_dir),
        stop=str(tmp_path / "stop"),
        shape=(128, 128, 3),
        options={"on_full": "block", "buffer_bytes": 16 << 20},
        close_s=300,
    )
    trainer.wait_for("logged")
    wait_until(lambda: workers_of(runtime_dir), timeout_s=60, what="worker processes")
    return trainer


def workers_of(runtime_dir: Path) -> list[processes.Process]:
    """Return the worker processes of the daemon of this runtime directory."""
    return [process for process in daemons.started_in(runtime_dir) if process.is_worker]


def log_of(run_dir: Path, words: str) -> list[int]:
    """Return the worker processes of which the daemon's log says something."""
    path = run_dir / "daemon.log"
    lines = path.read_text().splitlines() if path.exists() else []
    said = [re.search(rf"worker process (\d+).*{words}", line) for line in lines]
    return [int(match[1]) for match in said if match]


def ready_worker(run_dir: Path, runtime_dir: Path) -> processes.Process | None:
    """Return a worker process that has work, None when there is none."""
    ready = log_of(run_dir, "")
    return next(
        (worker for worker in workers_of(runtime_dir) if worker.pid in ready and worker.is_alive()), None
    )


def assert_all_saved(trainer: Trainer, tmp_path: Path, run_dir: Path) -> int:
    """Let the trainer end; every image has one row and the pixels of its call.  Return how many there are."""
    (tmp_path / "stop").touch()
    trainer.wait_for("stats", timeout_s=400)
    ((client, counts),) = trainer.stats().items()
    account = check_accounts(run_dir, clients={client: counts})
    assert_steps_are_numbers(run_dir, list(account.rows.values()))
    assert counts["saved"] == counts["accepted"] == len(trainer.logged()), counts
    return int(counts["saved"])


def test_killed_workers_lose_nothing(
    plan: FaultPlan, flood: Trainer, tmp_path: Path, run_dir: Path, runtime_dir: Path
) -> None:
    """SIGKILLed at random moments under load, each time anew: every image is saved once, and each end is told once."""
    kills = plan.repeats(suite=4, full=20)  # the rest before another is started grows to a minute
    killed: list[int] = []
    while len(killed) < kills:
        worker = wait_until(
            lambda: ready_worker(run_dir, runtime_dir), timeout_s=120, what="a worker process"
        )
        assert worker is not None
        time.sleep(plan.random.uniform(0.0, 0.5))
        os.kill(worker.pid, signal.SIGKILL)
        wait_until(lambda worker=worker: not worker.is_alive(), what="the end of the worker")  # type: ignore[misc]
        killed.append(worker.pid)
    images = assert_all_saved(flood, tmp_path, run_dir)
    wait_until(lambda: set(log_of(run_dir, "was ended by SIGKILL")) >= set(killed), what="a word of each end")
    assert sorted(log_of(run_dir, "was ended by SIGKILL")) == sorted(killed)
    plan.record(
        "2 daemon killed",
        "A worker process of the daemon is killed with SIGKILL at a random moment under load",
        times=kills,
        images=images,
        lost=0,
    )


def test_killed_daemon_leaves_no_worker(
    plan: FaultPlan, flood: Trainer, tmp_path: Path, run_dir: Path, runtime_dir: Path
) -> None:
    """With the daemon its worker processes end, those in the middle of a batch too; nothing is lost."""
    kills = plan.repeats(suite=2, full=30)
    for _ in range(kills):
        wait_until(lambda: workers_of(runtime_dir), timeout_s=120, what="worker processes")
        time.sleep(plan.random.uniform(0.0, 0.3))
        daemon, workers = daemons.the_daemon_of(runtime_dir), workers_of(runtime_dir)
        os.kill(daemon.pid, signal.SIGKILL)
        wait_until(lambda workers=workers: not any(worker.is_alive() for worker in workers))  # type: ignore[misc]
    images = assert_all_saved(flood, tmp_path, run_dir)
    plan.record(
        "2 daemon killed",
        "The daemon is killed with SIGKILL while worker processes encode for it; none of those is left",
        times=kills,
        images=images,
        lost=0,
    )


def test_daemon_told_to_end_with_its_workers_loses_nothing(
    flood: Trainer, tmp_path: Path, run_dir: Path, runtime_dir: Path
) -> None:
    """SIGTERM to daemon and workers alike: the daemon ends as ever, no worker is left, and the next one goes on."""
    daemon, workers = daemons.the_daemon_of(runtime_dir), workers_of(runtime_dir)
    for process in (*workers, daemon):
        os.kill(process.pid, signal.SIGTERM)
    wait_until(lambda: not any(process.is_alive() for process in (daemon, *workers)), timeout_s=30)
    assert_all_saved(flood, tmp_path, run_dir)
    assert "was ended by" not in (run_dir / "daemon.log").read_text()
