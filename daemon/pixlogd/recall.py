"""What the manifest already says of a client that comes back: so that nothing is written twice.

A client says again what was not acknowledged.  Some of it may be in the manifest all the same, written by this
daemon or by one that died before its acknowledgement went out.
"""

from __future__ import annotations

import json
from pathlib import Path

from pixlogd.open_run import Ack


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
                try:
                    row = json.loads(line)
                except ValueError:
                    continue
                if row.get("client") == client and row.get("seq", -1) >= resume:
                    acks[row["seq"]] = _ack(row)
    return acks


def _ack(row: dict[str, object]) -> Ack:
    files = row.get("files")
    paths = [
        str(entry["path"])
        for entry in (files if isinstance(files, list) else [])
        if isinstance(entry, dict) and entry.get("role") == "image"
    ]
    reason = row.get("reason")
    seq = row["seq"]
    assert isinstance(seq, int)
    return seq, str(row["state"]), None if reason is None else str(reason), paths, []
