"""What a daemon says of itself, as a picture for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pixlog.cli.find_daemon import Daemon
from pixlog.cli.terminal import count_text, duration_text, nbytes_text, plain, printable

_NO_CLIENT_IS_TOO_MANY = 24


def daemons_view(daemons: Sequence[Daemon]) -> RenderableType:
    """Return a block for each daemon."""
    return Group(*(part for daemon in daemons for part in _daemon_parts(daemon)))


def _daemon_parts(daemon: Daemon) -> list[RenderableType]:
    status = daemon.status
    head = Text("pixlogd ", style="bold")
    process_count = status.get("worker_processes", 0)
    processes = f" ({process_count} process{'es' if process_count > 1 else ''})" if process_count else ""
    head.append(
        f"{status['version']}, pid {status['pid']}, up {duration_text(status['uptime_s'])}, "
        f"{count_text(status['workers'], 'worker')}{processes}, {status['socket']}",
        style="not bold",
    )
    parts: list[RenderableType] = [head]
    for run in status["runs"]:
        parts += [_run_line(run), _clients_table(run["clients"])]
        if run.get("trouble"):
            parts.append(Text(f"  trouble: {plain(run['trouble'])}", style="red"))
    if not status["runs"]:
        parts.append(Text("  serves no run at the moment", style="dim"))
    return parts


def _run_line(run: dict[str, Any]) -> Text:
    line = Text("  ")
    line.append(plain(run["run_dir"]))
    line.append(f"  {run['accepted']:,} accepted, ")
    line.append(f"{run['saved']:,} saved", style="green")
    for state, style in (("failed", "red"), ("dropped", "yellow")):
        line.append(", ")
        reasons = ", ".join(
            f"{reason}: {count:,}" for reason, count in run.get(f"{state}_reasons", {}).items()
        )
        said = f"{run[state]:,} {state}" + (f" ({reasons})" if reasons else "")
        line.append(printable(said), style=style if run[state] else "")
    line.append(
        f", {run['queued']:,} queued; {run['images_per_s']:.1f} images/s, {run['mb_per_s']:.1f} MB/s, "
        f"{nbytes_text(run['bytes'])} written"
    )
    for name in ("encode", "write"):
        if (bound := _median_text(run.get(f"{name}_latency"))) is not None:
            line.append(f", {name} {bound}")
    return line


def _median_text(latency: dict[str, Any] | None) -> str | None:
    """Return within what time half of the calls were done, as far as a histogram tells; None without any call."""
    if latency is None or not (total := sum(latency["counts"])):
        return None
    index = next(index for index, below in enumerate(accumulate(latency["counts"])) if 2 * below >= total)
    bounds_s = latency["bounds_s"]
    return f"≤ {1e3 * bounds_s[index]:g} ms" if index < len(bounds_s) else f"> {1e3 * bounds_s[-1]:g} ms"


def _clients_table(clients: Sequence[dict[str, Any]]) -> RenderableType:
    if not clients:
        return Text("  no clients", style="dim")
    table = Table(box=None, pad_edge=True, header_style="bold")
    table.add_column("client")
    numbers = ("rank", "pid", "queued", "in flight", "accepted", "saved", "failed", "dropped")
    for name in numbers[:2]:
        table.add_column(name, justify="right")
    table.add_column("host")
    for name in numbers[2:]:
        table.add_column(name, justify="right")
    shown = sorted(clients, key=lambda client: (not client.get("connected", True), client["rank"]))
    for client in shown[:_NO_CLIENT_IS_TOO_MANY]:
        counts = [f"{client[name.replace(' ', '_')]:,}" for name in numbers[2:]]
        table.add_row(
            plain(client["client"]),
            str(client["rank"]),
            str(client["pid"]),
            plain(client["host"]),
            *counts,
            style="" if client.get("connected", True) else "dim",
        )
    if len(shown) <= _NO_CLIENT_IS_TOO_MANY:
        return table
    return Group(table, Text(f"  … {len(shown) - _NO_CLIENT_IS_TOO_MANY} more clients (--json lists all)"))
