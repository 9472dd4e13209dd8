"""Which open runs nobody needs any more: a service that serves one run after another would keep a file of each.

A run is at rest while it has no client, nothing of it is on its way and nothing of its spill is looked at.  After a
minute of that it is let go, sooner when very many rest at once: those first that have rested longest.  Whoever comes
back opens it again, in a segment of its own, as with another daemon: what is known of a client that is gone is in the
manifest alone, in either case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pixlogd.rundir.open_run import OpenRun

REST_S = 60.0
"""Long enough that whoever collects the daemon's numbers gets a run's last ones."""


class RunsAtRest:
    """How long each open run has been at rest."""

    def __init__(self, is_in_use: Callable[[OpenRun], bool], *, most: int) -> None:
        self._is_in_use = is_in_use
        self._most = most
        self._since: dict[OpenRun, float] = {}

    def due(self, runs: Iterable[OpenRun], now: float) -> list[OpenRun]:
        """Return the runs to let go at ``now``, in seconds of a monotonic clock; to be asked again and again."""
        before, self._since = self._since, {}
        for run in runs:
            if not self._is_in_use(run):
                self._since[run] = before.get(run, now)
        too_many = len(self._since) - self._most
        longest_first = sorted(self._since.items(), key=lambda item: item[1])
        return [
            run
            for number, (run, since) in enumerate(longest_first)
            if number < too_many or now - since >= REST_S
        ]
