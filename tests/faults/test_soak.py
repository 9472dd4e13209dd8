"""A million calls leave nothing behind in either process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import daemons
from accounting import check_accounts, rows_of
from fault_plan import FaultPlan
from nursery import Nursery, Trainer
from soaking import cost_of
from waiting import wait_until

MIB = 1024 * 1024
PROCESSES = 4
SAMPLES = 20
SETTLED_AFTER = SAMPLES // 4
SLACK_NBYTES = 3 * MIB
SLACK_DESCRIPTORS = 8  # files that workers have open in the moment of a sample
SLACK_THREADS = 2  # a pool begins another, up to its size, when a job finds none idle
Samples = list[dict[str, int]]


def sample_all(trainers: list[Trainer], daemon_pid: int) -> Samples:
    """Wait until every trainer gave its last sample; return the daemon's costs, taken whenever one gave any."""
    taken: Samples = []
    seen = 0
    while seen < PROCESSES * SAMPLES:
        before = seen

        def more(before: int = before) -> int:
            for trainer in trainers:
                assert trainer.is_alive() or len(trainer.said_after("sample")) == SAMPLES, (
                    trainer.complaints()
                )
            now = sum(len(trainer.said_after("sample")) for trainer in trainers)
            return now if now > before else 0

        seen = wait_until(more, timeout_s=300, what="another sample")
        taken.append(cost_of(daemon_pid))
    return taken


def assert_flat(samples: Samples, who: str) -> str:
    """Fail if memory or descriptors grew after the first quarter; return how they went, in words."""
    settled = samples[len(samples) * SETTLED_AFTER // SAMPLES :]
    first, last = settled[0], settled[-1]
    grown = last["anon"] - first["anon"]
    words = (
        f"{who} {first['rss'] / MIB:.1f} → {last['rss'] / MIB:.1f} MiB, "
        f"{first['descriptors']} → {last['descriptors']} descriptors"
    )
    assert grown <= SLACK_NBYTES, words
    assert last["descriptors"] <= first["descriptors"] + SLACK_DESCRIPTORS, words
    assert last["threads"] <= first["threads"] + SLACK_THREADS, words
    return words


def test_soak_leaves_memory_and_descriptors_flat(
    plan: FaultPlan,
    nursery: Nursery,
    tmp_path: Path,
    run_dir: Path,
    runtime_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Four processes log and log: neither side grows, and every call has its one row."""
    monkeypatch.setenv("PIXLOG_QUEUE_ROWS", "64")  # full, and so at its largest, after a few calls
    monkeypatch.setenv("PIXLOG_NICE", "0")
    monkeypatch.setenv("PIXLOG_IDLE_EXIT_S", "60")  # it is asked after its clients are gone
    count = plan.repeats(suite=20_000, full=1_000_000) // PROCESSES
    trainers = [
        nursery.start(
            "soaking:soak",
            tmp_path / f"trainer-{rank}",
            run_dir=str(run_dir),
            key=f"soak/{rank}",
            count=count,
            sample_count=SAMPLES,
            options={"on_full": "block", "buffer_bytes": "1MiB", "timeout_s": 300},
        )
        for rank in range(PROCESSES)
    ]
    trainers[0].wait_for("client")
    of_daemon = sample_all(trainers, daemons.the_daemon_of(runtime_dir).pid)
    for trainer in trainers:
        trainer.wait_for("stats", timeout_s=900)
    status = daemons.status_of(run_dir)
    for trainer in trainers:
        assert trainer.wait() == 0, trainer.complaints()
    stats = {client: counts for trainer in trainers for client, counts in trainer.stats().items()}
    assert all(counts["saved"] == count for counts in stats.values()), stats
    assert status["runs"][0]["saved"] == PROCESSES * count
    rows = {client: bytearray(count) for client in stats}
    for row in rows_of(run_dir):
        assert row["state"] == "saved", row
        rows[row["client"]][row["seq"]] += 1
    assert all(times == bytes([1]) * count for times in rows.values()), "a call without a row, or with two"
    if count * PROCESSES <= 100_000:  # the whole of a larger manifest does not fit the memory of this test
        check_accounts(run_dir, clients=stats, status=status)
    words = [
        assert_flat([json.loads(said) for said in trainer.said_after("sample")], f"trainer {rank}")
        for rank, trainer in enumerate(trainers)
    ]
    plan.record(
        "10 soak",
        "Four processes log 28×28 images at once",
        times=1,
        images=PROCESSES * count,
        measured="; ".join([assert_flat(of_daemon, "daemon"), words[0]])
        + " from the first quarter to the end",
    )
