"""Clients that copy from devices while the test goes on, connected to a daemon of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import pixlog
from scripted_daemon import ScriptedDaemon, scripted_daemon

Connect = Callable[..., pixlog.Client]


@pytest.fixture
def daemon() -> Iterator[ScriptedDaemon]:
    """Return a daemon that saves everything at once."""
    with scripted_daemon() as daemon:
        daemon.acknowledges = True
        yield daemon


@pytest.fixture
def connect(daemon: ScriptedDaemon, run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connect]:
    """Return a ``pixlog.connect`` that reaches the scripted daemon; its clients are closed after the test."""
    monkeypatch.setattr("pixlog.client.dialer", lambda *_: daemon.dial)
    (run_dir / "spill").mkdir(parents=True)
    clients: list[pixlog.Client] = []

    def connect(**options: Any) -> pixlog.Client:
        given = {"buffer_bytes": "64MiB", "timeout_s": 5, "device_copy": "async", **options}
        client = pixlog.connect(run_dir, **given)
        clients.append(client)
        return client

    yield connect
    for client in clients:
        client.close(timeout_s=0)
    clients.clear()
