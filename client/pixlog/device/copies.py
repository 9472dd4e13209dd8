"""What delivery asks of a device: a private snapshot that can be copied to host memory later, and how far that is.

Theory of operation
    A call takes a *block*: a copy on the device itself, made in the order of the device's own work, so that
    nothing waits and nothing that happens to the array afterwards shows.  A background thread *starts* the copy of
    a block into the arena and asks from time to time whether it is *ready*.  Only then may anybody read the
    destination, and only then may the block go.

    Nothing here knows a framework.  ``cuda`` and ``jax_arrays`` implement it, and so does whoever tests without a
    device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from pixlog.sending.arena import Memory

Unlock: TypeAlias = Callable[[], None]


class Part(NamedTuple):
    """``len(memory)`` bytes of a block from ``offset`` on, and where in host memory they belong."""

    offset: int
    memory: Memory


class DeviceCopy(Protocol):
    """A copy to host memory that has been started.  Called from one thread only."""

    error: str | None
    """Why the bytes will never come; None while nothing is wrong."""

    def ready(self) -> bool:
        """Whether it is over, with or without an error.  Never waits for the device; raises nothing."""


class DeviceBlock(Protocol):
    """A private snapshot of an array: ``nbytes`` dense bytes on a device, which nobody else can change."""

    nbytes: int

    def start(self, parts: Sequence[Part], *, locked: bool) -> DeviceCopy:
        """Start to copy ``parts``.  ``locked`` says that their memory is page-locked for this device.

        Called on the background thread; may raise anything, then nothing is being copied.
        """

    def read(self) -> Memory:
        """Return all bytes in fresh host memory; waits for the device, and may raise anything."""

    def lock_pages(self, memory: Memory) -> Unlock | None:
        """Page-lock host memory for copies from this device; None where that is of no use.  May raise anything.

        Called on the background thread, once for each piece of memory; what is returned undoes it.
        """

    def prepare_thread(self) -> None:
        """Make the calling background thread fit to ask this device; called before every start."""
