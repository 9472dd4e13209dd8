"""What a client keeps of a call until it is acknowledged, and the counts that stay for good."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pixlog.protocol import Buffer, Header, Kind, decode_head, encode_head
from pixlog.reasons import count_reason
from pixlog.receipt import Receipt, State
from pixlog.sending.arena import Region
from pixlog.sending.arrivals import Arrival
from pixlog.sending.spill import Spilled

_LONGEST_KEY = 1 << 20


@dataclass(slots=True)
class Pending:
    """One call that is not acknowledged, and what is needed to say it again.

    ``inline`` says that the pixels travel behind the head, because the daemon cannot see the region.  ``outcome``
    marks a call that ended here, of which the user was told when it did.

    A call is *held* while its pixels are still on their way from a device (``arrival``), or while a call that it
    points at, whose number is in ``behind``, is.  ``late`` is the place, among all that were sent, of one that was
    held: behind the call with its first number, before the next, and behind those with a smaller second.
    """

    head: bytes
    receipt: Receipt
    region: Region | None = None
    payload_nbytes: int = 0
    spilled: Spilled | None = None
    inline: bool = False
    outcome: bool = False
    arrival: Arrival | None = None
    behind: frozenset[int] = frozenset()
    late: tuple[int, int] | None = None

    @property
    def held(self) -> bool:
        """Whether its frame may not be sent yet."""
        return self.arrival is not None or bool(self.behind)

    def header(self) -> Header:
        """Return what its frame says."""
        return decode_head(self.head, inline=self.inline)

    def buffers(self) -> Sequence[Buffer]:
        """Return the buffers of its frame: the pixels only where the daemon cannot see them."""
        if not self.inline:
            return (self.head,)
        assert self.region is not None
        return (self.head, self.region.memory[: self.payload_nbytes].data)

    def whole_frame(self) -> Sequence[Buffer]:
        """Return the buffers of its frame with the pixels in it, for a reader that has no arena."""
        if self.region is not None and not self.inline:
            header = decode_head(self.head)
            if header.pop("at", None) is not None:
                head = encode_head(Kind.LOG, header, self.payload_nbytes)
                return (head, self.region.memory[: self.payload_nbytes].data)
        return self.buffers()

    def make_inline(self) -> Header | None:
        """Say from now on what lies in an arena that the daemon turned out not to see; return the header.

        None for a call that was given up, of which nothing but its outcome is said.
        """
        header = decode_head(self.head)
        if header.pop("at", None) is None:
            return None
        self.head = encode_head(Kind.LOG, header, self.payload_nbytes)
        self.inline = True
        return header

    def give_up(self, header: Header, reason: str, state: State = "failed") -> None:
        """Say from now on that the call ended in ``state``, with what of its ``header`` names it."""
        outcome: Header = {name: header[name] for name in ("seq", "step", "time", "call") if name in header}
        outcome |= {"key": self.receipt.key[:_LONGEST_KEY], "items": [], "state": state, "reason": reason}
        self.head = encode_head(Kind.LOG, outcome)
        self.inline = False


@dataclass(slots=True)
class Counts:
    """How many calls came to which end; ``dropped_reasons`` and ``failed_reasons`` count each reason."""

    accepted: int = 0
    saved: int = 0
    failed: int = 0
    dropped: int = 0
    nbytes: int = 0
    spilled: int = 0
    failed_reasons: dict[str, int] = field(default_factory=dict)
    dropped_reasons: dict[str, int] = field(default_factory=dict)

    @property
    def settled(self) -> int:
        """Calls that reached their end."""
        return self.saved + self.failed + self.dropped

    def settle(self, state: State, reason: str | None) -> None:
        """Count one call that reached ``state``; a reason that is none raises before anything is counted."""
        if state == "saved":
            self.saved += 1
        elif state == "failed":
            count_reason(self.failed_reasons, reason)
            self.failed += 1
        else:
            count_reason(self.dropped_reasons, reason)
            self.dropped += 1
