"""The names of spill files: who may touch one is said by its ending.

``<client>-0000.frames`` is a client's own, ``<client>-left-0001.frames`` one that it will not come back for because it
was closed, ``<client>-by-<daemon>.frames`` one that an ending daemon left, ``<client>-left-by-<daemon>.frames`` that
of a client that had hung up by then;
``.claimed-<daemon>`` is added while a daemon replays or writes one, and with the client in the daemon's place while the
client begins one and has not said in it whose it is; ``.damaged`` when a part of it cannot be read.
"""

from __future__ import annotations

import re

SUFFIX = ".frames"
DAMAGED_SUFFIX = ".damaged"
BY_DAEMON = "-by-"
LEFT = "-left-"
_CLAIM = re.compile(r"\.claimed-(?P<mark>.+)$")


def left_name(name: str) -> str:
    """Return the name of a client's file once the client was closed and will not come back for it."""
    client, _, number = name.partition("-")
    return f"{client}{LEFT}{number}"


def claimed_name(name: str, mark: str) -> str:
    """Return the name of a file while the process with this mark has it."""
    return f"{unclaimed_name(name)}.claimed-{mark}"


def unclaimed_name(name: str) -> str:
    """Return the name that a spill file has when nobody claims it."""
    return _CLAIM.sub("", name)


def claimant(name: str) -> str | None:
    """Return the mark of the process that claims a file of this name, if one does."""
    claim = _CLAIM.search(name)
    return None if claim is None else claim["mark"]
