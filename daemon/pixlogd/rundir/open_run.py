"""A run that this daemon writes: its directory, its clients and what became of what they logged."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from pixlog.errors import RunDirError
from pixlog.served_clients import ServedClients
from pixlog.spill_names import DAMAGED_SUFFIX, claimant
from pixlog.writer_mark import is_abandoned, own_mark
from pixlogd.config.settings import Settings
from pixlogd.headers import Hello, Log
from pixlogd.payload import Payload
from pixlogd.rundir.library import Library
from pixlogd.rundir.manifest import ManifestWriter
from pixlogd.rundir.packed_store import PackedStore
from pixlogd.rundir.store import FileStore, Store
from pixlogd.seq_set import SeqSet
from pixlogd.tally import Histogram, Rates, Tally

_UNPACKED = 8
"""How many times as much a header takes, unpacked, as it did on the wire; of boxes and captions, roughly."""

Ack: TypeAlias = tuple[int, str, str | None, list[str], list[str]]
"""One settled call as its client hears of it: seq, state, reason, paths, notes."""


@dataclass(slots=True, eq=False)
class ClientRecord:
    """What the daemon knows of one client, over all its connections.

    ``deliver`` hands acknowledgements to the connection that it has now, None while it has none.  ``unsettled`` are
    the numbers of the calls that were accepted and have no row yet.
    """

    hello: Hello
    run: OpenRun
    known: SeqSet
    unsettled: set[int] = field(default_factory=set)
    queue: deque[Entry] = field(default_factory=deque)
    in_flight: int = 0
    inline_nbytes: int = 0
    tally: Tally = field(default_factory=Tally)
    recalled: dict[int, Ack] = field(default_factory=dict)
    deliver: Callable[[Ack], None] | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing of it is waiting or being worked on."""
        return not self.queue and not self.in_flight


@dataclass(slots=True, eq=False)
class Entry:
    """One call on its way through the daemon."""

    client: ClientRecord
    log: Log
    payload: Payload
    on_settled: Callable[[], None] | None = None
    """Called when it has its row, for a call that somebody else than its client waits for."""
    last_try: bool = False
    """Whether it fails unless the image that it points at is there now."""
    unread_count: int = 0
    """How often it could not be read, in vain so far."""
    crashes: tuple[str, ...] = ()
    """What ended the worker processes that rendered it: it is not rendered in the daemon any more."""

    @property
    def nbytes(self) -> int:
        """Bytes of its payload, wherever they lie."""
        return self.payload.nbytes if self.payload is not None else 0

    @property
    def inline_nbytes(self) -> int:
        """Bytes of the daemon's own memory that it occupies, as far as its size tells."""
        payload_nbytes = self.log.place.nbytes if isinstance(self.log.place, memoryview) else 0
        return payload_nbytes + _UNPACKED * self.log.head_nbytes


@dataclass(slots=True)
class RecoveryProgress:
    """How far the bringing to their end of spilled calls is.

    ``begun_count`` recoveries wait or run; of the file that is being replayed, ``left_count`` calls of
    ``call_count`` are left.
    """

    begun_count: int = 0
    file: str = ""
    call_count: int = 0
    left_count: int = 0


class OpenRun:
    """A run directory with this daemon's segment and store in it."""

    def __init__(self, run_dir: Path, writer: str, settings: Settings) -> None:
        """Create what is missing; raises RunDirError when the directory cannot be written."""
        try:
            for name in ("manifest", "media", "spill"):
                os.makedirs(run_dir / name, exist_ok=True)
            mark = own_mark(writer)
            probe = run_dir / f".probe-{mark}"
            probe.touch()
            probe.unlink()
        except OSError as exc:
            raise RunDirError(
                f"cannot write the run directory {run_dir}: {exc.strerror}; "
                f"choose a directory that uid {os.getuid()} can write"
            ) from exc
        fsync = settings.fsync == "batch"
        self.run_dir = run_dir
        self.store: Store = (
            PackedStore(run_dir, mark, fsync=fsync, shard_nbytes=settings.shard_bytes)
            if settings.store == "packed"
            else FileStore(run_dir, mark, fsync=fsync)
        )
        self.manifest = ManifestWriter(run_dir, writer, fsync=fsync)
        self.clients: dict[str, ClientRecord] = {}
        self.served = ServedClients(run_dir / "spill")
        self.tally = Tally()
        self.trouble: str | None = None
        self.rates = Rates()
        self.encode_latency = Histogram()
        self.write_latency = Histogram()
        self.recovering = asyncio.Lock()
        self.recovery = RecoveryProgress()
        self.library = Library(run_dir, self._is_on_its_way, self._is_still_to_come)
        self._host = writer.partition("-")[0]

    def client(self, hello: Hello) -> ClientRecord:
        """Return the record of the client that says ``hello``, made when it is new here."""
        record = self.clients.get(hello.client)
        if record is None:
            record = ClientRecord(hello, self, SeqSet(hello.resume))
            self.clients[hello.client] = record
            self.served.add(hello.client)
        return record

    def forget(self, record: ClientRecord) -> None:
        """Drop the record of a client that is gone and has nothing left here."""
        if self.clients.pop(record.hello.client, None) is not None:
            self.served.discard(record.hello.client)

    def _is_on_its_way(self, client: str, seq: int) -> bool:
        record = self.clients.get(client)
        return record is not None and seq in record.unsettled

    def _is_still_to_come(self, client: str, seq: int) -> bool:
        """Whether a client has a call to say yet, or its spill holds calls that somebody is bringing to their end."""
        record = self.clients.get(client)
        if record is not None:
            return seq not in record.known or seq in record.unsettled
        for path in (self.run_dir / "spill").glob(f"{client}-*"):
            if self.recovery.begun_count and not path.name.endswith(DAMAGED_SUFFIX):
                return True
            mark = claimant(path.name)
            if mark is not None and is_abandoned(mark, self._host) is False:
                return True
        return False

    def may_wait_for(self, entry: Entry, client: str) -> bool:
        """Whether a call may wait for one that a client has still to say: not where that one waits for it."""
        if entry.on_settled is not None or entry.client.hello.client == client:
            return False
        record = self.clients.get(client)
        return not entry.last_try or not (
            self.recovery.left_count or (record is not None and not record.idle)
        )

    @property
    def queued(self) -> int:
        """Calls that wait or are being worked on."""
        return sum(len(record.queue) + record.in_flight for record in self.clients.values())

    async def close(self) -> None:
        """Close the segment and remove what was temporary."""
        self.store.close()
        self.served.close()
        await self.manifest.close()
