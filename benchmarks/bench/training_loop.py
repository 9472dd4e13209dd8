"""A training loop on the CPU that logs one 512² image in each step, against the same loop that logs none.

Once the loop has one processor to itself and the daemon the other: there steps with and without an image take turns,
for an image is saved before its step is over, and what a busy host does to one step it does to the next.  Once
everything shares both, beside other loggers: there blocks of steps take turns, for what is left of one step's image
slows the next.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from bench.contestant import Contestant, ContestantError
from bench.harness import Form, Goal, Json, Report, Spread
from bench.peers import BY_NAME
from bench.pixlog_daemon import Daemon
from bench.sample_images import SHAPES, image_file

_STEP_S: Final = 0.03
_SIDE: Final = 512
_MOST_SLOWER: Final = 0.01
_BESIDE: Final = ("wandb 0.31 offline", "tensorboardX", "Rerun, to a file")
_ONE_THREAD: Final = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def run(form: Form, directory: Path, *, peers: bool = True) -> Report:
    """Measure what logging adds to a step."""
    report = Report("training_loop", "A training loop on the CPU, one 512² image a step")
    images = image_file(directory, SHAPES["512²"], 8)
    turns, rounds = form.pick((4, 1), (60, 12))
    steps, blocks = form.pick((4, 1), (12, 20))
    cpus = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    rows = []
    if len(cpus) >= 2:
        with (
            Daemon(directory, cpus={cpus[1]}, encode_workers=1) as daemon,
            Contestant("pixlog", cpus={cpus[0]}, environ=_ONE_THREAD) as loop,
        ):
            loop.open(directory / "pinned", images, connect=daemon.connect)
            pinned = _by_steps(loop, turns, rounds)
        report.figures["pinned"] = pinned
        rows.append(_row("pixlog, the loop pinned to one processor, the daemon to the other", pinned))
        added = pinned["added"]["median"]
        report.goals.append(
            Goal(
                "a CPU training loop pinned to one core, the daemon on the other, one 512² image per step",
                f"step time + ≤ {_MOST_SLOWER:.0%}",
                f"{added:+.2%} ({pinned['added']['low']:+.2%} to {pinned['added']['high']:+.2%})",
                added <= _MOST_SLOWER,
            )
        )
    with Daemon(directory, encode_workers=1, nice=10) as daemon, Contestant("pixlog") as loop:
        loop.open(directory / "shared", images, connect=daemon.connect)
        report.figures["pixlog"] = _by_blocks(loop, steps, blocks)
        rows.append(_row("pixlog, all on the same processors", report.figures["pixlog"]))
    for name in _BESIDE if peers else ():
        peer = BY_NAME[name]
        if not peer.is_installed():
            report.notes.append(f"{name}: not installed")
            continue
        try:
            with Contestant(peer.contestant, python=peer.python) as loop:
                loop.open(directory / f"loop-{peer.directory}", images)
                report.figures[name] = _by_blocks(loop, steps, blocks)
        except ContestantError as exc:
            report.notes.append(f"{name}: does not run here: {exc}")
            continue
        rows.append(_row(name, report.figures[name]))
    report.tables.append((["loop", "step ms", "with an image", "added"], rows))
    shared = report.figures["pixlog"]["added"]["median"]
    beside = {name: report.figures[name]["added"]["median"] for name in _BESIDE if name in report.figures}
    report.goals.append(
        Goal(
            "same, all on the same two cores, beside wandb, tensorboardX and Rerun",
            "least of all",
            f"pixlog {shared:+.1%}; " + ", ".join(f"{name} {added:+.1%}" for name, added in beside.items()),
            shared <= min(beside.values()) if beside else None,
        )
    )
    return report


def _by_steps(loop: Contestant, steps: int, rounds: int) -> Json:
    """Compare steps with and without an image that take turns."""
    repeat = _repeat(loop)
    return _figures(
        [loop.ask("train", steps=steps, side=_SIDE, repeat=repeat, every=2) for _ in range(rounds)]
    )


def _by_blocks(loop: Contestant, steps: int, blocks: int) -> Json:
    """Compare blocks of steps with an image each and without any that take turns."""
    repeat = _repeat(loop)
    taken: list[Json] = []
    for number in range(blocks):
        both: Json = {}
        for every, name in ((1, "with_s"), (0, "without_s"))[:: 1 if number % 2 else -1]:
            both[name] = loop.ask("train", steps=steps, side=_SIDE, repeat=repeat, every=every)[name]
        taken.append(both)
    return _figures(taken)


def _repeat(loop: Contestant) -> int:
    """Return how often a step repeats its computing to last as long as a step is to."""
    loop.ask("train", steps=2, side=_SIDE, repeat=1, every=1)
    probe = loop.ask("train", steps=10, side=_SIDE, repeat=1, every=0)["without_s"]
    return max(1, round(_STEP_S / Spread.of(probe).low))


def _figures(rounds: list[Json]) -> Json:
    with_s = [Spread.of(taken["with_s"]).median for taken in rounds]
    without_s = [Spread.of(taken["without_s"]).median for taken in rounds]
    return {
        "step_ms": Spread.of([1e3 * each for each in without_s]).json(),
        "step_with_image_ms": Spread.of([1e3 * each for each in with_s]).json(),
        "added": Spread.of([a / b - 1 for a, b in zip(with_s, without_s, strict=True)]).json(),
    }


def _row(name: str, figures: Json) -> list[str]:
    added = figures["added"]
    return [
        name,
        f"{figures['step_ms']['median']:.2f}",
        f"{figures['step_with_image_ms']['median']:.2f}",
        f"{added['median']:+.2%} ({added['low']:+.2%} to {added['high']:+.2%})",
    ]
