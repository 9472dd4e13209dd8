"""The one check behind every fault test: each accepted call has exactly one row, and each row says the truth.

The manifest is read here line by line and not with ``pixlog.Run``, so that a reader's mistake cannot hide a writer's.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

from pixlog.reading.verify import VerifyReport, verify
from pixlog.stats import Stats

Row: TypeAlias = dict[str, Any]
Call: TypeAlias = tuple[str, int]
"""A call by its client and number."""

_ENDS = ("saved", "failed", "dropped")


@dataclass(frozen=True, slots=True)
class Account:
    """A run whose books are in order: every row by the call that it belongs to."""

    rows: dict[Call, Row]
    report: VerifyReport

    @property
    def saved(self) -> set[Call]:
        """The calls that are saved."""
        return {call for call, row in self.rows.items() if row["state"] == "saved"}

    def of_client(self, client: str) -> dict[int, Row]:
        """Return the rows of one client by their number."""
        return {seq: row for (owner, seq), row in self.rows.items() if owner == client}


def rows_of(run_dir: Path) -> Iterator[Row]:
    """Every whole line of every segment; a torn last line is none."""
    for segment in sorted((run_dir / "manifest").glob("*.jsonl")):
        *lines, torn = segment.read_bytes().split(b"\n")
        if torn:
            print(f"{segment.name} ends with {len(torn)} bytes of a torn line")
        for line in lines:
            yield json.loads(line)


def check_accounts(
    run_dir: Path,
    *,
    clients: Mapping[str, Stats | Mapping[str, Any]] | None = None,
    status: Mapping[str, Any] | None = None,
) -> Account:
    """Check the manifest, every media file, and what the two sides say of themselves.

    ``clients`` are the final counts by client id, ``status`` the answer of a daemon that still runs.  Fails when a
    call has two rows, a file is not as its row says, or an equation does not hold.
    """
    rows: dict[Call, Row] = {}
    for row in rows_of(run_dir):
        call = (row["client"], row["seq"])
        assert call not in rows, f"two rows for {call}:\n{rows[call]}\n{row}"
        assert row["state"] in _ENDS, row
        assert row["state"] == "saved" or row["reason"], f"a row without a reason: {row}"
        rows[call] = row
    report = verify(run_dir)
    assert report.ok, "\n".join([*map(str, report.failures), str(report.problems)])
    assert report.row_count == len(rows)
    account = Account(rows, report)
    for client, counts in (clients or {}).items():
        _check_client(account, client, counts if isinstance(counts, Mapping) else asdict(counts))
    for run in (status or {}).get("runs", ()):
        _check_status(run)
    return account


def _check_client(account: Account, client: str, counts: Mapping[str, Any]) -> None:
    """Compare what a client says of its calls with their rows; pending ones may have theirs by now."""
    said = {end: counts[end] for end in _ENDS}
    assert counts["accepted"] == sum(said.values()) + counts["pending"], f"{client}: {counts}"
    for kind in ("failed", "dropped"):
        reasons = counts[f"{kind}_reasons"]
        assert sum(reasons.values()) == counts[kind], f"{client}: {counts}"
    rows = account.of_client(client)
    numbers = range(counts["accepted"])
    assert rows.keys() <= set(numbers), f"{client}: rows of calls that it did not accept: {sorted(rows)[-5:]}"
    if not counts["pending"]:
        assert len(rows) == len(numbers), (
            f"{client}: no row for {sorted(set(numbers) - rows.keys())[:10]}, {counts}"
        )
        found = Counter(row["state"] for row in rows.values())
        assert {end: found[end] for end in _ENDS} == said, f"{client}: its rows are {found}, it says {said}"


def _check_status(run: Mapping[str, Any]) -> None:
    for tally in (run, *run["clients"]):
        waiting = tally["queued"] + tally.get("in_flight", 0)
        ended = sum(tally[end] for end in _ENDS)
        assert tally["accepted"] == ended + waiting, f"the daemon says {tally}"
