"""Programs of trainers whose disk refuses: limits and permissions that the daemon which they start inherits."""

from __future__ import annotations

import ctypes
import os
import resource
from pathlib import Path

import numpy as np

from nursery import Plan, Speaker
from pictures import numbered
from training import connect, say_stats
from waiting import scaled_s

_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH, _CAP_SETPCAP = 1, 2, 8
_PR_CAPBSET_DROP = 24
_CAPABILITY_VERSION_3 = 0x20080522


def log_under_file_size_limit(plan: Plan, speaker: Speaker) -> None:
    """Log small pictures and one that is larger than any file may be."""
    limit = plan["limit_nbytes"]
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    client = connect(plan, speaker)
    noise = np.random.default_rng(1).integers(0, 256, (500, 500, 3), np.uint8)
    client.log_image("large", noise)
    for number in range(plan["count"]):
        client.log_image("small", numbered(number, (48, 48, 3)), step=number)
    say_stats(client, speaker, client.close(scaled_s(120)))


def log_without_override(plan: Plan, speaker: Speaker) -> None:
    """Log as a user whom permissions bind; half of it after a directory stopped taking files."""
    give_up_override()
    client = connect(plan, speaker)
    count = plan["count"]
    refusing = Path(plan["refusing"])
    client.log_image("image", numbered(0), step=0)
    assert client.flush(scaled_s(60)) == 0
    if refusing.name == "manifest":  # the open segment is replaced by a copy, so that another must be begun
        (segment,) = refusing.iterdir()
        rows = segment.read_bytes()
        segment.unlink()
        segment.with_name("0.jsonl").write_bytes(rows)
    refusing.chmod(0o500)
    for number in range(1, count):
        client.log_image("image", numbered(number), step=number)
    speaker.say("refused", refusing)
    say_stats(client, speaker, client.close(scaled_s(120)))


def cannot_give_up_override() -> str | None:
    """Return why a root without all of its capabilities cannot be made one whom permissions bind; None if it can."""
    capabilities = _capabilities()
    if capabilities >> _CAP_DAC_OVERRIDE & 1 and not capabilities >> _CAP_SETPCAP & 1:
        return "this process may write anywhere, and may not give that up (CAP_SETPCAP)"
    return None


def _capabilities() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("\nCapEff:")[2].split()[0], 16)


def give_up_override() -> None:
    """Give up the right of root to write where permissions forbid it, for this process and all that it starts."""
    if not _capabilities() >> _CAP_DAC_OVERRIDE & 1:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
        assert libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) == 0, os.strerror(ctypes.get_errno())
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()
    assert libc.capget(header, sets) == 0
    mask = ~(1 << _CAP_DAC_OVERRIDE | 1 << _CAP_DAC_READ_SEARCH) & 0xFFFFFFFF
    for index in range(3):
        sets[index] &= mask
    assert libc.capset(header, sets) == 0, os.strerror(ctypes.get_errno())
