"""What ``Run`` says about rows: keys, steps, order, filters, fields."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pixlog.errors import InputError, InputTypeError, RunError
from pixlog.reading.run import Run
from written_runs import WrittenRun, line_of


def test_run_lists_keys_sorted(written: WrittenRun) -> None:
    """keys() has every key once, sorted, exactly as logged."""
    for key in ("val/pred", "a b", "é\n\"'\\", "val/gt", "a b"):
        written.row(key)
    assert Run(written.path).keys() == sorted({"val/pred", "a b", "é\n\"'\\", "val/gt"})


def test_run_lists_steps_ascending_once(written: WrittenRun) -> None:
    """steps() has each label once, ascending, whatever order they were logged in."""
    for step in (5, -2, 5, 10**12, 0):
        written.row("k", step)
    assert Run(written.path).steps("k") == [-2, 0, 5, 10**12]


def test_run_knows_no_steps_of_unlogged_key(written: WrittenRun) -> None:
    """A key that was not logged yet has no steps and no rows."""
    written.row("k")
    run = Run(written.path)
    assert run.steps("other") == []
    assert list(run.rows("other")) == []


def test_rows_come_by_key_step_rank_then_seq(written: WrittenRun) -> None:
    """Reading order is key, step, rank, then the client that began first, then seq."""
    written.row("b", 0, client="late", seq=0, time=200.0)
    written.row("b", 0, client="early", seq=1, time=900.0)
    written.row("b", 0, client="early", seq=0, time=100.0)
    written.row("b", 0, rank=1, client="other", seq=0, time=1.0)
    written.row("a", 7, client="early", seq=3, time=300.0)
    written.row("a", 2, client="early", seq=4, time=301.0)
    found = [(row.key, row.step, row.rank, row.client, row.seq) for row in Run(written.path).rows()]
    assert found == [
        ("a", 2, 0, "early", 4),
        ("a", 7, 0, "early", 3),
        ("b", 0, 0, "early", 0),
        ("b", 0, 0, "early", 1),
        ("b", 0, 0, "late", 0),
        ("b", 0, 1, "other", 0),
    ]


def test_rows_keep_repeated_steps(written: WrittenRun) -> None:
    """Two rows of one key, step and rank are both there."""
    written.row("k", 3)
    written.row("k", 3)
    assert [row.seq for row in Run(written.path).rows("k", 3)] == [0, 1]


def test_row_has_every_field_as_written(written: WrittenRun) -> None:
    """A row's attributes are the fields of its line."""
    fields = written.row(
        "k",
        3,
        rank=2,
        time=123.25,
        call="c1",
        input={"dtype": "float32"},
        meta={"score": 0.5},
        local_rank=1,
        world_size=4,
        notes=["alpha dropped"],
    )
    (row,) = Run(written.path).rows()
    assert (row.key, row.step, row.rank, row.seq, row.time) == ("k", 3, 2, 0, 123.25)
    assert (row.state, row.reason, row.value) == ("saved", None, fields["value"])
    assert (row.call, row.input, row.meta) == ("c1", {"dtype": "float32"}, {"score": 0.5})
    assert (row.local_rank, row.world_size, row.host, row.pid) == (1, 4, "node1", 4242)
    assert row.notes == ["alpha dropped"]
    assert row.to_dict() == fields


@pytest.mark.parametrize(
    ("again", "said"),
    [
        ('"step":"x"', "its step is 1 first and 'x' then"),
        ('"step":7', "its step is 1 first and 7 then"),
        ('"rank":null', "its rank is 0 first and None then"),
        ('"key":"other"', "its key is 'k' first and 'other' then"),
        ('"state":[]', "its state is 'saved' first and [] then"),
        ('"seq":99', "no longer the row with seq 1 of client"),
    ],
)
def test_row_that_says_a_field_twice_counts_as_damaged(tmp_path: Path, again: str, said: str) -> None:
    """Where JSON takes another value than the index has, the row is skipped and named; one said alike is a row."""
    run = WrittenRun(tmp_path / "run")
    run.image("k", 0)
    line = line_of(run.fields("k", 1))
    run.append(line.replace(b'"host":', again.encode() + b',"host":'))
    run.append(line_of(run.fields("k", 2)).replace(b'"host":', b'"step":2,"host":'))
    opened = Run(run.path)
    assert [row.step for row in opened.rows()] == [0, 2]
    assert said in opened.problems.examples[0]
    with pytest.raises(RunError, match="is damaged"):
        Run(run.path).rows("k", 1)[0]


def test_row_lacks_nothing_when_fields_are_absent(written: WrittenRun) -> None:
    """Optional fields read as None or empty."""
    written.row("k", state="dropped", reason="buffer full")
    (row,) = Run(written.path).rows()
    assert (row.state, row.reason, row.value) == ("dropped", "buffer full", None)
    assert (row.meta, row.notes, row.files, row.images) == ({}, [], (), [])
    assert (row.call, row.input, row.world_size) == (None, None, None)


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (4, [4]),
        (np.int64(4), [4]),
        (slice(0, 10), [0, 4, 9]),
        (slice(None, 0), [-3]),
        (slice(9, None), [9, 10, 20]),
        (slice(0, None, 10), [0, 10, 20]),
        (slice(4, 21, 5), [4, 9]),
        (slice(None, None, 2), [0, 4, 10, 20]),
        ([20, -3, 20, 7], [-3, 20]),
        (range(8, 11), [9, 10]),
        (np.array([9]), [9]),
        ([], []),
        (slice(10, 0), []),
    ],
)
def test_rows_select_steps_as_labels(written: WrittenRun, step: object, expected: list[int]) -> None:
    """A step is a label, a half-open range of labels with a stride, or several labels."""
    for label in (0, 4, 9, 10, 20, -3):
        written.row("k", label)
    assert [row.step for row in Run(written.path).rows("k", step)] == expected  # type: ignore[arg-type]


def test_rows_filter_by_rank_state_client_and_meta(written: WrittenRun) -> None:
    """rank, state, client and where narrow the rows, alone and together."""
    for seq in range(12):
        written.row(
            "k",
            seq,
            rank=seq % 3,
            client="ab"[seq % 2],
            state=("saved", "failed", "dropped", "saved")[seq // 3],
            meta={"score": seq / 10},
        )
    run = Run(written.path)
    assert [row.step for row in run.rows(rank=1)] == [1, 4, 7, 10]
    assert [row.step for row in run.rows(rank=[0, 2], state="failed")] == [3, 5]
    assert [row.step for row in run.rows(state=("failed", "dropped"), client="b")] == [3, 5, 7]
    assert [row.step for row in run.rows(where=lambda row: row.meta["score"] < 0.3)] == [0, 1, 2]
    low = run.rows(rank=1, where=lambda row: row.meta["score"] > 0.5)
    assert len(low) == 2
    assert [row.step for row in low] == [7, 10]


def test_rows_take_several_keys_in_the_order_given(written: WrittenRun) -> None:
    """key= also takes several keys."""
    for key in "abc":
        written.row(key)
    assert [row.key for row in Run(written.path).rows(key=["c", "a"])] == ["c", "a"]


def test_rows_are_a_sequence(written: WrittenRun) -> None:
    """Rows have a length, an index from both ends, slices and columns."""
    for step in range(10):
        written.row("k", step)
    rows = Run(written.path).rows("k")
    assert len(rows) == 10
    assert (rows[0].step, rows[-1].step) == (0, 9)
    assert [row.step for row in rows[2:5]] == [2, 3, 4]
    assert rows.column("step").tolist() == list(range(10))
    with pytest.raises(IndexError):
        rows[10]
    with pytest.raises(InputError, match="one of step, rank, seq, time; got 'value'"):
        rows.column("value")


@pytest.mark.parametrize(
    ("filters", "error", "message"),
    [
        ({"step": "3"}, InputTypeError, "step takes an integer, got '3'"),
        ({"step": 1.5}, InputTypeError, "step takes an integer, got 1.5"),
        ({"step": slice(0, "x")}, InputTypeError, "a bound of step takes an integer, got 'x'"),
        ({"step": slice(0, 10, -1)}, InputError, "stride of a step slice is 1 or more, got -1"),
        ({"step": 2**63}, InputError, f"64 bits, from {-(2**63)} to {2**63 - 1}, got {2**63}"),
        ({"step": [0, -(2**63) - 1]}, InputError, f"64 bits, .* got {-(2**63) - 1}"),
        ({"step": slice(0, 2**63 + 1)}, InputError, f"to {2**63}, got {2**63 + 1}"),
        ({"state": "lost"}, InputError, "state is one of saved, failed, dropped; got 'lost'"),
        ({"key": 3}, InputTypeError, "key takes a string or several, got int"),
        ({"rank": "0"}, InputTypeError, "rank takes an integer, got '0'"),
        ({"where": "meta.score < 1"}, InputTypeError, "where takes a function of a row, got str"),
    ],
)
def test_rows_refuse_filters_that_cannot_be(
    written: WrittenRun, filters: dict[str, object], error: type[Exception], message: str
) -> None:
    """A filter of a wrong type or value is an error at the call that says what was expected."""
    with pytest.raises(error, match=message):
        Run(written.path).rows(**filters)  # type: ignore[arg-type]


def test_rows_are_chosen_by_every_step_there_is(written: WrittenRun) -> None:
    """The least and the greatest step of 64 bits can be asked for, alone, among others and as bounds of a range."""
    low, high = -(2**63), 2**63 - 1
    steps = [low, low + 1, low + 2, -1, 0, high - 1, high]
    for step in steps:
        written.row("k", step)
    run = Run(written.path)
    ranges = [
        (low, high, None),
        (low, high + 1, None),
        (None, low, None),
        (high, None, None),
        (low + 1, 0, 1),
    ]
    ranges += [(low, high + 1, 2), (low + 1, high + 1, 3), (1, None, high), (high, high + 1, high)]
    for key in ("k", None):
        for step in steps:
            assert [row.step for row in run.rows(key, step)] == [step]
        assert [row.step for row in run.rows(key, [low, high])] == [low, high]
        for start, stop, stride in ranges:
            first, end = low if start is None else start, high + 1 if stop is None else stop
            expected = [step for step in steps if first <= step < end and (step - first) % (stride or 1) == 0]
            assert [row.step for row in run.rows(key, slice(start, stop, stride))] == expected


def test_summary_counts_by_key_and_state(written: WrittenRun) -> None:
    """summary() counts rows by state, and the steps and ranks of each key."""
    written.row("a", 5, rank=1, time=10.0)
    written.row("a", 5, rank=0, time=11.0)
    written.row("a", 9, state="failed", reason="shape", time=12.0)
    written.row("b", 1, state="dropped", reason="full", client="x", time=9.0)
    summary = Run(written.path).summary()
    assert (summary.rows, summary.saved, summary.failed, summary.dropped) == (4, 2, 1, 1)
    assert (summary.ranks, summary.client_count, summary.segment_count) == ((0, 1), 2, 1)
    assert (summary.first_time, summary.last_time) == (9.0, 12.0)
    assert list(summary.keys) == ["a", "b"]
    of_a = summary.keys["a"]
    assert (of_a.rows, of_a.step_count, of_a.first_step, of_a.last_step, of_a.ranks) == (3, 2, 5, 9, (0, 1))
    assert summary.counts_text() == "4 rows, 2 saved, 1 failed, 1 dropped"


def test_run_prints_usefully(written: WrittenRun) -> None:
    """repr() of a run, its rows and images says what they are."""
    written.image("k", 3)
    run = Run(written.path)
    assert repr(run) == f"<Run '{written.path}': 1 row, 1 saved; keys 'k'>"
    assert repr(run.rows()) == f"<Rows: 1 rows of {written.path}>"
    assert repr(run.rows()[0]) == "<Row 'k' step=3 rank=0 seq=0 client=00000000000000aa saved>"
    assert repr(run.images()[0]).startswith("<SavedImage 'k' step=3 rank=0 index=0 media/images/k_3_")


def test_run_without_rows_is_empty(written: WrittenRun) -> None:
    """A run that has only just begun has no keys, and its summary is all zeros."""
    run = Run(written.path)
    assert run.keys() == []
    assert run.summary().counts_text() == "0 rows"
    assert "none yet" in repr(run)
    assert list(run.rows()) == []


def test_run_opens_relative_paths_for_good(written: WrittenRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is resolved when the run is opened."""
    written.image("k")
    monkeypatch.chdir(written.path.parent)
    run = Run("run")
    monkeypatch.chdir("/")
    assert run.path == written.path
    assert run.images("k")[0].path.is_absolute()
    assert run.images("k")[0].path.exists()


def test_run_refuses_what_is_no_run(tmp_path: Path) -> None:
    """A missing path, a file and another directory are errors that say what was expected and found."""
    with pytest.raises(RunError, match=r"there is no run at .*expected a directory with manifest/\*\.jsonl"):
        Run(tmp_path / "missing")
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunError, match="is a file, not a run directory"):
        Run(tmp_path / "file")
    with pytest.raises(RunError, match=r"is not a run directory: .*; found file"):
        Run(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="found nothing"):
        Run(tmp_path / "empty")


def test_run_error_points_at_the_run_nearby(written: WrittenRun) -> None:
    """The parent directory or the manifest of a run is an error that names the run."""
    written.row("k")
    with pytest.raises(RunError, match=f"runs in it: {written.path}"):
        Run(written.path.parent)
    with pytest.raises(RunError, match=f"did you mean {written.path}"):
        Run(written.path / "manifest")
