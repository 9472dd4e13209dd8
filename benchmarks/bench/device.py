"""What logging an image on a GPU costs in the call while the GPU has work queued, and what pages cost to lock.

Nothing of it can be measured without a GPU and PyTorch; then the report says so.  In an environment that has both:
``python benchmarks/run.py --only device``.
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

import pixlog
from bench.harness import Form, Goal, Json, Report, percentile, rounds
from bench.pixlog_daemon import Daemon

_MOST_US: Final = 60
_QUEUED_MATRICES: Final = 20
_LOCKED_NBYTES: Final = 256 << 20
_WHAT: Final = "`log_image` of a 1080p CUDA tensor, device busy: median"
_NO_GPU: Final = "not measured: no GPU"


def run(form: Form, directory: Path) -> Report:
    """Compare the call with ``device_copy="async"``, with "sync", and ``tensor.cpu()``, in rounds."""
    report = Report("device", "Images on a GPU")
    torch = _torch()
    if torch is None:
        report.goals.append(Goal(_WHAT, f"< {_MOST_US} µs", _NO_GPU, None))
        report.notes.append(
            f"{_NO_GPU[0].upper()}{_NO_GPU[1:]}. Where PyTorch finds one, `python benchmarks/run.py --only device`."
        )
        return report
    calls = form.pick(5, 40)
    with Daemon(directory) as daemon:
        clients = {
            way: pixlog.connect(directory / way, daemon=daemon.socket, device_copy=way, buffer_bytes="512MiB")
            for way in ("async", "sync")
        }
        tensor = torch.zeros(1080, 1920, 3, dtype=torch.uint8, device="cuda")
        ways: dict[str, Callable[[], object]] = {
            '`log_image`, `device_copy="async"`': lambda: clients["async"].log_image("k", tensor),
            '`log_image`, `device_copy="sync"`': lambda: clients["sync"].log_image("k", tensor),
            "`tensor.cpu()`": tensor.cpu,
        }
        for client in clients.values():
            client.log_image("k", tensor)
            client.flush()

        def measured(way: Callable[[], object]) -> Callable[[], Json]:
            return lambda: {"us": _time_calls(torch, way, calls, clients)}

        found = rounds({name: measured(way) for name, way in ways.items()}, form.pick(1, 7))
        for client in clients.values():
            client.close()
    rows = []
    for name, entries in found.items():
        times_us = [us for entry in entries for us in entry["us"]]
        median, late = percentile(times_us, 0.5), percentile(times_us, 0.99)
        report.figures[name] = {"median_us": median, "p99_us": late}
        rows.append([name, f"{median:,.0f}", f"{late:,.0f}"])
    report.tables.append((["1080p, uint8, in the call", "median µs", "p99 µs"], rows))
    ours = next(iter(report.figures.values()))["median_us"]
    report.goals.append(Goal(_WHAT, f"< {_MOST_US} µs", f"{ours:.0f} µs", ours < _MOST_US))
    locked_ms = _lock_ms(torch)
    report.figures["lock_ms_of_100_MB"] = locked_ms
    report.notes.append(f"Page-locking shared memory, on a background thread: {locked_ms:.0f} ms for 100 MB.")
    report.notes.append(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}.")
    return report


def _torch() -> Any:
    """Return PyTorch if it is here and finds a GPU, else None."""
    try:
        import torch
    except ImportError:
        return None
    return torch if torch.cuda.is_available() else None


def _time_calls(
    torch: Any, way: Callable[[], object], calls: int, clients: dict[str, pixlog.Client]
) -> list[float]:
    matrix = torch.ones(2048, 2048, device="cuda")
    times_us = []
    for _ in range(calls):
        torch.cuda.synchronize()
        for _ in range(_QUEUED_MATRICES):
            matrix = matrix @ matrix / 2048
        start = time.perf_counter()
        way()
        times_us.append(1e6 * (time.perf_counter() - start))
        torch.cuda.synchronize()
        for client in clients.values():
            client.flush()
    return times_us


def _lock_ms(torch: Any) -> float:
    """Return how long registering takes for 100 MB of memory whose pages are there."""
    memory = np.frombuffer(mmap.mmap(-1, _LOCKED_NBYTES), np.uint8)
    memory[...] = 1
    start = time.perf_counter()
    code = int(torch.cuda.cudart().cudaHostRegister(memory.ctypes.data, memory.nbytes, 1))
    took_s = time.perf_counter() - start
    if code:
        return float("nan")
    torch.cuda.cudart().cudaHostUnregister(memory.ctypes.data)
    return 1e3 * took_s * 1e8 / _LOCKED_NBYTES
