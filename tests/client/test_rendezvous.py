"""Where sockets lie, who may have made them, and who starts the daemon."""

from __future__ import annotations

import os
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import pixlog
from giving_away import give_away
from memfds import many_descriptors, open_count
from pixlog.errors import ConnectError
from pixlog.rendezvous import _runtime_dir_name, dial, dialer, runtime_dir, socket_for, start_lock
from waiting import scaled_s

NOBODY = 65534
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can make what belongs to another user")


@contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """Listen on a socket."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen(1)
        yield listener


# The directory


def test_runtime_dir_is_private() -> None:
    """It is made for the user alone, and what others could enter is closed to them."""
    directory = runtime_dir()
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    directory.chmod(0o755)
    assert stat.S_IMODE(runtime_dir().stat().st_mode) == 0o700


def test_runtime_dir_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """PIXLOG_RUNTIME_DIR, else pixlog in XDG_RUNTIME_DIR where that is short and writable, else /tmp by uid."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIXLOG_RUNTIME_DIR", "relative")
    assert _runtime_dir_name() == tmp_path / "relative"
    monkeypatch.delenv("PIXLOG_RUNTIME_DIR")
    by_uid = Path(f"/tmp/pixlog-{os.getuid()}")
    for user, expected in (
        ("/tmp", Path("/tmp/pixlog")),
        ("/proc/none", by_uid),
        ("/tmp/" + "x" * 80, by_uid),
    ):
        monkeypatch.setenv("XDG_RUNTIME_DIR", user)
        assert _runtime_dir_name() == expected
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert _runtime_dir_name() == by_uid


@as_root
def test_runtime_dir_of_somebody_else_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A directory that another user made is not trusted, nor is a link to a good one; the message says what to do."""
    theirs = tmp_path / "theirs"
    theirs.mkdir(mode=0o777)
    give_away(theirs, NOBODY)
    monkeypatch.setenv("PIXLOG_RUNTIME_DIR", str(theirs))
    with pytest.raises(
        ConnectError, match="belongs to uid 65534, not to uid 0: remove it or set PIXLOG_RUNTIME_DIR"
    ):
        runtime_dir()


def test_runtime_dir_that_is_no_directory_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file, and a link even to a directory of one's own, are refused."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("file", "link"):
        monkeypatch.setenv("PIXLOG_RUNTIME_DIR", str(tmp_path / name))
        with pytest.raises(ConnectError, match=str(tmp_path / name)):
            runtime_dir()


def test_socket_name_is_short_for_any_run(tmp_path: Path) -> None:
    """The name is a hash of the real path: as short for a long one, the same through links, different for others."""
    deep = tmp_path.joinpath(*["d" * 50] * 6)
    deep.mkdir(parents=True)
    (tmp_path / "link").symlink_to(deep)
    assert len(str(socket_for(deep))) < 107
    assert socket_for(tmp_path / "link") == socket_for(deep)
    assert socket_for(str(deep) + "/") == socket_for(deep)
    assert socket_for(tmp_path) != socket_for(deep)


def test_socket_path_beyond_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where even the short name does not fit, the message says so and what to set."""
    monkeypatch.setenv("PIXLOG_RUNTIME_DIR", str(tmp_path / ("d" * 100)))
    with pytest.raises(
        ConnectError, match="the system takes 107: set PIXLOG_RUNTIME_DIR to a shorter directory"
    ):
        socket_for("/run")


# Dialling


def test_dial_finds_who_listens(runtime_dir: Path) -> None:
    """A socket that somebody listens on is connected to."""
    with listening(runtime_dir / "s.sock") as listener:
        sock = dial(runtime_dir / "s.sock", 5)
        assert sock is not None
        theirs, _ = listener.accept()
        sock.close()
        assert theirs.recv(1) == b""
        theirs.close()


def test_dial_returns_none_where_nobody_listens(runtime_dir: Path) -> None:
    """No socket, a stale one and an ordinary file are nobody, and leave no descriptor."""
    before = open_count()
    assert dial(runtime_dir / "none.sock", 1) is None
    with listening(runtime_dir / "stale.sock"):
        pass
    assert dial(runtime_dir / "stale.sock", 1) is None
    (runtime_dir / "file.sock").touch()
    assert dial(runtime_dir / "file.sock", 1) is None
    assert open_count() == before


@as_root
def test_dial_refuses_the_socket_of_somebody_else(runtime_dir: Path) -> None:
    """What listens on another user's socket is not our daemon, and is not talked to."""
    path = runtime_dir / "s.sock"
    with listening(path) as listener:
        give_away(path, NOBODY)
        with pytest.raises(ConnectError, match="belongs to uid 65534, not to uid 0"):
            dial(path, 1)
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_dialer_that_starts_none_says_what_to_do(run_dir: Path, tmp_path: Path) -> None:
    """daemon="require" and a socket's path never start a daemon, and say how to."""
    with pytest.raises(ConnectError, match=f"no daemon serves {run_dir}: use daemon='auto'"):
        dialer(str(run_dir), "require")(1)
    path = tmp_path / "s.sock"
    with pytest.raises(ConnectError, match=f"pixlogd serve --socket {path}"):
        dialer(str(run_dir), str(path))(1)


# Starting


def test_start_lock_admits_one_at_a_time(runtime_dir: Path) -> None:
    """Whoever comes second waits, and gives up with the lock's name when its time is over."""
    runtime_dir.mkdir()
    path = runtime_dir / "s.sock"
    with (
        start_lock(path, time.monotonic() + 1),
        pytest.raises(ConnectError, match=r"s\.start"),
        start_lock(path, time.monotonic() + 0.1),
    ):
        pass
    with start_lock(path, time.monotonic() + 0.1):
        pass


def test_start_lock_is_free_again_after_an_error(runtime_dir: Path) -> None:
    """A start that failed leaves no lock and no descriptor."""
    runtime_dir.mkdir()
    path, before = runtime_dir / "s.sock", open_count()
    with pytest.raises(KeyError), start_lock(path, time.monotonic() + 1):
        raise KeyError
    with start_lock(path, time.monotonic() + 1):
        pass
    assert open_count() == before


def test_daemon_is_started_in_a_process_with_many_descriptors(run_dir: Path) -> None:
    """Descriptors beyond 1024, as data loaders collect them, do not keep a run's daemon from being started."""
    with many_descriptors(1100), pixlog.connect(run_dir, timeout_s=scaled_s(30)) as client:
        receipt = client.log_image("k", np.zeros((2, 2), np.uint8))
        assert receipt.wait(scaled_s(30))
        assert receipt.state == "saved"
