"""A client that meets a scripted daemon, over both ways of its pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import pixlog
from pixlog.sending.arena import SHARED_SUPPORTED
from scripted_daemon import ScriptedDaemon, scripted_daemon

Connect = Callable[..., pixlog.Client]


@pytest.fixture
def daemon() -> Iterator[ScriptedDaemon]:
    """Return a daemon that does what the test says."""
    with scripted_daemon() as daemon:
        yield daemon


@pytest.fixture(params=["arena", "inline"])
def payload_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return how pixels travel in this test."""
    if request.param == "inline":
        monkeypatch.setattr("pixlog.sending.delivery.SHARED_SUPPORTED", False)
    elif not SHARED_SUPPORTED:
        pytest.skip("this system has no memfds")
    return str(request.param)


@pytest.fixture
def connect(daemon: ScriptedDaemon, run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connect]:
    """Return a ``pixlog.connect`` that reaches the scripted daemon; its clients are closed after the test."""
    monkeypatch.setattr("pixlog.client.dialer", lambda *_: daemon.dial)
    (run_dir / "spill").mkdir(parents=True)
    clients: list[pixlog.Client] = []

    def connect(**options: Any) -> pixlog.Client:
        client = pixlog.connect(run_dir, **{"buffer_bytes": "8MiB", "timeout_s": 5, **options})
        clients.append(client)
        return client

    yield connect
    for client in clients:
        client.close(timeout_s=0)
    clients.clear()  # the fixture outlives its test, and a client keeps the memory of what is pending
