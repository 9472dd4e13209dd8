"""How a call becomes one that is accepted: it gets its frame, is kept until it is settled, and is sent.

A call with one buffer in an arena and nothing to say but step and time has a frame of a form of its own, which takes
half the time (:mod:`pixlog.log_tail`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from pixlog.protocol import LIMITS, Header, Kind, PackedMap, encode_head_of, encode_log_in_arena
from pixlog.receipt import Receipt
from pixlog.sending import held_calls
from pixlog.sending.arena import Region
from pixlog.sending.gather import Move
from pixlog.sending.ledger import LONG_HEAD_NBYTES, Ledger
from pixlog.sending.pending import Pending

_PLAIN_COUNT: Final = 3  # what is said last of a call that has nothing to say but step, time and buffers


def accept(
    ledger: Ledger,
    header: PackedMap,
    last: Header,
    receipt: Receipt,
    region: Region | None,
    nbytes: int,
    moves: Sequence[Move],
    behind: Sequence[int],
) -> None:
    """Locked: give a call its number, keep it and send its frame, or hold it back.

    ``header`` and ``last`` are what it says of itself, ``nbytes`` how many bytes of ``region`` its payload has, or is
    to have after ``moves``; ``behind`` are the numbers of calls that the daemon must have before.
    """
    seq = ledger.next_seq
    inline = region is not None and not region.arena.visible
    if region is not None and not inline and len(last) == _PLAIN_COUNT and len(last["buffers"]) == 1:
        head = encode_log_in_arena(
            header, last["step"], last["time"], seq, region.arena.id, region.offset, nbytes
        )
    else:
        last["seq"] = seq
        if region is not None and not inline:
            last["at"] = ("arena", region.arena.id, region.offset, nbytes)
        head = encode_head_of(Kind.LOG, header, last, nbytes if inline else 0)
    pending = Pending(head, receipt, region, nbytes, None, inline, "state" in last)
    if (inline or len(head) > LIMITS.head_nbytes) and (refusal := ledger.refusal_of(pending)) is not None:
        pending.give_up({**last, "seq": seq}, refusal)
    elif region is None and len(head) > LONG_HEAD_NBYTES and not ledger.has_room_to_say(len(head)):
        _leave_out(ledger, pending, last)
    elif moves or behind:
        held_calls.hold(ledger, pending, moves, behind)
    ledger.admit(pending, nbytes)


def _leave_out(ledger: Ledger, pending: Pending, last: Header) -> None:
    """Locked: say no more of a call without pixels than its outcome, as there is no memory for what it says."""
    nbytes, budget_nbytes = len(pending.head), ledger.options.buffer_bytes
    if pending.outcome:
        reason = f"{last['reason']} (without its description of {nbytes} bytes, which did not fit either)"
        pending.give_up(last, reason, last["state"])
        return
    reason = f"buffer full: its description of {nbytes} bytes did not fit into buffer_bytes={budget_nbytes}"
    ledger.notices.note("described", "", reason)
    pending.give_up(last, reason, "dropped")


def accept_plain(
    ledger: Ledger, header: PackedMap, step: int, receipt: Receipt, region: Region, nbytes: int
) -> None:
    """Locked: as :func:`accept`, for one buffer that lies in its region and nothing to say but step and time.

    ``header`` is one of those that are packed for many calls, and no longer than a frame may be.
    """
    arena, time_s = region.arena, time.time()
    if not arena.visible:
        last: Header = {"step": step, "time": time_s, "buffers": [(0, nbytes)]}
        accept(ledger, header, last, receipt, region, nbytes, (), ())
        return
    head = encode_log_in_arena(header, step, time_s, ledger.next_seq, arena.id, region.offset, nbytes)
    ledger.admit(Pending(head, receipt, region, nbytes), nbytes)
