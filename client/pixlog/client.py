"""The client: what training calls.

After ``connect`` nothing here raises into training unless ``strict`` asks for it: what cannot be logged becomes
a warning, once for each key, and a row that says why.  A forked child starts afresh: it inherits the run and the
options, and gets an identity and a connection of its own when it first logs.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import operator
import os
import socket
import sys
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Unpack

import numpy as np

from pixlog.call_headers import CallHeaders
from pixlog.capture.source import Array
from pixlog.device.device_array import DeviceArray
from pixlog.device.snapshots import Snapshots
from pixlog.environment import PIXLOG_HOST, PIXLOG_RUN_DIR
from pixlog.errors import ClientClosed, ConfigError, InputError, InputTypeError
from pixlog.log_options import LogOptions
from pixlog.model.describe import Described, describe
from pixlog.model.plain import plain
from pixlog.notices import Notices, kind_of
from pixlog.options import ClientOptions, resolve_client_options
from pixlog.process_identity import started_ticks
from pixlog.protocol import MAJOR, MINOR, Header, PackedMap, pack_map
from pixlog.receipt import Receipt
from pixlog.rendezvous import dialer
from pixlog.sending.delivery import Delivery
from pixlog.signal_exceptions import pass_on
from pixlog.stats import Stats
from pixlog.step_bounds import MAX_STEP, MIN_STEP

log = logging.getLogger("pixlog")

FLUSH_TIMEOUT_S: Final = 30.0
CLOSE_TIMEOUT_S: Final = 60.0
_PROGRESS_AFTER_S = 2.0
_PROGRESS_EVERY_S = 0.5
_STOP_S = 0.2
_LEAVE_S = 0.7
_LEAVE_MOST_S = 10.0
_LEAVE_SHARE = 0.2
# A forked child that meets a slow daemon twice still ends within a second: both, and the 0.1 s of a first arena.
_CHILD_CONNECT_S = 0.4
_CHILD_PATIENCE_S = 0.4
_PLAIN = (np.ndarray, DeviceArray)


def connect(
    run_dir: str | os.PathLike[str] | None = None,
    *,
    rank: int | None = None,
    strict: bool | None = None,
    contract: str | None = None,
    on_full: str | None = None,
    buffer_bytes: int | str | None = None,
    spill_bytes: int | str | None = None,
    daemon: str | os.PathLike[str] | None = None,
    timeout_s: float | None = None,
    device_copy: str | None = None,
) -> Client:
    """Connect to the daemon of a run, starting it when there is none.

    Each option falls back to its ``PIXLOG_*`` variable, then to its default.

    Args:
        run_dir: The directory of the run, made when missing; default ``PIXLOG_RUN_DIR``.
        rank: The rank that rows carry; default: as torchrun, Slurm or MPI say, else 0.
        strict: Raise at the call when an image cannot be logged, instead of warning.
        contract: "pixlog" or "wandb": whose rules turn values into pixels.
        on_full: What to do when images come faster than they are saved: "spill", "block" or "drop_newest".
        buffer_bytes: Memory for images that are not saved yet, in bytes or as text such as "256MiB".
        spill_bytes: Disk space in the run directory for images that did not fit the memory.
        daemon: "auto" finds or starts the run's daemon, "require" never starts one, a path is a socket's.
        timeout_s: How long to wait for the daemon, and for room under ``on_full="block"``.
        device_copy: "sync" copies CUDA tensors and JAX arrays to the host in the call, which waits for the device;
            "async" takes a snapshot on the device and copies it while training goes on.

    Raises:
        ConnectError: The daemon cannot be reached or started, or (RunDirError) cannot write the run directory,
            or (VersionMismatch) speaks another protocol version.
        MissingExtra: The daemon's packages are not installed.
        ConfigError: An option or a variable has a value that cannot be used, or there is no run directory.
    """
    chosen = run_dir if run_dir is not None else os.environ.get(PIXLOG_RUN_DIR)
    if not chosen:
        raise ConfigError(f"connect() got no run directory: pass one or set {PIXLOG_RUN_DIR}")
    options = resolve_client_options(
        rank=rank,
        strict=strict,
        contract=contract,
        on_full=on_full,
        buffer_bytes=buffer_bytes,
        spill_bytes=spill_bytes,
        daemon=daemon,
        timeout_s=timeout_s,
        device_copy=device_copy,
    )
    _load_what_threads_use()
    client = Client(Path(os.path.realpath(chosen)), options)
    try:
        client._delivery.open(options.timeout_s)
    except BaseException:
        client._give_up()
        raise
    _unclosed.add(client)
    _send_before_multiprocessing_ends()
    return client


def _load_what_threads_use() -> None:
    """Import now what the link's thread would import later.

    A process that is forked while another thread imports a module can never import it itself: it waits for ever for
    a lock that nobody holds any more.
    """
    import ctypes
    import subprocess

    del ctypes, subprocess


class Client:
    """One process's way to log images into a run; made by :func:`connect`.  Every method is thread-safe."""

    def __init__(self, run_dir: Path, options: ClientOptions) -> None:
        self.run_dir = run_dir
        self.options = options
        self.closed = False
        self._begin()
        _clients.add(self)

    def _begin(self) -> None:
        """Take an identity; in a forked child, a new one."""
        self._pid = os.getpid()
        self.id = os.urandom(8).hex()
        self._next_steps: dict[str, int] = {}
        self._call_count = 0
        self._notices = Notices()
        self._headers = CallHeaders(self.options.contract)
        self._is_child = False
        self._ended = False
        self._exit_timeout_s = CLOSE_TIMEOUT_S
        self._leaving: tuple[int, float] | None = None
        """The thread that ends the delivery, and when it is over at the latest."""
        identity: Header = {
            "version": [MAJOR, MINOR],
            "client": self.id,
            "run_dir": str(self.run_dir),
            "rank": self.options.rank,
            "local_rank": self.options.local_rank,
            "world_size": self.options.world_size,
            "host": os.environ.get(PIXLOG_HOST) or socket.gethostname(),
            "pid": self._pid,
            "started": started_ticks(self._pid),
        }
        dial = dialer(str(self.run_dir), self.options.daemon)
        self._delivery = Delivery(identity, self.run_dir, self.options, dial, self._notices)
        self._snapshots = Snapshots(self._notices) if self.options.device_copy == "async" else None

    # Logging

    def log_image(
        self,
        key: str,
        data: object,
        *,
        step: int | None = None,
        meta: object = None,
        **options: Unpack[LogOptions],
    ) -> Receipt:
        """Log one image, a list of images or a batch, as one row; returns after one memory copy.

        Args:
            key: The name of the series, such as "val/pred"; any text.
            data: Whatever :class:`pixlog.Image` accepts, an ``Image``, or a list or tuple of them.
            step: A label; any order, repeats and gaps are kept.  Omitted, the client counts for each key.
            meta: JSON-able data of the row; with several images, a list gives each its own.
            **options: Those of :class:`pixlog.Image`: ``caption, mode, grouping, classes, boxes, masks,
                file_type, normalize, value_range, layout, color, quality, ...``.

        Returns:
            A receipt, pending until the daemon has written the row.

        Raises:
            InputError, InputTypeError: In strict mode, when the image cannot be logged.  Otherwise that is a
                warning and a row with state "failed".
            ClientClosed: In strict mode, after ``close``.
        """
        try:
            key, number = self._check_names(key, step)
            if type(data) is np.ndarray and not options and meta is None:
                known = self._headers.of_kind.get((key, data.shape, data.dtype))
                if known is not None and data.flags.c_contiguous:
                    return self._submit_plain(key, number, known, data)
            if self._snapshots is not None and type(data) is not np.ndarray:
                data = self._snapshots.take(data)
            given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
            per_image = meta if isinstance(meta, (list, tuple)) else None
            if per_image is not None:
                given = {**given, "meta": per_image}
            described = describe(data, contract=self.options.contract, **given)
            packed = None
            if type(data) in _PLAIN and not given:
                packed = self._headers.pack_plain(key, data, described)
            return self._submit(key, number, described, None if per_image is not None else meta, None, packed)
        except Exception as exc:
            return self._refuse(key, step, exc)

    def log(
        self, images: Mapping[str, object], *, step: int | None = None, meta: object = None
    ) -> dict[str, Receipt]:
        """Log several keys at one step, a row each, linked by ``row.call``; see :meth:`log_image`.

        Without ``step`` all of them get the next one that none of them has had.
        """
        try:
            images = dict(images)
        except (TypeError, ValueError):
            error = InputTypeError(f"log() got a {type(images).__name__}, expected a mapping of key to image")
            if self.options.strict:
                raise error from None
            self._notices.say_now("log", "", str(error))
            return {}
        if step is None:
            names = (_plain_text(key) for key in images if isinstance(key, str))
            step = max((self._next_steps.get(name, 0) for name in names), default=0)
        self._call_count += 1
        call = f"{self.id}-{self._call_count}"
        receipts: dict[str, Receipt] = {}
        for key, data in images.items():
            try:
                name, number = self._check_names(key, step)
                taken = data if self._snapshots is None else self._snapshots.take(data)
                described = describe(taken, contract=self.options.contract)
                receipts[key] = self._submit(name, number, described, meta, call)
            except Exception as exc:
                receipts[key] = self._refuse(key, step, exc)
        return receipts

    def _check_names(self, key: object, step: object) -> tuple[str, int]:
        """Return key and step as they go into the row; take the next step where none is given."""
        if type(key) is not str:
            if not isinstance(key, str):
                raise InputTypeError(f"the key is of type {type(key).__name__}, expected str")
            key = _plain_text(key)
        if step is None:
            number = self._next_steps.get(key, 0)
            if number > MAX_STEP:
                raise InputError(f"no step comes after {MAX_STEP}, the last one of key {key!r}: give a step")
        else:
            try:
                number = operator.index(step)  # type: ignore[arg-type]
            except TypeError:
                raise InputTypeError(f"step is of type {type(step).__name__}, expected int") from None
            if not MIN_STEP <= number <= MAX_STEP:
                raise InputError(f"step is {number}, expected one of 64 bits, from {MIN_STEP} to {MAX_STEP}")
        self._next_steps[key] = max(number + 1, self._next_steps.get(key, 0))
        return key, number

    def _submit(
        self,
        key: str,
        step: int,
        described: Described,
        meta: object,
        call: str | None,
        packed: PackedMap | None = None,
    ) -> Receipt:
        if self.closed:
            raise ClientClosed(f"{key!r} step {step} was logged after close()")
        for warning in described.warnings:
            self._notices.say_now(kind_of(warning), key, warning)
        last: Header = {"step": step, "time": time.time()}
        if meta is not None:
            last["meta"] = plain(meta, "meta")
        if call is not None:
            last["call"] = call
        delivery = self._delivery
        receipt = Receipt(delivery, self.id, key, step)
        behind: Sequence[int] = ()
        if described.images:
            described.bind(receipt)
            behind = delivery.pointed_at(described.items)
        if self._is_child:
            self._connect_in_child()
        head = packed or self._headers.pack(key, described)
        try:
            delivery.submission.submit(head, last, described.buffers, receipt, behind)
        except Exception:
            if not delivery.abandoned:  # else it is the parent's: see Delivery.abandon
                raise
        return receipt

    def _submit_plain(self, key: str, step: int, packed: PackedMap, array: Array) -> Receipt:
        """As :meth:`_submit`, for an array that needs no description: its kind was logged under this key before."""
        if self.closed:
            raise ClientClosed(f"{key!r} step {step} was logged after close()")
        delivery = self._delivery
        receipt = Receipt(delivery, self.id, key, step)
        if self._is_child:
            self._connect_in_child()
        try:
            delivery.submission.submit_plain(packed, step, array, receipt)
        except Exception:
            if not delivery.abandoned:  # else it is the parent's: see Delivery.abandon
                raise
        return receipt

    def _refuse(self, key: object, step: object, exc: Exception) -> Receipt:
        """Say that a call cannot be logged: raise in strict mode, else warn and write a failed row."""
        pass_on(exc)
        if self.options.strict:
            exc.add_note(f"in logging {key!r}")
            raise exc
        name = _plain_text(key) if isinstance(key, str) else repr(key)
        reason = "; ".join([f"{exc}" or type(exc).__name__, *getattr(exc, "__notes__", ())])
        number = self._next_steps.get(name, 1) - 1 if step is None else step
        number = number if type(number) is int and MIN_STEP <= number <= MAX_STEP else 0
        self._notices.say_now(kind_of(reason), name, f"not logged: {reason}")
        receipt = Receipt(self._delivery, self.id, name, number)
        if self.closed:
            receipt.settle("dropped", reason, [])
            return receipt
        if self._is_child:
            self._connect_in_child()
        last: Header = {"step": number, "time": time.time()}
        header = pack_map({"key": name, "items": []})
        try:
            self._delivery.submission.submit_outcome(header, last, "failed", reason, receipt)
        except ClientClosed:  # by a signal handler or another thread, meanwhile
            receipt.settle("dropped", reason, [])
        return receipt

    # Waiting and ending

    def flush(self, timeout_s: float = FLUSH_TIMEOUT_S) -> int:
        """Wait until everything logged so far is settled; return how many calls are not (0: all are).

        Where a signal handler or a destructor calls it in the middle of a log call, it does not wait: until that call
        is over nothing can be settled.
        """
        self._delivery.wait(self._delivery.is_settled, timeout_s)
        return self._delivery.pending_count

    def stats(self) -> Stats:
        """Return the counts of this process's calls, now; waits for nothing."""
        return self._delivery.stats()

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> Stats:
        """Wait at most ``timeout_s`` until everything is saved, then disconnect; return the final counts.

        Calls that are still pending stay with the daemon, which goes on saving them, and those that it was not sent
        are written to the run directory's spill, which takes up to a fifth of ``timeout_s`` more (at least 0.7 s, at
        most 10 s); a warning says how many.  On a terminal, progress is shown after two seconds.  A second call does
        nothing.  A process that ends while another thread closes waits for that.

        Where a signal handler or a destructor calls it in the middle of a log call, it returns at once, and the client
        is closed, with all this, as soon as the handler has returned and that call has accepted its image.  If the
        handler raises instead, as ``sys.exit()`` does, the client is closed at the end of the process.  Where a
        destructor calls it on a thread of the client's own, which may be the one that finds the garbage, it returns at
        once, too, and another thread closes the client.
        """
        delivery = self._delivery
        if self._ended:
            return delivery.stats()
        self.closed = True
        if delivery.is_own_thread():
            self._close_elsewhere(timeout_s)
            return delivery.stats()
        if not self._is_child and delivery.put_off(lambda: self.close(timeout_s)):
            self._exit_timeout_s = timeout_s
            return delivery.stats()
        began = time.monotonic()
        deadline = began + timeout_s
        try:
            if not self._is_child:
                self._wait_showing_progress(deadline)
        finally:  # Ctrl-C ends the waiting, not the orderly end
            now = time.monotonic()
            stop_s = max(_STOP_S, min(1.0, deadline - now))
            leave_s = max(_LEAVE_S, min(_LEAVE_MOST_S, _LEAVE_SHARE * timeout_s))
            if not self._is_child:
                self._leaving = (threading.get_ident(), now + 2 * stop_s + leave_s + _LEAVE_S)
            self._ended = True
            _unclosed.discard(self)
            if not self._is_child:
                delivery.close(stop_s, leave_s)
                if delivery.pending_count:
                    log.warning(
                        "pixlog: closed after %.3g s with %d images not yet saved; the daemon goes on with those it "
                        "has, %d are left in %s for whoever opens the run next",
                        time.monotonic() - began,
                        delivery.pending_count,
                        delivery.left_count,
                        self.run_dir / "spill",
                    )
        return delivery.stats()

    def _close_at_exit(self) -> None:
        """Close, or wait for the thread that is closing already: it would end with the process."""
        self.close(self._exit_timeout_s)
        if self._leaving is not None and self._leaving[0] != threading.get_ident():
            self._delivery.wait_for_end(self._leaving[1] - time.monotonic())

    def _close_elsewhere(self, timeout_s: float) -> None:
        """Close on another thread, since what is waited for is the work of this one; the process ends after it."""
        self._exit_timeout_s = timeout_s
        thread = threading.Thread(target=self.close, args=(timeout_s,), name="pixlog-close", daemon=False)
        with contextlib.suppress(RuntimeError):  # no more threads: it is closed at the end of the process
            thread.start()

    def _wait_showing_progress(self, deadline: float) -> None:
        delivery = self._delivery
        if delivery.wait(delivery.is_settled, min(_PROGRESS_AFTER_S, deadline - time.monotonic())):
            return
        shown = sys.stderr is not None and sys.stderr.isatty()
        while (left_s := deadline - time.monotonic()) > 0 and not delivery.abandoned:
            if shown:
                sys.stderr.write(f"\rpixlog: saving, {delivery.pending_count} images left \x1b[K")
                sys.stderr.flush()
            if delivery.wait(delivery.is_settled, min(_PROGRESS_EVERY_S, left_s)):
                break
        if shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def __enter__(self) -> Client:
        """Return the client."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the client."""
        self.close()

    def __repr__(self) -> str:
        """Show the run and the counts."""
        return f"<Client of {self.run_dir}, rank {self.options.rank}: {self.stats()}>"

    def _give_up(self) -> None:
        """Close without a word what could not be connected."""
        self.closed = True
        self._delivery.give_up()

    # Fork

    def _after_fork_in_child(self) -> None:
        """Let go of what belongs to the parent; the child connects when it first logs."""
        self._delivery.abandon()
        self._begin()
        self._is_child = True

    def _connect_in_child(self) -> None:
        """Connect now, as a child may end with ``os._exit``; when that takes too long, in the background, see there."""
        try:
            self._delivery.open_soon(_CHILD_CONNECT_S)
        finally:
            self._is_child = False
        _send_before_multiprocessing_ends()


def _plain_text(key: str) -> str:
    """Return a key without its class, which may compare, hash and show itself as it likes; a row has its characters."""
    return str.__str__(key)


_clients: weakref.WeakSet[Client] = weakref.WeakSet()
_unclosed: set[Client] = set()
"""Those that are to be closed at the end of the process, though the program may have forgotten them."""


def _abandon_all() -> None:
    for client in list(_clients):
        client._after_fork_in_child()


def _close_all() -> None:
    with contextlib.ExitStack() as stack:  # each is closed, though Ctrl-C ends the waiting for another
        for client in list(_clients):
            stack.callback(client._close_at_exit)


def _send_before_multiprocessing_ends() -> None:
    """In a child of ``multiprocessing``, most of which end without ``atexit``: send what waits before that.

    What cannot be sent, because the daemon is away or stands still, goes into the spill.
    """
    global _sends_in_pid
    process = sys.modules.get("multiprocessing.process")
    if process is None or process.parent_process() is None or _sends_in_pid == os.getpid():
        return
    from multiprocessing import util

    util.Finalize(None, _send_all, exitpriority=100)
    _sends_in_pid = os.getpid()


def _send_all() -> None:
    for client in list(_clients):
        if not client._delivery.wait_until_sent(_CHILD_PATIENCE_S):
            client.close(timeout_s=0)


_sends_in_pid = 0
os.register_at_fork(after_in_child=_abandon_all)
atexit.register(_close_all)
