"""The first words between a client and a daemon, and what ``connect`` raises when they go wrong."""

from __future__ import annotations

import logging
import logging.handlers
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pixlog
from memfds import many_descriptors, open_count
from pixlog.errors import ConnectError, PixlogError, RunDirError, VersionMismatch
from pixlog.protocol import Kind, encode_head
from scripted_daemon import ScriptedDaemon
from waiting import scaled_s, wait_until
from wire_frames import frame

Connect = Callable[..., pixlog.Client]


@pytest.mark.parametrize(
    ("greeting", "error", "message"),
    [
        pytest.param(
            frame(Kind.ERROR, {"code": "version", "message": "this daemon speaks protocol 2.0"}),
            VersionMismatch,
            "this daemon speaks protocol 2.0",
            id="refused for its version",
        ),
        pytest.param(
            frame(Kind.ERROR, {"code": "run-dir", "message": "cannot write /run"}),
            RunDirError,
            "cannot write /run",
            id="refused for the run directory",
        ),
        pytest.param(
            frame(Kind.ERROR, {"code": "later", "message": "not now"}), ConnectError, "not now", id="refused"
        ),
        pytest.param(frame(Kind.ERROR, {}), ConnectError, "without saying why", id="refused without a word"),
        pytest.param(
            frame(Kind.WELCOME, {"version": [2, 0]}),
            VersionMismatch,
            r"this client speaks protocol 1.1, the daemon \[2, 0\]: upgrade the older one",
            id="welcomed by another version",
        ),
        pytest.param(
            frame(Kind.WELCOME, {}), VersionMismatch, "the daemon None", id="welcomed by no version"
        ),
        pytest.param(
            frame(Kind.ACK, {"rows": []}), ConnectError, "answered HELLO with ACK, expected WELCOME", id="ack"
        ),
        pytest.param(
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            ConnectError,
            "no pixlog daemon: frame begins with b'HT'",
            id="web server",
        ),
        pytest.param(b"PX\x01\x02" + b"\xff" * 12, ConnectError, "header of 4294967295 bytes", id="endless"),
        pytest.param(
            frame(Kind.WELCOME, {"version": [1, 0], "limits": 5}), ConnectError, "limits", id="odd limits"
        ),
        pytest.param(
            frame(Kind.WELCOME, {"version": [1, 0], "limits": {"arenas": "many"}}),
            ConnectError,
            "limits",
            id="odd limit",
        ),
    ],
)
def test_connect_raises_what_the_daemon_says(
    daemon: ScriptedDaemon, connect: Connect, greeting: bytes, error: type[PixlogError], message: str
) -> None:
    """Each refusal is its own exception with the daemon's words; whatever is no daemon is a ConnectError."""
    daemon.greeting = greeting
    before = open_count()
    with pytest.raises(ConnectError, match=message) as caught:
        connect()
    assert type(caught.value) is error
    daemon.close()
    assert open_count() == before


def test_connect_tries_again_when_the_daemon_was_leaving(
    daemon: ScriptedDaemon, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon that hangs up without a word was about to end: the next one is greeted."""
    dial, dialled = daemon.dial, []

    def leaving_twice(timeout_s: float) -> object:
        dialled.append(timeout_s)
        daemon.greeting = b"" if len(dialled) < 3 else None
        return dial(timeout_s)

    monkeypatch.setattr(daemon, "dial", leaving_twice)
    connect()
    assert len(dialled) == 3


def test_connect_gives_up_in_time(daemon: ScriptedDaemon, connect: Connect) -> None:
    """When every daemon hangs up, connect says so once its time is over."""
    daemon.greeting = b""
    with pytest.raises(ConnectError, match=re.escape("no daemon answered within 0.3 s")):
        connect(timeout_s=0.3)


def test_connect_hears_a_welcome_in_pieces(daemon: ScriptedDaemon, connect: Connect) -> None:
    """A WELCOME that arrives byte by byte is one."""
    daemon.greeting_in_pieces = True
    client = connect()
    client.log_image("k", np.zeros((2, 2), np.uint8))
    daemon.wait_for_logs(1)


def test_kept_log_records_keep_no_memory_of_the_client(daemon: ScriptedDaemon, connect: Connect) -> None:
    """A handler that keeps what is said of a lost connection does not keep the shared memory of images alive."""
    handler = logging.handlers.BufferingHandler(1000)
    logging.getLogger("pixlog").addHandler(handler)
    try:
        client = connect()
        daemon.listening = False
        daemon.cut()
        wait_until(lambda: any("cannot be reached" in record.msg for record in handler.buffer))
        client.close(timeout_s=0.1)
    finally:
        logging.getLogger("pixlog").removeHandler(handler)
    kept = [
        arg
        for record in handler.buffer
        for arg in record.args or ()
        if not isinstance(arg, (str, int, float))
    ]
    assert kept == []


def test_acknowledgements_right_behind_the_welcome_are_heard(
    daemon: ScriptedDaemon, connect: Connect
) -> None:
    """What a daemon says in one breath with WELCOME to a client that comes back is not lost."""
    client = connect()
    receipts = [client.log_image("k", np.zeros((2, 2), np.uint8)) for _ in range(3)]
    daemon.wait_for_logs(3)
    rows: list[list[Any]] = [[seq, "saved", None, [], []] for seq in range(3)]
    daemon.behind_welcome = encode_head(Kind.ACK, {"rows": rows})
    daemon.cut()
    assert client.flush(timeout_s=scaled_s(10)) == 0
    assert [receipt.state for receipt in receipts] == ["saved"] * 3


def test_client_comes_back_in_a_process_with_many_descriptors(
    daemon: ScriptedDaemon, connect: Connect
) -> None:
    """Descriptors beyond 1024, as data loaders collect them, keep nobody from connecting again."""
    with many_descriptors(1100):
        client = connect()
        client.log_image("k", np.zeros((2, 2), np.uint8))
        daemon.wait_for_logs(1)
        daemon.cut()
        daemon.wait_for_logs(2)
        daemon.acknowledge([0])
        assert client.flush(timeout_s=scaled_s(10)) == 0
        client.close()


def test_client_without_shared_memory_says_everything_inline(
    daemon: ScriptedDaemon, connect: Connect, monkeypatch: pytest.MonkeyPatch, run_dir: Path
) -> None:
    """Where no memfd can be made, the client connects all the same and its pixels travel inline."""

    def refuse(*_: object) -> int:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr("os.memfd_create", refuse)
    client = connect()
    client.log_image("k", np.full((2, 2), 7, np.uint8))
    (log,) = daemon.wait_for_logs(1)
    assert isinstance(log.place, memoryview)
    assert daemon.pixels[0] == b"\7\7\7\7"
    assert str(run_dir) == daemon.hellos[0].run_dir


def test_client_comes_back_to_a_daemon_that_refuses_it_for_now(
    daemon: ScriptedDaemon, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """A refusal after the first connection is a warning, once, and the images wait until the daemon takes them."""
    client = connect()
    daemon.greeting = frame(Kind.ERROR, {"code": "run-dir", "message": "cannot write /run"})
    daemon.cut()
    receipt = client.log_image("k", np.zeros((2, 2), np.uint8))
    daemon.wait_for_hellos(3)
    daemon.greeting = None
    daemon.acknowledges = True
    wait_until(lambda: receipt.state == "saved", timeout_s=20)
    warnings = [message for message in caplog.messages if "cannot write /run" in message]
    assert len(warnings) == 1
