"""Programs of trainers: what runs in a child of the nursery while a fault test kills, stops and starts things."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import asdict
from functools import partial

import numpy as np

import pixlog
from nursery import Plan, Speaker
from pictures import numbered
from pixlog.client import Client
from pixlog.rendezvous import socket_for, start_lock
from pixlog.sending import delivery
from steal_time import Took, timed
from waiting import scaled_s


def connect(plan: Plan, speaker: Speaker) -> Client:
    """Connect as the plan says, and say who this is; ``inline`` is a system without memfd."""
    if plan.get("inline"):
        vars(delivery)["SHARED_SUPPORTED"] = False
    client = pixlog.connect(plan["run_dir"], **plan.get("options", {}))
    speaker.say("client", client.id)
    return client


def say_stats(client: Client, speaker: Speaker, stats: pixlog.Stats) -> None:
    """Say the counts of a client."""
    counts = asdict(stats)
    speaker.say_json("stats", {"client": client.id, **counts})


def log_until_killed(plan: Plan, speaker: Speaker) -> None:
    """Log pictures until killed, or ``count`` of them, or the file ``stop`` exists; then close.

    With ``most_pending`` and ``stop`` it logs no faster than images are saved, as most trainings do.
    Each call that returned is "logged".  It is "taken" when the socket took its frame and all before it, so that
    nothing waits in this process, and "spilled" when its pixels are in a file.
    """
    client = connect(plan, speaker)
    shape = tuple(plan.get("shape", (32, 32, 3)))
    pause_s = plan.get("pause_s", 0.0)
    first, count = plan.get("first", 0), plan.get("count", 1 << 30)
    key = plan.get("key", "image")
    meta = "m" * plan["meta_nbytes"] if "meta_nbytes" in plan else None
    most_pending = plan.get("most_pending", 1 << 30)
    for number in range(first, first + count):
        if "stop" in plan and os.path.exists(plan["stop"]):
            break
        spilled_count = client.stats().spilled
        receipt = client.log_image(key, numbered(number, shape), step=number, meta=meta)
        queued = client._delivery._link._queue
        speaker.say("logged", client.id, receipt.seq)
        if client.stats().spilled > spilled_count:
            speaker.say("spilled", client.id, receipt.seq)
        if not queued:
            speaker.say("taken", client.id, receipt.seq)
        if pause_s:
            time.sleep(pause_s)
        while client.stats().pending >= most_pending and not os.path.exists(plan["stop"]):
            time.sleep(0.005)
    say_stats(client, speaker, client.close(plan.get("close_s", scaled_s(60.0))))


def log_when_told(plan: Plan, speaker: Speaker) -> None:
    """Wait, spinning, for the file ``go``, so that many connect at once; log ``count`` pictures and close."""
    speaker.say("ready")
    while not os.path.exists(plan["go"]):
        time.sleep(0.0005)
    log_until_killed(plan, speaker)


def hold_start_lock(plan: Plan, speaker: Speaker) -> None:
    """Take the right to start the daemon, fork a child meanwhile, and hold both until killed."""
    with start_lock(socket_for(plan["run_dir"]), time.monotonic() + 10):
        child = os.fork()
        if child:
            speaker.say("child", child)
        signal.pause()


def log_at_pace(plan: Plan, speaker: Speaker) -> None:
    """Log pictures with pauses until the file ``stop`` exists; say how long copies took, and calls by where to.

    Told is what happened from the moment on in which the file ``heed`` exists.
    """
    client = connect(plan, speaker)
    shape = tuple(plan["shape"])
    times: dict[str, list[Took]] = {"copy": [], "memory": [], "spill": []}
    spilled_count = 0
    picture = numbered(0, shape)
    spare = np.empty_like(picture)
    number = 0
    while not os.path.exists(plan["stop"]):
        picture[...] = numbered(number, shape)
        copied = timed(partial(np.copyto, spare, picture))
        called = timed(partial(client.log_image, "image", picture, step=number))
        before, spilled_count = spilled_count, client.stats().spilled
        if os.path.exists(plan["heed"]):
            times["copy"].append(copied)
            times["spill" if spilled_count > before else "memory"].append(called)
        speaker.say("logged", client.id, number)
        number += 1
        time.sleep(plan["pause_s"])
    speaker.say_json("times", {name: list(map(asdict, taken)) for name, taken in times.items()})
    say_stats(client, speaker, client.close(scaled_s(200)))


def close_when_stopped(plan: Plan, speaker: Speaker) -> None:
    """Log one picture and say "ready"; when the file ``go`` says that the daemon is stopped, log ``count``, close."""
    client = connect(plan, speaker)
    client.log_image("image", numbered(0), step=0)
    client.flush(scaled_s(60))
    speaker.say("ready")
    while not os.path.exists(plan["go"]):
        time.sleep(0.0005)
    for number in range(plan["count"]):
        client.log_image("image", numbered(number, tuple(plan["shape"])), step=number)
    began = time.monotonic()
    stats = client.close(plan["close_s"])
    speaker.say("closed", time.monotonic() - began)
    say_stats(client, speaker, stats)
