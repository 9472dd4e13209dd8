"""Every test runs in a clean environment, with a runtime directory of its own, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import resource
import shutil
import signal
import tempfile
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import daemons
import leaks
from swallowed import Swallowed, daemon_logs_in

_LAUNCHER_VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
_LAUNCHER_PREFIXES = ("PIXLOG_", "SLURM_", "OMPI_", "PMI_", "MPI_")
# What makes terminals of pipes and the other way round, warnings of silence, and detours of 127.0.0.1.
_HABITS = (
    "CI", "GITHUB_ACTIONS", "FORCE_COLOR", "PY_COLORS", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE",
    "TTY_INTERACTIVE", "COLUMNS", "LINES", "TERMINAL_WIDTH", "PYTHONWARNINGS", "PYTHONDEVMODE", "PYTHONSTARTUP",
    "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY",
)  # fmt: skip
_SHOWN_CHARS = 6000
_numbers = itertools.count()


# Examples are those of the last run, however long one takes: what a change is judged by is the same for all changes.
# pytest --hypothesis-profile=default  tries others.
settings.register_profile(
    "suite", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")


def pytest_configure() -> None:
    """Let no habit of the machine that runs the suite reach a test, nor a module that looks when it is imported."""
    for name in _HABITS:
        os.environ.pop(name, None)
    os.environ["TZ"] = "UTC"
    time.tzset()


@pytest.fixture(scope="session", autouse=True)
def _clean_environment() -> Iterator[None]:
    """No setting and no rank of the machine that runs the suite reaches a test.

    Daemons do not step back: on a busy machine they would come last of all, and the tests that wait for them.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            ours = name.startswith(_LAUNCHER_PREFIXES) and not name.startswith("PIXLOG_TEST_")
            if ours or name in _LAUNCHER_VARIABLES:
                patch.delenv(name)
        patch.setenv("PIXLOG_NICE", "0")
        yield


@pytest.fixture(scope="session", autouse=True)
def _heeded_signals() -> None:
    """What ``nohup`` or a shell's ``&`` made the suite ignore, its children would ignore too."""
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM, signal.SIGCHLD, signal.SIGALRM):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


@pytest.fixture(scope="session", autouse=True)
def _no_core_files() -> Iterator[None]:
    """Processes that tests make crash leave no copy of their memory, which takes as long as it is large."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    yield
    resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the daemons of a failed test wrote into their logs: its run directory may be out of reach later."""
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        for name in ("tmp_path", "directory"):
            if isinstance(directory := item.funcargs.get(name), Path):
                for path, text in daemon_logs_in(directory):
                    report.sections.append((f"the end of {path}", text[-_SHOWN_CHARS:]))
    return report


@pytest.fixture(scope="session")
def _runtime_root() -> Iterator[Path]:
    # Not below tmp_path: the names of sockets end at 107 bytes and tmp_path may be longer than that alone.
    root = Path(tempfile.mkdtemp(prefix="pxt", dir="/tmp"))
    yield root
    left = [process for number in root.iterdir() for process in daemons.started_in(number)]
    shutil.rmtree(root, ignore_errors=True)
    assert not left, f"processes outlived the suite: {', '.join(map(str, left))}"


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    """Fail a test that leaves a descriptor, thread or child process in the test process."""
    before = leaks.take_snapshot()
    yield
    leaks.assert_nothing_leaked(before)


@pytest.fixture(autouse=True)
def swallowed(_nothing_left_behind: None, request: pytest.FixtureRequest) -> Iterator[Swallowed]:
    """Fail a test in which client or daemon met an error and went on, unless it said ``swallowed.expect(text)``."""
    directory: Path | None = None
    if "tmp_path" in request.fixturenames:
        directory = request.getfixturevalue(
            "tmp_path"
        )  # asked for here, so that it is still there afterwards
    handler = Swallowed()
    logging.getLogger("pixlog").addHandler(handler)
    yield handler
    logging.getLogger("pixlog").removeHandler(handler)
    found = handler.found(directory)
    assert not found, "swallowed: " + "\n".join(found)


@pytest.fixture(autouse=True)
def runtime_dir(
    _nothing_left_behind: None, swallowed: Swallowed, _runtime_root: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """Return the test's own directory of sockets and locks; its daemons are ended after the test and must be gone."""
    directory = _runtime_root / str(next(_numbers))
    monkeypatch.setenv("PIXLOG_RUNTIME_DIR", str(directory))
    yield directory
    if directory.exists():  # the first thing that a client or a daemon makes
        daemons.end_daemons_of(directory)
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(directory)


@pytest.fixture
def directory() -> Iterator[Path]:
    """Return a directory for a daemon's socket and log; its name is short, as sockets' names must be."""
    directory = Path(tempfile.mkdtemp(prefix="pxd", dir="/tmp"))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """Return the path of a run directory that does not exist yet."""
    return tmp_path / "run"
