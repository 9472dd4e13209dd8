"""What client and daemon swallow in production fails the suite."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from swallowed import Swallowed


def log_an_error(text: str) -> None:
    """Log an exception as the link's thread does."""
    try:
        raise RuntimeError(text)
    except RuntimeError:
        logging.getLogger("pixlog").exception("pixlog: the connection's thread met an error; it reconnects")


def test_error_of_client_is_found(swallowed: Swallowed) -> None:
    """An exception that the client logs is found with its traceback, unless the test expects it."""
    log_an_error("first")
    (found,) = swallowed.found(None)
    assert "RuntimeError: first" in found
    swallowed.expect("RuntimeError: first")
    assert swallowed.found(None) == []


def test_warning_of_client_is_not_an_error(swallowed: Swallowed) -> None:
    """A warning without an exception passes."""
    logging.getLogger("pixlog").warning("pixlog: 'key': not logged: got object")
    assert swallowed.found(None) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("run/daemon.log", "ERROR ! internal error\nTraceback (most recent call last):\n"),
        ("runs/1/daemon.log.2", "Traceback (most recent call last):\n"),
        ("trainer.err", "pixlog: the connection's thread met an error; it reconnects\n"),
    ],
)
def test_error_in_file_is_found(tmp_path: Path, swallowed: Swallowed, name: str, text: str) -> None:
    """A traceback in a daemon's log and an error in what a trainer said are found wherever the run lies."""
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"before\n{text}after\n")
    (found,) = swallowed.found(tmp_path)
    assert str(path) in found
    swallowed.expect(str(path))
