"""What a second encode worker brings, through the whole daemon, for the formats that matter.

The time of a burst is its wall time less the time that the workers were ready to run and had no processor, as Linux
counts it: what is left is computing and waiting for locks, and other work on the machine does not count.  On an idle
machine that is the wall time, which is shown too.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench.contestant import Contestant
from bench.harness import Form, Goal, Json, Report, Spread, ratio, rounds
from bench.pixlog_daemon import Daemon
from bench.sample_images import SHAPES, image_file

_GOAL = 1.8
_FORMATS = ("png", "jpg", "webp")


def run(form: Form, directory: Path) -> Report:
    """Compare two daemons that differ in their number of workers."""
    report = Report("scaling", "Encode workers, 1 → 2, through the daemon")
    size = form.pick("256²", "1080p")
    header = [f"format, {size}", "1 worker, images/s", "2 workers, images/s", "scaling", "by wall clock"]
    rows = []
    images = image_file(directory, SHAPES[size], 8)
    with (
        Daemon(directory, encode_workers=1) as one,
        Daemon(directory, encode_workers=2) as two,
    ):
        for name in _FORMATS:
            count = form.pick(8, {"png": 40, "jpg": 80, "webp": 16}[name])
            with Contestant("pixlog") as single, Contestant("pixlog") as double:
                for daemon, contestant, mark in ((one, single, "one"), (two, double, "two")):
                    contestant.open(
                        directory / f"scaling-{name}-{mark}",
                        images,
                        connect=daemon.connect,
                        log={"file_type": name},
                    )
                    contestant.ask("burst", count=count)
                found = rounds(
                    {"one": _burst(single, one, 1, count), "two": _burst(double, two, 2, count)},
                    form.pick(1, 7),
                )
            one_s = [entry["own_s"] for entry in found["one"]]
            two_s = [entry["own_s"] for entry in found["two"]]
            scaling = ratio(one_s, two_s)
            wall = ratio(
                [entry["saved_s"] for entry in found["one"]], [entry["saved_s"] for entry in found["two"]]
            )
            report.figures[name] = {
                "one_images_per_s": count / Spread.of(one_s).median,
                "two_images_per_s": count / Spread.of(two_s).median,
                "scaling": scaling.json(),
                "wall": wall.json(),
            }
            rows.append(
                [
                    name,
                    f"{count / Spread.of(one_s).median:,.1f}",
                    f"{count / Spread.of(two_s).median:,.1f}",
                    f"{scaling.median:.2f} ({scaling.low:.2f} to {scaling.high:.2f})",
                    f"{wall.median:.2f} ({wall.low:.2f} to {wall.high:.2f})",
                ]
            )
            report.goals.append(
                Goal(
                    f"scaling of encode workers 1 → 2, {name}",
                    f"≥ {_GOAL} ×",
                    f"{scaling.median:.2f} × ({scaling.low:.2f} to {scaling.high:.2f}), "
                    f"by wall clock {wall.median:.2f} ×",
                    scaling.median >= _GOAL,
                )
            )
    report.tables.append((header, rows))
    report.notes.append(
        "By wall clock; the client and the daemon's event loop run on the same two processors."
    )
    return report


def _burst(contestant: Contestant, daemon: Daemon, workers: int, count: int) -> Callable[[], Json]:
    def burst() -> Json:
        before = daemon.thread_times_s()
        answer = contestant.ask("burst", count=count)
        spent = [
            (ran_s - before.get(thread, (0.0, 0.0))[0], waited_s - before.get(thread, (0.0, 0.0))[1])
            for thread, (ran_s, waited_s) in daemon.thread_times_s().items()
        ]
        busiest = sorted(spent, reverse=True)[:workers]  # the encoders: threads have no names in Python 3.11
        waited_s = sum(waited_s for _, waited_s in busiest) / workers
        return answer | {"own_s": max(1e-6, answer["saved_s"] - waited_s)}

    return burst
