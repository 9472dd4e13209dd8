"""What a log call hands back: a view of one image's way to disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pixlog.delivery import Delivery

State = Literal["pending", "saved", "failed", "dropped"]


class Receipt:
    """The state of one log call.

    ``state`` is "pending" until the daemon has written the row, then "saved", "failed" or "dropped" for good.
    ``reason`` says why an image failed or was dropped; ``paths`` are the saved images, relative to the run
    directory, with forward slashes.  ``client`` and ``seq`` identify the row in the manifest.
    """

    __slots__ = ("_delivery", "client", "key", "paths", "reason", "seq", "state", "step")

    def __init__(self, delivery: Delivery, client: str, key: str, step: int) -> None:
        self._delivery: Delivery | None = delivery
        self.client = client
        self.seq = -1
        self.key = key
        self.step = step
        self.state: State = "pending"
        self.reason: str | None = None
        self.paths: list[str] = []

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the state is final; return whether it is.  None waits without limit."""
        delivery = self._delivery
        if delivery is None or self.state != "pending":
            return True
        return delivery.wait(lambda: self.state != "pending", timeout_s)

    def settle(self, state: State, reason: str | None, paths: list[str]) -> None:
        """Reach the final state; the delivery calls this once."""
        self.reason = reason
        self.paths = paths
        self.state = state
        self._delivery = None

    def __repr__(self) -> str:
        """Show key, step and state."""
        reason = f", reason={self.reason!r}" if self.reason else ""
        return f"<Receipt {self.key!r} step={self.step} {self.state}{reason}>"
