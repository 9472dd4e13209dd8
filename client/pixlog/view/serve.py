"""Serve the viewer until Ctrl-C: find a port, listen, say where."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Sequence
from typing import Final

import uvicorn

from pixlog.errors import InputError
from pixlog.view.app import make_app
from pixlog.view.gate import Access, is_loopback, names_of_this_machine
from pixlog.view.open_runs import OpenRun
from pixlog.view.thumbnails import ThumbnailCache, cache_dir

DEFAULT_PORT: Final = 8650
_PORTS_TRIED: Final = 20


def make_access(host: str, token: str | None) -> Access:
    """Return who may ask: beyond this machine never without a token, which is made up unless one is given."""
    if is_loopback(host):
        return Access(host, token)
    own_names = names_of_this_machine()
    return Access(host, token or secrets.token_urlsafe(18), own_names)


def listen(host: str, port: int | None) -> socket.socket:
    """Return a socket that listens; the default port or one of the next if none is given."""
    ports = range(DEFAULT_PORT, DEFAULT_PORT + _PORTS_TRIED) if port is None else [port]
    trouble: OSError | None = None
    for candidate in ports:
        try:
            family, *_, address = socket.getaddrinfo(host, candidate, type=socket.SOCK_STREAM)[0]
            return socket.create_server(address[:2], family=family, backlog=128)
        except OSError as error:
            trouble = error
    raise InputError(f"cannot listen on {host} port {port or DEFAULT_PORT}: {trouble and trouble.strerror}")


def page_url(access: Access, port: int) -> str:
    """Return the link to open; it carries the token if there is one."""
    host = access.host
    if host in ("0.0.0.0", "::", ""):
        host = socket.gethostname()
    host = f"[{host}]" if ":" in host else host
    return f"http://{host}:{port}/" + (f"?token={access.token}" if access.token else "")


def serve(
    runs: Sequence[OpenRun], listener: socket.socket, access: Access, on_ready: Callable[[], None]
) -> None:
    """Answer on ``listener`` until SIGINT or SIGTERM; ``on_ready`` is called once it does."""
    app = make_app(runs, access=access, thumbnails=ThumbnailCache(cache_dir()))
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=2
    )
    server = _Server(config, on_ready)
    with listener:
        server.run(sockets=[listener])


class _Server(uvicorn.Server):
    """A server that says when it answers."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()
