"""What ``connect`` cannot do it says at once, with what to do about it; nothing is started or left behind."""

from __future__ import annotations

import os
import re
import socket
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import daemons
import pixlog
from fake_daemon import answering
from giving_away import give_away
from pixlog.protocol import MAJOR, MINOR, Kind, encode_head
from pixlog.rendezvous import socket_for
from waiting import scaled_s, wait_until

SOMEBODY = 12345

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="uses /proc")
root_only = pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file to somebody else")


@contextmanager
def raises_at_once(kind: type[pixlog.PixlogError], *words: str) -> Iterator[None]:
    """Fail unless the block raises exactly ``kind`` with ``words`` in its message, well before a time-out of 30 s."""
    started = time.monotonic()
    with pytest.raises(kind) as caught:
        yield
    assert time.monotonic() - started < scaled_s(10)
    assert type(caught.value) is kind
    for word in words:
        assert word in str(caught.value)


@pytest.fixture(autouse=True)
def _no_daemon_left(runtime_dir: Path) -> Iterator[None]:
    yield

    def nothing_runs() -> bool:
        return not daemons.started_in(runtime_dir)

    wait_until(nothing_runs, what="the end of a daemon that could not start")


def test_connect_without_run_dir_says_how_to_name_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an argument and without PIXLOG_RUN_DIR there is a ConfigError that names both."""
    monkeypatch.delenv("PIXLOG_RUN_DIR", raising=False)
    with raises_at_once(pixlog.ConfigError, "run directory", "PIXLOG_RUN_DIR"):
        pixlog.connect()


def test_connect_to_run_dir_under_a_file_names_the_directory(tmp_path: Path) -> None:
    """A run directory below a regular file cannot be made, whoever asks."""
    (tmp_path / "file").write_text("")
    run_dir = tmp_path / "file" / "run"
    with raises_at_once(
        pixlog.RunDirError, f"cannot write the run directory {run_dir}", "Not a directory", "choose"
    ):
        pixlog.connect(run_dir)


@linux_only
def test_connect_to_run_dir_on_a_file_system_without_files_names_the_directory() -> None:
    """A run directory that even root cannot make is an error of the run directory, not of the daemon."""
    with raises_at_once(pixlog.RunDirError, "cannot write the run directory /proc/pixlog-run", "choose"):
        pixlog.connect("/proc/pixlog-run")


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_connect_to_run_dir_without_permission_names_the_user(tmp_path: Path) -> None:
    """A directory that this user may not write is named together with the user's uid."""
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        with raises_at_once(pixlog.RunDirError, "Permission denied", f"uid {os.getuid()}"):
            pixlog.connect(tmp_path / "run")
    finally:
        tmp_path.chmod(stat.S_IRWXU)


@root_only
def test_connect_refuses_a_socket_of_somebody_else(run_dir: Path, runtime_dir: Path) -> None:
    """A socket that another user put where ours belongs is not talked to."""
    path = socket_for(run_dir)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as squatter:
        squatter.bind(str(path))
        squatter.listen()
        give_away(path, SOMEBODY)
        with raises_at_once(
            pixlog.ConnectError, str(path), f"uid {SOMEBODY}", f"uid {os.getuid()}", "PIXLOG_RUNTIME_DIR"
        ):
            pixlog.connect(run_dir)
    path.unlink()


@root_only
def test_connect_refuses_a_runtime_dir_of_somebody_else(run_dir: Path, runtime_dir: Path) -> None:
    """A runtime directory that another user made first is not used, and the message says which to set instead."""
    runtime_dir.mkdir(mode=0o700)
    give_away(runtime_dir, SOMEBODY)
    with raises_at_once(
        pixlog.ConnectError, str(runtime_dir), f"uid {SOMEBODY}", "remove it or set PIXLOG_RUNTIME_DIR"
    ):
        pixlog.connect(run_dir)


def test_connect_refuses_a_runtime_dir_that_is_a_link(
    run_dir: Path, runtime_dir: Path, tmp_path: Path
) -> None:
    """A symbolic link in the runtime directory's place is not followed."""
    runtime_dir.symlink_to(tmp_path)
    with raises_at_once(pixlog.ConnectError, str(runtime_dir)):
        pixlog.connect(run_dir)
    runtime_dir.unlink()


@pytest.mark.parametrize("kind", [Kind.WELCOME, Kind.ERROR])
def test_connect_to_daemon_of_another_version_names_both(run_dir: Path, kind: Kind) -> None:
    """A daemon of the next major version, which lets us in or refuses us, is a VersionMismatch."""
    version = [MAJOR + 1, 0]
    message = f"this daemon speaks protocol {MAJOR + 1}.0, the client {MAJOR}.{MINOR}"
    header = {"version": version, "limits": {}, "code": "version", "message": message}
    head = bytearray(encode_head(kind, header))
    head[2] = MAJOR + 1
    with (
        answering(socket_for(run_dir), bytes(head)),
        pytest.raises(pixlog.VersionMismatch) as caught,
    ):
        pixlog.connect(run_dir)
    assert re.search(rf"\b{MAJOR}\.{MINOR}\b", str(caught.value))
    assert re.search(rf"\b{MAJOR + 1}\b", str(caught.value))


def test_connect_to_a_socket_that_speaks_something_else_says_so(run_dir: Path) -> None:
    """Bytes that are not the protocol end in an error that says what came instead."""
    with (
        answering(socket_for(run_dir), b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        raises_at_once(pixlog.ConnectError, "no pixlog daemon", "HT"),
    ):
        pixlog.connect(run_dir)


def test_connect_to_a_silent_daemon_ends_in_time(run_dir: Path) -> None:
    """A daemon that accepts and says nothing is given up after timeout_s."""
    with answering(socket_for(run_dir), b""), raises_at_once(pixlog.ConnectError, "within 0.3 s"):
        pixlog.connect(run_dir, timeout_s=0.3)


def test_connect_requiring_a_daemon_says_how_to_get_one(run_dir: Path) -> None:
    """With daemon="require" nothing is started, and the message names the mode that would."""
    with raises_at_once(pixlog.ConnectError, f"no daemon serves {run_dir}", "daemon='auto'"):
        pixlog.connect(run_dir, daemon="require")
    assert not run_dir.exists()


def test_connect_to_a_socket_without_daemon_says_how_to_start_one(run_dir: Path, tmp_path: Path) -> None:
    """A socket path that nobody listens on is answered with the command that would listen there."""
    path = tmp_path / "d.sock"
    with raises_at_once(pixlog.ConnectError, f"pixlogd serve --socket {path}"):
        pixlog.connect(run_dir, daemon=path)


@pytest.mark.parametrize("package", ["PIL", "aiofiles"])
def test_connect_without_the_daemon_extra_names_it(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    """Where a package of the daemon is not installed, connect names the extra to install."""
    blocker = (
        "import sys\n"
        "class Blocker:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] == {package!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Blocker())\n"
    )
    (tmp_path / "sitecustomize.py").write_text(blocker)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with raises_at_once(pixlog.MissingExtra, repr(package), "pip install 'pixlog[daemon]'"):
        pixlog.connect(run_dir)
    assert not run_dir.exists()


def test_connect_with_bad_daemon_settings_repeats_their_error(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A setting that the daemon cannot use is a ConfigError of connect, in the daemon's words."""
    monkeypatch.setenv("PIXLOG_NICE", "many")
    with raises_at_once(pixlog.ConfigError, "PIXLOG_NICE", "'many'"):
        pixlog.connect(run_dir)
