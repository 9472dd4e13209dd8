"""Calls that are accepted and not sent yet: their pixels, or those of calls that they point at, are on their way.

A call whose pixels come from a device is pending like any other, but *held*: its frame is sent when they have arrived,
see :mod:`pixlog.sending.arrivals`.  Frames are therefore not always sent in the order of their numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

from pixlog.protocol import Header
from pixlog.sending.arrivals import Arrival
from pixlog.sending.gather import Move
from pixlog.sending.ledger import Ledger
from pixlog.sending.pending import Pending


def hold(ledger: Ledger, pending: Pending, moves: Sequence[Move], behind: Sequence[int]) -> None:
    """Locked: hold a call back until its pixels have arrived and the calls ``behind`` which it belongs are sent."""
    if moves:
        assert pending.region is not None
        pending.arrival = Arrival(pending.region, moves)
    calls = ((seq, ledger.pending.get(seq)) for seq in behind)
    held = frozenset(seq for seq, call in calls if call is not None and call.held)
    if held:
        ledger.followers.add(ledger.next_seq)  # a number too many, of a call that was cut short, is no matter
        pending.behind = held


def pointed_at(ledger: Ledger, items: Sequence[Header]) -> Sequence[int]:
    """Return the calls of this client that ``items`` point at, when any call may be held."""
    if not len(ledger.arrivals):
        return ()
    return [
        item["data"]["seq"]
        for item in items
        if item["data"]["kind"] == "ref" and item["data"]["client"] == ledger.client
    ]


def send_arrived(ledger: Ledger, arrived: Sequence[tuple[int, Arrival]]) -> None:
    """Send calls whose pixels have arrived, or failed rows in their place."""
    try:
        ledger.lock.acquire()
        if ledger.ended:
            return
        ledger.enter()
        for seq, arrival in arrived:
            pending = ledger.pending.get(seq)
            if pending is None or pending.arrival is not arrival:
                continue
            if arrival.error is not None:
                pending.give_up(pending.header(), f"copy from the device: {arrival.error}")
            pending.arrival = None
            _send_late(ledger, seq, pending)
        ledger.leave()
    finally:
        if ledger.lock.owned:
            ledger.lock.release()


def _send_late(ledger: Ledger, seq: int, pending: Pending) -> None:
    """Locked: send a call unless something still holds it, and those that were behind it."""
    if pending.held:
        return
    pending.late = ledger.next_late()
    ledger.link.send(pending.buffers())
    for number in sorted(ledger.followers):
        follower = ledger.pending.get(number)
        if follower is not None and seq in follower.behind:
            follower.behind -= {seq}
            _send_late(ledger, number, follower)
        if follower is None or not follower.behind:
            ledger.followers.discard(number)


def give_up_held(ledger: Ledger) -> list[Pending]:
    """Locked: let each call that is still held fail, and those that follow it be sent; return them all."""
    held = [pending for _, pending in sorted(ledger.pending.items()) if pending.held]
    arriving = [pending for pending in held if pending.arrival is not None]
    for pending in arriving:
        pending.give_up(pending.header(), "copy from the device: not finished when the client was closed")
    if arriving:
        ledger.notices.note(
            "arriving",
            "",
            f"closed before {len(arriving)} images were copied from their device: they fail",
        )
    return held
