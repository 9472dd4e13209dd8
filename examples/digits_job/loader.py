"""Data-loader workers: forked from a rank, they make its scenes and log some of them themselves."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.queues import Queue

import numpy as np

import pixlog
from digits_job.clock import Clock
from digits_job.job import Job
from digits_job.messages import Messages, ProcessReport
from digits_job.pictures import boxes_of
from digits_job.scenes import Scene, training_scene

_PREFETCH = 2
_SHOWN = 4


@contextmanager
def scene_batches(
    job: Job, rank: int, client: pixlog.Client, messages: Messages
) -> Iterator[Iterator[list[Scene]]]:
    """Fork the rank's workers; give its batches, one for each step, in an order that does not depend on timing."""
    fork = multiprocessing.get_context("fork")
    queues: list[Queue[list[Scene]]] = [fork.Queue(_PREFETCH) for _ in range(job.workers)]
    workers = [
        fork.Process(target=_work, args=(job, rank, number, client, queue, messages), name=f"worker {number}")
        for number, queue in enumerate(queues)
    ]
    for worker in workers:
        worker.start()
    try:
        yield (queues[step % job.workers].get(timeout=60) for step in range(job.all_steps))
    except BaseException:
        for worker in workers:
            worker.terminate()
        raise
    finally:
        for worker in workers:
            worker.join()


def _work(
    job: Job, rank: int, number: int, client: pixlog.Client, queue: Queue[list[Scene]], messages: Messages
) -> None:
    """Make every batch of this worker.  ``client`` is the rank's: after the fork it is one of its own."""
    rng = np.random.default_rng((rank, number))
    clock = Clock()
    for step in range(number, job.all_steps, job.workers):
        scenes = [training_scene(job, rng) for _ in range(job.batch)]
        if step // job.workers % job.log_every == 0:
            logged = scenes[:_SHOWN]
            with clock.call("train/input", [scene.pixels for scene in logged]):
                client.log_image(
                    "train/input",
                    [scene.pixels for scene in logged],
                    step=step,
                    caption=[" ".join(str(digit.label) for digit in scene.digits) for scene in logged],
                    boxes=[{"painted": boxes_of(scene.digits)} for scene in logged],
                    meta={"worker": number, "epoch": step // job.steps},
                )
        queue.put(scenes)
    # A forked worker does not run atexit, so it closes: then its counts are final.
    with clock.closing():
        stats = client.close()
    messages.put(ProcessReport(f"rank {rank}, loader {number}", stats, clock.kinds, clock.closing_s))
