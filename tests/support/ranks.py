"""Processes of a job that all log into one run: spawned ranks, and children that they fork."""

from __future__ import annotations

import multiprocessing
import os
from dataclasses import asdict
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import pixlog
from pictures import numbered
from waiting import scaled_s

Counts = dict[str, Any]

_SHAPES = ((28, 28), (28, 28, 3), (64, 48, 4), (96, 130), (200, 151, 3), (28, 28, 1), (256, 256, 3), (8, 9))
_LARGE = (512, 512, 3)
_LARGE_EVERY = 25
_END_S = 120.0


def mixed_shape(number: int) -> tuple[int, ...]:
    """Return a shape that goes through many sizes and channel counts as ``number`` grows."""
    return _LARGE if number % _LARGE_EVERY == _LARGE_EVERY - 1 else _SHAPES[number % len(_SHAPES)]


def run_ranks(run_dir: Path, rank_count: int, image_count: int) -> dict[str, Counts]:
    """Spawn ranks that log ``image_count`` images of mixed sizes each; return their final counts by client id."""
    spawn = multiprocessing.get_context("spawn")
    said: Queue[tuple[str, Counts]] = spawn.Queue()
    ranks = [
        spawn.Process(target=_log_as_rank, args=(run_dir, rank, rank_count, image_count, said))
        for rank in range(rank_count)
    ]
    for process in ranks:
        process.start()
    try:
        found = dict(said.get(timeout=scaled_s(_END_S)) for _ in ranks)
    finally:
        for process in ranks:
            process.join(scaled_s(_END_S))
            assert process.exitcode == 0
            process.close()
        said.close()
        said.join_thread()
    return found


def _log_as_rank(
    run_dir: Path, rank: int, rank_count: int, image_count: int, said: Queue[tuple[str, Counts]]
) -> None:
    # As torchrun does; nothing of it is passed to connect().
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(rank_count))
    with pixlog.connect(run_dir) as client:
        for step in range(image_count):
            number = rank * image_count + step
            key = "large" if mixed_shape(number) == _LARGE else "mixed/sizes"
            client.log_image(key, numbered(number, mixed_shape(number)), step=step, meta={"number": number})
        client.close(scaled_s(_END_S))
    said.put((client.id, asdict(client.stats())))


def fork_and_log(client: pixlog.Client, key: str, image_count: int, *, close: bool) -> int:
    """Fork a child that logs through its parent's ``client`` and ends with ``os._exit``; return its pid."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        for step in range(image_count):
            client.log_image(key, numbered(step, (28, 28)), step=step)
        if close:
            client.close(scaled_s(30))
        code = 0
    finally:
        os._exit(code)
