"""``pixlog recover``: turn what lies in a run's spill into saved rows."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from pixlog.cli.choosing import RunArgument
from pixlog.cli.find_daemon import daemon_of
from pixlog.cli.terminal import count_text, messages, plain, printable, progress_bar, results
from pixlog.reading.recover import Left
from pixlog.reading.recover import recover as recover_run
from pixlog.reading.run import check_is_run


def recover(
    run_dir: RunArgument,
    timeout_s: Annotated[
        float,
        typer.Option(
            "--timeout",
            min=0.1,
            metavar="SECONDS",
            help="How long to wait without any progress, and for an answer.",
        ),
    ] = 60.0,
    other_hosts: Annotated[
        bool,
        typer.Option(
            "--other-hosts",
            help="Also what clients and daemons of other hosts left. Only when none of them runs any more.",
        ),
    ] = False,
) -> None:
    """Bring to their end the images that a job could not save before it was ended.

    \b
      $ pixlog recover runs/exp1
      $ pixlog recover runs/exp1 --other-hosts      the job ran elsewhere

    A job that is ended from outside leaves images raw in the run's spill,
    and so does a training that was faster than the disk. The next daemon of
    the run saves them; this command starts one and waits for it.

    Exit code 0 if nothing is left in the spill and in the queue, 1 otherwise,
    with a line for each file.
    """
    daemon = daemon_of(run_dir, 5.0)
    if daemon is None:
        check_is_run(run_dir)
    with progress_bar("saving images") as report_progress:
        outcome = recover_run(
            run_dir,
            socket_path=None if daemon is None else daemon.socket_path,
            of_other_hosts=other_hosts,
            timeout_s=timeout_s,
            progress=report_progress,
        )
    saved = count_text(outcome.count, "call")
    if outcome.left:
        for left in outcome.left:
            messages().print(printable(f"left: {_line(run_dir, left)}"), style="yellow")
        results().print(plain(f"{run_dir}: {saved} brought to their end, not all"), soft_wrap=True)
        raise typer.Exit(1)
    results().print(plain(f"{run_dir}: {saved} brought to their end, nothing is left"), soft_wrap=True)


def _line(run_dir: Path, left: Left) -> str:
    return f"{os.path.relpath(left.path, run_dir)}: {left.why}"
