"""A training that logs ten times faster than the daemon saves: bounded memory, exact books, one warning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import daemons
import pixlog
from accounting import check_accounts
from fault_plan import FaultPlan
from flooding import memory_of
from nursery import Nursery, Trainer
from waiting import wait_until

MIB = 1024 * 1024
SHAPE = (512, 512, 3)
PICTURE_NBYTES = 512 * 512 * 3
BUDGET_NBYTES = 64 * MIB
SPILL_NBYTES = 48 * MIB
MORE_THAN_FITS = 160  # images, into memory and spill together


def start_flood(
    nursery: Nursery, tmp_path: Path, run_dir: Path, monkeypatch: pytest.MonkeyPatch, **plan: Any
) -> Trainer:
    """Start a trainer that floods its daemon; return when it waits at its gate."""
    monkeypatch.setenv("PIXLOG_ENCODE_WORKERS", "1")
    monkeypatch.setenv("PIXLOG_QUEUE_BYTES", str(BUDGET_NBYTES))
    monkeypatch.setenv("PIXLOG_IDLE_EXIT_S", plan.pop("idle_exit_s", "2"))
    options = {"buffer_bytes": BUDGET_NBYTES, "spill_bytes": SPILL_NBYTES, **plan.pop("options", {})}
    trainer = nursery.start(
        "flooding:flood",
        tmp_path / "trainer",
        run_dir=str(run_dir),
        shape=SHAPE,
        options=options,
        go=str(tmp_path / "go"),
        **plan,
    )
    trainer.wait_for("gate")
    return trainer


@pytest.mark.parametrize(
    ("policy", "inline"),
    [("spill", False), ("spill", True), ("block", False), ("drop_newest", False)],
    ids=["spill", "spill-inline", "block", "drop_newest"],
)
def test_fast_producer_stays_within_budgets(
    plan: FaultPlan,
    nursery: Nursery,
    tmp_path: Path,
    run_dir: Path,
    runtime_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    policy: str,
    inline: bool,
) -> None:
    """Memory of client and daemon stays within the budget and a tenth, under each policy, and one warning names it.

    However quick the daemon is, it is stopped for as long as it takes the budgets to be spent.
    """
    monkeypatch.setenv("PIXLOG_ENCODE_LEVEL", "pillow")  # which is slow
    count = plan.repeats(suite=190, full=1600) if policy != "block" else plan.repeats(suite=110, full=900)
    trainer = start_flood(
        nursery,
        tmp_path,
        run_dir,
        monkeypatch,
        count=count,
        gate_at=count - MORE_THAN_FITS if policy != "block" else 0,
        idle_exit_s="60",  # it is looked at after its client is gone
        inline=inline,
        options={"on_full": policy},
    )
    daemon = daemons.the_daemon_of(runtime_dir)
    idle = memory_of(daemon.pid)
    with daemons.stopped(daemon):
        (tmp_path / "go").touch()
        trainer.wait_for("flooded" if policy != "block" else "warning", timeout_s=240)
    trainer.wait_for("flooded", timeout_s=240)
    cost = json.loads(trainer.said_after("flooded")[0])
    # All that is shared is the arena; it counts whole, however much of it the first image had touched.
    grown = cost["after"]["anon"] + cost["after"]["shared"] - cost["before"]["anon"]
    assert grown <= 1.1 * BUDGET_NBYTES, cost
    wait_until(lambda: not trainer.is_alive(), timeout_s=240)
    daemon_grown = memory_of(daemon.pid)["peak"] - idle["rss"]
    assert trainer.wait() == 0, trainer.complaints()
    assert daemon_grown <= 1.1 * BUDGET_NBYTES
    (stats,) = trainer.stats().values()
    check_accounts(run_dir, clients=trainer.stats())
    assert (stats["pending"], stats["failed"]) == (0, 0)
    warnings = trainer.said_after("warning")
    assert [f"on_full='{policy}'" in warning for warning in warnings].count(True) == 1, warnings
    speed = count / cost["took_s"]
    if policy == "block":
        assert stats["saved"] == count + 1, stats
    else:
        assert stats["dropped"] > 0
    if policy == "spill":
        assert stats["spilled"] >= SPILL_NBYTES // PICTURE_NBYTES - 1
    plan.record(
        "5 producer too fast",
        f"A training logs 512×512×3 images faster than they are saved, on_full={policy!r}"
        + (", without shared memory" if inline else ""),
        times=1,
        images=stats["accepted"],
        measured=f"{stats['saved']} saved, {stats['spilled']} of them through the spill, {stats['dropped']} dropped by "
        f"policy; {speed:.0f} calls/s; client +{grown / MIB:.0f} MiB, daemon +{daemon_grown / MIB:.0f} MiB with a "
        f"budget of {BUDGET_NBYTES // MIB} MiB",
    )


@pytest.mark.parametrize("killed", ["trainer", "both"])
def test_spilled_images_survive_kills(
    plan: FaultPlan,
    nursery: Nursery,
    tmp_path: Path,
    run_dir: Path,
    runtime_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    killed: str,
) -> None:
    """What lies in the spill when the trainer, or it and the daemon, are killed is saved by the next daemon."""
    rounds = plan.repeats(suite=1, full=10)
    spilled: set[tuple[str, int]] = set()
    logged = 0
    for number in range(rounds):
        (tmp_path / str(number)).mkdir()
        trainer = start_flood(
            nursery, tmp_path / str(number), run_dir, monkeypatch, count=110, gate_at=0, stay=True
        )
        daemon = daemons.the_daemon_of(runtime_dir)
        with daemons.stopped(daemon):  # until there is something in the spill
            (tmp_path / str(number) / "go").touch()
            trainer.wait_for("flooded")
        (client,) = trainer.said_after("client")
        numbers = json.loads(trainer.said_after("spilled")[0])
        logged += json.loads(trainer.said_after("flooded")[0])["accepted"]
        assert len(numbers) > 20
        spilled |= {(client, seq) for seq in numbers}
        if killed == "both" and plan.random.random() < 0.5:
            daemons.kill(daemon)
            trainer.kill()
        else:
            trainer.kill()
            if killed == "both":
                daemons.kill(daemon)
        if killed == "both":
            wait_until(lambda: daemons.gone(runtime_dir))
            pixlog.connect(run_dir).close()
        wait_until(lambda: daemons.gone(runtime_dir), timeout_s=60)
    account = check_accounts(run_dir)
    lost = spilled - account.saved
    assert not lost, f"{len(lost)} of {len(spilled)}"
    assert list((run_dir / "spill").iterdir()) == []
    plan.record(
        "5 producer too fast",
        "The trainer "
        + ("and the daemon are" if killed == "both" else "is")
        + " killed; images in the spill",
        times=rounds,
        images=len(spilled),
        lost=len(lost),
    )
