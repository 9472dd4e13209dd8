"""Many clients start at once and one daemon serves them, whatever earlier daemons and clients have left behind."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import time
from pathlib import Path

import numpy as np
import pytest

import daemons
import pixlog
from accounting import check_accounts
from fault_plan import FaultPlan
from nursery import Nursery
from pixlog.rendezvous import socket_for, start_lock
from pixlog.writer_mark import safe_host
from waiting import scaled_s, wait_until

_PIXELS = np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3)


def test_64_processes_start_one_daemon(
    plan: FaultPlan,
    nursery: Nursery,
    tmp_path: Path,
    run_dir: Path,
    runtime_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """64 processes that connect to one run in the same moment get one daemon, and every image is saved."""
    # Where processors are few the last may come long after the first have left.
    monkeypatch.setenv("PIXLOG_IDLE_EXIT_S", "60")
    rounds = plan.repeats(suite=1, full=20)
    count = 64
    saved = 0
    for number in range(rounds):
        run = run_dir / str(number)
        go = tmp_path / f"go-{number}"
        trainers = [
            nursery.start(
                "training:log_when_told",
                tmp_path / f"trainer-{number}-{rank}",
                run_dir=str(run),
                go=str(go),
                count=3,
                options={"rank": rank, "timeout_s": scaled_s(60)},
            )
            for rank in range(count)
        ]
        for trainer in trainers:
            trainer.wait_for("ready")
        go.touch()
        seen: set[int] = set()
        while any(not trainer.said_after("client") for trainer in trainers):
            seen |= {daemon.pid for daemon in daemons.serving_in(runtime_dir)}
            assert all(trainer.is_alive() or trainer.said_after("client") for trainer in trainers)
        seen |= {daemon.pid for daemon in daemons.serving_in(runtime_dir)}
        codes = [trainer.wait() for trainer in trainers]
        assert codes == [0] * count, [trainer.complaints() for trainer in trainers if trainer.complaints()]
        clients = {client: counts for trainer in trainers for client, counts in trainer.stats().items()}
        account = check_accounts(run, clients=clients)
        assert {row["rank"] for row in account.rows.values()} == set(range(count))
        assert len(list((run / "manifest").iterdir())) == 1
        assert len(seen) == 1, f"{len(seen)} daemons were seen in round {number}"
        daemons.end_daemons_of(runtime_dir)
        saved += len(account.saved)
    plan.record(
        "7 start",
        "64 processes connect to one run at once",
        times=rounds,
        images=rounds * count * 3,
        lost=rounds * count * 3 - saved,
        measured="one daemon and no failure each time",
    )
    assert saved == rounds * count * 3


def test_long_directories_do_not_keep_daemon_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plan: FaultPlan
) -> None:
    """A run directory and a TMPDIR of 200 characters each are no matter to the socket, whose path is short."""
    monkeypatch.setenv("TMPDIR", str(_long(tmp_path, "t")))
    run = _long(tmp_path, "r")
    assert min(len(str(run)), len(os.environ["TMPDIR"])) >= 200
    with pixlog.connect(run) as client:
        client.log_image("image", _PIXELS)
        stats = client.close()
    check_accounts(run, clients={client.id: stats})
    assert stats.saved == 1
    assert not list(Path(os.environ["TMPDIR"]).iterdir())
    plan.record(
        "7 start", "A run directory and a TMPDIR of 200 characters", times=1, images=1, lost=1 - stats.saved
    )


def _long(below: Path, letter: str) -> Path:
    path = below
    while len(str(path)) < 200:
        path /= letter * 50
    path.mkdir(parents=True)
    return path


@pytest.mark.parametrize("left", ["socket", "file", "lock", "empty start lock", "dead listener"])
def test_stale_things_do_not_keep_daemon_from_starting(
    run_dir: Path, runtime_dir: Path, left: str, plan: FaultPlan
) -> None:
    """What a daemon or a starter that was killed has left in the runtime directory is survived."""
    run_dir.mkdir()
    path = socket_for(run_dir)
    if left in ("socket", "dead listener"):
        with socket.socket(socket.AF_UNIX) as sock:  # bound and gone: connecting is refused
            sock.bind(str(path))
            if left == "dead listener":
                sock.listen()
    elif left == "file":
        path.write_text("")
    elif left == "lock":
        path.with_suffix(".lock").write_text("12345")
        path.with_suffix(".start").write_text("12345")
    else:
        path.with_suffix(".start").touch(0o600)
    with pixlog.connect(run_dir) as client:
        client.log_image("image", _PIXELS)
        stats = client.close()
    assert stats.saved == 1
    check_accounts(run_dir, clients={client.id: stats})
    plan.record("7 start", f"A stale {left} lies in the runtime directory", times=1, images=1, lost=0)


def test_reused_pid_does_not_pass_for_dead_daemon_or_client(
    plan: FaultPlan, nursery: Nursery, tmp_path: Path, run_dir: Path, runtime_dir: Path
) -> None:
    """Images spilled by a dead trainer, and claimed by a dead daemon, are saved though others have their pids now."""
    spiller = nursery.start(
        "training:log_until_killed",
        tmp_path / "spiller",
        run_dir=str(run_dir),
        shape=(128, 128, 3),
        options={"buffer_bytes": "1MiB"},
    )
    spiller.wait_for("logged")
    daemon = daemons.the_daemon_of(runtime_dir)
    with daemons.stopped(daemon):
        before = len(spiller.said_after("spilled"))  # which the daemon may have saved
        spiller.wait_for("spilled", count=before + 30)
        spiller.kill()
        daemons.kill(daemon)
    spilled = spiller.calls("spilled")
    # The name of a claim says which process made it, a start time included; here that pid is this test's own.
    (file, *_) = sorted((run_dir / "spill").iterdir())
    host = safe_host(socket.gethostname())
    file.rename(file.with_name(f"{file.name}.claimed-{host}-{os.getpid()}-1"))
    with pixlog.connect(run_dir) as client:
        client.log_image("image", _PIXELS)
    wait_until(lambda: not list((run_dir / "spill").iterdir()), what="an empty spill")
    lost = set(spilled) - check_accounts(run_dir).saved
    plan.record(
        "7 start",
        "A pid of a dead daemon that had claimed spilled images belongs to another process now",
        times=1,
        images=len(spilled),
        lost=len(lost),
    )
    assert not lost


def test_start_lock_is_free_though_forked_child_lives(run_dir: Path, runtime_dir: Path) -> None:
    """A child forked while the daemon was being started does not keep others from starting one later."""
    run_dir.mkdir()
    path = socket_for(run_dir)
    read_fd, write_fd = os.pipe()
    with start_lock(path, time.monotonic() + scaled_s(5)):
        child = os.fork()
        if not child:
            os.close(write_fd)
            os.read(read_fd, 1)  # until the test lets go of the other end
            os._exit(0)
    try:
        with path.with_suffix(".start").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(write_fd)
        os.close(read_fd)
        os.waitpid(child, 0)


def test_start_lock_is_free_though_holder_was_killed_and_its_child_lives(
    nursery: Nursery, tmp_path: Path, run_dir: Path, runtime_dir: Path
) -> None:
    """A starter that is killed takes its lock with it, though a child that it forked meanwhile lives on."""
    run_dir.mkdir()
    holder = nursery.start("training:hold_start_lock", tmp_path / "holder", run_dir=str(run_dir))
    (child,) = map(int, holder.wait_for("child"))
    holder.kill()
    try:
        with socket_for(run_dir).with_suffix(".start").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.kill(child, signal.SIGKILL)
