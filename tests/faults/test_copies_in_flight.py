"""Trainers whose pictures are still on their way from a device when something happens."""

from __future__ import annotations

from pathlib import Path

import pytest

import daemons
from accounting import check_accounts
from fault_plan import FaultPlan
from nursery import Nursery
from pictures import assert_steps_are_numbers

PROGRAM = "device_training:log_from_device"


def test_killed_trainer_loses_only_copies_in_flight(
    plan: FaultPlan,
    nursery: Nursery,
    tmp_path: Path,
    run_dir: Path,
    runtime_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """SIGKILL loses images whose copy from the device was not over, and no others; none is saved with wrong pixels."""
    monkeypatch.setenv("PIXLOG_IDLE_EXIT_S", "1")
    kills = plan.repeats(suite=6, full=100)
    trainers = []
    for number in range(kills):
        trainer = nursery.start(
            PROGRAM, tmp_path / f"trainer-{number}", run_dir=str(run_dir), seed=f"{plan.seed}-{number}"
        )
        trainers.append(trainer)
        trainer.wait_for("device", count=1 + int(plan.random.expovariate(1 / 150)))
        trainer.kill()
    daemons.wait_for_end(runtime_dir)
    account = check_accounts(run_dir)
    assert_steps_are_numbers(run_dir, list(account.rows.values()))
    host = {call for trainer in trainers for call in trainer.calls("host")}
    device = {call for trainer in trainers for call in trainer.calls("device")}
    lost = host - account.saved
    plan.record(
        "1 trainer killed",
        "A trainer is killed with SIGKILL while images are copied from a device; those of host memory",
        times=kills,
        images=len(host),
        lost=len(lost),
        measured=f"{len(device - account.saved)} of {len(device)} images of the device were still on their way",
    )
    assert not lost, sorted(lost)[:10]
    assert device & account.saved


@pytest.mark.parametrize("buffer_bytes", ["1MiB", "64MiB"])
def test_recycled_memory_holds_the_right_pixels(
    plan: FaultPlan,
    nursery: Nursery,
    tmp_path: Path,
    run_dir: Path,
    runtime_dir: Path,
    buffer_bytes: str,
) -> None:
    """Hundreds of copies into a small arena, beside host images, end saved with their own pixels, or in the spill."""
    trainer = nursery.start(
        PROGRAM,
        tmp_path / "trainer",
        run_dir=str(run_dir),
        seed=plan.seed,
        count=600,
        shape=(64, 64, 3),
        options={"buffer_bytes": buffer_bytes},
    )
    trainer.wait_for("stats", timeout_s=120)
    assert trainer.wait() == 0, trainer.complaints()
    daemons.end_daemons_of(runtime_dir)
    account = check_accounts(run_dir, clients=trainer.stats())
    assert_steps_are_numbers(run_dir, list(account.rows.values()))
    others = [row for row in account.rows.values() if row["state"] != "saved"]
    assert len(account.saved) == 600, (len(account.rows), others[:2], trainer.complaints())
