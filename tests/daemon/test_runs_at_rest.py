"""A service lets go of runs that nobody logs into any more, and opens them again for whoever comes back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from accounting import rows_of
from daemon_rooms import open_run
from pixlogd.rundir.open_run import OpenRun
from pixlogd.runs_at_rest import REST_S, RunsAtRest
from raw_peer import RawPeer
from served import Daemon, serving
from waiting import wait_until

LIMIT = 64
SERVED = 80


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[list[OpenRun]]:
    """Return three open runs."""
    with ExitStack() as stack:
        yield [stack.enter_context(open_run(tmp_path / str(number))) for number in range(3)]


def test_run_is_let_go_when_it_has_been_at_rest_long_enough(runs: list[OpenRun]) -> None:
    """Its rest is counted anew from its last use."""
    in_use = {runs[1]}
    at_rest = RunsAtRest(lambda run: run in in_use, most=10)
    assert at_rest.due(runs, 100.0) == []
    in_use.add(runs[2])
    assert at_rest.due(runs, 110.0) == []
    in_use.clear()
    assert at_rest.due(runs, 120.0) == []
    assert at_rest.due(runs, 100.0 + REST_S) == [runs[0]]
    assert at_rest.due(runs[1:], 119.0 + REST_S) == []
    assert at_rest.due(runs[1:], 120.0 + REST_S) == runs[1:]


def test_runs_that_rested_longest_go_first_when_too_many_rest(runs: list[OpenRun]) -> None:
    """Of more than may rest, only as many go as are too many, and none that is in use."""
    in_use = set(runs[:2])
    at_rest = RunsAtRest(lambda run: run in in_use, most=1)
    assert at_rest.due(runs, 100.0) == []
    in_use.remove(runs[1])
    assert at_rest.due(runs, 101.0) == [runs[2]]
    assert at_rest.due(runs[:2], 102.0) == []


def log_once(daemon: Daemon, run_dir: Path) -> list[object]:
    """Log one image into a run, as a client that comes and goes; return its acknowledgement."""
    with RawPeer(daemon.socket_path) as peer:
        peer.greet(run_dir)
        peer.log(0)
        return peer.hear_acks(1)[0]


def segments_open(daemon: Daemon) -> int:
    """Return how many segments the daemon has open."""
    return sum(count for name, count in daemon.open_files().items() if name.endswith(".jsonl"))


@pytest.mark.parametrize("store", ["files", "packed"])
def test_service_serves_more_runs_than_it_may_have_files_open(
    directory: Path, tmp_path: Path, store: str
) -> None:
    """One run after the other is served, and a client that comes back to the first finds what it had logged."""
    run_dirs = [tmp_path / str(number) for number in range(SERVED)]
    with serving(directory, limits=f"ulimit -n {LIMIT}", store=store) as daemon:
        first = log_once(daemon, run_dirs[0])
        for run_dir in run_dirs[1:]:
            assert log_once(daemon, run_dir)[1] == "saved"
        wait_until(lambda: segments_open(daemon) <= LIMIT // 8, what="runs to be let go")
        assert str(run_dirs[0]) not in [run["run_dir"] for run in daemon.status()["runs"]]
        with RawPeer(daemon.socket_path) as peer:
            peer.greet(run_dirs[0], again=True)
            peer.log(0)
            peer.log(1)
            acks = peer.hear_acks(2)
    assert acks[0][:4] == first[:4]
    assert acks[1][1] == "saved"
    assert sorted(row["seq"] for row in rows_of(run_dirs[0])) == [0, 1]
    assert len(list((run_dirs[0] / "manifest").iterdir())) == 2
    assert all(len(list(rows_of(run_dir))) == 1 for run_dir in run_dirs[1:])
