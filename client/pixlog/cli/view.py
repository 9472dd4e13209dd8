"""``pixlog view``: a local web page on one or many runs."""

from __future__ import annotations

import socket
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from pixlog.cli.terminal import printable, spinner
from pixlog.environment import PIXLOG_VIEW_TOKEN
from pixlog.errors import MissingExtra


def view(
    run_dirs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN…", help="The run directories to show beside each other.", show_default=False
        ),
    ],
    host: Annotated[
        str,
        typer.Option("--host", help="Address to listen on. Any but this machine's own asks for a token."),
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            "--port", "-p", min=0, max=65535, help="Port; 0 takes any. Default: 8650 or the next free."
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            envvar=PIXLOG_VIEW_TOKEN,
            show_default=False,
            help="Ask for this token, also on this machine: for hosts that you share. Default: none here, "
            "a random one beyond.",
        ),
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Look at runs in a web browser, while training writes them and ever after.

    \b
      $ pixlog view runs/exp1                   prints the link of the page
      $ pixlog view runs/exp1 runs/exp2         both in one page, to compare
      $ pixlog view runs/exp1 --open            opens it, too
      $ ssh -L 8650:127.0.0.1:8650 gpu-node     the link then works at home, too

    Nothing is written to the run directories, and no other machine is asked
    for anything. Ctrl-C ends it.
    """
    try:
        from pixlog.view import serve
        from pixlog.view.gate import is_loopback
        from pixlog.view.open_runs import open_runs
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("pixlog", "pixlogd"):
            raise
        raise MissingExtra("pixlog view", "view", package) from None
    with spinner("reading the manifests"):
        runs = open_runs(run_dirs)
    access = serve.make_access(host, token or None)
    listener = serve.listen(host, port)
    url = serve.page_url(access, listener.getsockname()[1])

    def on_ready() -> None:
        named = ", ".join(run.name for run in runs)
        typer.echo(f"{printable(named)}: {url}")
        if not is_loopback(host):
            typer.echo(f"listening on {host} ({socket.gethostname()}) for everyone who has this link")
        typer.echo("Ctrl-C ends it")
        if open_page:
            webbrowser.open(url)

    serve.serve(runs, listener, access, on_ready)
