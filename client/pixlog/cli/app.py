"""The ``pixlog`` command line: its commands, and how it ends."""

from __future__ import annotations

import io
import os
import sys
from typing import Annotated

import typer

from pixlog import __version__
from pixlog.cli.daemons import status, stop
from pixlog.cli.diff import diff
from pixlog.cli.export import export
from pixlog.cli.ls import ls
from pixlog.cli.recover import recover
from pixlog.cli.sheet import contact_sheet
from pixlog.cli.terminal import messages, printable
from pixlog.cli.verify import verify
from pixlog.cli.view import view
from pixlog.errors import PixlogError

app = typer.Typer(
    name="pixlog",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pixlog {__version__}")
        raise typer.Exit


@app.callback()
def pixlog(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version and end.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Look at the images that a training logs, during the run and after it.

    [bold]RUN[/bold] is a run directory, as given to [bold]pixlog.connect[/bold].
    It can be read at any time; no daemon is needed.

    \b
      $ pixlog ls runs/exp1                what was logged
      $ pixlog ls runs/exp1 -k val/pred    its rows
      $ pixlog view runs/exp1              a web page on it all
      $ pixlog contact-sheet runs/exp1     one picture of it all
      $ pixlog diff runs/a runs/b -k KEY   how do two runs differ?
      $ pixlog export runs/exp1 --to zip   files that other programs open
      $ pixlog verify runs/exp1            is every file whole?
      $ pixlog status --all --watch        daemons at work
      $ pixlog recover runs/exp1           save what an ended job left unsaved
    """


app.command("ls")(ls)
app.command("view")(view)
app.command("verify")(verify)
app.command("contact-sheet")(contact_sheet)
app.command("diff")(diff)
app.command("export")(export)
app.command("recover")(recover)
app.command("status")(status)
app.command("stop")(stop)


def run_command(arguments: list[str] | None = None) -> int:
    """Run one command line and return its exit code; mistakes of the user end in one line on stderr."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app(args=arguments, prog_name="pixlog")
    except PixlogError as error:
        messages().print(f"pixlog: {printable(str(error))}", style="red")
        return 1
    except BrokenPipeError:  # such as  pixlog ls RUN | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return 130
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    return 0
