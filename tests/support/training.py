"""Programs of trainers: what runs in a child of the nursery while a fault test kills, stops and starts things."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import asdict

import pixlog
from nursery import Plan, Speaker
from pictures import numbered
from pixlog import delivery
from pixlog.client import Client
from pixlog.rendezvous import socket_for, start_lock


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

    Each call that returned is "logged".  It is "taken" when the socket took its frame and all before it, so that
    nothing waits in this process, and "spilled" when its pixels are in a file.
    """
    client = connect(plan, speaker)
    shape = tuple(plan.get("shape", (32, 32, 3)))
    pause_s = plan.get("pause_s", 0.0)
    first, count = plan.get("first", 0), plan.get("count", 1 << 30)
    key = plan.get("key", "image")
    meta = "m" * plan["meta_nbytes"] if "meta_nbytes" in plan else None
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
    say_stats(client, speaker, client.close(plan.get("close_s", 60.0)))


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
