"""Files and shards: the same small images in both stores, how many files they are, how long any one takes to read."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pixlog
from bench.contestant import Contestant
from bench.harness import Form, Goal, Json, Report, percentile
from bench.pixlog_daemon import Daemon
from bench.sample_images import SHAPES, image_file

_MOST_FILES = 20
_ACCESS_MS = 10.0
_ACCESSES = 300
_BURST = 20_000


def run(form: Form, directory: Path) -> Report:
    """Fill a run of each store, then read images of it in no order."""
    count = form.pick(400, 100_000)
    report = Report("packed", f"{count:,} images of 28×28 in files and in tar shards")
    rows = []
    for store in ("files", "packed"):
        found = _measure(store, count, directory)
        report.figures[store] = found
        rows.append(
            [
                store,
                f"{found['files']:,}",
                f"{found['images_per_s']:,.0f}",
                f"{found['access_median_ms']:.2f}",
                f"{found['access_p99_ms']:.2f}",
            ]
        )
    header = ["store", "media files", "images/s saved", "one image, ms, median", "p99"]
    report.tables.append((header, rows))
    packed = report.figures["packed"]
    report.goals += [
        Goal(
            f"{count:,} images, packed",
            f"≤ {_MOST_FILES} files",
            f"{packed['files']:,} (one file each: {report.figures['files']['files']:,})",
            packed["files"] <= _MOST_FILES,
        ),
        Goal(
            "any image of them, found and decoded",
            f"< {_ACCESS_MS:g} ms",
            f"median {packed['access_median_ms']:.2f} ms, p99 {packed['access_p99_ms']:.2f} ms",
            packed["access_p99_ms"] < _ACCESS_MS,
        ),
    ]
    return report


def _measure(store: str, count: int, directory: Path) -> Json:
    run_dir = directory / f"stored-{store}"
    with Daemon(directory, store=store) as daemon, Contestant("pixlog") as client:
        client.open(run_dir, image_file(directory, SHAPES["28²"], 64), connect=daemon.connect)
        begun, logged = time.perf_counter(), 0
        while logged < count:
            client.ask("burst", count=min(_BURST, count - logged))
            logged += min(_BURST, count - logged)
        took_s = time.perf_counter() - begun
    run = pixlog.Run(run_dir)
    (key,) = run.keys()
    steps, shuffled = run.steps(key), random.Random(0)
    assert len(steps) == count, f"{len(steps)} of {count} images were saved"
    times_ms = []
    for _ in range(_ACCESSES + 1):
        step = shuffled.choice(steps)
        start = time.perf_counter()
        (image,) = run.images(key, step=step)
        assert image.array().shape == SHAPES["28²"]
        times_ms.append((time.perf_counter() - start) * 1e3)
    del times_ms[0]  # it imported the decoder
    return {
        "count": count,
        "files": sum(path.is_file() for path in (run_dir / "media").rglob("*")),
        "images_per_s": count / took_s,
        "access_median_ms": percentile(times_ms, 0.5),
        "access_p99_ms": percentile(times_ms, 0.99),
    }
