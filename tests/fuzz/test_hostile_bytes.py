"""Hostile bytes: ``make fuzz`` holds a million conversations with the session and ten thousand with a daemon.

A conversation that went wrong is repeated alone with the seed and the number that its error names.
"""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

from fault_plan import FaultPlan
from session_fuzz import SessionReport, fuzz_session
from socket_fuzz import fuzz_socket

_AREA = "9 hostile bytes"
_FIRST = int(os.environ.get("PIXLOG_TEST_FIRST") or 0)
_CHUNK = 20_000


def test_session_survives_hostile_conversations(plan: FaultPlan) -> None:
    """Whatever bytes come: events are sound, errors are said and end it, no descriptor is lost, nothing is raised."""
    count = plan.repeats(suite=20_000, full=1_000_000)
    report = _fuzz_in_processes(plan.seed, count)
    assert report.inputs == count
    tried = "Mutated, cut, reordered and oversized frames with bogus descriptors reach the daemon's session"
    plan.record(_AREA, tried, times=count, measured=str(report))


def test_daemon_survives_hostile_conversations(plan: FaultPlan, directory: Path, run_dir: Path) -> None:
    """Another client loses nothing meanwhile, memory and descriptors come back, nothing outside the run is changed."""
    count = plan.repeats(suite=500, full=10_000)
    report = fuzz_socket(plan.seed, count, directory / "s", run_dir, first=_FIRST)
    assert report.inputs == count
    tried = (
        "Hostile conversations with a daemon, among them memfds that shrink, more arenas than allowed, a client that "
        "says a byte a second and one that never listens; the images are another client's"
    )
    plan.record(_AREA, tried, times=count, images=report.honest, measured=str(report))


def _fuzz_in_processes(seed: int, count: int) -> SessionReport:
    """Spread a long run over the processors."""
    if count <= _CHUNK:
        return fuzz_session(seed, count, first=_FIRST)
    starts = range(_FIRST, _FIRST + count, _CHUNK)
    jobs = [(seed, min(_CHUNK, _FIRST + count - start), start) for start in starts]
    report = SessionReport()
    with multiprocessing.get_context("spawn").Pool() as pool:
        for part in pool.starmap(fuzz_session, jobs, chunksize=1):
            report.add(part)
        pool.close()
        pool.join()
    return report
