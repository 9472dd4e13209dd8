"""What a client leaves when it is closed before everything was sent: frames in the spill, for the next daemon.

What is whole in the socket is the daemon's.  The rest is what was sent last, so it is found from the end.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from pixlog.sending.ledger import Ledger
from pixlog.sending.pending import Pending
from pixlog.signal_exceptions import pass_on


def leave_unsent(ledger: Ledger, deadline: float, held: Sequence[Pending]) -> None:
    """Locked: write what the daemon was not sent into the spill, as far as there is time and space.

    ``held`` are calls that are held back still.  The ledger's ``left_count`` says how many calls were written.
    """
    spill = ledger.spill
    unsent = [*_unsent(ledger), *(pending for pending in held if pending.spilled is None)]
    packed = list(ledger.packed)
    spill.leave(entry.spilled for entry in ledger.pending.values() if entry.spilled is not None)
    try:
        for pending in unsent:
            head, *payload = pending.whole_frame()
            if time.monotonic() > deadline or spill.write(bytes(head), payload) is None:
                return
            ledger.left_count += 1
        for block in packed:
            if time.monotonic() > deadline or spill.write(block.stream(), ()) is None:
                return
            ledger.left_count += len(block.seqs)
    except OSError as exc:
        pass_on(exc)
        ledger.notices.note("left", "", f"what the daemon was not sent could not be spilled: {exc.strerror}")
    return


def _unsent(ledger: Ledger) -> list[Pending]:
    """Locked: return what is pending, not held, and not whole in the socket: the last ones that were sent."""
    link = ledger.link
    left_nbytes = link.waiting_nbytes if link.up else None
    unsent: list[Pending] = []
    sent = [
        (pending.late or (seq, 0), pending) for seq, pending in ledger.pending.items() if not pending.held
    ]
    for _, pending in sorted(sent, key=lambda entry: entry[0], reverse=True):
        if left_nbytes is not None and left_nbytes <= 0:
            break
        if left_nbytes is not None:
            left_nbytes -= sum(len(buffer) for buffer in pending.buffers())
        if pending.spilled is None:
            unsent.append(pending)
    return unsent[::-1]
