"""A device without hardware: a thread that copies snapshots later, in order, when the test lets it.

Everything is real but the distance: copies run on another thread, into the client's own memory, while the client goes
on.  What a device may do wrong is a lever.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from pixlog.device.copies import Part, Unlock
from pixlog.device.device_array import DeviceArray
from waiting import scaled_s


class HostDevice:
    """Arrays "on" it are taken by :meth:`take`; their copies wait until :meth:`go` or ``open`` lets them.

    ``fails`` is what every copy ends with; ``refuses_start`` and ``refuses_read`` are raised as errors; a read waits
    for ``reads``, and ``reading`` counts those that began; ``locks`` says whether memory can be page-locked.
    ``locked`` and ``unlocked`` list the sizes of memory that was.
    """

    def __init__(self) -> None:
        self.open = False
        self.fails: str | None = None
        self.refuses_start: str | None = None
        self.refuses_read: str | None = None
        self.reads = threading.Event()
        self.reads.set()
        self.reading = 0
        self.locks = True
        self.locked: list[int] = []
        self.unlocked: list[int] = []
        self.started = 0
        self.started_locked = 0
        self.thread_names: set[str] = set()
        self._turns = threading.Semaphore(0)
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="host-device", daemon=True)
        self._thread.start()

    def take(self, array: npt.NDArray[Any], origin: str = "numpy") -> DeviceArray:
        """Return a snapshot of an array."""
        kept = np.array(array, order="K", copy=True)
        axes = tuple(sorted(range(kept.ndim), key=lambda axis: -kept.strides[axis]))
        flat = kept.transpose(axes).reshape(-1).view(np.uint8)
        return DeviceArray(
            HostBlock(self, flat),
            kept.shape,
            kept.strides,
            kept.dtype,
            dtype_name=kept.dtype.str,
            origin=origin,
        )

    def take_every_other(self, array: npt.NDArray[Any]) -> DeviceArray:
        """Return a snapshot of every other byte of a gray image, which a call has to read at once."""
        kept = np.array(array, np.uint8).reshape(-1)
        shape, strides = (array.shape[0], array.shape[1] // 2), (array.shape[1], 2)
        return DeviceArray(HostBlock(self, kept), shape, strides, kept.dtype, dtype_name="u1", origin="numpy")

    def go(self, count: int = 1) -> None:
        """Let so many copies happen."""
        self._turns.release(count)

    def end(self) -> None:
        """Let everything happen and end the thread."""
        self.open = True
        self.reads.set()
        self._work.put(None)
        self.go(1_000_000)
        self._thread.join(scaled_s(10))

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            if not self.open:
                self._turns.acquire()
            work()
            del work  # which holds the client's memory


class HostBlock:
    """A snapshot; the ``DeviceBlock`` of a host device."""

    def __init__(self, device: HostDevice, flat: npt.NDArray[np.uint8]) -> None:
        self.nbytes = flat.nbytes
        self._device = device
        self._flat = flat

    def start(self, parts: Sequence[Part], *, locked: bool) -> HostCopy:
        """Queue the copies behind those that were started before."""
        device = self._device
        if device.refuses_start is not None:
            raise RuntimeError(device.refuses_start)
        device.started += 1
        device.started_locked += locked
        copy = HostCopy()

        def carry_out() -> None:
            if device.fails is None:
                for offset, memory in parts:
                    memory[...] = self._flat[offset : offset + len(memory)]
            copy.error = device.fails
            copy.done.set()

        device._work.put(carry_out)
        return copy

    def read(self) -> npt.NDArray[np.uint8]:
        """Return the bytes at once."""
        if self._device.refuses_read is not None:
            raise RuntimeError(self._device.refuses_read)
        self._device.reading += 1
        self._device.reads.wait()
        return self._flat.copy()

    def lock_pages(self, memory: npt.NDArray[np.uint8]) -> Unlock | None:
        """Note the size of what is locked, and of what is unlocked later."""
        if not self._device.locks:
            raise RuntimeError("no pages to spare")
        self._device.locked.append(memory.nbytes)
        return lambda: self._device.unlocked.append(memory.nbytes)

    def prepare_thread(self) -> None:
        """Note who asks."""
        self._device.thread_names.add(threading.current_thread().name)


class HostCopy:
    """A copy on its way; the ``DeviceCopy`` of a host device."""

    def __init__(self) -> None:
        self.error: str | None = None
        self.done = threading.Event()

    def ready(self) -> bool:
        """Whether the thread has carried it out."""
        return self.done.is_set()


@contextmanager
def host_device() -> Iterator[HostDevice]:
    """Return a host device and end it."""
    device = HostDevice()
    try:
        yield device
    finally:
        device.end()
