"""Programs of trainers that log faster than the daemon saves, and what they cost meanwhile."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import Any

from nursery import Plan, Speaker
from pictures import numbered
from training import connect, say_stats
from waiting import scaled_s

_PAGE_NBYTES = 4096


class _Heard(logging.Handler):
    """Says every warning of the client."""

    def __init__(self, speaker: Speaker) -> None:
        super().__init__(logging.WARNING)
        self._speaker = speaker

    def emit(self, record: logging.LogRecord) -> None:
        """Say one warning as a line."""
        self._speaker.say("warning", record.getMessage().replace("\n", " "))


def memory_of(pid: int | str = "self") -> dict[str, int]:
    """Return the bytes of a process: all that is resident, and its part that is not shared."""
    fields = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
    )
    nbytes = {name: int(fields[name].split()[0]) * 1024 for name in ("VmRSS", "RssAnon", "RssShmem", "VmHWM")}
    return {
        "rss": nbytes["VmRSS"],
        "anon": nbytes["RssAnon"],
        "shared": nbytes["RssShmem"],
        "peak": nbytes["VmHWM"],
    }


def flood(plan: Plan, speaker: Speaker) -> None:
    """Log ``count`` pictures as fast as calls return; say what it cost and, if it may live so long, the end.

    Before picture number ``gate_at`` it says "gate" and waits for the file ``go``.
    """
    logging.getLogger("pixlog").addHandler(_Heard(speaker))
    client = connect(plan, speaker)
    pictures = [numbered(number, tuple(plan["shape"])) for number in range(4)]
    client.log_image("first", pictures[0], step=0)
    client.flush(scaled_s(60))
    before = memory_of()
    began = time.monotonic()
    for number in range(plan["count"]):
        if number == plan["gate_at"]:
            waited_from = time.monotonic()
            speaker.say("gate")
            while not os.path.exists(plan["go"]):
                time.sleep(0.0005)
            began += time.monotonic() - waited_from
        client.log_image("image", pictures[number % 4], step=number % 4)
    took_s = time.monotonic() - began
    after = memory_of()
    cost: dict[str, Any] = {"before": before, "after": after, "took_s": took_s, "accepted": plan["count"] + 1}
    pending = client._delivery._ledger.pending
    speaker.say_json("spilled", [seq for seq, call in list(pending.items()) if call.spilled is not None])
    speaker.say_json("flooded", cost)
    if plan.get("stay"):
        time.sleep(3600)
    say_stats(client, speaker, client.close(plan.get("close_s", scaled_s(120.0))))
