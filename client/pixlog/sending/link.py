"""The client's end of the socket, and the one background thread that tends it.

Theory of operation
    A log call writes its small frame to the socket itself, without blocking: from then on the image is the
    daemon's.  Only what the socket does not take at once waits here, in order, for the thread.  The thread also
    receives acknowledgements, comes back after the daemon died, and gives its owner idle moments to prepare
    memory in.

    A thread that wakes takes the GIL, and on a busy machine the processor, from training.  So when it has taken
    acknowledgements in, and nobody waits for more, it rests: those of the next moments are taken in together.

    After any error in the middle of a frame the connection is dead: the thread makes a new one and the owner
    says again everything that is not acknowledged.  The daemon knows what it already has.

Every method marked *locked* is called with the owner's lock held.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence, Set
from typing import Protocol, TypeAlias

from pixlog.errors import ConnectError, PixlogError, ProtocolError
from pixlog.protocol import Buffer, Frame, Header, Kind, encode_head
from pixlog.section_lock import SectionLock
from pixlog.sending.handshake import ReceivedFrames, Terms, greet
from pixlog.signal_exceptions import pass_on

log = logging.getLogger("pixlog")

_RETRY_FIRST_S = 0.05
_RETRY_MOST_S = 5.0
_IDLE_S = 1.0
_REST_S = 0.25
_RECONNECT_TIMEOUT_S = 30.0
_FLUSH_MINOR = 1  # of the protocol's versions, the first that has FLUSH

Message: TypeAlias = tuple[Sequence[Buffer], int | None]
"""The buffers of one frame, and a descriptor to pass with it."""

Dial: TypeAlias = Callable[[float], socket.socket]
"""Connects to the run's daemon within so many seconds, starting it where that is wanted."""


class LinkOwner(Protocol):
    """What a link asks of the delivery it serves."""

    def hello(self) -> Header:
        """Return the header of the HELLO frame."""

    def on_connected(self, link: Link) -> None:
        """Take the lock, and give :meth:`Link.bring_up` everything that must be said again."""

    def on_frame(self, frame: Frame) -> None:
        """Handle one frame from the daemon."""

    def on_writable(self) -> None:
        """Take the lock and call :meth:`Link.send_queue`."""

    def on_idle(self) -> None:
        """Do background work; called between events, without the lock."""

    def is_patient(self) -> bool:
        """Return whether acknowledgements may come late; whoever cannot wait any more calls :meth:`Link.wake`."""


class Link:
    """One connection at a time to one daemon."""

    def __init__(self, owner: LinkOwner, dial: Dial, lock: SectionLock) -> None:
        self.up = False
        self.stopping = False
        self.resting = False
        self.reconnect_count = 0
        self._owner = owner
        self._dial = dial
        self._lock = lock
        self._sock: socket.socket | None = None
        self._frames = ReceivedFrames()
        self._terms = Terms()
        self._queue: deque[tuple[memoryview, int | None]] = deque()
        self._wake_fds: tuple[int, int] | None = None
        self._woken = False
        self._thread: threading.Thread | None = None
        self._finished = True
        self._deserted = False
        self._warned_down = False
        self._heard = False

    # Connecting

    def connect(self, timeout_s: float) -> None:
        """Dial and shake hands, now; raises ConnectError or one of its kinds."""
        deadline = time.monotonic() + timeout_s
        while True:
            sock = self._dial(max(0.1, deadline - time.monotonic()))
            try:
                self._terms = greet(sock, self._frames, self._owner.hello(), deadline)
            except (OSError, EOFError) as exc:
                sock.close()
                pass_on(exc)
                # A daemon that was leaving took the connection with it: the next dial starts another.
                if time.monotonic() > deadline or self.stopping:
                    raise ConnectError(f"no daemon answered within {timeout_s:g} s: {exc}") from exc
                time.sleep(_RETRY_FIRST_S)
                continue
            except ProtocolError as exc:
                sock.close()
                raise ConnectError(f"what answers there is no pixlog daemon: {exc}") from exc
            except BaseException:
                sock.close()
                raise
            self._sock = sock
            return

    def offer(self, message: Message, timeout_s: float) -> Frame:
        """Send one message and receive the answer, before the thread runs."""
        assert self._sock is not None
        buffers, fd = message
        self._sock.settimeout(timeout_s)
        if fd is None:
            self._sock.sendall(b"".join(buffers))
        else:
            socket.send_fds(self._sock, [b"".join(buffers)], [fd])
        return self._frames.receive_one(self._sock, time.monotonic() + timeout_s)

    def start(self) -> None:
        """Start the thread, over the connection that :meth:`connect` made if it made one."""
        self._wake_fds = os.pipe()
        for fd in self._wake_fds:
            os.set_blocking(fd, False)
        if self._sock is not None:
            self._sock.setblocking(False)
            self.up = True
        self._finished = False
        self._thread = threading.Thread(target=self._run, name="pixlog-link", daemon=True)
        self._thread.start()

    def ensure_started(self) -> None:
        """Start the thread if it was not; what :meth:`connect` began and did not finish, it begins anew."""
        if self._thread is None:
            self._close_socket()
            self.start()

    def bring_up(self, messages: Iterable[Message]) -> None:
        """Locked: begin a fresh connection with ``messages``."""
        self._queue.clear()
        for buffers, fd in messages:
            self._enqueue(buffers, fd)
        self.up = True

    # Sending

    def send(self, buffers: Sequence[Buffer], fd: int | None = None) -> None:
        """Locked: send one frame, or leave what the socket does not take to the thread.

        While the link is down nothing is kept: the owner says everything again when it comes up.
        """
        if not self.up:
            return
        if not self._queue and fd is None and len(buffers) == 1:
            assert self._sock is not None
            head = buffers[0]
            try:
                count = self._sock.send(head)
            except BlockingIOError:
                count = 0
            except OSError as exc:
                self.break_off()
                pass_on(exc)
                return
            if count == len(head):
                return
            self._queue.append((memoryview(head)[count:], None))
        else:
            was_empty = not self._queue
            self._enqueue(buffers, fd)
            if was_empty:
                self.send_queue()
        if self._queue:
            self.wake()

    def flush(self, seq: int) -> None:
        """Locked: tell the daemon that somebody waits for all calls up to ``seq``, if it is one that understands it."""
        if self._terms.minor >= _FLUSH_MINOR:
            self.send([encode_head(Kind.FLUSH, {"seq": seq})])

    def break_off(self) -> None:
        """Locked: give the connection up; the thread makes another."""
        self.up = False
        self._queue.clear()
        if self._sock is not None:
            try:
                self._sock.shutdown(socket.SHUT_RDWR)
            except OSError as exc:
                pass_on(exc)
        self.wake()

    def _enqueue(self, buffers: Sequence[Buffer], fd: int | None) -> None:
        for index, buffer in enumerate(buffers):
            self._queue.append((memoryview(buffer).cast("B"), fd if index == 0 else None))

    def send_queue(self) -> None:
        """Locked: send from the queue until it is empty or the socket is full."""
        queue = self._queue
        if not self.up:
            return
        assert self._sock is not None
        try:
            while queue:
                view, fd = queue[0]
                if fd is not None:
                    count = socket.send_fds(self._sock, [view], [fd])
                else:
                    count = self._sock.sendmsg(self._next_views())
                self._consume(count)
        except BlockingIOError:
            return
        except OSError as exc:
            self.break_off()
            pass_on(exc)

    def _next_views(self) -> list[memoryview]:
        views: list[memoryview] = []
        for view, fd in self._queue:
            if fd is not None or len(views) == 64:
                break
            views.append(view)
        return views

    def _consume(self, count: int) -> None:
        queue = self._queue
        while count:
            view, _ = queue.popleft()
            if count < len(view):
                queue.appendleft((view[count:], None))
                return
            count -= len(view)

    def queued_whole(self) -> set[int]:
        """Locked: return the ids of the buffers that wait and of which the socket has taken nothing."""
        return {
            id(head)
            for view, _ in self._queue
            if isinstance(head := view.obj, bytes) and len(view) == len(head)
        }

    def withdraw(self, buffer_ids: Set[int]) -> None:
        """Locked: send none of these buffers, each a frame of its own, of which the socket has taken nothing."""
        self._queue = deque(item for item in self._queue if id(item[0].obj) not in buffer_ids)

    def wake(self) -> None:
        """Make the thread look at the queue and at its owner's background work."""
        if self._wake_fds is not None and not self._woken:
            self._woken = True
            try:
                os.write(self._wake_fds[1], b"w")
            except OSError as exc:
                pass_on(exc)

    # The thread

    def _run(self) -> None:
        retry_s = _RETRY_FIRST_S
        while not self.stopping:
            try:
                if self.up:
                    self._tend()
                    if self._heard:
                        retry_s = _RETRY_FIRST_S
                    continue
                self._owner.on_idle()
                self._pause(retry_s)
                retry_s = min(2 * retry_s, _RETRY_MOST_S)
                self._reconnect()
            except Exception as exc:
                self._on_error(exc)
                self._pause(retry_s)
        try:
            self._lock.acquire()
            self._finished = True
            if self._deserted:
                self.abandon()
        finally:
            if self._lock.owned:
                self._lock.release()

    def _on_error(self, exc: Exception) -> None:
        """Begin a new connection after what should not happen; what happens after the owner's end is no matter."""
        if not self.stopping:
            log.error("pixlog: the connection's thread met an error; it reconnects", exc_info=exc)
            try:
                self._lock.acquire()
                self.break_off()
            finally:
                if self._lock.owned:
                    self._lock.release()

    def _tend(self) -> None:
        """Wait for one round of events and handle it."""
        assert self._sock is not None
        assert self._wake_fds is not None
        while self._frames.early:
            self._hear([self._frames.early.popleft()])
        poller = select.poll()
        poller.register(self._sock, select.POLLIN | (select.POLLOUT if self._queue else 0))
        poller.register(self._wake_fds[0], select.POLLIN)
        ready = dict(poller.poll(_IDLE_S * 1000))
        self._take_wake()
        events = ready.get(self._sock.fileno(), 0)
        if events & select.POLLOUT or self._queue:
            self._owner.on_writable()
        if events & ~select.POLLOUT:
            self._receive()
        self._owner.on_idle()
        if events & select.POLLIN and self.up and self._owner.is_patient():
            self._rest()

    def _rest(self) -> None:
        """Hear nothing for a while, unless woken."""
        self.resting = True
        self._poll_wake(_REST_S)
        self.resting = False

    def _receive(self) -> None:
        assert self._sock is not None
        try:
            count, frames = self._frames.receive(self._sock)
        except BlockingIOError:
            return
        except (OSError, ProtocolError) as exc:
            # As text: whoever keeps the record would keep, by the error's traceback, all memory of this client.
            say = log.warning if self._heard else log.debug
            say("pixlog: the connection to the daemon broke: %s", str(exc))
            count, frames = 0, []
        self._hear(frames)
        if not count:
            try:
                self._lock.acquire()
                self.break_off()
            finally:
                if self._lock.owned:
                    self._lock.release()

    def _hear(self, frames: Iterable[Frame]) -> None:
        for frame in frames:
            self._heard = self._heard or frame.kind is Kind.ACK
            self._owner.on_frame(frame)

    def _reconnect(self) -> None:
        self._close_socket()
        self._heard = False
        try:
            self.connect(_RECONNECT_TIMEOUT_S)
        except (PixlogError, OSError) as exc:
            if not self._warned_down:
                self._warned_down = True
                log.warning(
                    "pixlog: the daemon is gone and cannot be reached; images wait here: %s", str(exc)
                )
            return
        assert self._sock is not None
        self._sock.setblocking(False)
        if self.stopping:
            return
        self.reconnect_count += 1
        if self._warned_down:
            self._warned_down = False
            log.warning("pixlog: connected to the daemon again; what waited is being sent")
        self._owner.on_connected(self)

    def _pause(self, duration_s: float) -> None:
        if not self.stopping:
            self._poll_wake(duration_s)
            self._take_wake()

    def _poll_wake(self, timeout_s: float) -> None:
        assert self._wake_fds is not None
        poller = select.poll()  # not select(), which takes no descriptor beyond 1023
        poller.register(self._wake_fds[0], select.POLLIN)
        poller.poll(timeout_s * 1000)

    def _take_wake(self) -> None:
        """Be there to be woken again; what it was for is looked at next."""
        assert self._wake_fds is not None
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_fds[0], 4096)
        self._woken = False  # in any case: who set it may have been cut short before writing

    # Ending

    def stop(self, timeout_s: float) -> bool:
        """End the thread; whatever is still queued is not sent.  The connection goes with :meth:`abandon`.

        Returns whether the thread has ended; one that is busy connecting ends, and cleans up, when it is done.
        """
        self.stopping = True
        self._woken = False
        self.wake()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
        try:
            self._lock.acquire()
            self._deserted = not self._finished
            return self._finished
        finally:
            if self._lock.owned:
                self._lock.release()

    @property
    def limits(self) -> Header:
        """How much the daemon takes, by name, as it said last."""
        return self._terms.limits

    @property
    def waiting_count(self) -> int:
        """How many pieces of frames the socket has not taken yet."""
        return len(self._queue)

    @property
    def waiting_nbytes(self) -> int:
        """How many bytes of frames the socket has not taken yet."""
        return sum(len(view) for view, _ in self._queue)

    def is_own_thread(self) -> bool:
        """Whether the caller is the thread that tends this link."""
        return self._thread is threading.current_thread()

    def abandon(self) -> None:
        """Close the descriptors without a word: in a forked child, or when the thread has ended."""
        self.up = False
        self._queue.clear()
        self._close_socket()
        if self._wake_fds is not None:
            wake_fds, self._wake_fds = self._wake_fds, None
            for fd in wake_fds:
                os.close(fd)

    def _close_socket(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None
