"""Byte counts: as people write them, and as the machine or its container allows them.

The limit that counts is the smallest of the host's memory and those of every cgroup above this process (v2
``memory.max``, v1 ``memory.limit_in_bytes``), since a process that passes any of them is killed.
"""

from __future__ import annotations

import os
import re
from typing import Final

from pixlog.cgroup import CGROUP_ROOT, PROC, group_directories, read_file

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

BYTE_COUNT: Final = "a byte count such as 1048576, '256MiB' or '1GB'"
"""What a message says was expected."""

_UNITS: Final = {
    "": 1, "b": 1,
    "k": KIB, "kb": 1000, "kib": KIB,
    "m": MIB, "mb": 1000**2, "mib": MIB,
    "g": GIB, "gb": 1000**3, "gib": GIB,
    "t": 1024 * GIB, "tb": 1000**4, "tib": 1024 * GIB,
}  # fmt: skip
_PATTERN: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)", re.ASCII | re.IGNORECASE)


def parse_bytes(value: int | str) -> int:
    """Return the bytes that ``value`` means: a number, or text like ``"256MiB"``, ``"1.5 GB"`` or ``"64k"``.

    ``KiB`` and the bare letter ``k`` are 1024 bytes, ``kB`` is 1000, and so on up to terabytes; case does not matter.
    Raises ``ValueError`` for anything else, negative numbers included.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise ValueError(f"got {value}, expected {BYTE_COUNT}")
        return value
    match = _PATTERN.fullmatch(value.strip()) if isinstance(value, str) else None
    unit = _UNITS.get(match[2].lower()) if match else None
    if match is None or unit is None:
        raise ValueError(f"got {value!r}, expected {BYTE_COUNT}")
    number = match[1]
    return int(float(number) * unit) if "." in number else int(number) * unit


def format_bytes(nbytes: int) -> str:
    """Return ``nbytes`` in the largest binary unit that divides it: ``"256MiB"``, ``"1000"``."""
    for unit, size in (("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if nbytes and nbytes % size == 0:
            return f"{nbytes // size}{unit}"
    return str(nbytes)


def memory_limit_bytes(*, proc: str = PROC, cgroup_root: str = CGROUP_ROOT) -> int | None:
    """Return the memory that this process may use at most, or ``None`` where the system does not tell."""
    limits = []
    for directory in group_directories("memory", proc=proc, root=cgroup_root):
        for name in ("memory.max", "memory.limit_in_bytes"):
            text = read_file(f"{directory}/{name}").strip()
            if text.isdigit():  # "max" is v2's word for no limit; v1 says a number beyond any memory
                limits.append(int(text))
    host = _host_memory_bytes(proc)
    if host is not None:
        limits.append(host)
    return min(limits, default=None)


def _host_memory_bytes(proc: str) -> int | None:
    for line in read_file(f"{proc}/meminfo").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * KIB
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return None
