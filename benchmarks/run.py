"""Every benchmark in one run: figures into ``benchmarks/results/latest.json``, the page into ``docs/benchmarks.md``.

    python benchmarks/run.py                    all of it, about ten minutes (make bench)
    python benchmarks/run.py --short            to see that everything runs, under a minute (make bench SHORT=1)
    python benchmarks/run.py --only overhead    one of them, which takes the place of its figures on the page

Peers are installed into environments beside the project, ``.venv-bench-*``, on the first full run.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from bench import (
    beside_peers,
    copy_floor,
    device,
    exports,
    growth,
    imports,
    overhead,
    packed,
    page,
    reading,
    scaling,
    small_images,
    training_loop,
    viewing,
)
from bench.harness import Form, Report, machine, write_json

BENCHMARKS: Final[dict[str, Callable[..., Report]]] = {
    "copy_floor": copy_floor.run,
    "beside_peers": beside_peers.run,
    "overhead": overhead.run,
    "small_images": small_images.run,
    "scaling": scaling.run,
    "training_loop": training_loop.run,
    "device": device.run,
    "imports": imports.run,
    "reading": reading.run,
    "viewing": viewing.run,
    "packed": packed.run,
    "growth": growth.run,
    "exports": exports.run,
}
_TAKES_PEERS: Final = ("beside_peers", "training_loop")
_MEMORY: Final = Path("/dev/shm")
RESULTS: Final = Path(__file__).resolve().parent / "results/latest.json"


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="run little of each, to see that it runs")
    parser.add_argument("--only", action="append", choices=BENCHMARKS, help="run this one (may be repeated)")
    parser.add_argument("--no-peers", action="store_true", help="leave other loggers out")
    parser.add_argument("--million", action="store_true", help="grow a run to a million images, not 100,000")
    parser.add_argument("--shared", metavar="TEXT", help="say on the page that the machine was not all ours")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures there and no page")
    arguments = parser.parse_args()
    console = Console(stderr=True)
    form = Form(arguments.short)
    reports: list[Report] = []
    place = _place(arguments.short)
    compiled = tempfile.mkdtemp(prefix="pixlog-compiled-")
    # Environments that forbid compiled files make every process compile what it imports, beside what is measured.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = compiled
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    result: dict[str, Any] = {
        "date": today,
        "form": "short" if arguments.short else "full",
        "machine": machine()
        | {"files": "in memory" if place == _MEMORY else "on disk"}
        | ({"shared": arguments.shared} if arguments.shared else {}),
    }
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    for name in arguments.only or BENCHMARKS:
        options: dict[str, Any] = {"peers": not arguments.no_peers} if name in _TAKES_PEERS else {}
        if name == "growth":
            options["million"] = arguments.million
        directory = Path(tempfile.mkdtemp(prefix="pixlog-bench-", dir=place))
        os.environ["PIXLOG_RUNTIME_DIR"] = str(directory / "runtime")
        try:
            with Progress(*columns, console=console, transient=True) as progress:
                progress.add_task(name)
                start = time.perf_counter()
                report = BENCHMARKS[name](form, directory, **options)
                report.seconds = time.perf_counter() - start
                report.date, report.load = today, os.getloadavg()[0]
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        reports.append(report)
        console.print(f"[b]{report.title}[/b], {report.seconds:.0f} s", highlight=False)
        for goal in report.goals:
            mark = {True: "[green]met[/green]", False: "[red]missed[/red]", None: "—"}[goal.met]
            console.print(f"  {goal.what}: {goal.target}: {goal.measured}: {mark}", highlight=False)
    shutil.rmtree(compiled, ignore_errors=True)
    result["reports"] = [report.json() for report in reports]
    if arguments.json is not None:
        write_json(arguments.json, result)
    elif not arguments.short:
        if arguments.only and RESULTS.exists():
            result = _with_earlier(result)
        write_json(RESULTS, result)
        page.write_page(RESULTS)
        console.print(f"wrote {RESULTS.name} and docs/benchmarks.md")


def _place(short: bool) -> Path | None:
    """Return where runs are to lie: in memory if there is room, None for the usual place of temporary files.

    A disk's speed is nobody's merit here, and ext4 looks at every file that was deleted during the last minutes when it
    makes a new one, which is a matter of what ran before.
    """
    if not _MEMORY.is_dir() or not os.access(_MEMORY, os.W_OK):
        return None
    return _MEMORY if shutil.disk_usage(_MEMORY).free > (1 if short else 8) << 30 else None


def _with_earlier(result: dict[str, Any]) -> dict[str, Any]:
    """Put the reports of this run beside those that an earlier one left."""
    earlier = json.loads(RESULTS.read_text())
    reports = {report["name"]: report for report in [*earlier["reports"], *result["reports"]]}
    return result | {"reports": [reports[name] for name in BENCHMARKS if name in reports]}


if __name__ == "__main__":
    main()
