"""``pixlogd serve`` as a user types it: a real process, its words and its exit codes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from waiting import scaled_s, wait_until

PIXLOGD = (sys.executable, "-m", "pixlogd")


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run ``pixlogd`` to its end."""
    return subprocess.run(
        [*PIXLOGD, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=scaled_s(60),
        env={**os.environ, **variables},
    )


@contextmanager
def serving(path: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run ``pixlogd serve`` on a socket while the block lasts; it is told to stop at the end."""
    command = [*PIXLOGD, "serve", "--socket", str(path), *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_until(lambda: answers(path) or process.poll() is not None, timeout_s=30)
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=scaled_s(30))


def answers(path: Path) -> bool:
    """Whether something accepts connections on the socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        return client.connect_ex(str(path)) == 0


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_serve_ends_clean_on_signal(runtime_dir: Path, signal_number: signal.Signals) -> None:
    """It listens where it was told, says where, and a signal ends it with exit code 0 and no socket left."""
    runtime_dir.mkdir()
    path = runtime_dir / "s.sock"
    with serving(path) as process:
        process.send_signal(signal_number)
        _, said = process.communicate(timeout=scaled_s(30))
        assert process.returncode == 0, said
        assert f"PIXLOG_DAEMON={path}" in said
        assert not path.exists()


def test_serve_refuses_second_daemon_on_socket(runtime_dir: Path) -> None:
    """A second daemon for a socket says so in one line and leaves the first one alone."""
    runtime_dir.mkdir()
    path = runtime_dir / "s.sock"
    with serving(path) as process:
        second = run("serve", "--socket", str(path))
        assert second.returncode == 1
        assert second.stderr.splitlines()[-1] == f"pixlogd: another daemon serves {path}"
        assert process.poll() is None
        assert answers(path)


def test_serve_uses_asyncio_loop_when_told(runtime_dir: Path) -> None:
    """With loop=asyncio it serves as well."""
    runtime_dir.mkdir()
    path = runtime_dir / "s.sock"
    with serving(path, "--set", "loop=asyncio"):
        assert answers(path)


def test_print_config_shows_sources(tmp_path: Path) -> None:
    """--print-config prints TOML on stdout with the place of each value, and starts nothing."""
    path = tmp_path / "a.toml"
    path.write_text("drain_s = 3")
    shown = run("serve", "--print-config", "--config", str(path), "--set", "nice=7", PIXLOG_LOG_LEVEL="debug")
    assert (shown.returncode, shown.stderr) == (0, "")
    document = tomllib.loads(shown.stdout)
    assert (document["drain_s"], document["nice"], document["log_level"]) == (3, 7, "debug")
    assert f"drain_s = 3  # from {path}" in shown.stdout
    assert "nice = 7  # from the command line" in shown.stdout
    assert 'log_level = "debug"  # from PIXLOG_LOG_LEVEL' in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "nise=3"], "--set: unknown setting 'nise': did you mean 'nice'?"),
        (["--config", "/none.toml"], "/none.toml: cannot be read: No such file or directory"),
        (
            ["--socket", "/none/p.sock"],
            "--socket: got /none/p.sock, expected a path in a directory that exists",
        ),
        (["--socket", "/tmp/" + "s" * 120], "--socket: got a path of 125 bytes"),
    ],
)
def test_serve_says_what_is_wrong_in_one_line(arguments: list[str], message: str) -> None:
    """A bad option or setting is one line on stderr and exit code 2."""
    refused = run("serve", *arguments)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith(f"pixlogd: {message}")
    assert refused.stderr.count("\n") == 1


def test_serve_warns_about_misspelt_variable() -> None:
    """A variable that looks like a setting's and is none is named on stderr."""
    shown = run("serve", "--print-config", PIXLOG_ENCODE_WORKER="2")
    assert shown.returncode == 0
    assert "PIXLOG_ENCODE_WORKER; did you mean PIXLOG_ENCODE_WORKERS?" in shown.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["serve", "--help"], []])
def test_help_teaches(arguments: list[str]) -> None:
    """Help is shown for the command and its subcommand, and for a call without arguments."""
    shown = run(*arguments, COLUMNS="100", NO_COLOR="1", TERM="dumb")
    assert "serve" in shown.stdout + shown.stderr
    if arguments[:1] == ["serve"]:
        assert "PIXLOG_DAEMON" in shown.stdout


def test_version_is_shown() -> None:
    """--version prints the version and nothing else."""
    assert run("--version").stdout.startswith("pixlogd 0.")


def in_python(code: str) -> subprocess.CompletedProcess[str]:
    """Run ``code`` and then the command's ``main`` in a fresh interpreter."""
    script = f"import sys\n{code}\nsys.argv = ['pixlogd', 'serve']\nfrom pixlogd.__main__ import main\nmain()"
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=scaled_s(60)
    )


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_command_names_missing_extra(package: str) -> None:
    """Without a package of its extra the command says in one line what to install."""
    refused = in_python(f"sys.modules[{package!r}] = None")
    assert refused.returncode == 1
    assert refused.stderr == (
        f"the pixlogd command needs the package {package!r}: install it with  pip install 'pixlog[daemon]'\n"
    )


def test_command_refuses_windows() -> None:
    """On Windows the command says in one line where it runs."""
    refused = in_python("sys.platform = 'win32'")
    assert refused.returncode == 1
    assert refused.stderr.startswith("pixlogd needs Unix sockets")
    assert refused.stderr.count("\n") == 1
