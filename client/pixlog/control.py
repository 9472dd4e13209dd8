"""Ask a running daemon for its status, or to stop: one frame each way."""

from __future__ import annotations

import os
import time
from typing import Any

from pixlog.errors import ConnectError
from pixlog.protocol import FrameDecoder, Header, Kind, encode_head
from pixlog.rendezvous import dial


class HungUp(ConnectError):
    """The daemon closed the connection instead of answering: it was ending, or was killed in this moment."""


def request(
    socket_path: str | os.PathLike[str], command: str, *, timeout_s: float = 5.0, **arguments: Any
) -> Header:
    """Send ``command`` ("status" or "stop") to the daemon at ``socket_path``; return its answer.

    Raises ConnectError when no daemon listens there, or it does not answer in time; HungUp when it ended meanwhile.
    """
    deadline = time.monotonic() + timeout_s
    sock = dial(socket_path, timeout_s)
    if sock is None:
        raise ConnectError(f"no daemon listens on {socket_path}")
    with sock:
        decoder = FrameDecoder()
        try:
            sock.sendall(encode_head(Kind.CONTROL, {**arguments, "command": command}))
            while True:
                sock.settimeout(max(0.001, deadline - time.monotonic()))
                count = sock.recv_into(decoder.get_buffer())
                if not count:
                    raise HungUp(f"the daemon on {socket_path} closed the connection without an answer")
                for frame in decoder.feed(count):
                    return _answer(frame.kind, frame.header)
        except (ConnectionResetError, BrokenPipeError) as exc:
            raise HungUp(f"the daemon on {socket_path} ended instead of answering {command!r}") from exc
        except OSError as exc:
            raise ConnectError(f"the daemon on {socket_path} did not answer {command!r}: {exc}") from exc


def _answer(kind: Kind, header: Header) -> Header:
    message = header.get("message") if kind is Kind.ERROR else header.get("error")
    if kind is not Kind.REPLY or message:
        raise ConnectError(str(message or f"unexpected {kind.name} frame"))
    return header
