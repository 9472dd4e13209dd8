"""How the reader takes segments: torn tails, damage, other writers, other versions, growth."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pixlog.errors import RunError
from pixlog.reading import segment_scan
from pixlog.reading.run import Run
from written_runs import WrittenRun, line_of


def test_torn_last_line_is_ignored_until_complete(written: WrittenRun) -> None:
    """A line counts from the moment its newline is there, at whatever byte it was torn."""
    written.row("k", 0)
    line = line_of(written.fields("k", 1))
    run = Run(written.path)
    for byte in line[:-1]:
        written.append(bytes([byte]))
        assert run.refresh() == 0
    assert run.torn_nbytes == len(line) - 1
    written.append(line[-1:])
    assert run.steps("k") == [0, 1]
    assert (run.torn_nbytes, run.problems.total) == (0, 0)


def test_torn_tail_of_a_dead_writer_hides_no_other_segment(written: WrittenRun) -> None:
    """Rows of later segments are read beside a segment that ends in half a line."""
    written.row("k", 0)
    written.append(b'{"v":1,"key":"k","st')
    later = WrittenRun(written.path, segment="20250102T040000Z-host-78.jsonl")
    later.row("k", 1, client="b")
    assert Run(written.path).steps("k") == [0, 1]


def test_lines_that_are_not_rows_are_skipped_and_counted(written: WrittenRun) -> None:
    """Damaged lines cost only themselves; run.problems says how many and where."""
    written.row("k", 0)
    written.append(b"\x00\x00\xff not json\n\n")
    written.append(b'[1,2]\n"text"\n{"v":1,"key":"k"}\n')
    written.append(line_of(written.fields("k", 1) | {"step": "one"}))
    written.append(line_of(written.fields("k", 1) | {"state": "lost"}))
    written.row("k", 2)
    run = Run(written.path)
    assert run.steps("k") == [0, 2]
    assert (run.problems.not_json, run.problems.not_a_row) == (2, 5)
    assert any("needs the field 'step'" in example for example in run.problems.examples)
    assert any("'state' cannot be 'lost'" in example for example in run.problems.examples)
    assert all(written.segment.name in example for example in run.problems.examples)


def test_row_damaged_behind_its_beginning_is_skipped_when_read(written: WrittenRun) -> None:
    """A line whose first fields are sound and whose rest is not JSON is left out and counted."""
    written.row("k", 0)
    written.append(line_of(written.fields("k", 1)).replace(b'"host":', b'"host";'))
    written.row("k", 2)
    run = Run(written.path)
    rows = run.rows("k")
    assert [row.step for row in rows] == [0, 2]
    assert run.problems.not_json == 1
    assert [row.step for row in rows] == [0, 2]
    assert run.problems.not_json == 1
    assert run.summary().rows == 2
    assert run.steps("k") == [0, 2]
    with pytest.raises(RunError, match="is damaged"):
        rows[1]


def test_rows_of_other_writers_are_read(written: WrittenRun) -> None:
    """Blanks, another order of fields and escapes make no difference to what is read."""
    written.row("k", 0)
    fields = written.fields("ké", 1, meta={"a": 1})
    shuffled = dict(reversed(list(fields.items())))
    written.append(json.dumps(shuffled).encode() + b"\n")
    written.append(line_of(written.fields("ké", 2)))
    run = Run(written.path)
    assert run.steps("ké") == [1, 2]
    assert run.rows("ké", 1)[0].meta == {"a": 1}
    assert run.problems.total == 0


def test_fields_of_later_minor_formats_are_kept(written: WrittenRun) -> None:
    """Fields that this version does not know are left alone and shown by to_dict."""
    written.row("k", 0, shiny={"new": True})
    assert Run(written.path).rows()[0].to_dict()["shiny"] == {"new": True}


def test_another_major_version_is_an_error_naming_both(written: WrittenRun) -> None:
    """A row of format version 2 cannot be read by version 1, and the error says so."""
    written.row("k", 0)
    written.append(line_of(written.fields("k", 1) | {"v": 2}))
    with pytest.raises(RunError, match="format version 2, and this pixlog reads version 1"):
        Run(written.path)


def test_duplicate_client_and_seq_keeps_the_first(written: WrittenRun) -> None:
    """The first row of a (client, seq) counts, within a segment and across segments and refreshes."""
    written.row("k", 0, seq=5)
    written.row("k", 1, seq=5)
    run = Run(written.path)
    later = WrittenRun(written.path, segment="20250102T040000Z-host-78.jsonl")
    later.row("k", 2, seq=5)
    later.row("k", 3, seq=5, client="another")
    assert run.steps("k") == [0, 3]
    assert run.problems.duplicates == 2
    assert "seq 5 of client 00000000000000aa occurs twice" in run.problems.examples[0]


def test_every_query_sees_rows_logged_since(written: WrittenRun) -> None:
    """An open run shows new rows, keys and segments without being opened again."""
    run = Run(written.path)
    written.row("a", 0)
    assert run.keys() == ["a"]
    rows = run.rows()
    WrittenRun(written.path, segment="20250102T040000Z-host-78.jsonl").row("b", 1, client="b")
    assert [row.key for row in rows] == ["a"]
    assert run.steps("b") == [1]
    assert [row.key for row in run.rows()] == ["a", "b"]
    assert run.row_count == 2


def test_refresh_reads_only_what_was_appended(written: WrittenRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refresh scans the new lines, not the segment."""
    for step in range(200):
        written.row("k", step)
    run = Run(written.path)
    scanned: list[int] = []
    scan_block = segment_scan.SegmentScanner._scan_block

    def counting(self: Any, segment: Any, block: bytes, nbytes: int) -> Any:
        scanned.append(nbytes)
        return scan_block(self, segment, block, nbytes)

    monkeypatch.setattr(segment_scan.SegmentScanner, "_scan_block", counting)
    assert run.refresh() == 0
    line = line_of(written.fields("k", 200))
    written.append(line)
    assert run.refresh() == 1
    assert scanned == [len(line)]


def test_opening_parses_no_row(written: WrittenRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening, counting, keys, steps and selecting never parse a line; reading n rows parses n lines."""
    for step in range(500):
        written.row("k", step)
    parsed: list[bytes] = []

    def counting(line: bytes) -> Any:
        parsed.append(line)
        return json.JSONDecoder().decode(line.decode())

    monkeypatch.setattr(json, "loads", counting)
    run = Run(written.path)
    assert run.summary().rows == 500
    rows = run.rows("k", slice(100, 110))
    assert (run.keys(), len(run.steps("k")), len(rows)) == (["k"], 500, 10)
    assert [line for line in parsed if line.startswith(b"{")] == []
    assert len(list(rows)) == 10
    assert len([line for line in parsed if line.startswith(b"{")]) == 10


def test_index_keeps_few_bytes_a_row(written: WrittenRun) -> None:
    """100,000 rows take less than 200 bytes of memory each."""
    lines = [line_of(written.fields(f"k{n % 7}", n // 7, rank=n % 4)) for n in range(100_000)]
    written.append(b"".join(lines))
    run = Run(written.path)
    assert run.row_count == 100_000
    assert run._index.nbytes < 200 * 100_000
    assert [row.step for row in run.rows("k3", 14_000)] == [14_000]


@pytest.mark.parametrize("block_nbytes", [16, 100, 1000])
def test_rows_longer_than_a_block_are_read(
    written: WrittenRun, monkeypatch: pytest.MonkeyPatch, block_nbytes: int
) -> None:
    """Lines may be longer than the block that is read at once, and end anywhere in it."""
    monkeypatch.setattr(segment_scan, "BLOCK_NBYTES", block_nbytes)
    for step in range(20):
        written.row("k", step, meta={"text": "x" * (37 * step)})
    written.append(b'{"v":1,"key":"torn')
    run = Run(written.path)
    assert run.steps("k") == list(range(20))
    assert run.problems.total == 0


def test_rows_taken_back_disappear_and_come_back(written: WrittenRun) -> None:
    """A writer without space takes back the rows of a batch that readers have seen, and writes them again later."""
    written.row("k", 0)
    kept = written.segment.read_bytes()
    batch = [line_of(written.fields("k", step)) for step in (1, 2, 3)]
    written.append(batch[0] + batch[1] + batch[2][:40])
    run = Run(written.path)
    following = run.follow(timeout_s=0.0)
    assert [row.step for row in following] == [0, 1, 2]
    written.segment.write_bytes(kept)
    assert run.steps("k") == [0]
    assert (run.summary().rows, [row.step for row in run.rows()]) == (1, [0])
    written.append(batch[2] + batch[0] + batch[1])
    assert [(row.step, row.seq) for row in run.rows("k")] == [(0, 0), (1, 1), (2, 2), (3, 3)]
    assert run.problems.total == 0


def test_rows_taken_back_and_rewritten_unseen_are_read_anew(written: WrittenRun) -> None:
    """The reader notices even if the segment is longer than before when it looks again; followers see no row twice."""
    written.row("k", 0)
    kept = written.segment.read_bytes()
    batch = [line_of(written.fields("k", step, meta={"pad": "x" * 50 * step})) for step in (1, 2, 3)]
    written.append(batch[0] + batch[1])
    stopping: list[bool] = []
    seen: list[int] = []
    run = Run(written.path)
    for row in run.follow(poll_s=0.0, stop=lambda: bool(stopping)):
        seen.append(row.step)
        if seen == [0, 1, 2]:
            written.segment.write_bytes(kept + batch[2] + batch[0] + batch[1])
        if row.step == 3:
            stopping.append(True)
    assert seen == [0, 1, 2, 3]
    assert [(row.step, row.seq) for row in run.rows("k")] == [(0, 0), (1, 1), (2, 2), (3, 3)]
    assert run.problems.total == 0


def test_numbers_at_their_limits_are_kept_exactly(written: WrittenRun) -> None:
    """Steps of 64 bits, ranks of 31, seq of 12 digits and microseconds survive."""
    steps = [-(2**63), -(10**18) + 1, 10**18 - 1, 2**63 - 1]
    for step in steps:
        written.row(
            "k", step, rank=2**31 - 1, seq=10**12 - 1 if step == steps[2] else None, time=1732000000.1234567
        )
    written.append(b"".join(line_of(written.fields("other", n)) for n in range(9)))
    run = Run(written.path)
    assert run.steps("k") == steps
    assert run.rows("k").column("time").tolist() == [1732000000.1234567] * 4
    assert run.rows("k").column("seq").tolist() == [0, 1, 10**12 - 1, 2]
    assert run.rows("k", rank=2**31 - 1)[0].rank == 2**31 - 1
    assert run.problems.total == 0


def test_row_without_a_time_is_kept(written: WrittenRun) -> None:
    """A call that was refused because it said no time still has its row; its time reads as 0."""
    written.append(line_of(written.fields("k", 0, state="failed", reason="malformed") | {"time": None}))
    written.append(line_of(written.fields("k", 1, state="failed", reason="malformed") | {"time": "nan"}))
    assert [row.time for row in Run(written.path).rows()] == [0.0, 0.0]


def test_unfinished_line_may_be_taken_back(written: WrittenRun) -> None:
    """A writer without space cuts its unfinished line off and writes it again, to the very same size or not."""
    written.row("k", 0)
    whole = written.segment.read_bytes()
    line = line_of(written.fields("k", 1))
    run = Run(written.path)
    written.append(line[:-1] + b" ")
    assert run.refresh() == 0
    written.segment.write_bytes(whole + line)
    assert run.steps("k") == [0, 1]
    written.append(b'{"v":1')
    run.refresh()
    written.segment.write_bytes(whole + line)
    assert run.refresh() == 0
    assert run.torn_nbytes == 0


def test_recent_rows_are_merged_into_reading_order(written: WrittenRun) -> None:
    """Rows that come after many others take their place among them, by look-up and in full."""
    written.append(b"".join(line_of(written.fields("k", 2 * n)) for n in range(6000)))
    run = Run(written.path)
    for step in (7, 11_999, -1, 8):
        written.row("k", step)
    assert run.rows("k", slice(6, 10)).column("step").tolist() == [6, 7, 8, 8]
    assert run.rows("k", [8, -1]).column("step").tolist() == [-1, 8, 8]
    steps = run.rows("k").column("step").tolist()
    assert steps == sorted(steps)
    assert len(steps) == 6004


def test_order_follows_when_an_older_row_of_a_client_comes_late(written: WrittenRun) -> None:
    """Clients are ordered by their oldest row even if that row is written last."""
    written.row("k", 0, client="x", seq=1, time=50.0)
    written.row("k", 0, client="y", seq=0, time=40.0)
    run = Run(written.path)
    assert [row.client for row in run.rows("k")] == ["y", "x"]
    written.row("k", 0, client="x", seq=0, time=30.0)
    assert [(row.client, row.seq) for row in run.rows("k")] == [("x", 0), ("x", 1), ("y", 0)]


def test_a_segment_that_cannot_be_read_costs_no_row_of_another(written: WrittenRun) -> None:
    """While one segment is away the rows of the others come in, and once it is back nothing is missing."""
    away = WrittenRun(written.path, segment="20250102T040000Z-host-78.jsonl")
    last = WrittenRun(written.path, segment="20250102T050000Z-host-79.jsonl")
    written.row("k", 0)
    away.row("k", 1, client="b")
    last.row("k", 2, client="c")
    run = Run(written.path)
    written.row("k", 3)
    last.row("k", 4, client="c")
    away.row("k", 5, client="b")
    elsewhere = written.path / "elsewhere"
    away.segment.rename(elsewhere)
    for _ in range(2):
        with pytest.raises(RunError, match=r"cannot read .*host-78"):
            run.refresh()
    assert run.row_count == 5
    elsewhere.rename(away.segment)
    assert run.steps("k") == [0, 1, 2, 3, 4, 5]
    assert run.problems.total == 0


def test_rows_before_one_of_a_later_version_are_not_lost(
    written: WrittenRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The blocks of a segment that were read before one that raises are kept."""
    run = Run(written.path)
    line = line_of(written.fields("k", 1))
    monkeypatch.setattr(segment_scan, "BLOCK_NBYTES", len(line))
    written.append(line)
    kept = written.segment.read_bytes()
    written.append(line_of(written.fields("k", 2) | {"v": 2}))
    with pytest.raises(RunError, match="format version 2"):
        run.refresh()
    written.segment.write_bytes(kept)
    assert run.steps("k") == [1]


def test_problems_of_a_segment_count_once_however_often_it_is_read(written: WrittenRun) -> None:
    """A segment that is read anew because lines were taken back counts its bad lines and duplicates once."""
    written.row("k", 0, seq=0)
    written.append(b"not json\n[]\n")
    written.row("k", 0, seq=0)
    written.append(line_of(written.fields("k", 1, seq=1)).replace(b'"host":', b'"host";'))
    kept = written.segment.read_bytes()
    written.row("k", 2, seq=2)
    run = Run(written.path)
    assert [row.step for row in run.rows()] == [0, 2]
    written.segment.write_bytes(kept)
    assert [row.step for row in run.rows()] == [0]
    problems = run.problems
    assert (problems.not_json, problems.not_a_row, problems.duplicates) == (2, 1, 1)
    assert len(problems.examples) == 4


def test_revision_tells_that_a_table_is_to_be_read_anew(written: WrittenRun) -> None:
    """It stands still while rows come, and grows when rows are taken back and when they are written again."""
    for step in range(3):
        written.image("k", step)
    run = Run(written.path)
    written.image("k", 3)
    assert len(run.table()) == 4
    assert run.revision == 0
    images = run.media_totals()["k"].images
    whole = written.segment.read_bytes()
    written.segment.write_bytes(b"".join(whole.splitlines(keepends=True)[:2]))
    assert run.table().state.tolist() == [0, 0, 3, 3]
    taken_back = run.revision
    assert taken_back > 0
    assert run.media_totals()["k"].images == 2
    written.segment.write_bytes(whole)
    assert run.table().state.tolist() == [0, 0, 0, 0]
    assert run.revision > taken_back
    assert run.media_totals()["k"].images == images == 4
