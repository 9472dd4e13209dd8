"""A disk that refuses: training goes on, images wait within their budgets, what has no room has a row that says so."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import daemons
import pixlog
import refusing_disks
from accounting import check_accounts, rows_of
from fault_plan import FaultPlan
from nursery import Nursery
from pixlog.client import Client
from pixlog.rendezvous import socket_for
from small_disks import tiny_disk
from tracing import traced
from waiting import scaled_s, wait_until

PICTURE_NBYTES = 64 * 64 * 3
BUFFER_NBYTES = 512 * 1024
SPILL_NBYTES = 256 * 1024
HELD_COUNT = BUFFER_NBYTES * 9 // 10 // PICTURE_NBYTES  # what is kept of each call counts too
ROUND_NBYTES = 2 * (BUFFER_NBYTES + SPILL_NBYTES)
Noise = Callable[[], npt.NDArray[np.uint8]]


@pytest.fixture
def noise(plan: FaultPlan) -> Noise:
    """Return what makes pictures that no encoder makes smaller."""
    numbers = np.random.default_rng(plan.seed)
    return lambda: numbers.integers(0, 256, (64, 64, 3), np.uint8)


@contextmanager
def disk_of(runtime_dir: Path, nbytes: int) -> Iterator[Path]:
    """Mount a small disk while the block lasts and end the daemons that use it."""
    with tiny_disk(nbytes=nbytes) as disk:
        try:
            yield disk
        finally:
            daemons.end_daemons_of(runtime_dir)


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Leave no byte free on the disk while the block lasts."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for nbytes in (65536, 4096, 1):
            with contextlib.suppress(OSError):
                while file.write(b"\0" * nbytes):
                    pass
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def connected(run_dir: Path) -> Iterator[Client]:
    """Connect with small budgets; a test that fails leaves no client that would start another daemon."""
    client = pixlog.connect(run_dir, buffer_bytes=BUFFER_NBYTES, spill_bytes=SPILL_NBYTES)
    try:
        yield client
    finally:
        client.close(timeout_s=0.1)


def log_all(client: Client, noise: Noise, count: int) -> None:
    """Log so many pictures."""
    for _ in range(count):
        client.log_image("noise", noise())


def status_of(run_dir: Path) -> dict[str, Any]:
    """Return what the run's daemon says of the run."""
    answer = daemons.status_of(run_dir)
    return {**answer["runs"][0], "daemon_pid": answer["pid"]}


def assert_all_settled(client: Client) -> None:
    """Wait until every call has its row."""
    assert client.flush(scaled_s(60)) == 0, client


def check_and_close(client: Client, run_dir: Path) -> pixlog.Stats:
    """Close the client and check the books of both sides."""
    assert_all_settled(client)
    status = daemons.status_of(run_dir)
    stats = client.close(scaled_s(60))
    check_accounts(run_dir, clients={client.id: stats}, status=status)
    return stats


def test_full_disk_delays_images_within_budgets(plan: FaultPlan, runtime_dir: Path, noise: Noise) -> None:
    """On a full disk images wait, those beyond the budgets are dropped with a row, and the rest is saved later."""
    rounds = plan.repeats(suite=2, full=20)
    with disk_of(runtime_dir, 2**20 + rounds * ROUND_NBYTES) as disk:
        run = disk / "run"
        with connected(run) as client:
            log_all(client, noise, 3)
            assert_all_settled(client)
            daemon_pid = status_of(run)["daemon_pid"]
            for _ in range(rounds):
                before = client.stats()
                with filled(disk):
                    log_all(client, noise, 5)
                    wait_until(lambda: status_of(run)["trouble"] == "No space left on device")
                    log_all(client, noise, 2 * HELD_COUNT)
                    waiting = client.stats()
                    assert HELD_COUNT // 2 * PICTURE_NBYTES < waiting.buffer_nbytes <= BUFFER_NBYTES
                assert_all_settled(client)
                after = client.stats()
                assert after.saved - before.saved >= HELD_COUNT
                assert after.dropped > before.dropped
                assert status_of(run)["trouble"] is None
            assert status_of(run)["daemon_pid"] == daemon_pid
            stats = check_and_close(client, run)
            assert (stats.failed, set(stats.dropped_reasons)) == (0, {"no space"})
    plan.record(
        "4 disk full",
        "The disk is full to the last byte while images are logged, then has space again",
        times=rounds,
        images=stats.accepted,
        measured=f"{stats.saved} saved, {stats.dropped} beyond the budgets dropped, with a row each",
    )


def test_full_disk_at_the_end_of_training_loses_nothing(
    plan: FaultPlan, runtime_dir: Path, noise: Noise
) -> None:
    """A close on a full disk ends in time and says what is unsaved; the daemon waits for space and saves it."""
    with disk_of(runtime_dir, 2**20 + ROUND_NBYTES) as disk:
        run = disk / "run"
        with connected(run) as client:
            log_all(client, noise, 3)
            assert_all_settled(client)
            with filled(disk):
                log_all(client, noise, 20)
                stats = client.close(timeout_s=0.5)
                assert stats.pending > 0
                daemon = daemons.the_daemon_of(runtime_dir)
                wait_until(lambda: status_of(run)["queued"] >= stats.pending)
                assert daemon.is_alive()
            # The books are checked at rest: rows that come between two looks at the manifest are no fault.
            wait_until(lambda: sum(1 for _ in rows_of(run)) == 23, timeout_s=30)
            account = check_accounts(run)
            assert len(account.saved) == 23


@pytest.mark.parametrize("queue_rows", [1024, 4])
def test_daemon_gives_up_on_a_disk_that_refuses_for_good(
    runtime_dir: Path, noise: Noise, monkeypatch: pytest.MonkeyPatch, queue_rows: int
) -> None:
    """With its clients gone and no space for ``give_up_s``, a daemon says what is lost and ends; the run is sound.

    That they are gone it notices of those too of whom it reads no more, because their queue is full.
    """
    monkeypatch.setenv("PIXLOG_GIVE_UP_S", "1")
    monkeypatch.setenv("PIXLOG_QUEUE_ROWS", str(queue_rows))
    with disk_of(runtime_dir, 2**20 + ROUND_NBYTES) as disk:
        run = disk / "run"
        with connected(run) as client:
            log_all(client, noise, 3)
            assert_all_settled(client)
            with filled(disk):
                log_all(client, noise, 20)
                assert client.close(timeout_s=0.5).pending > 0
                wait_until(lambda: daemons.gone(runtime_dir), timeout_s=30)
            said = (run / "daemon.log").read_text()
            assert "20 calls could not be spilled" in said, said
            assert "crashed" not in said, said
        with pixlog.connect(run) as client:
            client.log_image("noise", noise())
        account = check_accounts(run)
        assert len(account.saved) >= 4


def test_second_sigterm_ends_a_drain_at_once(
    runtime_dir: Path, noise: Noise, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told to stop twice, a daemon waits for its disk no longer; its client says everything to the next one."""
    monkeypatch.setenv("PIXLOG_DRAIN_S", "1000")
    with disk_of(runtime_dir, 2**20 + ROUND_NBYTES) as disk:
        run = disk / "run"
        with connected(run) as client:
            log_all(client, noise, 3)
            assert_all_settled(client)
            daemon = daemons.the_daemon_of(runtime_dir)
            with filled(disk):
                log_all(client, noise, 20)
                wait_until(lambda: status_of(run)["trouble"] == "No space left on device")
                os.kill(daemon.pid, signal.SIGTERM)
                wait_until(lambda: not socket_for(run).exists(), what="the drain to begin")
                assert daemon.is_alive()
                os.kill(daemon.pid, signal.SIGTERM)
                wait_until(lambda: not daemon.is_alive(), timeout_s=30, what="the end of the daemon")
            stats = check_and_close(client, run)
            assert stats.saved == stats.accepted == 23


def test_file_size_limit_begins_new_files(
    plan: FaultPlan,
    tmp_path: Path,
    run_dir: Path,
    runtime_dir: Path,
    nursery: Nursery,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where no file may exceed 500 kB, segments and spill files follow one another, and a larger image fails."""
    monkeypatch.setenv("PIXLOG_IDLE_EXIT_S", "1")
    count = 1200
    trainer = nursery.start(
        "refusing_disks:log_under_file_size_limit",
        tmp_path / "trainer",
        run_dir=str(run_dir),
        limit_nbytes=500_000,
        count=count,
        options={"buffer_bytes": "2MiB", "spill_bytes": "64MiB"},
    )
    assert trainer.wait() == 0, trainer.complaints()
    (stats,) = trainer.stats().values()
    account = check_accounts(run_dir, clients=trainer.stats())
    wait_until(lambda: daemons.gone(runtime_dir), timeout_s=30)
    failed = [row for row in account.rows.values() if row["state"] == "failed"]
    assert [row["key"] for row in failed] == ["large"]
    assert "File too large" in failed[0]["reason"]
    assert stats["saved"] == count, (
        stats,
        [row for row in account.rows.values() if row["state"] == "dropped"][:2],
    )
    segments = list((run_dir / "manifest").iterdir())
    assert len(segments) > 1
    assert max(path.stat().st_size for path in segments) <= 500_000
    plan.record(
        "4 disk full",
        "No file of the daemon or the client may exceed 500 kB (RLIMIT_FSIZE)",
        times=1,
        images=stats["accepted"],
        measured=f"{stats['saved']} saved in {len(segments)} segments, {stats['spilled']} through the spill; one of "
        "750 kB failed by name",
    )


def test_unwritable_directory_is_waited_out(
    plan: FaultPlan, tmp_path: Path, run_dir: Path, runtime_dir: Path, nursery: Nursery
) -> None:
    """While media or manifest refuse new files (EACCES) images wait; with permission again they are saved."""
    if reason := refusing_disks.cannot_give_up_override():
        pytest.skip(reason)
    for name in ("media/images", "manifest"):
        run = run_dir / name.replace("/", "-")
        trainer = nursery.start(
            "refusing_disks:log_without_override",
            tmp_path / run.name,
            run_dir=str(run),
            refusing=str(run / name),
            count=40,
        )
        trainer.wait_for("refused")
        wait_until(lambda run=run: status_of(run)["trouble"] == "Permission denied")  # type: ignore[misc]
        assert trainer.is_alive()
        (run / name).chmod(0o755)
        assert trainer.wait() == 0, trainer.complaints()
        (stats,) = trainer.stats().values()
        assert (stats["saved"], stats["accepted"]) == (40, 40)
        check_accounts(run, clients=trainer.stats())
    plan.record(
        "4 disk full",
        "A directory of the run refuses files (EACCES) while images are logged, then takes them again",
        times=2,
        images=80,
    )


def test_input_output_errors_are_waited_out(
    plan: FaultPlan, run_dir: Path, runtime_dir: Path, tmp_path: Path, noise: Noise
) -> None:
    """While no file gets its name, then while no row is written (EIO), images wait; afterwards they are saved."""
    with connected(run_dir) as client:
        log_all(client, noise, 3)
        assert_all_settled(client)
        (segment,) = (run_dir / "manifest").iterdir()
        pid = daemons.the_daemon_of(runtime_dir).pid
        faults = {
            "media": ["-e", "trace=rename,linkat", "-e", "inject=rename,linkat:error=EIO"],
            "manifest": ["-P", str(segment), "-e", "trace=write", "-e", "inject=write:error=EIO"],
        }
        for fault in faults.values():
            with traced(pid, fault, tmp_path / "strace"):
                log_all(client, noise, 20)
                wait_until(lambda: status_of(run_dir)["trouble"] == "Input/output error")
                assert client.stats().pending == 20
            assert_all_settled(client)
            assert status_of(run_dir)["trouble"] is None
        stats = check_and_close(client, run_dir)
        assert stats.saved == stats.accepted == 43
    plan.record(
        "4 disk full",
        "Naming a file, or writing rows, fails with EIO while images are logged, then works again",
        times=2,
        images=40,
    )


def test_deleted_run_directory_is_made_again(plan: FaultPlan, run_dir: Path, noise: Noise) -> None:
    """After the run directory is deleted under the daemon, what is logged from then on is saved in a new one."""
    rounds = plan.repeats(suite=3, full=30)
    with connected(run_dir) as client:
        for number in range(rounds):
            log_all(client, noise, plan.random.randrange(1, 40))
            if number % 2:  # in the middle of its work, or at rest
                assert_all_settled(client)
            shutil.rmtree(run_dir, ignore_errors=True)
            settled = client.stats().accepted
            assert_all_settled(client)
            log_all(client, noise, 10)
            assert_all_settled(client)
            rows = {row["seq"]: row for row in saved_rows(run_dir)}
            assert set(range(settled, settled + 10)) <= rows.keys()
            files = [
                run_dir / file["path"] for seq in range(settled, settled + 10) for file in rows[seq]["files"]
            ]
            assert all(path.is_file() for path in files)
        stats = client.close(scaled_s(60))
        assert Counter({"saved": stats.saved, "failed": stats.failed}) == Counter(
            saved=stats.accepted, failed=0
        )
    plan.record(
        "4 disk full",
        "The run directory is deleted under the daemon, at rest and at work; images logged afterwards",
        times=rounds,
        images=10 * rounds,
    )


@pytest.mark.parametrize("store", ["files", "packed"])
def test_moved_run_directory_leaves_two_whole_runs(
    run_dir: Path, noise: Noise, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the run directory is renamed under the daemon, what is logged goes into a new one, rows and media."""
    monkeypatch.setenv("PIXLOG_STORE", store)
    moved = run_dir.with_name("moved")
    with connected(run_dir) as client:
        log_all(client, noise, 3)
        assert_all_settled(client)
        run_dir.rename(moved)
        log_all(client, noise, 3)
        assert_all_settled(client)
        client.close(scaled_s(60))
    for run, seqs in ((moved, {0, 1, 2}), (run_dir, {3, 4, 5})):
        assert {seq for _, seq in check_accounts(run).saved} == seqs


def saved_rows(run_dir: Path) -> list[dict[str, Any]]:
    """Return the saved rows."""
    return [row for row in rows_of(run_dir) if row["state"] == "saved"]


def test_deleted_spill_directory_is_made_again(
    plan: FaultPlan, run_dir: Path, runtime_dir: Path, noise: Noise
) -> None:
    """A client whose run directory is deleted while the daemon is stopped spills into a new one."""
    with connected(run_dir) as client:
        log_all(client, noise, 1)
        assert_all_settled(client)
        pid = daemons.the_daemon_of(runtime_dir).pid
        os.kill(pid, signal.SIGSTOP)
        try:
            shutil.rmtree(run_dir)
            log_all(client, noise, HELD_COUNT + 18)
            assert client.stats().spilled >= 10
            assert client.stats().dropped == 0
        finally:
            os.kill(pid, signal.SIGCONT)
        assert_all_settled(client)
        stats = client.close(scaled_s(60))
        assert stats.saved == stats.accepted == HELD_COUNT + 19
        assert list((run_dir / "spill").iterdir()) == []
