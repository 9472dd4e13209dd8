"""What everything around the encoder costs: the daemon, from the first call to the last row, against a bare loop.

The bare loop runs the daemon's own encoder over pictures that lie in memory, on as many threads as the daemon has
workers, in a process of its own; it receives, names, hashes and writes nothing.
"""

from __future__ import annotations

from pathlib import Path

from bench.contestant import Contestant
from bench.harness import Form, Goal, Json, Report, Spread, ratio, rounds
from bench.pixlog_daemon import Daemon
from bench.sample_images import SHAPES, image_file

_WORKERS = 2
_GOALS = {"1080p": 0.10, "256²": 0.30}


def run(form: Form, directory: Path) -> Report:
    """Compare both in rounds, by wall clock and by the processor time of the daemon."""
    report = Report("overhead", f"The daemon over a bare loop of its own encoder, {_WORKERS} threads")
    header = [
        "image",
        "bare images/s",
        "daemon images/s",
        "time over bare",
        "the daemon's processor time over bare",
    ]
    rows = []
    for size, count, times in form.pick([("256²", 24, 2)], [("256²", 800, 7), ("1080p", 120, 5)]):
        figures = _measure(size, count, times, directory)
        report.figures[size] = figures
        wall, cpu = figures["wall"], figures["cpu"]
        rows.append(
            [
                size,
                f"{figures['bare_images_per_s']:,.0f}",
                f"{figures['daemon_images_per_s']:,.0f}",
                f"{wall['median']:.2f} ({wall['low']:.2f} to {wall['high']:.2f})",
                f"{cpu['median']:.2f} ({cpu['low']:.2f} to {cpu['high']:.2f})",
            ]
        )
        report.goals.append(
            Goal(
                f"daemon's overhead over a bare loop of its encoder, {size}",
                f"≤ {_GOALS[size]:.0%}",
                f"{wall['median'] - 1:.0%} by wall clock, {cpu['median'] - 1:.0%} by processor time",
                wall["median"] - 1 <= _GOALS[size],
            )
        )
    report.tables.append((header, rows))
    report.notes.append("The client that sends the images shares the two processors with the daemon.")
    return report


def _measure(size: str, count: int, times: int, directory: Path) -> Json:
    images = image_file(directory, SHAPES[size], 8)
    with (
        Daemon(directory, encode_workers=_WORKERS) as daemon,
        Contestant("pixlog") as ours,
        Contestant("encoder") as bare,
    ):
        ours.open(directory / f"overhead-{size}", images, connect=daemon.connect)
        bare.open(directory / "bare", images, threads=_WORKERS)
        for contestant in (ours, bare):
            contestant.ask("burst", count=count)

        def with_daemon() -> Json:
            before_s = daemon.cpu_s()
            answer = ours.ask("burst", count=count)
            return answer | {"daemon_cpu_s": daemon.cpu_s() - before_s}

        results = rounds({"bare": lambda: bare.ask("burst", count=count), "daemon": with_daemon}, times)
    bare_s = [entry["saved_s"] for entry in results["bare"]]
    daemon_s = [entry["saved_s"] for entry in results["daemon"]]
    return {
        "count": count,
        "bare_images_per_s": count / Spread.of(bare_s).median,
        "daemon_images_per_s": count / Spread.of(daemon_s).median,
        "wall": ratio(daemon_s, bare_s).json(),
        "cpu": ratio(
            [entry["daemon_cpu_s"] for entry in results["daemon"]],
            [entry["cpu_s"] for entry in results["bare"]],
        ).json(),
    }
