"""A training loop on the CPU that logs one 512² image in each step, against the same loop that logs none.

Blocks of steps with and without logging follow one another in the same process.  Once the loop has one processor to
itself and the daemon the other; once everything shares both, beside other loggers.
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
    steps, blocks = form.pick((4, 1), (12, 14))
    cpus = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    rows = []
    if len(cpus) >= 2:
        with (
            Daemon(directory, cpus={cpus[1]}, encode_workers=1) as daemon,
            Contestant("pixlog", cpus={cpus[0]}, environ=_ONE_THREAD) as loop,
        ):
            loop.open(directory / "pinned", images, connect=daemon.connect)
            pinned = _measure(loop, steps, blocks)
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
        report.figures["pixlog"] = _measure(loop, steps, blocks // 2 or 1)
        rows.append(_row("pixlog, all on the same processors", report.figures["pixlog"]))
    for name in _BESIDE if peers else ():
        peer = BY_NAME[name]
        if not peer.is_installed():
            report.notes.append(f"{name}: not installed")
            continue
        try:
            with Contestant(peer.contestant, python=peer.python) as loop:
                loop.open(directory / f"loop-{peer.directory}", images)
                report.figures[name] = _measure(loop, steps, blocks // 2 or 1)
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


def _measure(loop: Contestant, steps: int, blocks: int) -> Json:
    loop.ask("train", steps=2, side=_SIDE, repeat=1, logging=True)
    probe = loop.ask("train", steps=10, side=_SIDE, repeat=1, logging=False)["times_s"]
    repeat = max(1, round(_STEP_S / Spread.of(probe).median))
    added, without_ms, with_ms = [], [], []
    for number in range(blocks):
        medians = {}
        for logging in (True, False) if number % 2 else (False, True):
            times_s = loop.ask("train", steps=steps, side=_SIDE, repeat=repeat, logging=logging)["times_s"]
            medians[logging] = Spread.of(times_s).median
        added.append(medians[True] / medians[False] - 1)
        without_ms.append(medians[False] * 1e3)
        with_ms.append(medians[True] * 1e3)
    return {
        "step_ms": Spread.of(without_ms).json(),
        "step_with_image_ms": Spread.of(with_ms).json(),
        "added": Spread.of(added).json(),
    }


def _row(name: str, figures: Json) -> list[str]:
    added = figures["added"]
    return [
        name,
        f"{figures['step_ms']['median']:.2f}",
        f"{figures['step_with_image_ms']['median']:.2f}",
        f"{added['median']:+.2%} ({added['low']:+.2%} to {added['high']:+.2%})",
    ]
