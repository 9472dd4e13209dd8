"""The same pixels into pixlog and into other loggers, in turn: the caller's time, and the time until all is saved."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.contestant import Contestant, ContestantError
from bench.harness import Form, Goal, Json, Report, Spread, percentile, ratio, rounds
from bench.peers import PEERS, Peer
from bench.pixlog_daemon import Daemon
from bench.sample_images import SHAPES, image_file

OURS: Final = "pixlog"
OURS_BY_DEFAULT: Final = "pixlog, 1 encode worker"
_QUICK: Final = (OURS, OURS_BY_DEFAULT, "Rerun, to a file")
_CALLER_GOALS: Final = {
    ("wandb 0.31 offline", "1080p"): 700,
    ("wandb 0.31 offline", "256²"): 500,
    ("wandb 0.18 offline", "1080p"): 700,
    ("wandb 0.18 offline", "256²"): 500,
    ("Rerun, to a file", "1080p"): 4,
    ("Rerun, to a file", "256²"): 4,
}
_END_TO_END_GOAL: Final = 25
_MOST_BYTES: Final = 1.02


@dataclass(frozen=True, slots=True)
class Load:
    """How many images each round brings: to those that take milliseconds for one, and to the others."""

    size: str
    slow_calls: int
    quick_calls: int
    slow_burst: int
    quick_burst: int
    rounds: int

    def calls(self, name: str) -> int:
        """Return how many paced calls a contestant makes in a round."""
        return self.quick_calls if name in _QUICK else self.slow_calls

    def burst(self, name: str) -> int:
        """Return how many images a contestant saves in a round."""
        return self.quick_burst if name in _QUICK else self.slow_burst


def run(form: Form, directory: Path, *, peers: bool = True) -> Report:
    """Compare everything that is installed; what is not is listed with the reason."""
    report = Report("beside_peers", "Beside other loggers, same pixels")
    absent: dict[str, str] = {}
    present: list[Peer] = []
    for peer in PEERS if peers else ():
        reason = None if peer.is_installed() else "not installed (short form)"
        if reason is not None and not form.short:
            reason = peer.install()
        if reason is None:
            present.append(peer)
        else:
            absent[peer.name] = reason
    if not peers:
        absent = {peer.name: "left out on request" for peer in PEERS}
    loads = form.pick(
        [Load("256²", 3, 6, 3, 12, 1)],
        [Load("256²", 6, 40, 8, 240, 8), Load("1080p", 2, 12, 2, 32, 8)],
    )
    report.figures["versions"] = {peer.name: peer.version() for peer in present}
    with (
        Daemon(directory, encode_workers=2, nice=10) as two,
        Daemon(directory, encode_workers=1, nice=10) as one,
    ):
        for load in loads:
            figures = _measure(load, present, two, one, directory, absent)
            report.figures[load.size] = figures
            _conclude(report, load.size, figures)
    report.figures["absent"] = absent
    report.notes += [f"{name}: {reason}" for name, reason in absent.items()]
    report.notes.append(
        "A call comes after 4 ms of computing, as in a training step, or, “in a row”, right after another one, as at"
        " the end of an epoch; goals hold for the former."
    )
    report.notes.append(
        "“Saved” means in files that another process can read; for tensorboardX and Rerun, in their own file format."
    )
    return report


def _measure(
    load: Load, present: list[Peer], two: Daemon, one: Daemon, directory: Path, absent: dict[str, str]
) -> Json:
    images = image_file(directory, SHAPES[load.size], 8)
    place = directory / f"beside-{load.size}"
    with contextlib.ExitStack() as stack:
        open_ones: dict[str, Contestant] = {}
        for name, daemon in ((OURS, two), (OURS_BY_DEFAULT, one)):
            contestant = stack.enter_context(Contestant("pixlog"))
            contestant.open(place / name, images, connect=daemon.connect)
            open_ones[name] = contestant
        for peer in present:
            contestant = stack.enter_context(Contestant(peer.contestant, python=peer.python))
            try:
                contestant.open(place / peer.directory, images)
                contestant.ask("calls", count=1)
            except ContestantError as exc:
                absent[peer.name] = f"does not run here: {exc}"
                continue
            open_ones[peer.name] = contestant
        for name in (
            OURS,
            OURS_BY_DEFAULT,
        ):  # memory that was touched once, as after the first step of a training
            open_ones[name].ask("burst", count=load.quick_burst)

        def turn(name: str) -> Json:
            contestant = open_ones[name]
            times_s = contestant.ask("calls", count=load.calls(name))["times_s"]
            burst = contestant.ask("burst", count=load.burst(name))
            return {
                "times_s": times_s,
                "row_s": burst["called_s"] / load.burst(name),
                "per_image_s": burst["saved_s"] / load.burst(name),
            }

        results = rounds({name: _bound(turn, name) for name in open_ones}, load.rounds)
        figures: Json = {}
        for name, entries in results.items():
            nbytes = open_ones[name].ask("nbytes")
            times_s = [time_s for entry in entries for time_s in entry["times_s"]]
            callers = [Spread.of(entry["times_s"]).median for entry in entries]
            ours = [Spread.of(entry["times_s"]).median for entry in results[OURS]]
            saved = [entry["per_image_s"] for entry in entries]
            figures[name] = {
                "call_median_ms": Spread.of(times_s).median * 1e3,
                "call_p99_ms": percentile(times_s, 0.99) * 1e3,
                "call_over_pixlog": ratio(callers, ours).json(),
                "row_call_ms": Spread.of([entry["row_s"] for entry in entries]).median * 1e3,
                "row_call_over_pixlog": ratio(
                    [entry["row_s"] for entry in entries], [entry["row_s"] for entry in results[OURS]]
                ).json(),
                "images_per_s": Spread.of([1 / each for each in saved]).json(),
                "pixlog_is_faster": ratio(saved, [entry["per_image_s"] for entry in results[OURS]]).json(),
                "bytes_an_image": (nbytes["image_nbytes"] or nbytes["nbytes"]) / nbytes["logged"],
                "all_bytes_an_image": nbytes["nbytes"] / nbytes["logged"],
            }
    return figures


def _bound(turn: Callable[[str], Json], name: str) -> Callable[[], Json]:
    return lambda: turn(name)


def _conclude(report: Report, size: str, figures: Json) -> None:
    header = [
        size,
        "caller ms, median",
        "p99",
        "× pixlog's",
        "in a row, ms",
        "× pixlog's",
        "images/s saved",
        "pixlog is × faster",
        "bytes an image",
    ]
    rows = []
    for name, entry in sorted(figures.items(), key=lambda item: item[1]["call_median_ms"]):
        over, faster = entry["call_over_pixlog"], entry["pixlog_is_faster"]
        row_over = entry["row_call_over_pixlog"]
        rows.append(
            [
                name,
                f"{entry['call_median_ms']:,.3f}",
                f"{entry['call_p99_ms']:,.3f}",
                _spread(over),
                f"{entry['row_call_ms']:,.3f}",
                _spread(row_over),
                f"{entry['images_per_s']['median']:,.1f}",
                _spread(faster),
                f"{entry['bytes_an_image']:,.0f}",
            ]
        )
    report.tables.append((header, rows))
    for (name, goal_size), times in _CALLER_GOALS.items():
        if goal_size == size:
            figure = figures.get(name)
            what = f"caller's time against {name}, {size}", f"≥ {times} × less"
            if figure is None:
                report.goals.append(Goal(*what, "not measured", None))
                continue
            found, in_a_row = figure["call_over_pixlog"], figure["row_call_over_pixlog"]
            measured = f"{_spread(found)} × less; {in_a_row['median']:,.3g} × in a row of calls"
            report.goals.append(Goal(*what, measured, found["median"] >= times))
    ours, theirs = figures[OURS], figures.get("wandb 0.31 offline")
    if theirs is None:
        return
    bytes_ratio = ours["bytes_an_image"] / theirs["bytes_an_image"]
    faster = theirs["pixlog_is_faster"]
    report.goals.append(
        Goal(
            f"end to end, PNG, {size}, against wandb 0.31 offline",
            f"≥ {_END_TO_END_GOAL} × the images/s at ≤ {_MOST_BYTES} × the bytes",
            f"{_spread(faster)} × at {bytes_ratio:.3f} × the bytes",
            faster["median"] >= _END_TO_END_GOAL and bytes_ratio <= _MOST_BYTES,
        )
    )


def _spread(entry: Json) -> str:
    if entry["low"] == entry["high"]:
        return f"{entry['median']:,.3g}"
    return f"{entry['median']:,.3g} ({entry['low']:,.3g} to {entry['high']:,.3g})"
