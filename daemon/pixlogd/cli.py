"""The ``pixlogd`` command: the daemon as a service for many runs.

Nobody needs it to log images: ``pixlog.connect`` starts a daemon for its run by itself.  A service is worth it where
starting processes from a job is unwelcome or many short jobs share a host.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pixlog import __version__
from pixlog.environment import PIXLOG_DAEMON
from pixlog.errors import ConfigError, PixlogError
from pixlog.rendezvous import SOCKET_PATH_LIMIT_NBYTES, runtime_dir
from pixlogd.config.settings_merge import misspelt_variables, parse_assignments, resolve_settings
from pixlogd.config.settings_text import effective_toml

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from pixlogd.encode.compiled_advice import remedy, trouble
        from pixlogd.encode.deflate import encoder_names

        typer.echo(f"pixlogd {__version__} (PNG: {encoder_names()})")
        if why := trouble():
            typer.echo(f"{why}\n{remedy()}")
        raise typer.Exit


@app.callback()
def pixlogd(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version and end.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """The daemon that encodes, stores and indexes what [bold]pixlog[/bold] clients log."""


@app.command()
def serve(
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", "-c", metavar="FILE", help="TOML file of settings. Default: $PIXLOG_CONFIG."
        ),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set", "-s", metavar="NAME=VALUE", help="One setting, such as [bold]nice=5[/bold]; repeatable."
        ),
    ] = None,
    socket: Annotated[
        Path | None,
        typer.Option(
            "--socket", metavar="PATH", help="Where to listen. Default: pixlogd.sock in the runtime dir."
        ),
    ] = None,
    exit_when_idle: Annotated[
        bool,
        typer.Option(
            "--exit-when-idle", help="End when the last client is gone, after [bold]idle_exit_s[/bold]."
        ),
    ] = False,
    print_config: Annotated[
        bool,
        typer.Option("--print-config", help="Print every setting in effect and where it came from, and end."),
    ] = False,
) -> None:
    """Serve any number of runs until told to stop.

    It stays in the foreground: run it under systemd, in a Slurm prolog or
    beside the training's container, as the examples in [bold]config/[/bold] do.
    SIGTERM or Ctrl-C writes what was taken, for at most [bold]drain_s[/bold]
    seconds; a second one ends at once.

    Clients find it when [bold]PIXLOG_DAEMON[/bold] holds the socket's path:

        $ pixlogd serve --socket ~/.pixlogd.sock &
        $ PIXLOG_DAEMON=~/.pixlogd.sock python train.py

    A setting is taken from --set, else from its variable (nice: PIXLOG_NICE),
    else from the file, else from its default.
    """
    errors = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    try:
        resolved = resolve_settings(arguments=parse_assignments(assignments or []), config_path=config)
        for variable, near in misspelt_variables(os.environ):
            errors.print(
                f"pixlogd: nothing reads the variable {variable}; did you mean {near}?", style="yellow"
            )
        if print_config:
            typer.echo(effective_toml(resolved), nl=False)
            return
        path = _socket_path(socket)
        from pixlogd.serve import serve as serve_until_stopped

        errors.print(f"pixlogd {__version__} starts on {path}; clients: {PIXLOG_DAEMON}={path}")
        code = serve_until_stopped(
            resolved.settings, socket_path=path, run_dir=None, ready_fd=None, exit_when_idle=exit_when_idle
        )
    except PixlogError as exc:
        errors.print(f"pixlogd: {exc}", style="red")
        code = 2 if isinstance(exc, ConfigError) else 1
    raise typer.Exit(code)


def _socket_path(socket: Path | None) -> Path:
    path = socket.absolute() if socket is not None else runtime_dir() / "pixlogd.sock"
    nbytes = len(os.fsencode(path))
    if nbytes > SOCKET_PATH_LIMIT_NBYTES:
        raise ConfigError(
            f"--socket: got a path of {nbytes} bytes ({path}), expected at most {SOCKET_PATH_LIMIT_NBYTES}, the "
            "system's limit for sockets"
        )
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise ConfigError(
            f"--socket: got {path}, expected a path in a directory that exists and can be written"
        )
    return path
