"""Many processes log into one run: every image gets a row, a file and the right pixels, and nothing is left behind."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from multiprocessing.queues import Queue
from pathlib import Path

import pytest

import daemons
import pixlog
from accounting import check_accounts
from pictures import assert_numbered, assert_steps_are_numbers, numbered
from pixlog.rendezvous import socket_for
from ranks import fork_and_log, mixed_shape, run_ranks
from waiting import scaled_s, wait_until

RANKS = 4
IMAGES = 500


def test_four_processes_save_every_image_of_mixed_sizes(
    run_dir: Path, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """4 ranks × 500 images make 2,000 rows and 2,000 files with the right step, rank and pixels; verify exits 0."""
    monkeypatch.setenv("PIXLOG_IDLE_EXIT_S", "0.5")
    counts = run_ranks(run_dir, RANKS, IMAGES)
    assert len(counts) == RANKS
    assert all(entry["saved"] == entry["accepted"] == IMAGES for entry in counts.values())
    check_accounts(run_dir, clients=counts)

    run = pixlog.Run(run_dir)
    assert run.keys() == ["large", "mixed/sizes"]
    labels = set()
    paths = set()
    for image in run.images(run.keys()):
        row = image.row
        number = row.meta["number"]
        assert number == row.rank * IMAGES + row.step
        assert (row.local_rank, row.world_size) == (row.rank, RANKS)
        pixels = image.array()
        shape = mixed_shape(number)
        assert pixels.shape == (shape[:2] if shape[-1] == 1 else shape)
        assert_numbered(pixels, number)
        labels.add((row.rank, row.step))
        paths.add(image.path)
    assert labels == {(rank, step) for rank in range(RANKS) for step in range(IMAGES)}
    assert len(paths) == RANKS * IMAGES
    assert sum(1 for path in (run_dir / "media").rglob("*") if path.is_file()) == RANKS * IMAGES

    verified = subprocess.run(
        [sys.executable, "-P", "-m", "pixlog", "verify", str(run_dir)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr

    def daemon_is_gone() -> bool:
        return not daemons.started_in(runtime_dir)

    wait_until(daemon_is_gone, timeout_s=20)
    assert not socket_for(run_dir).exists()
    assert not list((run_dir / "spill").iterdir())


def test_forked_children_log_as_clients_of_their_own(run_dir: Path) -> None:
    """Children forked while their parent logs save all their images, by ``close`` or by ``os._exit``."""
    with pixlog.connect(run_dir, rank=3) as client:
        client.log_image("parent", numbered(0), step=0)
        children = [fork_and_log(client, f"child/{number}", 50, close=number % 2 == 0) for number in range(4)]
        for step in range(1, 50):
            client.log_image("parent", numbered(step), step=step)
        for pid in children:
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert client.flush(scaled_s(30)) == 0
        run = pixlog.Run(run_dir)
        wait_until(lambda: run.summary().rows == 250, what="250 rows")
    account = check_accounts(run_dir)
    assert len(account.saved) == 250
    assert_steps_are_numbers(run_dir, list(account.rows.values()))
    assert run.summary().ranks == (3,)
    keys = ["child/0", "child/1", "child/2", "child/3", "parent"]
    assert run.keys() == keys
    rows = [run.rows(key)[0] for key in keys]
    assert len({row.client for row in rows}) == 5
    assert [row.pid for row in rows] == [*children, os.getpid()]


def _load(client: pixlog.Client, worker: int, said: Queue[dict[str, int]]) -> None:
    for step in range(30):
        client.log_image("loader", numbered(step, (28, 28)), step=step, meta={"worker": worker})
    stats = client.close(scaled_s(30))
    said.put({"accepted": stats.accepted, "saved": stats.saved})


def test_forked_loader_workers_count_their_own_images(run_dir: Path) -> None:
    """A worker that ``multiprocessing`` forks starts counting at 0 and its close says that its images are saved."""
    fork = multiprocessing.get_context("fork")
    said: Queue[dict[str, int]] = fork.Queue()
    with pixlog.connect(run_dir) as client:
        for step in range(5):
            client.log_image("rank", numbered(step), step=step)
        workers = [fork.Process(target=_load, args=(client, number, said)) for number in range(2)]
        for worker in workers:
            worker.start()
        counts = [said.get(timeout=scaled_s(60)) for _ in workers]
        for worker in workers:
            worker.join()
            assert worker.exitcode == 0
            worker.close()
    said.close()
    said.join_thread()
    assert counts == [{"accepted": 30, "saved": 30}] * 2
    assert client.stats().saved == 5
    assert len(check_accounts(run_dir).saved) == 65


def test_script_without_close_saves_its_image(run_dir: Path) -> None:
    """A script of three lines that just ends has its image saved."""
    script = (
        "import sys, numpy, pixlog\n"
        "client = pixlog.connect(sys.argv[1])\n"
        "client.log_image('k', numpy.full((8, 8), 7, numpy.uint8))\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", script, str(run_dir)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (pixlog.Run(run_dir).images("k")[0].array() == 7).all()
