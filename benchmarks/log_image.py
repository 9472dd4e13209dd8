"""What a call of ``log_image`` costs its caller, beside copying the same array, in one run of some minutes.

    python benchmarks/log_image.py [--json PATH] [--seconds S] [--calls N]   paced, so that the buffer never fills
    python benchmarks/log_image.py --flood [--on-full POLICY]               as fast as a loop can call

Paced, every call stands beside a copy of the same array into warm shared memory of the buffer's size, from place to
place, now before and now after the call: the floor under any logger that keeps the pixels.  Each size is measured with
an idle daemon (all that was logged is saved) and with a busy one (another process keeps its encoders at work).  Where a
call has to wait its turn the process multiplies matrices, as a training would, for 4 ms before each call to the idle
daemon, whose calls therefore find the processor's caches full of other things, and so do the copies beside them.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: the daemon needs a processor too

import argparse
import json
import mmap
import multiprocessing
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import pixlog

Array = npt.NDArray[Any]

SHAPES: Final = {
    "28²": (28, 28),
    "256²": (256, 256, 3),
    "512²": (512, 512, 3),
    "1080p": (1080, 1920, 3),
    "4K": (2160, 3840, 3),
}
DTYPES: Final = ("uint8", "float32")
SMALLEST_BUFFER_NBYTES: Final = 16 * 1024 * 1024
BUFFER_IMAGES: Final = 6
MOST_PENDING: Final = 256
FLOOD_BUFFER: Final = "64MiB"
FLOOD_SPILL: Final = "128MiB"
WARM_UP_CALLS: Final = 3
STEP_S: Final = 0.004
WEIGHTS: Final = np.full((192, 192), 0.01, np.float32)
GOAL: Final = "1.5 × copy + 15 µs"


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of image and what was measured with it, in microseconds."""

    image: str
    dtype: str
    nbytes: int
    daemon: str
    calls: int
    copy_median_us: float
    copy_p99_us: float
    call_median_us: float
    call_p99_us: float
    call_max_us: float

    @property
    def ratio(self) -> float:
        """Medians: the call as a multiple of the copy."""
        return self.call_median_us / self.copy_median_us

    @property
    def within_goal(self) -> bool:
        """Whether the median call takes at most what the goal allows."""
        return self.call_median_us <= 1.5 * self.copy_median_us + 15


class Floor:
    """Shared memory, every page of it touched, that arrays are copied into from place to place."""

    def __init__(self, nbytes: int) -> None:
        self._memory = np.frombuffer(mmap.mmap(-1, nbytes), np.uint8)
        self._memory[:] = 1
        self._next = 0

    def copy(self, array: Array) -> None:
        """Copy ``array`` behind the one before."""
        if self._next + array.nbytes > len(self._memory):
            self._next = 0
        place = self._memory[self._next : self._next + array.nbytes]
        self._next += (array.nbytes + 63) & -64
        np.copyto(place.view(array.dtype).reshape(array.shape), array)


def picture(shape: tuple[int, ...], dtype: str) -> Array:
    """Return something like a photograph: waves and grain."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    waves = 0.5 + 0.2 * np.sin(columns / 97) + 0.2 * np.cos(rows / 61)
    if len(shape) == 3:
        waves = np.repeat(waves[..., None], shape[2], axis=2)
    waves = (waves + rng.normal(0, 0.015, shape).astype(np.float32)).clip(0, 1)
    return np.ascontiguousarray(waves if dtype == "float32" else (255 * waves).astype(np.uint8))


def buffer_nbytes(array: Array) -> int:
    """Return the size of the buffer that ``array`` is measured with."""
    return max(SMALLEST_BUFFER_NBYTES, BUFFER_IMAGES * array.nbytes)


def measure(run_dir: Path, image: str, array: Array, daemon: str, seconds: float, fewest: int) -> Case:
    """Measure paced calls and copies, one of each in turn, for ``seconds`` and at least ``fewest`` of each."""
    nbytes = buffer_nbytes(array)
    floor = Floor(nbytes)
    allowed = 1 if daemon == "idle" else max(2, min(MOST_PENDING, nbytes // 2 // array.nbytes))
    calls_s: list[float] = []
    copies_s: list[float] = []
    with pixlog.connect(run_dir, buffer_bytes=nbytes, on_full="block") as client:

        def call() -> None:
            client.log_image("image", array)

        for _ in range(WARM_UP_CALLS):
            call()
            floor.copy(array)
        client.flush()
        deadline = time.perf_counter() + seconds
        while time.perf_counter() < deadline or len(calls_s) < fewest:
            if daemon == "idle":
                client.flush()
                train_for(STEP_S)
            while client.stats().pending >= allowed:
                train()
            if len(calls_s) % 2:
                copies_s.append(timed(lambda: floor.copy(array)))
                calls_s.append(timed(call))
            else:
                calls_s.append(timed(call))
                copies_s.append(timed(lambda: floor.copy(array)))
    stats = client.stats()
    assert stats.saved == stats.accepted, f"the benchmark lost images: {stats}"
    median_s, p99_s = np.percentile(calls_s, (50, 99))
    return Case(
        image,
        str(array.dtype),
        array.nbytes,
        daemon,
        len(calls_s),
        statistics.median(copies_s) * 1e6,
        float(np.percentile(copies_s, 99)) * 1e6,
        float(median_s) * 1e6,
        float(p99_s) * 1e6,
        max(calls_s) * 1e6,
    )


def train() -> None:
    """Compute for a fraction of a millisecond."""
    np.matmul(WEIGHTS, WEIGHTS)


def train_for(seconds: float) -> None:
    """Compute for so long."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        train()


def timed(work: Callable[[], object]) -> float:
    """Return how many seconds ``work`` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@contextmanager
def busy_daemon(run_dir: Path) -> Iterator[None]:
    """Keep the daemon's encoders at work from another process."""
    spawn = multiprocessing.get_context("spawn")
    stop, started = spawn.Event(), spawn.Event()
    neighbour = spawn.Process(target=flood_daemon, args=(run_dir, stop, started))
    neighbour.start()
    try:
        if not started.wait(60):
            raise SystemExit("the process that was to keep the daemon busy did not start")
        yield
    finally:
        stop.set()
        neighbour.join()


def flood_daemon(run_dir: Path, stop: Event, started: Event) -> None:
    """Log images as fast as they are saved, until told to stop, or until nobody is there to tell."""
    array = picture(SHAPES["512²"], "uint8")
    parent = multiprocessing.parent_process()
    assert parent is not None
    with pixlog.connect(run_dir, rank=1, on_full="block", buffer_bytes=8 * array.nbytes) as client:
        while not stop.is_set() and parent.is_alive():
            client.log_image("neighbour", array)
            started.set()


@dataclass(frozen=True, slots=True)
class Flood:
    """What became of calls that came as fast as a loop can make them; times in microseconds."""

    image: str
    dtype: str
    nbytes: int
    on_full: str
    calls: int
    calls_a_second: float
    call_median_us: float
    call_p99_us: float
    call_max_us: float
    spilled: int
    dropped: int
    drain_s: float


def measure_flood(run_dir: Path, image: str, array: Array, on_full: str, seconds: float) -> Flood:
    """Log as fast as possible, then wait until all is saved or dropped."""
    calls_s: list[float] = []
    with pixlog.connect(
        run_dir, on_full=on_full, buffer_bytes=FLOOD_BUFFER, spill_bytes=FLOOD_SPILL
    ) as client:
        started = time.perf_counter()
        while time.perf_counter() - started < seconds:
            calls_s.append(timed(lambda: client.log_image("flood", array)))
        took_s = time.perf_counter() - started
        client.flush(300)
        drain_s = time.perf_counter() - started - took_s
        stats = client.stats()
    assert stats.pending == 0, f"not settled after 300 s: {stats}"
    median_s, p99_s = np.percentile(calls_s, (50, 99))
    return Flood(
        image,
        str(array.dtype),
        array.nbytes,
        on_full,
        len(calls_s),
        len(calls_s) / took_s,
        float(median_s) * 1e6,
        float(p99_s) * 1e6,
        max(calls_s) * 1e6,
        stats.spilled,
        stats.dropped,
        drain_s,
    )


def paced_table(cases: list[Case]) -> Table:
    """Return the paced cases, idle and busy in one line."""
    table = Table(title="log_image beside a copy of the same array (µs)", title_justify="left")
    table.add_column("image")
    for daemon in ("idle", "busy"):
        for name in (f"{daemon}: copy", "call", "p99", "× copy"):
            table.add_column(name, justify="right")
    table.add_column(f"≤ {GOAL}")
    found = {(case.image, case.dtype, case.daemon): case for case in cases}
    for image, dtype in dict.fromkeys((case.image, case.dtype) for case in cases):
        both = [found[image, dtype, daemon] for daemon in ("idle", "busy")]
        cells = [f"{image} {dtype}"]
        for case in both:
            cells += [f"{case.copy_median_us:,.1f}", f"{case.call_median_us:,.1f}"]
            cells += [f"{case.call_p99_us:,.0f}", f"{case.ratio:.2f}"]
        table.add_row(*cells, " ".join(case.daemon for case in both if case.within_goal) or "no")
    return table


def flood_table(floods: list[Flood]) -> Table:
    """Return the flood's cases."""
    title = f"log_image in a loop without a pause, a buffer of {FLOOD_BUFFER}, a spill of {FLOOD_SPILL}"
    table = Table(title=title, title_justify="left")
    table.add_column("image")
    names = ("calls", "calls/s", "MB/s", "median µs", "p99 µs", "max ms", "spilled", "dropped", "drained in")
    for name in names:
        table.add_column(name, justify="right")
    for flood in floods:
        table.add_row(
            f"{flood.image} {flood.dtype}",
            f"{flood.calls:,}",
            f"{flood.calls_a_second:,.0f}",
            f"{flood.calls_a_second * flood.nbytes / 1e6:,.0f}",
            f"{flood.call_median_us:,.1f}",
            f"{flood.call_p99_us:,.0f}",
            f"{flood.call_max_us / 1e3:,.1f}",
            f"{flood.spilled:,}",
            f"{flood.dropped:,}",
            f"{flood.drain_s:.1f} s",
        )
    return table


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "cpus": os.cpu_count(),
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "pixlog": pixlog.__version__,
    }


def main() -> None:
    """Run what was asked for, print it and write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures there too")
    parser.add_argument("--calls", type=int, default=200, help="at least, for each line (default: 200)")
    parser.add_argument("--seconds", type=float, default=1.5, help="for each line (default: 1.5)")
    parser.add_argument("--flood", action="store_true", help="call without a pause")
    parser.add_argument("--on-full", default="spill", choices=("spill", "block", "drop_newest"))
    parser.add_argument("--only", action="append", choices=SHAPES, help="measure this size (may be repeated)")
    arguments = parser.parse_args()
    pictures = [
        (image, picture(SHAPES[image], dtype)) for image in arguments.only or SHAPES for dtype in DTYPES
    ]
    console = Console()
    cases: list[Case] = []
    floods: list[Flood] = []
    with tempfile.TemporaryDirectory(prefix="pixlog-bench-") as directory, Progress(console=console) as bar:
        run_dir = Path(directory) / "run"
        if arguments.flood:
            for image, array in bar.track(pictures, description="flood"):
                floods.append(measure_flood(run_dir, image, array, arguments.on_full, arguments.seconds))
        else:
            for image, array in bar.track(pictures, description="idle"):
                cases.append(measure(run_dir, image, array, "idle", arguments.seconds, arguments.calls))
            with busy_daemon(run_dir):
                for image, array in bar.track(pictures, description="busy"):
                    cases.append(measure(run_dir, image, array, "busy", arguments.seconds, arguments.calls))
    console.print(flood_table(floods) if arguments.flood else paced_table(cases))
    if arguments.json is not None:
        measured = [asdict(case) for case in cases or floods]
        arguments.json.write_text(json.dumps({"machine": machine(), "measured": measured}, indent=1))


if __name__ == "__main__":
    main()
