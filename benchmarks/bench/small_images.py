"""Digits by the thousand: four processes log 28×28 images into one run as fast as they can."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from bench.contestant import Contestant
from bench.harness import Form, Goal, Report, Spread
from bench.pixlog_daemon import Daemon
from bench.sample_images import SHAPES, image_file

_CLIENTS = 4
_GOAL_PER_S = 5_000


def run(form: Form, directory: Path) -> Report:
    """Count the images that are saved in a second, and what one of them costs each side."""
    report = Report("small_images", f"28×28 PNG files from {_CLIENTS} clients")
    header = ["encode workers", "images/s saved", "daemon µs/image", "clients µs/image"]
    rows = []
    each = form.pick(200, 5_000)
    for workers in (1, 2):
        speeds, daemon_us, client_us = [], [], []
        for number in range(form.pick(1, 4)):
            with Daemon(directory, encode_workers=workers) as daemon, contextlib.ExitStack() as stack:
                clients = [stack.enter_context(Contestant("pixlog")) for _ in range(_CLIENTS)]
                for rank, client in enumerate(clients):  # each its own images, as ranks have
                    client.open(
                        directory / f"small-{workers}-{number}",
                        image_file(directory, SHAPES["28²"], 64, seed=rank),
                        connect=daemon.connect,
                    )
                    client.ask("burst", count=20)
                before_s, start = daemon.cpu_s(), time.perf_counter()
                for client in clients:
                    client.tell("burst", count=each)
                answers = [client.hear() for client in clients]
                took_s = time.perf_counter() - start
                speeds.append(_CLIENTS * each / took_s)
                daemon_us.append((daemon.cpu_s() - before_s) / (_CLIENTS * each) * 1e6)
                client_us.append(sum(answer["cpu_s"] for answer in answers) / (_CLIENTS * each) * 1e6)
        found = Spread.of(speeds)
        report.figures[str(workers)] = {
            "images_per_s": found.json(),
            "daemon_us": Spread.of(daemon_us).json(),
            "clients_us": Spread.of(client_us).json(),
        }
        rows.append(
            [
                str(workers),
                f"{found.median:,.0f} ({found.low:,.0f} to {found.high:,.0f})",
                f"{Spread.of(daemon_us).median:.0f}",
                f"{Spread.of(client_us).median:.0f}",
            ]
        )
    report.tables.append((header, rows))
    best = max(entry["images_per_s"]["median"] for entry in report.figures.values())
    report.goals.append(
        Goal(
            f"28×28 images, {_CLIENTS} clients, PNG files",
            f"≥ {_GOAL_PER_S:,} images/s saved",
            f"{best:,.0f} images/s",
            best >= _GOAL_PER_S,
        )
    )
    return report
