"""Children of a process that logs: they wait for nothing of their parent's, and what they log is saved."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

import daemons
from accounting import check_accounts
from fault_plan import FaultPlan
from forking import KINDS, WAITING
from nursery import Nursery, Trainer
from pictures import assert_steps_are_numbers
from waiting import scaled_s

_CODES = {kind.__name__: code for kind, code in KINDS.items()}


def check_children(trainer: Trainer, count: int) -> float:
    """Check that every child ended with its own exit code; return how long the slowest lived, in seconds.

    One that closes its client waits for the daemon, as it asked to, and is none of them.
    """
    children = [line.split() for line in trainer.said_after("child")]
    assert len(children) == count
    wrong = [child for child in children if int(child[1]) != _CODES[child[0]]]
    assert not wrong, (wrong, trainer.complaints())
    return max(float(child[2]) for child in children if child[0] != WAITING.__name__)


def test_forked_children_end_at_once_and_lose_nothing(
    plan: FaultPlan, nursery: Nursery, tmp_path: Path, run_dir: Path, runtime_dir: Path
) -> None:
    """Forked under load, with gc.collect(), children that log or not, raise or vanish, end in time with their code."""
    forks = plan.repeats(suite=40, full=500)
    trainer = nursery.start(
        "forking:fork_many", tmp_path / "trainer", run_dir=str(run_dir), forks=forks, seed=plan.seed
    )
    trainer.wait_for("stats", timeout_s=60 + forks)
    assert trainer.wait() == 0, trainer.complaints()
    slowest_s = check_children(trainer, forks)
    daemons.end_daemons_of(runtime_dir)
    account = check_accounts(run_dir, clients=trainer.stats())
    assert_steps_are_numbers(run_dir, list(account.rows.values()))
    ((_, counts),) = trainer.stats().items()
    lost = len(set(trainer.logged()) - account.saved) + counts["accepted"] - counts["saved"]
    plan.record(
        "6 forks",
        "A process that logs in two threads forks children that log or not, return, raise, sys.exit or os._exit",
        times=forks,
        images=len(trainer.logged()) + counts["accepted"],
        lost=lost,
        measured=f"the slowest child lived {slowest_s:.2f} s, each had its own exit code",
    )
    assert lost == 0
    assert slowest_s < scaled_s(5.0)


def test_forks_while_daemon_dies_end_at_once_and_lose_nothing(
    plan: FaultPlan, nursery: Nursery, tmp_path: Path, run_dir: Path, runtime_dir: Path
) -> None:
    """As above while the daemon is killed again and again, so that forks strike a client that starts another."""
    forks = plan.repeats(suite=30, full=500)
    trainer = nursery.start(
        "forking:fork_many", tmp_path / "trainer", run_dir=str(run_dir), forks=forks, seed=plan.seed
    )
    kills = 0
    while not trainer.said_after("stats"):
        assert trainer.is_alive(), trainer.complaints()
        for daemon in daemons.serving_in(runtime_dir):
            daemons.kill(daemon)
            kills += 1
        count = len(trainer.said_after("child"))
        trainer.wait_for("child", count=min(count + 5, forks), timeout_s=60)
        if count + 5 >= forks:
            trainer.wait_for("stats")
    assert trainer.wait() == 0, trainer.complaints()
    slowest_s = check_children(trainer, forks)
    daemons.end_daemons_of(runtime_dir)
    account = check_accounts(run_dir, clients=trainer.stats())
    ((_, counts),) = trainer.stats().items()
    lost = counts["accepted"] - counts["saved"]
    orphaned = set(trainer.logged()) - account.saved
    plan.record(
        "6 forks",
        "The same while the daemon is killed after every few forks; images of the parent",
        times=forks,
        images=counts["accepted"],
        lost=lost,
        measured=f"{kills} kills; {len(orphaned)} of {len(trainer.logged())} images of children died with both, the "
        f"child and the daemon that had them; the slowest child that does not close lived {slowest_s:.2f} s",
    )
    assert lost == 0
    assert slowest_s < scaled_s(2.0)


def test_forked_children_of_stopped_daemon_end_at_once_and_lose_nothing(
    plan: FaultPlan, nursery: Nursery, tmp_path: Path, run_dir: Path, runtime_dir: Path
) -> None:
    """With a daemon that answers nobody, children end in time all the same, and what they logged is saved later."""
    rounds = plan.repeats(suite=2, full=20)
    go, stop = tmp_path / "go", tmp_path / "stop"
    trainer = nursery.start(
        "forking:fork_each",
        tmp_path / "trainer",
        run_dir=str(run_dir),
        rounds=rounds,
        go=str(go),
        stop=str(stop),
    )
    trainer.wait_for("ready")
    with daemons.stopped(daemons.the_daemon_of(runtime_dir)):
        go.touch()
        trainer.wait_for("forked", timeout_s=60 + 10 * rounds)
    stop.touch()
    assert trainer.wait() == 0, trainer.complaints()
    slowest_s = check_children(trainer, rounds * (len(KINDS) - 1))
    daemons.wait_for_end(runtime_dir)
    account = check_accounts(run_dir, clients=trainer.stats())
    assert_steps_are_numbers(run_dir, list(account.rows.values()))
    lost = set(trainer.logged()) - account.saved
    plan.record(
        "6 forks",
        "Children are forked while the daemon is stopped, log or not, return, raise, sys.exit or os._exit",
        times=rounds * (len(KINDS) - 1),
        images=len(trainer.logged()),
        lost=len(lost),
        measured=f"the slowest child lived {slowest_s:.2f} s, each had its own exit code",
    )
    assert not lost
    assert slowest_s < scaled_s(2.0)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_started_children_end_with_their_code_and_lose_nothing(
    plan: FaultPlan, nursery: Nursery, tmp_path: Path, run_dir: Path, runtime_dir: Path, method: str
) -> None:
    """Children of multiprocessing's other start methods connect themselves, and lose nothing however they end."""
    times = plan.repeats(suite=1, full=10)
    images = lost = 0
    for number in range(times):
        run = run_dir / str(number)
        trainer = nursery.start(
            "forking:start_with", tmp_path / f"trainer-{number}", run_dir=str(run), method=method
        )
        trainer.wait_for("done")
        assert trainer.wait() == 0, trainer.complaints()
        check_children(trainer, len(KINDS))
        daemons.end_daemons_of(runtime_dir)
        images += len(trainer.logged())
        lost += len(set(trainer.logged()) - check_accounts(run).saved)
    plan.record(
        "6 forks",
        f"Children of multiprocessing's {method} log and return, raise, sys.exit or os._exit",
        times=times * len(KINDS),
        images=images,
        lost=lost,
    )
    assert lost == 0


@pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")
def test_dataloader_workers_lose_nothing(
    plan: FaultPlan, nursery: Nursery, tmp_path: Path, run_dir: Path, runtime_dir: Path
) -> None:
    """Workers of torch's DataLoader log into the run of their parent, epoch after epoch, and end when they should."""
    epochs = plan.repeats(suite=2, full=50)
    trainer = nursery.start(
        "forking:load_data", tmp_path / "trainer", run_dir=str(run_dir), epochs=epochs, workers=4
    )
    trainer.wait_for("stats", timeout_s=120 + 10 * epochs)
    assert trainer.wait() == 0, trainer.complaints()
    daemons.end_daemons_of(runtime_dir)
    account = check_accounts(run_dir, clients=trainer.stats())
    samples = {(row["meta"]["epoch"], row["step"]) for row in account.rows.values() if row["key"] == "sample"}
    expected = {(epoch, index) for epoch in range(epochs) for index in range(64)}
    plan.record(
        "6 forks",
        "Four workers of torch's DataLoader log a sample each, anew in each epoch",
        times=4 * epochs,
        images=len(expected),
        lost=len(expected - samples),
    )
    assert samples == expected
