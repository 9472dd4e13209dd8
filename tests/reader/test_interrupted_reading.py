"""Ctrl-C while a run is read, as it is typed into a notebook."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from pixlog.reading.run import Run
from struck_locks import locks_that_can_be_struck, strikes_of
from waiting import scaled_s
from written_runs import WrittenRun


@pytest.fixture(autouse=True)
def _locks() -> Iterator[None]:
    with locks_that_can_be_struck("reading.row_index"):
        yield


def test_ctrl_c_behind_the_taking_of_any_lock_leaves_the_run_readable(written: WrittenRun) -> None:
    """Whichever lock of a read it is, another thread reads the same run next and waits for nobody."""
    written.image("k", 0)
    run = Run(written.path)
    counts: list[int] = []

    def read() -> None:
        run.refresh()
        counts.append(len(run.rows("k", step=0)))

    strikes = 0
    for _ in strikes_of(read):
        written.image("k", 0)
        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        thread.join(scaled_s(10))
        strikes += 1
        assert counts == list(range(2, strikes + 2))
    assert strikes >= 2
