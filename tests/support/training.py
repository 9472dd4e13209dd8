"""Programs of trainers: what runs in a child of the nursery while a fault test kills, stops and starts things."""

from __future__ import annotations

import time
from dataclasses import asdict

import pixlog
from pixlog import delivery
from nursery import Plan, Speaker
from pictures import numbered
from pixlog.client import Client


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
    """Log pictures until killed, or ``count`` of them, and then close; say each call that returned.

    A call is "taken" when the socket took its frame and all before it, so that nothing waits in this process.
    """
    client = connect(plan, speaker)
    shape = tuple(plan.get("shape", (32, 32, 3)))
    pause_s = plan.get("pause_s", 0.0)
    first, count = plan.get("first", 0), plan.get("count", 1 << 30)
    key = plan.get("key", "image")
    meta = "m" * plan["meta_nbytes"] if "meta_nbytes" in plan else None
    for number in range(first, first + count):
        receipt = client.log_image(key, numbered(number, shape), step=number, meta=meta)
        queued = client._delivery._link._queue
        speaker.say("logged", client.id, receipt.seq)
        if not queued:
            speaker.say("taken", client.id, receipt.seq)
        if pause_s:
            time.sleep(pause_s)
    say_stats(client, speaker, client.close(plan.get("close_s", 60.0)))
