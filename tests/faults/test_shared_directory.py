"""Two hosts, each with its daemon, write one run directory at once; readers see one run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import daemons
import pixlog
from accounting import check_accounts
from fault_plan import FaultPlan
from nursery import Nursery, Trainer
from pictures import assert_steps_are_numbers
from pixlog.reading.verify import verify
from waiting import scaled_s, wait_until

HOSTS = ("node-a", "node-b")


def start_on(
    host: str,
    nursery: Nursery,
    tmp_path: Path,
    runtime_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    **plan: object,
) -> Trainer:
    """Start a trainer as if on a host of its own."""
    monkeypatch.setenv("PIXLOG_HOST", host)
    monkeypatch.setenv("PIXLOG_RUNTIME_DIR", str(runtime_dir / host))
    (tmp_path / host).mkdir(exist_ok=True)
    return nursery.start("training:log_until_killed", tmp_path / host / str(plan["first"]), **plan)


def test_two_hosts_write_one_run(
    plan: FaultPlan,
    nursery: Nursery,
    tmp_path: Path,
    run_dir: Path,
    runtime_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Four trainers on two hosts log the same keys at once: one run, nobody's row missing, every file whole."""
    count = plan.repeats(suite=150, full=5000)
    runtime_dir.mkdir()
    trainers = [
        start_on(
            HOSTS[rank % 2],
            nursery,
            tmp_path,
            runtime_dir,
            monkeypatch,
            run_dir=str(run_dir),
            first=rank * count,
            count=count,
            shape=(32, 32, 3) if rank < 2 else (200, 200),
            options={"rank": rank},
        )
        for rank in range(4)
    ]
    reports = 0
    while any(trainer.is_alive() for trainer in trainers):
        if (run_dir / "manifest").is_dir():
            assert verify(run_dir).ok
            reports += 1
    for trainer in trainers:
        assert trainer.wait() == 0, trainer.complaints()
    stats = {client: counts for trainer in trainers for client, counts in trainer.stats().items()}
    account = check_accounts(run_dir, clients=stats)
    assert len(account.saved) == 4 * count
    assert_steps_are_numbers(run_dir, list(account.rows.values())[::7])
    run = pixlog.Run(run_dir)
    assert run.steps("image") == list(range(4 * count))
    writers = {path.name.split("-")[1] for path in (run_dir / "manifest").iterdir()}
    assert writers == {"node_a", "node_b"}
    assert {row["host"] for row in account.rows.values()} == set(HOSTS)
    plan.record(
        "13 shared directory",
        "Two daemons, as on two hosts, write one run directory at once; readers verify it meanwhile",
        times=1,
        images=4 * count,
        lost=4 * count - len(account.saved),
        measured=f"verified {reports + 1} times, without a failure",
    )


def test_spill_of_another_host_is_left_alone_until_asked_for(
    plan: FaultPlan,
    nursery: Nursery,
    tmp_path: Path,
    run_dir: Path,
    runtime_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A daemon leaves the spill of another host alone; ``pixlog recover --other-hosts`` saves what a dead one left."""
    runtime_dir.mkdir()
    monkeypatch.setenv("PIXLOG_IDLE_EXIT_S", "0.5")
    monkeypatch.setenv("PIXLOG_ENCODE_LEVEL", "pillow")
    monkeypatch.setenv("PIXLOG_ENCODE_WORKERS", "1")
    monkeypatch.setenv("PIXLOG_DRAIN_S", "0")  # told to end, it encodes no more, however quick it is
    options = {"buffer_bytes": "4MiB"}
    shape, count = (512, 512, 3), 60
    trainer = start_on(
        HOSTS[0], nursery, tmp_path, runtime_dir, monkeypatch,
        run_dir=str(run_dir), first=0, count=count, shape=shape, options=options,
    )  # fmt: skip
    trainer.wait_for("logged")
    daemon = daemons.the_daemon_of(runtime_dir)
    with daemons.stopped(daemon):
        trainer.wait_for("logged", count=count)
        os.kill(daemon.pid, signal.SIGTERM)
        trainer.kill()
    wait_until(lambda: daemons.gone(runtime_dir), timeout_s=30)
    logged = set(trainer.logged())
    spilled = sorted(path.name for path in (run_dir / "spill").iterdir())
    assert spilled
    monkeypatch.setenv("PIXLOG_ENCODE_LEVEL", "fast")
    monkeypatch.delenv("PIXLOG_DRAIN_S")
    other = start_on(
        HOSTS[1], nursery, tmp_path, runtime_dir, monkeypatch,
        run_dir=str(run_dir), first=count, count=5, shape=shape, options={},
    )  # fmt: skip
    assert other.wait() == 0, other.complaints()
    wait_until(lambda: daemons.gone(runtime_dir), timeout_s=30)
    assert sorted(path.name for path in (run_dir / "spill").iterdir()) == spilled
    assert recover(run_dir).returncode == 1
    wait_until(lambda: daemons.gone(runtime_dir), timeout_s=30)
    recovered = recover(run_dir, "--other-hosts")
    assert recovered.returncode == 0, recovered.stderr
    account = check_accounts(run_dir)
    lost = logged - account.saved
    assert not lost
    assert list((run_dir / "spill").iterdir()) == []
    plan.record(
        "13 shared directory",
        "A host is gone with images in its spill; another one recovers them when told to",
        times=1,
        images=len(logged),
        lost=len(lost),
    )


def recover(run_dir: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the command that brings a run's spill to its end."""
    command = [sys.executable, "-m", "pixlog", "recover", str(run_dir), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=scaled_s(120))
