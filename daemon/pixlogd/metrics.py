"""The daemon's numbers for Prometheus: plain text over HTTP, on a Unix socket or a loopback port.

Off by default.  They are the numbers of ``client.stats()`` and ``pixlog status``, read from the same tallies.  An
address that cannot be had, such as a port that the daemon of another run has, is said in the log and harms nothing
else.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pixlogd.rundir.open_run import OpenRun
from pixlogd.tally import LATENCY_BOUNDS_S, Histogram

log = logging.getLogger("pixlogd")

_REQUEST_NBYTES = 8192
_REQUEST_S = 5.0
_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


class MetricsServer:
    """Answers ``GET /metrics`` with the runs that ``runs`` returns and the worker processes that there are."""

    def __init__(
        self, address: str, runs: Callable[[], list[OpenRun]], worker_process_count: Callable[[], int]
    ) -> None:
        self._address = address
        self._runs = runs
        self._worker_process_count = worker_process_count
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen, or say why not."""
        if not self._address:
            return
        try:
            if self._address.startswith("/"):
                _remove_stale(self._address)
                self._server = await asyncio.start_unix_server(
                    self._answer, self._address, limit=_REQUEST_NBYTES
                )
                os.chmod(self._address, 0o600)
            else:
                host, _, port = self._address.rpartition(":")
                self._server = await asyncio.start_server(
                    self._answer, host.strip("[]"), int(port), limit=_REQUEST_NBYTES
                )
        except OSError as exc:
            log.error("! no metrics on %s: %s", self._address, exc.strerror or exc)
            return
        log.info("= metrics on %s", self._address)

    async def close(self) -> None:
        """Listen no longer."""
        if self._server is None:
            return
        self._server.close()
        if self._address.startswith("/"):
            with contextlib.suppress(OSError):
                os.unlink(self._address)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(
            OSError, TimeoutError, asyncio.LimitOverrunError, asyncio.IncompleteReadError
        ):
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _REQUEST_S)
            method, path, *_ = [*head.split(b"\r\n", 1)[0].split(b" "), b"", b""]
            if method not in (b"GET", b"HEAD"):
                status, text = "405 Method Not Allowed", "expected GET\n"
            elif path.partition(b"?")[0] not in (b"/metrics", b"/"):
                status, text = "404 Not Found", "expected /metrics\n"
            else:
                status, text = "200 OK", metrics_text(self._runs(), self._worker_process_count())
            body = text.encode()
            head = (
                f"HTTP/1.1 {status}\r\nContent-Type: {_CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\n"
                "Connection: close\r\n\r\n"
            ).encode()
            writer.write(head if method == b"HEAD" else head + body)
            await asyncio.wait_for(writer.drain(), _REQUEST_S)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def metrics_text(runs: list[OpenRun], worker_process_count: int = 0) -> str:
    """Return the numbers of a daemon and its runs in the text format of Prometheus, version 0.0.4."""
    workers = _family(
        "pixlog_worker_processes",
        "gauge",
        "Worker processes that encode for the daemon.",
        [({}, worker_process_count)],
    )
    return "\n".join([line for family in (*_families(runs), workers) for line in family] + [""])


def _families(runs: list[OpenRun]) -> Iterator[list[str]]:
    named = [({"run": str(run.run_dir)}, run) for run in runs]
    yield _family(
        "pixlog_accepted_calls_total",
        "counter",
        "Log calls that came in.",
        [(labels, run.tally.accepted) for labels, run in named],
    )
    yield _family(
        "pixlog_ended_calls_total",
        "counter",
        "Log calls that have their row, by its state.",
        [
            ({**labels, "state": state}, getattr(run.tally, state))
            for labels, run in named
            for state in ("saved", "failed", "dropped")
        ],
    )
    for state in ("failed", "dropped"):
        yield _family(
            f"pixlog_{state}_calls_total",
            "counter",
            f"Log calls that {'failed' if state == 'failed' else 'were dropped'}, by reason.",
            [
                ({**labels, "reason": reason}, count)
                for labels, run in named
                for reason, count in getattr(run.tally, f"{state}_reasons").items()
            ],
        )
    yield _family(
        "pixlog_accepted_bytes_total",
        "counter",
        "Bytes of pixels that came in.",
        [(labels, run.tally.accepted_nbytes) for labels, run in named],
    )
    yield _family(
        "pixlog_written_bytes_total",
        "counter",
        "Bytes of media files that were written.",
        [(labels, run.tally.nbytes) for labels, run in named],
    )
    yield _family(
        "pixlog_queued_calls",
        "gauge",
        "Log calls that wait or are being worked on, by client.",
        [
            (
                {**labels, "client": client.hello.client, "rank": str(client.hello.rank)},
                len(client.queue) + client.in_flight,
            )
            for labels, run in named
            for client in run.clients.values()
        ],
    )
    yield _family(
        "pixlog_connected_clients",
        "gauge",
        "Clients that are connected.",
        [
            (labels, sum(client.deliver is not None for client in run.clients.values()))
            for labels, run in named
        ],
    )
    for name, what in (
        ("encode", "Converting and encoding one call"),
        ("write", "Writing the media of one call"),
    ):
        histograms = [(labels, getattr(run, f"{name}_latency")) for labels, run in named]
        yield _histogram(f"pixlog_{name}_seconds", f"{what}.", histograms)


def _family(name: str, kind: str, words: str, samples: list[tuple[dict[str, str], float]]) -> list[str]:
    return [f"# HELP {name} {words}", f"# TYPE {name} {kind}"] + [
        f"{name}{_labels(labels)} {value}" for labels, value in samples
    ]


def _histogram(name: str, words: str, histograms: list[tuple[dict[str, str], Histogram]]) -> list[str]:
    lines = [f"# HELP {name} {words}", f"# TYPE {name} histogram"]
    for labels, histogram in histograms:
        below = 0
        for bound, count in zip((*map(str, LATENCY_BOUNDS_S), "+Inf"), histogram.counts, strict=True):
            below += count
            lines.append(f"{name}_bucket{_labels({**labels, 'le': bound})} {below}")
        lines.append(f"{name}_sum{_labels(labels)} {histogram.sum_s:.6f}")
        lines.append(f"{name}_count{_labels(labels)} {below}")
    return lines


def _labels(labels: Mapping[str, str]) -> str:
    pairs = [
        f'{name}="{value.encode("utf-8", "replace").decode().translate(_ESCAPES)}"'
        for name, value in labels.items()
    ]
    return "{" + ",".join(pairs) + "}" if pairs else ""


def _remove_stale(path: str) -> None:
    """Remove a socket that nobody listens on; whoever listens keeps it."""
    if not Path(path).is_socket():
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
