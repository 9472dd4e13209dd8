"""A client that floods the daemon does not hold up the others, and nobody's rows change their order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import daemons
import pixlog
from accounting import check_accounts
from fault_plan import FaultPlan
from nursery import Nursery
from pictures import assert_steps_are_numbers, numbered
from waiting import scaled_s, wait_until

BATCH_CALLS = 64


def line_count(run_dir: Path) -> int:
    """Return how many rows the only segment has."""
    (segment,) = (run_dir / "manifest").glob("*.jsonl")
    return segment.read_bytes().count(b"\n")


def place_of(run_dir: Path, client: str, number: int) -> int:
    """Return how many rows the only segment has before that of one call."""
    (segment,) = (run_dir / "manifest").glob("*.jsonl")
    wanted = f'"client":"{client}","seq":{number},'.encode()
    rows = segment.read_bytes().split(b"\n")
    return next(place for place, row in enumerate(rows) if wanted in row)


@pytest.mark.parametrize(
    ("shape", "most"), [((28, 28), 6 * BATCH_CALLS), ((512, 512, 3), 8)], ids=["small", "large"]
)
def test_flooding_clients_delay_a_single_image_by_few(
    plan: FaultPlan,
    nursery: Nursery,
    tmp_path: Path,
    run_dir: Path,
    runtime_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    shape: tuple[int, ...],
    most: int,
) -> None:
    """Between a call that returned and its row, floods of others get a bounded number of rows, however many wait."""
    monkeypatch.setenv("PIXLOG_ENCODE_WORKERS", "1")
    monkeypatch.setenv("PIXLOG_ENCODE_LEVEL", "pillow")
    monkeypatch.setenv("PIXLOG_IDLE_EXIT_S", "0.5")
    singles = plan.repeats(suite=10, full=200)
    with pixlog.connect(run_dir) as client:
        client.log_image("single", numbered(0), step=0)
        assert client.flush(scaled_s(30)) == 0
        floods = [
            nursery.start(
                "training:log_until_killed",
                tmp_path / f"flood-{number}",
                run_dir=str(run_dir),
                shape=shape,
                key="flood",
                options={"on_full": "block", "buffer_bytes": "24MiB" if len(shape) == 3 else "1MiB"},
            )
            for number in range(2)
        ]
        for flood in floods:
            flood.wait_for("logged", count=60)
        delays = []
        daemon = daemons.the_daemon_of(runtime_dir)
        for number in range(1, singles + 1):
            # Stopped until the call lies in its socket: how soon this process comes to send it is not the matter here.
            with daemons.stopped(daemon):
                receipt = client.log_image("single", numbered(number), step=number)
                wait_until(lambda: not client._delivery._link._queue, what="the call to be sent")
                at_return = line_count(run_dir)
            assert receipt.wait(scaled_s(60))
            delays.append(place_of(run_dir, client.id, number) - at_return)
        for flood in floods:
            flood.kill()
    wait_until(lambda: daemons.gone(runtime_dir), timeout_s=120)
    check_accounts(run_dir)
    assert max(delays) <= most, delays
    plan.record(
        "12 fairness and order",
        f"A client logs one {'×'.join(map(str, shape))} image after another while two others flood the daemon",
        times=singles,
        images=singles,
        measured=f"at most {max(delays)}, in the median {int(np.median(delays))} rows of the floods came first",
    )


def test_rows_keep_their_numbers_whatever_finishes_first(
    plan: FaultPlan, run_dir: Path, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large and small images encoded by four workers: each row has the number, step and pixels of its call."""
    monkeypatch.setenv("PIXLOG_ENCODE_WORKERS", "4")
    count = plan.repeats(suite=200, full=4000)
    sizes = [(8, 8), (32, 32, 3), (700, 900, 3), (300, 200)]
    with pixlog.connect(run_dir) as client:

        def log(numbers: range) -> list[pixlog.Receipt]:
            return [
                client.log_image(
                    f"key-{number % 3}", numbered(number, plan.random.choice(sizes)), step=number
                )
                for number in numbers
            ]

        # Stopped while the first come: however quick it is, its workers have many to choose from.
        with daemons.stopped(daemons.the_daemon_of(runtime_dir)):
            receipts = log(range(200))
        receipts += log(range(200, count))
    assert [receipt.seq for receipt in receipts] == list(range(count))
    account = check_accounts(run_dir, clients={client.id: client.stats()})
    assert all(row["step"] == seq for (_, seq), row in account.rows.items())
    assert_steps_are_numbers(run_dir, list(account.rows.values()))
    written = list(account.rows)
    assert written != sorted(written), "nothing was overtaken, this test saw nothing"
    for number in range(3):
        rows = pixlog.Run(run_dir).rows(f"key-{number}")
        assert [row.seq for row in rows] == list(range(number, count, 3))
    plan.record(
        "12 fairness and order",
        "Large and small images of one client are encoded by four workers at once",
        times=1,
        images=count,
        measured="each row has the number and pixels of its call, and readers see them in order",
    )
