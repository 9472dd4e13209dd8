"""``pixlog view`` as a command: where it listens, what it says, how it ends."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

import viewers
from pixlog.errors import InputError
from pixlog.view import serve
from pixlog.view.gate import is_loopback
from waiting import scaled_s


def test_view_command_serves_the_page_until_it_is_ended(training_dir: Path, tmp_path: Path) -> None:
    """It prints a link that answers, and ends on SIGTERM."""
    with viewers.viewer_process(training_dir, cache=tmp_path / "cache") as url:
        assert url.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(url, timeout=scaled_s(10)) as answer:
            assert b"static/main.js" in answer.read()


def test_view_command_names_what_is_no_run(tmp_path: Path) -> None:
    """A wrong directory is one line on stderr and exit code 1."""
    ended = subprocess.run(
        [sys.executable, "-m", "pixlog", "view", str(tmp_path / "nothing")],
        capture_output=True,
        text=True,
        timeout=scaled_s(60),
        check=False,
    )
    assert ended.returncode == 1
    assert "there is no run at" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_view_command_names_the_missing_extra(training_dir: Path) -> None:
    """Without Starlette the message says what to install."""
    code = (
        "import sys; sys.modules['starlette'] = sys.modules['starlette.responses'] = None\n"
        f"from pixlog.cli.app import run_command; sys.exit(run_command(['view', {str(training_dir)!r}]))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=scaled_s(60), check=False
    )
    assert ended.returncode == 1
    assert "pip install 'pixlog[view]'" in ended.stderr


def test_other_addresses_always_have_a_token() -> None:
    """Beyond this machine a token is made up unless one is given; on this machine there is one on request."""
    assert serve.make_access("127.0.0.1", None).token is None
    assert serve.make_access("127.0.0.1", "abc").token == "abc"
    assert serve.make_access("0.0.0.0", "abc").token == "abc"
    made = serve.make_access("0.0.0.0", None)
    assert made.token is not None
    assert len(made.token) >= 20
    assert f"?token={made.token}" in serve.page_url(made, 8650)


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("node7", False)],
)
def test_loopback_addresses_are_told_from_others(host: str, expected: bool) -> None:
    """Only addresses of this machine alone count as such."""
    assert is_loopback(host) is expected


def test_taken_port_is_an_error_and_the_default_moves_on() -> None:
    """A port that was asked for and is taken is an error; without one the next free is used."""
    with serve.listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"cannot listen on 127.0.0.1 port {port}"):
            serve.listen("127.0.0.1", port)
    with serve.listen("127.0.0.1", None) as first, serve.listen("127.0.0.1", None) as second:
        assert first.getsockname()[1] != second.getsockname()[1]
