"""A daemon that is killed has lost nothing: the next one, started by the clients, goes on where it stopped."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

import daemons
import processes
from accounting import check_accounts
from fault_plan import FaultPlan
from nursery import Nursery, Trainer
from pictures import assert_steps_are_numbers
from waiting import wait_until


def start_trainers(
    nursery: Nursery, tmp_path: Path, run_dir: Path, count: int, **more: object
) -> list[Trainer]:
    """Start trainers that log until the file ``stop`` exists."""
    return [
        nursery.start(
            "training:log_until_killed",
            tmp_path / f"trainer-{number}",
            run_dir=str(run_dir),
            stop=str(tmp_path / "stop"),
            key=f"image{number}",
            **more,
        )
        for number in range(count)
    ]


def wait_for_daemon(
    runtime_dir: Path, starter: Trainer, *, other_than: set[processes.Process]
) -> processes.Process | None:
    """Wait for a daemon that was not there before; None if ``starter`` has saved all and needs none any more."""

    def found() -> list[processes.Process | None]:
        ended = bool(starter.said_after("stats"))  # asked first: a daemon that it still needs is seen below
        fresh = [daemon for daemon in daemons.serving_in(runtime_dir) if daemon not in other_than]
        return [*fresh, *([None] if ended else [])]

    return wait_until(found, timeout_s=30, what="another daemon, or the end", poll_s=0.002)[0]


def writes(daemon: processes.Process, run_dir: Path) -> bool:
    """Whether a daemon has begun a segment, or is gone already."""
    return not daemon.is_alive() or any((run_dir / "manifest").glob(f"*-{daemon.pid}*.jsonl"))


def test_killed_daemon_loses_nothing_of_four_clients(
    plan: FaultPlan, nursery: Nursery, tmp_path: Path, run_dir: Path, runtime_dir: Path
) -> None:
    """Killed at random moments under load, the daemon is started anew each time; each image has one row and file.

    Three of four come to writing before they are killed: else, on a slow machine, none would ever save anything.  For
    the same reason the clients log no faster than images are saved.
    """
    kills = plan.repeats(suite=8, full=200)
    trainers = start_trainers(
        nursery, tmp_path, run_dir, 4, pause_s=0.005, shape=(64, 64, 3), close_s=300, most_pending=1000
    )
    for trainer in trainers:
        trainer.wait_for("logged")
    killed: set[processes.Process] = set()
    for _ in range(kills):
        daemon = wait_for_daemon(runtime_dir, trainers[0], other_than=killed)
        assert daemon is not None
        if plan.random.random() < 0.75:
            wait_until(lambda daemon=daemon: writes(daemon, run_dir), timeout_s=60)  # type: ignore[misc]
        time.sleep(plan.random.uniform(0.0, 0.4))
        daemons.kill(daemon)
        killed.add(daemon)
    (tmp_path / "stop").touch()
    images = sum(len(trainer.wait_for("stats", timeout_s=400) and trainer.logged()) for trainer in trainers)
    clients = {client: counts for trainer in trainers for client, counts in trainer.stats().items()}
    account = check_accounts(run_dir, clients=clients)
    rows = list(account.rows.values())
    assert_steps_are_numbers(run_dir, rows)
    lost = sum(counts["accepted"] - counts["saved"] for counts in clients.values())
    plan.record(
        "2 daemon killed",
        "The daemon is killed with SIGKILL at a random moment while four clients log",
        times=kills,
        images=images,
        lost=lost,
        measured=f"{sum(counts['reconnects'] for counts in clients.values())} reconnections, 0 doubled rows, "
        f"{len(account.report.orphans)} files without a row",
    )
    assert lost == 0, clients
    assert [trainer.wait() for trainer in trainers] == [0, 0, 0, 0]


def test_daemon_killed_while_starting_is_started_again(
    plan: FaultPlan, nursery: Nursery, tmp_path: Path, run_dir: Path, runtime_dir: Path
) -> None:
    """A daemon that is killed before it listens makes no connect() fail; the client starts another."""
    rounds = plan.repeats(suite=3, full=50)
    clients: dict[str, dict[str, Any]] = {}
    for number in range(rounds):
        run = run_dir / str(number)
        trainer = nursery.start(
            "training:log_until_killed", tmp_path / f"trainer-{number}", run_dir=str(run), count=20
        )
        killed: set[processes.Process] = set(daemons.serving_in(runtime_dir))
        for _ in range(plan.random.randrange(1, 4)):
            # On a quick machine all may be saved before the next kill: then nobody starts another daemon.
            daemon = wait_for_daemon(runtime_dir, trainer, other_than=killed)
            if daemon is None:
                break
            time.sleep(plan.random.uniform(0.0, 0.3))
            daemons.kill(daemon)
            killed.add(daemon)
        trainer.wait_for("stats")
        assert trainer.wait() == 0, trainer.complaints()
        clients |= trainer.stats()
        check_accounts(run, clients=trainer.stats())
    lost = sum(counts["accepted"] - counts["saved"] for counts in clients.values())
    plan.record(
        "2 daemon killed",
        "The daemon is killed with SIGKILL one to three times while it starts, before or after it listens",
        times=rounds,
        images=20 * rounds,
        lost=20 * rounds - sum(counts["saved"] for counts in clients.values()),
    )
    assert lost == 0


def test_daemon_killed_during_recovery_loses_nothing(
    plan: FaultPlan,
    nursery: Nursery,
    tmp_path: Path,
    run_dir: Path,
    runtime_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Spilled images of a dead trainer are saved once, however often the daemon that replays them is killed."""
    rounds = plan.repeats(suite=2, full=20)
    monkeypatch.setenv("PIXLOG_IDLE_EXIT_S", "1")
    images = lost = kills = 0
    for number in range(rounds):
        run = run_dir / str(number)
        trainer = nursery.start(
            "training:log_until_killed",
            tmp_path / f"spiller-{number}",
            run_dir=str(run),
            shape=(128, 128, 3),
            options={"buffer_bytes": "1MiB", "on_full": "spill"},
        )
        trainer.wait_for("logged")
        first = daemons.the_daemon_of(runtime_dir)
        with daemons.stopped(first):
            before = len(trainer.said_after("spilled"))  # which the daemon may have saved
            trainer.wait_for("spilled", count=before + plan.random.randrange(20, 150))
            trainer.kill()
            daemons.kill(first)
        # What lay in memory alone died with both; what was spilled must come back.
        spilled = trainer.calls("spilled")
        killed = {first}
        for turn in range(plan.random.randrange(1, 4)):
            starter = log_one(nursery, tmp_path / f"one-{number}-{turn}", run)
            daemon = wait_for_daemon(runtime_dir, starter, other_than=killed)
            if daemon is not None:
                time.sleep(plan.random.uniform(0.0, 0.1))
                daemons.kill(daemon)
                killed.add(daemon)
                kills += 1
            starter.wait_for("stats")
        log_one(nursery, tmp_path / f"last-{number}", run).wait_for("stats")
        daemons.wait_for_end(runtime_dir)
        account = check_accounts(run)
        assert_steps_are_numbers(run, list(account.rows.values()))
        images += len(spilled)
        lost += len(set(spilled) - account.saved)
        left = sorted(path.name for path in (run / "spill").iterdir())
        assert not left, left
    plan.record(
        "2 daemon killed",
        "Trainer and daemon are killed, then the next daemon while it replays the spilled images",
        times=kills,
        images=images,
        lost=lost,
    )
    assert lost == 0


def log_one(nursery: Nursery, said: Path, run: Path) -> Trainer:
    """Start a trainer that logs one image, and so starts a daemon; return when it is connected."""
    trainer = nursery.start("training:log_until_killed", said, run_dir=str(run), count=1)
    trainer.wait_for("client")
    return trainer
