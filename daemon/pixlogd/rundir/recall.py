"""What the manifest already says of a client that comes back: so that nothing is written twice.

A client says again what was not acknowledged.  Some of it may be in the manifest all the same, written by this
daemon or by one that died before its acknowledgement went out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pixlogd.rundir.open_run import Ack
from pixlogd.rundir.row_search import find_row, parse_row


def recall(run_dir: Path, client: str, resume: int) -> dict[int, Ack]:
    """Return the acknowledgements of ``client`` from number ``resume`` on that the manifest holds.

    Reads every segment once, skipping lines that do not name the client; a torn line is none.
    """
    acks: dict[int, Ack] = {}
    needle = f'"client":"{client}"'.encode()
    for segment in sorted((run_dir / "manifest").glob("*.jsonl")):
        with segment.open("rb") as lines:
            for line in lines:
                if needle not in line or not line.endswith(b"\n"):
                    continue
                ack = _ack_in(line, client)
                if ack is not None and ack[0] >= resume:
                    acks[ack[0]] = ack
    return acks


def recall_one(run_dir: Path, client: str, seq: int) -> Ack | None:
    """Return the acknowledgement of one call, if the manifest holds it."""
    row = find_row(run_dir, client, seq)
    return None if row is None else _ack_of(row)


def _ack_in(line: bytes, client: str) -> Ack | None:
    """Return what a line acknowledges to the client; None for a line that is no row of it."""
    row = parse_row(line)
    return None if row is None or row.get("client") != client else _ack_of(row)


def _ack_of(row: dict[str, Any]) -> Ack | None:
    """Return what a row acknowledges; None for one that does not tell."""
    seq, state = row.get("seq"), row.get("state")
    if type(seq) is not int or not isinstance(state, str):
        return None
    files = row.get("files")
    paths = [
        str(entry["path"])
        for entry in (files if isinstance(files, list) else [])
        if isinstance(entry, dict) and entry.get("role") == "image"
    ]
    reason = row.get("reason")
    return seq, state, None if reason is None else str(reason), paths, []
