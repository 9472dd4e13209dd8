"""A trainer that is killed has not lost what it logged."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

import daemons
from accounting import check_accounts
from fault_plan import FaultPlan
from nursery import Nursery, Trainer
from pictures import assert_steps_are_numbers


def kill_at_random_moments(
    plan: FaultPlan, nursery: Nursery, tmp_path: Path, run_dir: Path, kills: int, **more: Any
) -> list[Trainer]:
    """Run trainers one after another and kill each at a random moment after its first call."""
    trainers = []
    for number in range(kills):
        trainer = nursery.start(
            "training:log_until_killed",
            tmp_path / f"trainer-{number}",
            run_dir=str(run_dir),
            shape=plan.random.choice([(32, 32, 3), (64, 48), (256, 256, 3)]),
            pause_s=plan.random.choice([0.0, 0.0, 0.001]),
            **more,
        )
        trainers.append(trainer)
        # Most moments lie among the first calls, some after the daemon's queue and the socket have filled.
        trainer.wait_for("logged", count=1 + int(plan.random.expovariate(1 / 150)))
        trainer.kill()
    return trainers


def test_killed_trainer_loses_nothing_in_arena(
    plan: FaultPlan,
    nursery: Nursery,
    tmp_path: Path,
    run_dir: Path,
    runtime_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every image whose call returned before SIGKILL is saved, when it went through shared memory."""
    monkeypatch.setenv("PIXLOG_IDLE_EXIT_S", "1")
    kills = plan.repeats(suite=15, full=200)
    trainers = kill_at_random_moments(plan, nursery, tmp_path, run_dir, kills)
    daemons.wait_for_end(runtime_dir)
    account = check_accounts(run_dir)
    assert_steps_are_numbers(run_dir, list(account.rows.values()))
    logged = {call for trainer in trainers for call in trainer.logged()}
    lost = logged - account.saved
    plan.record(
        "1 trainer killed",
        "A trainer is killed with SIGKILL while it logs; images in shared memory",
        times=kills,
        images=len(logged),
        lost=len(lost),
    )
    assert not lost, sorted(lost)[:10]


def test_killed_trainer_loses_nothing_in_spill(
    plan: FaultPlan,
    nursery: Nursery,
    tmp_path: Path,
    run_dir: Path,
    runtime_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every image whose call returned before SIGKILL is saved, when the memory was full and it went to disk."""
    monkeypatch.setenv("PIXLOG_IDLE_EXIT_S", "1")
    kills = plan.repeats(suite=10, full=200)
    options = {"buffer_bytes": "1MiB", "on_full": "spill"}
    trainers = kill_at_random_moments(plan, nursery, tmp_path, run_dir, kills, options=options)
    daemons.wait_for_end(runtime_dir)
    account = check_accounts(run_dir)
    assert_steps_are_numbers(run_dir, list(account.rows.values()))
    logged = {call for trainer in trainers for call in trainer.logged()}
    # A slow daemon has a trainer log more calls than so small a budget keeps account of: these are dropped by name.
    dropped = [row for row in account.rows.values() if row["state"] == "dropped"]
    assert all(row["reason"].startswith("no space: buffer_bytes") for row in dropped), dropped[:3]
    lost = logged - account.saved - {(row["client"], row["seq"]) for row in dropped}
    plan.record(
        "1 trainer killed",
        "A trainer is killed with SIGKILL while it logs; images that did not fit into the memory, in the spill",
        times=kills,
        images=len(logged) - len(dropped),
        lost=len(lost),
        measured=f"{len(dropped)} more were beyond the budget and have a row that says so" if dropped else "",
    )
    assert not lost, f"{len(lost)} of {len(logged)}: {[account.rows.get(call) for call in sorted(lost)[:3]]}"


def test_killed_trainer_loses_only_unsent_tail_inline(
    plan: FaultPlan,
    nursery: Nursery,
    tmp_path: Path,
    run_dir: Path,
    runtime_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without shared memory, what the socket took whole is saved; what still waited in the trainer is a lost tail."""
    monkeypatch.setenv("PIXLOG_IDLE_EXIT_S", "1")
    kills = plan.repeats(suite=10, full=200)
    trainers = kill_at_random_moments(plan, nursery, tmp_path, run_dir, kills, inline=True)
    daemons.wait_for_end(runtime_dir)
    account = check_accounts(run_dir)
    assert_steps_are_numbers(run_dir, list(account.rows.values()))
    logged = {call for trainer in trainers for call in trainer.logged()}
    taken = {call for trainer in trainers for call in trainer.calls("taken")}
    tails = 0
    for trainer in trainers:
        (client,) = trainer.said_after("client")
        numbers = account.of_client(client).keys()
        assert numbers == set(range(len(numbers))), f"a gap among the rows of {client}: {sorted(numbers)}"
        tails += len(numbers) < len(trainer.logged())
    lost = taken - account.saved
    plan.record(
        "1 trainer killed",
        "A trainer is killed with SIGKILL while it logs; images inline, those that the socket took",
        times=kills,
        images=len(taken),
        lost=len(lost),
        measured=f"{len(logged - taken)} more waited in the trainer, {len(logged - account.saved)} of them are lost, "
        f"as the tail of {tails} trainers",
    )
    assert not lost, sorted(lost)[:10]


def test_killed_trainer_loses_nothing_that_its_socket_holds(
    plan: FaultPlan,
    nursery: Nursery,
    tmp_path: Path,
    run_dir: Path,
    runtime_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Frames that a slow daemon has not read are read to the last, though its acknowledgements reach nobody."""
    monkeypatch.setenv("PIXLOG_IDLE_EXIT_S", "1")
    monkeypatch.setenv("PIXLOG_QUEUE_ROWS", "16")
    kills = plan.repeats(suite=2, full=20)
    logged: set[tuple[str, int]] = set()
    for number in range(kills):
        trainer = nursery.start(
            "training:log_until_killed",
            tmp_path / f"trainer-{number}",
            run_dir=str(run_dir),
            shape=(8, 8),
            pause_s=0.0005,
            meta_nbytes=2000,  # long frames, of which one read of the daemon takes a few
        )
        trainer.wait_for("logged", count=20)
        daemon = daemons.the_daemon_of(runtime_dir)
        os.kill(daemon.pid, signal.SIGSTOP)
        trainer.wait_for("logged", count=len(trainer.logged()) + plan.random.randrange(100, 400))
        trainer.kill()
        os.kill(daemon.pid, signal.SIGCONT)
        logged |= set(trainer.logged())
    daemons.wait_for_end(runtime_dir)
    lost = logged - check_accounts(run_dir).saved
    plan.record(
        "1 trainer killed",
        "A trainer is killed while the daemon is stopped and has not read what the socket holds",
        times=kills,
        images=len(logged),
        lost=len(lost),
    )
    assert not lost, f"{len(lost)} of {len(logged)}"
