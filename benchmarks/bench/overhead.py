"""What everything around the encoder costs: the daemon, from the first call to the last row, against bare loops.

The bare loop runs the daemon's own encoder over pictures that lie in memory, on as many threads as the daemon has
workers, in a process of its own; it receives, names, hashes and writes nothing.  A second loop also looks at the range
of the input, hashes the file and stores it: what is between the two is no overhead that could go.  Bursts fit the
client's buffer, but for one that goes mostly through the spill.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.contestant import Contestant
from bench.harness import Form, Goal, Json, Report, Spread, ratio, rounds
from bench.pixlog_daemon import Daemon
from bench.sample_images import SHAPES, image_file

_WORKERS = 2
_GOALS = {"1080p": 0.10, "256²": 0.30}


@dataclass(frozen=True, slots=True)
class _Burst:
    """Some images, logged one right after the other into a buffer; ``name`` is what its row is called."""

    name: str
    size: str
    count: int
    buffer_bytes: str
    times: int


_SHORT = [_Burst("256²", "256²", 24, "16MiB", 2)]
_WHOLE = [
    _Burst("256²", "256²", 800, "256MiB", 7),
    _Burst("1080p", "1080p", 36, "256MiB", 9),
    _Burst("1080p, mostly spilled", "1080p", 120, "64MiB", 5),
]


def run(form: Form, directory: Path) -> Report:
    """Compare them in rounds, by wall clock and by the processor time of the daemon."""
    report = Report("overhead", f"The daemon over bare loops of its own encoder, {_WORKERS} threads")
    header = [
        "image",
        "bare images/s",
        "hashed and stored",
        "daemon",
        "time over bare",
        "processor time over bare",
        "over hashed and stored",
    ]
    rows = []
    for burst in form.pick(_SHORT, _WHOLE):
        figures = _measure(burst, directory)
        report.figures[burst.name] = figures
        wall, cpu, floor = figures["wall"], figures["cpu"], figures["cpu_over_stored"]
        rows.append(
            [
                burst.name,
                *(f"{figures[f'{name}_images_per_s']:,.0f}" for name in ("bare", "stored", "daemon")),
                *(
                    f"{one['median']:.2f} ({one['low']:.2f} to {one['high']:.2f})"
                    for one in (wall, cpu, floor)
                ),
            ]
        )
        if burst.name in _GOALS:
            report.goals.append(
                Goal(
                    f"daemon's overhead over a bare loop of its encoder, {burst.name}",
                    f"≤ {_GOALS[burst.name]:.0%}",
                    f"{wall['median'] - 1:.0%} by wall clock, {cpu['median'] - 1:.0%} by processor time; "
                    f"{floor['median'] - 1:.0%} over a loop that also hashes and stores",
                    wall["median"] - 1 <= _GOALS[burst.name],
                )
            )
    report.tables.append((header, rows))
    report.notes.append(
        "The client that sends the images shares the two processors with the daemon; its processor time is not in the "
        "daemon's."
    )
    return report


def _measure(burst: _Burst, directory: Path) -> Json:
    images = image_file(directory, SHAPES[burst.size], 8)
    mark = burst.name.replace(", ", "-").replace(" ", "-")
    with (
        Daemon(directory, encode_workers=_WORKERS) as daemon,
        Contestant("pixlog") as ours,
        Contestant("encoder") as bare,
        Contestant("saver") as saver,
    ):
        connect = daemon.connect | {"buffer_bytes": burst.buffer_bytes}
        ours.open(directory / f"overhead-{mark}", images, connect=connect)
        bare.open(directory / "bare", images, threads=_WORKERS)
        saver.open(directory / f"stored-{mark}", images, threads=_WORKERS)
        for contestant in (ours, bare, saver):
            contestant.ask("burst", count=burst.count)

        def with_daemon() -> Json:
            before_s = daemon.cpu_s()
            answer = ours.ask("burst", count=burst.count)
            return answer | {"cpu_s": daemon.cpu_s() - before_s}

        results = rounds(
            {
                "bare": lambda: bare.ask("burst", count=burst.count),
                "stored": lambda: saver.ask("burst", count=burst.count),
                "daemon": with_daemon,
            },
            burst.times,
        )
    times_s = {name: [entry["saved_s"] for entry in found] for name, found in results.items()}
    cpu_s = {name: [entry["cpu_s"] for entry in found] for name, found in results.items()}
    return {
        "count": burst.count,
        **{f"{name}_images_per_s": burst.count / Spread.of(found).median for name, found in times_s.items()},
        "wall": ratio(times_s["daemon"], times_s["bare"]).json(),
        "cpu": ratio(cpu_s["daemon"], cpu_s["bare"]).json(),
        "cpu_over_stored": ratio(cpu_s["daemon"], cpu_s["stored"]).json(),
    }
