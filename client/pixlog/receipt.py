"""What a log call hands back: a view of one image's way to disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

State = Literal["pending", "saved", "failed", "dropped"]


class Waiter(Protocol):
    """What a receipt waits with."""

    def wait(self, predicate: Callable[[], bool], timeout_s: float | None) -> bool:
        """Wait until the predicate holds; return whether it does."""


class Receipt:
    """The state of one log call.

    ``state`` is "pending" until the daemon has written the row, then "saved", "failed" or "dropped" for good.
    ``reason`` says why an image failed or was dropped; ``paths`` are the saved images, relative to the run
    directory, with forward slashes.  ``client`` and ``seq`` identify the row in the manifest.
    """

    __slots__ = ("_waiter", "client", "key", "paths", "reason", "seq", "state", "step")

    def __init__(self, waiter: Waiter, client: str, key: str, step: int) -> None:
        self._waiter: Waiter | None = waiter
        self.client = client
        self.seq = -1
        self.key = key
        self.step = step
        self.state: State = "pending"
        self.reason: str | None = None
        self.paths: list[str] = []

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the state is final; return whether it is.  None waits without limit.

        The waiting ends with the client, as nothing is heard of the image from then on.  In a signal handler or a
        destructor that runs in the middle of a log call there is none: until that call is over nothing can be settled.
        """
        waiter = self._waiter
        if waiter is None or self.state != "pending":
            return True
        return waiter.wait(lambda: self.state != "pending", timeout_s)

    def settle(self, state: State, reason: str | None, paths: list[str]) -> None:
        """Reach the final state; whoever delivers calls this once."""
        self.reason = reason
        self.paths = paths
        self.state = state
        self._waiter = None

    def __repr__(self) -> str:
        """Show key, step and state."""
        reason = f", reason={self.reason!r}" if self.reason else ""
        return f"<Receipt {self.key!r} step={self.step} {self.state}{reason}>"
