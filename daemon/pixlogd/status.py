"""What a daemon says of itself when asked."""

from __future__ import annotations

import os
import time
from importlib.metadata import version
from typing import TYPE_CHECKING

from pixlog.protocol import Header
from pixlogd.rundir.open_run import ClientRecord, OpenRun
from pixlogd.tally import LATENCY_BOUNDS_S, Histogram

if TYPE_CHECKING:
    from pixlogd.server import Server


def status_of(server: Server) -> Header:
    """Return the status of a daemon and of every run that it serves."""
    return {
        "pid": os.getpid(),
        "version": version("pixlog"),
        "uptime_s": time.monotonic() - server.started,
        "socket": str(server.socket_path),
        "workers": server.settings.encode_workers,
        "worker_processes": server.pipeline.worker_processes.count,
        "runs": [_run_status(run) for run in server.runs.values()],
    }


def _run_status(run: OpenRun) -> Header:
    tally = run.tally
    images_per_s, bytes_per_s = run.rates.per_second(tally)
    return {
        "run_dir": str(run.run_dir),
        "accepted": tally.accepted,
        "saved": tally.saved,
        "failed": tally.failed,
        "dropped": tally.dropped,
        "failed_reasons": tally.failed_reasons,
        "dropped_reasons": tally.dropped_reasons,
        "accepted_bytes": tally.accepted_nbytes,
        "bytes": tally.nbytes,
        "queued": run.queued,
        "images_per_s": images_per_s,
        "mb_per_s": bytes_per_s / 1e6,
        "encode_latency": _latency(run.encode_latency),
        "write_latency": _latency(run.write_latency),
        "trouble": run.trouble,
        "recovering": {
            "active": run.recovery.begun_count > 0,
            "file": run.recovery.file,
            "calls": run.recovery.left_count,
            "calls_in_all": run.recovery.call_count,
        },
        "clients": [_client_status(record) for record in run.clients.values()],
    }


def _latency(histogram: Histogram) -> Header:
    """Return a histogram: how many calls took up to each bound, one after the other, and beyond the last."""
    return {"bounds_s": LATENCY_BOUNDS_S, "counts": histogram.counts, "sum_s": histogram.sum_s}


def _client_status(record: ClientRecord) -> Header:
    hello, tally = record.hello, record.tally
    return {
        "client": hello.client,
        "rank": hello.rank,
        "pid": hello.pid,
        "host": hello.host,
        "connected": record.deliver is not None,
        "queued": len(record.queue),
        "in_flight": record.in_flight,
        "accepted": tally.accepted,
        "saved": tally.saved,
        "failed": tally.failed,
        "dropped": tally.dropped,
        "failed_reasons": tally.failed_reasons,
        "dropped_reasons": tally.dropped_reasons,
        "accepted_bytes": tally.accepted_nbytes,
    }
