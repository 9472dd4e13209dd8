"""Daemons that several tests share: starting one takes as long as a hundred of these tests."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from served import Daemon, serving


@pytest.fixture(scope="session", params=["uvloop", "asyncio"])
def shared_daemon(request: pytest.FixtureRequest) -> Iterator[Daemon]:
    """Return a daemon for many runs, on each kind of event loop."""
    if request.param == "uvloop":
        pytest.importorskip("uvloop")
    # Not below tmp_path: the names of sockets end at 107 bytes.
    directory = Path(tempfile.mkdtemp(prefix="pxd", dir="/tmp"))
    try:
        with serving(directory, loop=request.param, ack_interval_ms=1) as daemon:
            yield daemon
    finally:
        shutil.rmtree(directory)


@pytest.fixture(params=["arena", "inline"])
def payload_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return how pixels travel in this test; clients that it connects follow."""
    if request.param == "inline":
        monkeypatch.setattr("pixlog.sending.delivery.SHARED_SUPPORTED", False)
    elif not _shared_memory_works():
        pytest.skip("this system has no memfds")
    return str(request.param)


def _shared_memory_works() -> bool:
    from pixlog.sending.arena import SHARED_SUPPORTED

    return SHARED_SUPPORTED
