"""Ctrl-C, signal handlers, threads, log handlers, destructors and the interpreter's end: none upsets the accounts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from accounting import Account, check_accounts
from fault_plan import FaultPlan
from nursery import Nursery, Trainer
from pictures import assert_steps_are_numbers


def check(trainer: Trainer, run_dir: Path, *, failed: int = 0) -> tuple[dict[str, Any], Account]:
    """Wait for a trainer's end and check its accounts; return its counts and the run's."""
    trainer.wait_for("stats", timeout_s=240)
    assert trainer.wait() == 0, trainer.complaints()
    assert "Traceback" not in trainer.complaints(), trainer.complaints()
    ((_, counts),) = trainer.stats().items()
    account = check_accounts(run_dir, clients=trainer.stats())
    assert counts["pending"] == 0
    assert counts["buffer_nbytes"] == 0, "arena space leaked"
    assert (counts["failed"], counts["dropped"]) == (failed, 0), counts
    assert_steps_are_numbers(run_dir, list(account.rows.values()))
    return counts, account


@pytest.mark.parametrize("policy", ["memory", "spill", "inline"])
@pytest.mark.parametrize("handler", ["ctrl-c", "raise", "log"])
def test_signal_during_log_image_leaves_accounts_exact(
    plan: FaultPlan,
    nursery: Nursery,
    tmp_path: Path,
    run_dir: Path,
    runtime_dir: Path,
    handler: str,
    policy: str,
) -> None:
    """A handler that raises or logs at random moments of log_image costs no region, number, image or exception."""
    strikes = plan.repeats(suite=150, full=1000)
    trainer = nursery.start(
        "interrupting:interrupt",
        tmp_path / "trainer",
        run_dir=str(run_dir),
        handler=handler,
        strikes=strikes,
        seed=plan.seed,
        inline=policy == "inline",
        options={"buffer_bytes": "1MiB"} if policy == "spill" else {},
    )
    trainer.wait_for("stats", timeout_s=240)
    outcome = json.loads(trainer.said_after("outcome")[0])
    counts, account = check(trainer, run_dir)
    assert outcome["caught"] == outcome["raised"], "an exception of the program's own was swallowed"
    assert outcome["unsettled"] == 0
    assert set(outcome["handler_states"]) <= {"saved"}
    done = 0 if handler == "log" else outcome["raised"]
    logged = 1 + outcome["calls"] + len(outcome["handler_states"])
    assert logged - done <= counts["accepted"] <= logged
    what = {
        "ctrl-c": "KeyboardInterrupt strikes at a random moment of log_image",
        "raise": "A signal handler raises an OSError of the program's own at a random moment of log_image",
        "log": "A signal handler logs an image itself at a random moment of log_image",
    }
    plan.record(
        "15 odd moments",
        f"{what[handler]} ({policy})",
        times=outcome["strikes"],
        images=counts["accepted"],
        lost=counts["accepted"] - len(account.saved),
        measured="no arena space or number leaked, every exception reached the program",
    )


def test_many_threads_log_at_once(
    plan: FaultPlan, nursery: Nursery, tmp_path: Path, run_dir: Path, runtime_dir: Path
) -> None:
    """Calls of 16 threads are all saved, with their own pixels."""
    count = plan.repeats(suite=25, full=500)
    trainer = nursery.start(
        "interrupting:log_from_threads", tmp_path / "trainer", run_dir=str(run_dir), threads=16, count=count
    )
    counts, account = check(trainer, run_dir)
    assert counts["accepted"] == 16 * count
    plan.record(
        "15 odd moments",
        "16 threads log at once",
        times=16,
        images=counts["accepted"],
        lost=counts["accepted"] - len(account.saved),
    )


def test_destructors_log_at_any_moment(
    plan: FaultPlan, nursery: Nursery, tmp_path: Path, run_dir: Path, runtime_dir: Path
) -> None:
    """Garbage that logs when it is collected, in the middle of other calls too, is saved without a deadlock."""
    count = plan.repeats(suite=150, full=5000)
    trainer = nursery.start(
        "interrupting:log_from_destructors", tmp_path / "trainer", run_dir=str(run_dir), count=count
    )
    counts, account = check(trainer, run_dir)
    assert counts["accepted"] == 2 * count
    plan.record(
        "15 odd moments",
        "A destructor logs an image whenever garbage is collected",
        times=count,
        images=counts["accepted"],
        lost=counts["accepted"] - len(account.saved),
    )


def test_log_handlers_log_images(
    plan: FaultPlan, nursery: Nursery, tmp_path: Path, run_dir: Path, runtime_dir: Path
) -> None:
    """Handlers of the loggers "pixlog" and root may log images themselves, from several threads, without a deadlock."""
    count = plan.repeats(suite=20, full=500)
    trainer = nursery.start(
        "interrupting:log_from_handlers", tmp_path / "trainer", run_dir=str(run_dir), threads=4, count=count
    )
    counts, account = check(trainer, run_dir, failed=4 * count)
    (handled,) = map(json.loads, trainer.said_after("handled"))
    assert handled[0] >= 4 * count  # one for each bad image
    assert handled[1] >= 8 * count
    assert counts["accepted"] == 8 * count + sum(handled)
    plan.record(
        "15 odd moments",
        "Handlers of the loggers pixlog and root log an image for each record, four threads at once",
        times=sum(handled),
        images=counts["accepted"],
        lost=counts["accepted"] - len(account.saved) - 4 * count,
        measured=f"{4 * count} images of the program were unusable and have their failed rows",
    )
