"""A trainer that logs for very long, and says now and then what it costs."""

from __future__ import annotations

import os

from flooding import memory_of
from nursery import Plan, Speaker
from pictures import numbered
from training import connect, say_stats
from waiting import scaled_s

_SHAPE = (28, 28)
_DISTINCT = 1000


def soak(plan: Plan, speaker: Speaker) -> None:
    """Log ``count`` pictures of which ``_DISTINCT`` are different; say ``sample_count`` times what this process has."""
    client = connect(plan, speaker)
    pictures = [numbered(number, _SHAPE) for number in range(_DISTINCT)]
    count = plan["count"]
    every = count // plan["sample_count"]
    for number in range(count):
        client.log_image(plan["key"], pictures[number % _DISTINCT], step=number % _DISTINCT)
        if (number + 1) % every == 0:
            speaker.say_json("sample", cost_of("self"))
    say_stats(client, speaker, client.close(scaled_s(600)))


def cost_of(pid: int | str) -> dict[str, int]:
    """Return the memory of a process in bytes, how many descriptors it has open and how many threads it has."""
    counts = {
        "descriptors": len(os.listdir(f"/proc/{pid}/fd")),
        "threads": len(os.listdir(f"/proc/{pid}/task")),
    }
    return {**memory_of(pid), **counts}
