"""The column-wise reader of line beginnings never disagrees with ``json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixlog.reading.row_prefix import STATES, read_prefixes
from pixlog.reading.run import Run
from pixlog.reading.segment_scan import check_row
from written_runs import WrittenRun, line_of

_FIELDS = ("key", "step", "rank", "client", "seq", "state", "time")

_rows = st.fixed_dictionaries(
    {
        "v": st.just(1),
        "key": st.text(max_size=12) | st.text("/aé", min_size=100, max_size=300),
        "step": st.integers(-(10**18) + 1, 10**18 - 1) | st.integers(-3, 30),
        "rank": st.integers(0, 10**9 - 1) | st.integers(0, 3),
        "client": st.text("0123456789abcdef", min_size=1, max_size=20),
        "seq": st.integers(0, 10**12 - 1) | st.integers(0, 99),
        "state": st.sampled_from(STATES),
        "time": st.floats(0, 2e9) | st.integers(0, 2 * 10**9),
        "value": st.none() | st.dictionaries(st.text(max_size=5), st.text(max_size=300), max_size=2),
        "files": st.just([]),
    }
)


def _read(data: bytes) -> dict[int, dict[str, Any]]:
    """Return the fields of the lines that the column-wise reader takes, by line number."""
    block = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(block == ord("\n")) + 1
    starts = np.concatenate([[0], ends[:-1]])
    found: dict[int, dict[str, Any]] = {}
    for prefixes in read_prefixes(block, starts, ends):
        for i, line in enumerate(prefixes.lines.tolist()):
            found[line] = {
                "key": json.loads(b'"' + prefixes.key[i] + b'"'),
                "step": int(prefixes.step[i]),
                "rank": int(prefixes.rank[i]),
                "client": prefixes.client[i].decode(),
                "seq": int(prefixes.seq[i]),
                "state": STATES[prefixes.state[i]],
                "time": float(prefixes.time[i]),
            }
    return found


def test_own_lines_are_all_read_column_wise() -> None:
    """Lines as pixlog writes them need no parser, except where the key has an escape."""
    lines = [
        {"v": 1, "key": f"val/é {n}", "step": 7 * n - 50, "rank": n % 4, "client": f"{n % 3:016x}", "seq": n}
        | {
            "state": STATES[n % 3],
            "time": 1732000000.123456 + n,
            "value": {"caption": "x" * (n * 3)},
            "files": [],
        }
        for n in range(200)
    ]
    data = b"".join(map(line_of, lines)) + b" " * 2000
    found = _read(data + b"\n")
    assert found == {n: {name: line[name] for name in _FIELDS} for n, line in enumerate(lines)}


@settings(deadline=None, max_examples=150)
@given(rows=st.lists(_rows, min_size=1, max_size=20))
def test_any_row_is_read_as_json_reads_it(rows: list[dict[str, Any]]) -> None:
    """Whatever the column-wise reader takes, it takes with the values that ``json`` finds."""
    data = b"".join(map(line_of, rows)) + b" " * 2000 + b"\n"
    for line, fields in _read(data).items():
        assert fields == {name: rows[line][name] for name in _FIELDS}


@settings(deadline=None, max_examples=300)
@given(
    rows=st.lists(_rows, min_size=1, max_size=5),
    cuts=st.lists(st.tuples(st.integers(0, 10**6), st.binary(max_size=3), st.integers(0, 3)), max_size=6),
)
def test_damaged_lines_are_never_read_as_other_rows(
    rows: list[dict[str, Any]], cuts: list[tuple[int, bytes, int]]
) -> None:
    """After any damage, a line that is read is no JSON behind its beginning, or a row with those very values."""
    data = b"".join(map(line_of, rows))
    for at, inserted, removed in cuts:
        place = at % len(data)
        data = data[:place] + inserted + data[place + removed :]
    lines = data.split(b"\n")
    for line, fields in _read(data + b"\n" + b" " * 2000 + b"\n").items():
        try:
            parsed = json.loads(lines[line])
        except ValueError:
            continue
        if len(json.loads(lines[line], object_pairs_hook=list)) == len(parsed):
            assert check_row(parsed, "") is None
            assert fields == {name: parsed[name] for name in _FIELDS}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"step":3,', b'"step":,'),
        (b'"step":3,', b'"step":-,'),
        (b'"step":3,', b'"step":3.0,'),
        (b'"step":3,', b'"step":"3",'),
        (b'"rank":0,', b'"rank":null,'),
        (b'"seq":0,', b'"seq":-1,'),
        (b'"state":"saved"', b'"state":"saves"'),
        (b'"state":"saved"', b'"state":null'),
        (b'"time":1700000000.5,', b'"time":1.2.3,'),
        (b'"time":1700000000.5,', b'"time":,'),
        (b'"time":1700000000.5,', b'"time":--1,'),
        (b'"client":"00000000000000aa"', b'"client":""'),
    ],
)
def test_malformed_field_makes_no_row(tmp_path: Path, old: bytes, new: bytes) -> None:
    """A field that cannot be one keeps its line out, and no other line."""
    written = WrittenRun(tmp_path)
    line = line_of(written.fields("k", 3))
    assert old in line
    others = b"".join(line_of(written.fields("k", step)) for step in range(10, 30))
    written.append(line.replace(old, new) + others)
    run = Run(tmp_path)
    assert run.steps("k") == list(range(10, 30))
    assert run.problems.total == 1
