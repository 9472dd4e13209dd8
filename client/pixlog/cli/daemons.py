"""``pixlog status`` and ``pixlog stop``: daemons at work, and their end."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.live import Live

from pixlog.cli.choosing import JsonOption, RunArgument
from pixlog.cli.find_daemon import Daemon, answering_daemons, daemon_of
from pixlog.cli.status_view import daemons_view
from pixlog.cli.terminal import count_text, messages, plain, print_json, printable, results, spinner
from pixlog.control import request
from pixlog.errors import ConnectError
from pixlog.process_identity import is_alive, started_ticks
from pixlog.reading.run import Run, check_is_run

_POLL_S = 0.05


def status(
    run_dir: Annotated[
        Path | None, typer.Argument(metavar="RUN", help="The run directory.", show_default=False)
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", "-a", help="Every daemon of this user on this host.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Again and again, until the daemon ends or Ctrl-C.")
    ] = False,
    interval_s: Annotated[
        float, typer.Option("--interval", min=0.05, metavar="SECONDS", help="Pause of --watch.")
    ] = 1.0,
    timeout_s: Annotated[
        float, typer.Option("--timeout", min=0.01, metavar="SECONDS", help="How long to wait for an answer.")
    ] = 5.0,
    as_json: JsonOption = False,
) -> None:
    """Show what a run's daemon is doing: clients, queue, images/s, MB/s, dropped, failed.

    \b
      $ pixlog status runs/exp1
      $ pixlog status --all --watch
      $ pixlog status runs/exp1 --json | jq '.daemons[].runs[].queued'

    A daemon ends by itself a few seconds after its last client. Without one,
    the counts come from the manifest.
    """
    if (run_dir is None) != every:
        raise typer.BadParameter("expected either a run directory or --all", param_hint="RUN")
    snapshots = _snapshots(run_dir, timeout_s, interval_s if watch else None)
    console = results()
    if as_json:
        for daemons in snapshots:
            _print_json(run_dir, daemons, indent=None if watch else 2)
    elif watch and console.is_terminal:
        with Live(console=console, refresh_per_second=4) as live:
            for daemons in snapshots:
                live.update(daemons_view(daemons), refresh=True)
        _say_none(run_dir)
    else:
        for daemons in snapshots:
            if daemons:
                console.print(daemons_view(daemons))
            else:
                _say_none(run_dir)


def stop(
    run_dir: RunArgument,
    timeout_s: Annotated[
        float,
        typer.Option("--timeout", min=0.0, metavar="SECONDS", help="How long to wait for the daemon's end."),
    ] = 60.0,
    shared: Annotated[
        bool, typer.Option("--shared", help="Also end a daemon that serves other runs at the moment.")
    ] = False,
) -> None:
    """Drain and end the daemon of a run: what it has accepted is written first.

    \b
      $ pixlog stop runs/exp1

    It is seldom needed: a daemon ends by itself a few seconds after its last
    client. Clients that log on start a new one. Exit code 1 if the daemon is
    still there after --timeout.
    """
    daemon = daemon_of(run_dir, min(timeout_s, 5.0) or 5.0)
    console = results()
    if daemon is None:
        check_is_run(run_dir)
        console.print(plain(f"no daemon is running for {run_dir}; nothing to stop"), soft_wrap=True)
        return
    others = daemon.runs_besides(run_dir)
    if others and not shared:
        raise ConnectError(
            f"the daemon with pid {daemon.status['pid']} also serves {', '.join(others[:3])}"
            f"{' and others' if len(others) > 3 else ''}: --shared ends it all the same"
        )
    pid = int(daemon.status["pid"])
    started = started_ticks(pid)
    answer = request(daemon.socket_path, "stop", timeout_s=5.0)
    queued = int(answer.get("queued", 0))
    with spinner(f"writing {count_text(queued, 'queued call')}"):
        deadline = time.monotonic() + timeout_s
        while is_alive(pid, started):
            if time.monotonic() >= deadline:
                raise ConnectError(
                    f"the daemon with pid {pid} is still writing after {timeout_s:g} s; it will end when it has "
                    f"written everything"
                )
            time.sleep(_POLL_S)
    console.print(plain(f"stopped the daemon with pid {pid}"))


def _snapshots(run_dir: Path | None, timeout_s: float, interval_s: float | None) -> Iterator[list[Daemon]]:
    """Yield the daemons asked for, once or every ``interval_s`` while there are any."""
    while True:
        if run_dir is None:
            silent: list[str] = []
            daemons = list(answering_daemons(timeout_s, silent))
            for complaint in silent:
                messages().print(f"pixlog: {printable(complaint)}", style="yellow")
        else:
            found = daemon_of(run_dir, timeout_s)
            daemons = [] if found is None else [found]
        yield daemons
        if interval_s is None or not daemons:
            return
        time.sleep(interval_s)


def _say_none(run_dir: Path | None) -> None:
    """Say that there is no daemon, and what the run holds."""
    if run_dir is None:
        results().print("no daemon is running")
        return
    counts = Run(run_dir).summary().counts_text()
    results().print(plain(f"no daemon is running for {run_dir}; its manifest has {counts}"), soft_wrap=True)


def _print_json(run_dir: Path | None, daemons: list[Daemon], indent: int | None) -> None:
    said: dict[str, Any] = {"daemons": [daemon.status for daemon in daemons]}
    if run_dir is not None and not daemons:
        summary = Run(run_dir).summary()
        said["manifest"] = {name: getattr(summary, name) for name in ("rows", "saved", "failed", "dropped")}
    print_json(said, indent=indent)
    sys.stdout.flush()
