"""``pixlog verify``: is every file of a run there, whole, and as its row says?"""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer
from rich.console import Console

from pixlog.cli.choosing import JsonOption, RunArgument
from pixlog.cli.find_daemon import daemon_of
from pixlog.cli.terminal import (
    count_text,
    nbytes_text,
    plain,
    print_json,
    printable,
    progress_bar,
    results,
    spinner,
)
from pixlog.reading.repair import Repaired, repair
from pixlog.reading.run import Run
from pixlog.reading.verify import VerifyReport
from pixlog.reading.verify import verify as verify_run

_NAMES_SHOWN = 10


def verify(
    run_dir: RunArgument,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", "-j", min=1, help="Threads that read and decode. Default: one a processor."
        ),
    ] = None,
    mend: Annotated[
        bool,
        typer.Option(
            "--repair", help="Remove temporary files of dead writers, free spill files they had claimed."
        ),
    ] = False,
    adopt: Annotated[
        bool,
        typer.Option("--adopt", help="With --repair: give rows, of key 'orphan', to files that have none."),
    ] = False,
    other_hosts: Annotated[
        bool,
        typer.Option(
            "--other-hosts",
            help="With --repair: also after writers of other hosts. Only when none still runs.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check a run: every row's files exist, decode, and match size and sha256.

    \b
      $ pixlog verify runs/exp1 && echo sound
      $ pixlog verify runs/exp1 --json | jq '.failures[].path'

    Exit code 0 if all is well, 1 otherwise, with one line for each failure.
    Files that no row names and temporary files of writers that died are listed
    and are no failure. It may run while training logs.
    """
    if (adopt or other_hosts) and not mend:
        raise typer.BadParameter("is only of use with --repair", param_hint="--adopt, --other-hosts")
    with spinner("reading the manifest"):
        run = Run(run_dir)
    with progress_bar("checking files") as report_progress:
        report = verify_run(run, workers=workers, progress=report_progress)
    repaired: Repaired | None = None
    if mend:
        is_served = daemon_of(run_dir, 5.0) is not None
        orphans = report.orphans if adopt else ()
        repaired = repair(run_dir, adopt=orphans, is_served=is_served, of_other_hosts=other_hosts)
    if as_json:
        said = dataclasses.asdict(report) | {"run_dir": str(report.run_dir), "ok": report.ok}
        if repaired is not None:
            said["repaired"] = dataclasses.asdict(repaired)
        print_json(said, indent=2)
    else:
        _show(results(), report)
        if repaired is not None:
            _show_repaired(results(), repaired)
    if not report.ok:
        raise typer.Exit(1)


def _show(console: Console, report: VerifyReport) -> None:
    for failure in report.failures:
        console.print(printable(str(failure)), markup=False, soft_wrap=True)
    for example in report.problems.examples:
        console.print(printable(f"manifest: {example}"), markup=False, soft_wrap=True)
    _show_names(console, report.orphans, "no row names this file")
    _show_names(console, report.leftovers, "temporary file")
    if report.torn_nbytes:
        console.print(
            f"note: {count_text(report.torn_nbytes, 'byte')} of unfinished last lines, which readers ignore"
        )
    counts = (
        f"{count_text(report.row_count, 'row')} ({report.saved_count:,} saved, {report.failed_count:,} failed, "
        f"{report.dropped_count:,} dropped), {count_text(report.file_count, 'file')}, {nbytes_text(report.nbytes)}"
    )
    if report.ok:
        console.print(plain(f"{report.run_dir}: {counts}: all sound"), style="green", soft_wrap=True)
        return
    problems = report.problems.total
    found = [count_text(len(report.failures), "failure")] if report.failures else []
    found += [f"{count_text(problems, 'line')} of the manifest unreadable"] if problems else []
    console.print(plain(f"{report.run_dir}: {counts}: {', '.join(found)}"), style="red", soft_wrap=True)


def _show_repaired(console: Console, repaired: Repaired) -> None:
    _show_names(console, repaired.removed, "removed", note="repair")
    _show_names(console, repaired.unclaimed, "freed, for  pixlog recover", note="repair")
    _show_names(console, repaired.adopted, "adopted", note="repair")
    left = [f"{name} ({why})" for name, why in repaired.left.items()]
    _show_names(console, left, "left alone", note="repair")


def _show_names(console: Console, names: list[str], what: str, note: str = "note") -> None:
    for name in names[:_NAMES_SHOWN]:
        console.print(f"{note}: {what}: {printable(name)}", markup=False, soft_wrap=True)
    if len(names) > _NAMES_SHOWN:
        console.print(f"{note}: {what}: {len(names) - _NAMES_SHOWN:,} more (--json lists all)")
