"""From whom is read: a client of whom too much waits is not heard until half of that is done.

What a paused client goes on saying stays in the socket, which fills, so that its memory fills next, and its own policy
decides.  That one has hung up is not noticed while nobody reads from it, so it is looked for.
"""

from __future__ import annotations

from collections.abc import Collection

from pixlogd.config.settings import Settings
from pixlogd.connection import Connection


class Regulation:
    """Pauses and resumes the reading of ``connections``, which are those of the daemon at any time."""

    def __init__(self, settings: Settings, connections: Collection[Connection]) -> None:
        self._settings = settings
        self._connections = connections

    def regulate(self, connection: Connection) -> None:
        """Pause a connection while its client's queue is full, and resume it when that is half empty."""
        record = connection.record
        if record is None or not connection.open:
            return
        settings = self._settings
        waiting = len(record.queue) + record.in_flight
        share_nbytes = settings.queue_bytes // max(1, len(self._connections))
        if waiting >= settings.queue_rows or record.inline_nbytes >= share_nbytes or connection.congested:
            connection.pause()
        elif waiting <= settings.queue_rows // 2 and record.inline_nbytes <= share_nbytes // 2:
            connection.resume()

    def regulate_paused(self) -> None:
        """Calls were settled: resume those whose queues are half empty."""
        for connection in self._connections:
            if connection.paused:
                self.regulate(connection)

    def receive_from_the_dead(self) -> bool:
        """Read to its end what paused clients said that hung up, and return whether there was one.

        No more of it can come than the socket holds.
        """
        left = [connection for connection in self._connections if connection.paused and connection.is_left]
        for connection in left:
            connection.receive_all()
        return bool(left)

    def receive_the_rest(self) -> None:
        """At the end of the daemon: take what all sockets hold, and read no more."""
        for connection in list(self._connections):
            connection.pause()
            connection.receive_all()
