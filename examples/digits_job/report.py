"""The end of the demo: does every image have its end and its file, and what did logging cost."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

import pixlog
from digits_job.clock import Calls
from digits_job.messages import ProcessReport, Score
from pixlog.reading.verify import VerifyReport

_BARS = "▁▂▃▄▅▆▇█"
_CLOCKS = ("wall_s", "cpu_s")


def complaints(run: pixlog.Run, processes: Sequence[ProcessReport], checked: VerifyReport) -> list[str]:
    """Return what is wrong: calls without an end, rows that are missing or too many, files that are not right."""
    found = []
    for process in processes:
        stats = process.stats
        if stats.accepted != stats.saved + stats.failed + stats.dropped:
            found.append(f"{process.name}: {stats.pending} of {stats.accepted} images have no end: {stats}")
    summary = run.summary()
    for state in ("saved", "failed", "dropped"):
        counted = sum(getattr(process.stats, state) for process in processes)
        if getattr(summary, state) != counted:
            found.append(f"{counted} log calls were {state}, the run has {getattr(summary, state)} such rows")
    found += [str(failure) for failure in checked.failures]
    if checked.problems.total:
        found.append(f"{checked.problems.total} lines of the manifest could not be read")
    return found


def processes_table(processes: Sequence[ProcessReport]) -> Table:
    """Return what became of the images of each process, and the time its log calls took."""
    table = Table(title="Every process logged into one run", title_justify="left")
    table.add_column("process", no_wrap=True)
    for name in ("accepted", "saved", "failed", "dropped", "in calls", "median"):
        table.add_column(name, justify="right")
    for process in sorted(processes, key=lambda process: process.name):
        table.add_row(process.name, *_counts([process]), *_times([process]))
    table.add_section()
    table.add_row("all", *_counts(processes), *_times(processes), style="bold")
    return table


def costs_table(processes: Sequence[ProcessReport]) -> Table:
    """Return what logging took all processes, beside what encoding in the loop would have taken them."""
    kinds = [calls for process in processes for calls in process.kinds.values()]
    image_count = sum(calls.encoded_count for calls in kinds)
    sampling_s = sum(sum(calls.encoded.wall_s) for calls in kinds)
    caption = (
        f"Encoding was measured in every process beside every tenth call, at the same moment: {image_count} images, "
        f"{sampling_s:.1f} s of the training. Waiting for one of the {os.cpu_count()} cores counts as time, not as "
        "CPU time."
    )
    table = Table(title="What logging cost", title_justify="left", caption=caption, caption_justify="left")
    table.add_column("all processes together", no_wrap=True)
    table.add_column("time", justify="right")
    table.add_column("CPU time", justify="right")
    logged_s = [_each_s(kinds, clock) for clock in _CLOCKS]
    encoded_s = [_encoding_s(kinds, clock) for clock in _CLOCKS]
    table.add_row("inside log calls", *(f"{sum(each_s):.2f} s" for each_s in logged_s), style="bold")
    table.add_row("  the median call", *(f"{np.median(each_s) * 1e3:.2f} ms" for each_s in logged_s))
    table.add_row(
        "  99 of 100 calls within", *(f"{np.percentile(each_s, 99) * 1e3:.2f} ms" for each_s in logged_s)
    )
    table.add_row(
        "encoding the same in the loop, PNG by Pillow", *(f"{total_s:.2f} s" for total_s in encoded_s)
    )
    factors = [total_s / sum(each_s) for total_s, each_s in zip(encoded_s, logged_s, strict=True)]
    table.add_row("  as a multiple", *(f"{factor:.0f} ×" for factor in factors))
    return table


def print_learning(
    console: Console, training_s: float, losses: Sequence[float], scores: Sequence[Score]
) -> None:
    """Print that the training was one."""
    parts = np.array_split(np.array(losses), min(40, len(losses)))
    means = np.array([part.mean() for part in parts])
    heights = (means / means.max() * (len(_BARS) - 1)).round().astype(int)
    curve = "".join(_BARS[height] for height in heights)
    console.print(f"Trained for {training_s:.0f} s.  Loss {losses[0]:.2f} {curve} {means[-1]:.2f}")
    first, last = scores[0], scores[-1]
    console.print(
        f"On a photograph with digits it never saw: overlap of digit pixels {first.overlap:.0%} → {last.overlap:.0%}, "
        f"digits read right {first.read_right:.0%} → {last.read_right:.0%}"
    )


def print_where_to_look(console: Console, run_dir: Path, sheet: Path) -> None:
    """Print what to do next."""
    command = (
        "pixlog" if shutil.which("pixlog") else os.path.relpath(Path(sys.executable).with_name("pixlog"))
    )
    console.print("\nLook at it:")
    console.print(f"  [bold]{sheet}[/]  shows all keys in one picture")
    console.print(f"  {command} ls {run_dir}", soft_wrap=True)
    console.print(f"  {command} ls {run_dir} --key val/found", soft_wrap=True)
    console.print(f"  {command} view {run_dir}  shows it in the browser", soft_wrap=True)


def _counts(processes: Sequence[ProcessReport]) -> list[str]:
    return [
        f"{sum(getattr(process.stats, name) for process in processes):,}"
        for name in ("accepted", "saved", "failed", "dropped")
    ]


def _times(processes: Sequence[ProcessReport]) -> list[str]:
    each_s = _each_s([calls for process in processes for calls in process.kinds.values()], "wall_s")
    return [f"{sum(each_s) * 1e3:,.0f} ms", f"{np.median(each_s) * 1e3:.2f} ms"] if each_s else ["—"] * 2


def _each_s(kinds: Sequence[Calls], clock: str) -> list[float]:
    return [time_s for calls in kinds for time_s in getattr(calls.logged, clock)]


def _encoding_s(kinds: Sequence[Calls], clock: str) -> float:
    """Estimate what encoding would have taken for all calls, from those that were compared."""
    return sum(float(np.mean(getattr(calls.encoded, clock))) * len(calls.logged.wall_s) for calls in kinds)
