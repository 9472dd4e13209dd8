"""Whether an image costs the same when there are many: many images in one run, many clients, and the disk's word."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.contestant import Contestant
from bench.harness import Form, Goal, Json, Report, Spread, ratio, rounds
from bench.pixlog_daemon import Daemon
from bench.sample_images import SHAPES, image_file

_FLAT = 1.25
_PROCESSES = 4
_DISK = "/var/tmp" if os.path.isdir("/var/tmp") else None  # where fsync has something to do


def run(form: Form, directory: Path, *, million: bool = False) -> Report:
    """Measure all three."""
    report = Report("growth", "Growth: images in a run, clients, fsync")
    _many_images(form, directory, report, million=million)
    _many_clients(form, directory, report)
    _fsync(form, directory, report)
    return report


def _many_images(form: Form, directory: Path, report: Report, *, million: bool) -> None:
    marks = form.pick([200, 1_000], [1_000, 10_000, 100_000, *([1_000_000] if million else [])])
    window = form.pick(200, 2_000)
    images = image_file(directory, SHAPES["28²"], 64)
    with (
        Daemon(directory, encode_workers=1) as daemon,
        Daemon(directory, encode_workers=1) as other,
        Contestant("pixlog") as client,
    ):
        client.open(directory / "growth", images, connect=daemon.connect)
        logged = client.ask("burst", count=marks[0])["saved_s"] and marks[0]
        rows = []
        for mark in marks:
            while logged < mark:
                count = min(20_000, mark - logged)
                client.ask("burst", count=count)
                logged += count
            # Beside each window a run that has just begun, so that what the machine does now does not look like growth.
            here, fresh, cost_us = [], [], []
            for turn in range(form.pick(1, 5)):
                with Contestant("pixlog") as beginner:
                    beginner.open(directory / f"fresh-{mark}-{turn}", images, connect=other.connect)
                    beginner.ask("burst", count=window)
                    before_s = daemon.cpu_s()
                    here.append(client.ask("burst", count=window)["saved_s"])
                    cost_us.append((daemon.cpu_s() - before_s) / window * 1e6)
                    fresh.append(beginner.ask("burst", count=window)["saved_s"])
                logged += window
            grown = ratio(here, fresh)
            entry = {
                "images": mark,
                "over_a_fresh_run": grown.json(),
                "images_per_s": window / Spread.of(here).median,
                "daemon_us_an_image": Spread.of(cost_us).median,
                "daemon_resident_mb": daemon.resident_nbytes() / 1e6,
            }
            report.figures.setdefault("images", []).append(entry)
            rows.append(
                [
                    f"{mark:,}",
                    f"{entry['images_per_s']:,.0f}",
                    f"{entry['daemon_us_an_image']:.0f}",
                    f"{grown.median:.2f} ({grown.low:.2f} to {grown.high:.2f})",
                    f"{entry['daemon_resident_mb']:.0f} MB",
                ]
            )
    header = [
        "28² images in the run",
        "images/s",
        "daemon µs/image",
        "time over a fresh run",
        "daemon's memory",
    ]
    report.tables.append((header, rows))
    worst = max(entry["over_a_fresh_run"]["median"] for entry in report.figures["images"])
    report.goals.append(
        Goal(
            "cost per image flat from 1,000 to 1,000,000 images in one run",
            f"≤ {_FLAT} × that of a fresh run",
            f"at most {worst:.2f} ×, up to {marks[-1]:,} images",
            worst <= _FLAT if form.short or million else (worst <= _FLAT and None),
        )
    )


def _many_clients(form: Form, directory: Path, report: Report) -> None:
    counts = form.pick([1, 4], [1, 4, 16, 64])
    each = form.pick(200, 2_000)  # images from each process
    speeds: dict[int, list[float]] = {count: [] for count in counts}
    cost_us: dict[int, list[float]] = {count: [] for count in counts}
    with Daemon(directory, encode_workers=1) as daemon, contextlib.ExitStack() as stack:
        processes = {count: min(_PROCESSES, count) for count in counts}
        groups: dict[int, list[Contestant]] = {}
        for count in counts:
            groups[count] = [stack.enter_context(Contestant("pixlog")) for _ in range(processes[count])]
            for rank, contestant in enumerate(groups[count]):  # each its own images, as ranks have
                contestant.open(
                    directory / f"clients-{count}",
                    image_file(directory, SHAPES["28²"], 64, seed=rank),
                    connect=daemon.connect | {"buffer_bytes": "32MiB"},
                    clients=count // processes[count],
                )
                contestant.ask("burst", count=count)
        for _ in range(form.pick(1, 5)):
            for count, group in groups.items():
                share = each * _PROCESSES // len(group)
                before_s, start = daemon.cpu_s(), time.perf_counter()
                for contestant in group:
                    contestant.tell("burst", count=share)
                for contestant in group:
                    contestant.hear()
                speeds[count].append(share * len(group) / (time.perf_counter() - start))
                cost_us[count].append((daemon.cpu_s() - before_s) / (share * len(group)) * 1e6)
    rows = []
    for count in counts:
        over = ratio(speeds[counts[0]], speeds[count])
        cost = ratio(cost_us[count], cost_us[counts[0]])
        report.figures.setdefault("clients", []).append(
            {
                "clients": count,
                "images_per_s": Spread.of(speeds[count]).median,
                "over_one_client": over.json(),
                "daemon_cpu_over_one_client": cost.json(),
            }
        )
        rows.append(
            [
                str(count),
                f"{Spread.of(speeds[count]).median:,.0f}",
                f"{over.median:.2f} ({over.low:.2f} to {over.high:.2f})",
                f"{cost.median:.2f} ({cost.low:.2f} to {cost.high:.2f})",
            ]
        )
    header = ["clients", "28² images/s", "time over one client", "daemon's processor time over one client"]
    report.tables.append((header, rows))
    report.notes.append(f"Up to {_PROCESSES} processes hold the clients.")
    worst = max(entry["daemon_cpu_over_one_client"]["median"] for entry in report.figures["clients"])
    slowest = max(entry["over_one_client"]["median"] for entry in report.figures["clients"])
    report.goals.append(
        Goal(
            f"cost per image flat from 1 to {counts[-1]} clients",
            f"≤ {_FLAT} × that of one client",
            f"at most {worst:.2f} × the daemon's processor time, {slowest:.2f} × the time",
            worst <= _FLAT and slowest <= _FLAT,
        )
    )


def _fsync(form: Form, directory: Path, report: Report) -> None:
    size, count = form.pick(("28²", 40), ("256²", 200))
    images = image_file(directory, SHAPES[size], 8)
    with contextlib.ExitStack() as stack:
        on_disk = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pixlog-bench-", dir=_DISK)))
        runs: dict[str, Callable[[], Json]] = {}
        for fsync in ("off", "batch"):
            daemon = stack.enter_context(Daemon(directory, encode_workers=2, fsync=fsync))
            contestant = stack.enter_context(Contestant("pixlog"))
            contestant.open(on_disk / f"fsync-{fsync}", images, connect=daemon.connect)
            contestant.ask("burst", count=8)
            runs[fsync] = _burst(contestant, count)
        found = rounds(runs, form.pick(1, 5))
    slower = ratio([e["saved_s"] for e in found["batch"]], [e["saved_s"] for e in found["off"]])
    off = Spread.of([count / entry["saved_s"] for entry in found["off"]])
    batch = Spread.of([count / entry["saved_s"] for entry in found["batch"]])
    report.figures["fsync"] = {
        "size": size,
        "off_images_per_s": off.json(),
        "batch_images_per_s": batch.json(),
        "batch_over_off": slower.json(),
    }
    rows = [
        ["off", f"{off.median:,.0f}", "1"],
        ["batch", f"{batch.median:,.0f}", f"{slower.median:.2f} ({slower.low:.2f} to {slower.high:.2f})"],
    ]
    report.tables.append(([f"fsync, {size}", "images/s", "time over off"], rows))


def _burst(contestant: Contestant, count: int) -> Callable[[], Json]:
    def burst() -> Json:
        return contestant.ask("burst", count=count)

    return burst
