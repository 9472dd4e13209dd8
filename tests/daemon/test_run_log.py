"""The daemon's log in a run directory: rotated, followed, and the place of a crash's last words."""

from __future__ import annotations

import faulthandler
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pixlogd.run_log import RunLog

LINE_NBYTES = 100


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the log lies."""
    (tmp_path / "run").mkdir()
    return tmp_path / "run" / "daemon.log"


@pytest.fixture
def log(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[logging.Logger]:
    """Return a logger that writes into a log of ten lines and two old ones; crashes here stay pytest's."""
    for name in ("enable", "disable"):
        monkeypatch.setattr(faulthandler, name, lambda *_: None)
    log = logging.getLogger(__name__)
    log.setLevel("INFO")
    log.propagate = False
    handler = RunLog(path, nbytes=10 * LINE_NBYTES, backups=2)
    log.addHandler(handler)
    yield log
    log.removeHandler(handler)
    handler.close()


def say(log: logging.Logger, numbers: range) -> None:
    """Write a line of a hundred bytes for each number."""
    for number in numbers:
        log.info("%0*d", LINE_NBYTES - 1, number)


def numbers_in(path: Path) -> list[int]:
    """Return the numbers of the lines of a file."""
    return [int(line) for line in path.read_text().splitlines()]


def test_log_is_rotated(log: logging.Logger, path: Path) -> None:
    """Beyond its size the file gets a number, the oldest goes, and no line is lost on the way."""
    say(log, range(65))
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "daemon.log",
        "daemon.log.1",
        "daemon.log.2",
    ]
    kept = [
        number
        for name in ("daemon.log.2", "daemon.log.1", "daemon.log")
        for number in numbers_in(path.with_name(name))
    ]
    assert kept == list(range(65 - len(kept), 65))
    assert max(file.stat().st_size for file in path.parent.iterdir()) <= 10 * LINE_NBYTES


def test_log_that_another_rotated_or_removed_is_begun_anew(log: logging.Logger, path: Path) -> None:
    """What is said after the file was renamed or removed is found under its name."""
    say(log, range(3))
    path.rename(path.with_name("daemon.log.1"))
    say(log, range(3, 5))
    assert numbers_in(path) == [3, 4]
    path.unlink()
    say(log, range(5, 6))
    assert numbers_in(path) == [5]


def test_removed_directory_is_not_made_again_for_the_log(log: logging.Logger, path: Path) -> None:
    """Whoever deletes a run does not find it again with nothing but a log in it; a new one gets its log."""
    shutil.rmtree(path.parent)
    say(log, range(3))
    assert not path.parent.exists()
    path.parent.mkdir()
    say(log, range(3, 4))
    assert numbers_in(path) == [3]


@pytest.mark.parametrize("begun_by", ["rotation", "removal"])
def test_crash_is_found_in_the_current_file(path: Path, begun_by: str) -> None:
    """A SIGSEGV leaves its traceback in the file that has the name when it strikes."""
    program = """
import logging, os, signal, sys
from pathlib import Path
from pixlogd.run_log import RunLog
path, begun_by = Path(sys.argv[1]), sys.argv[2]
log = logging.getLogger("test")
log.setLevel("INFO")
log.addHandler(RunLog(path, nbytes=1000))
if begun_by == "removal":
    log.info("first")
    path.unlink()
for number in range(15):
    log.info("%099d", number)
os.kill(os.getpid(), signal.SIGSEGV)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(path), begun_by], capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGSEGV, done.stderr
    assert "Fatal Python error: Segmentation fault" in path.read_text()
    assert os.path.exists(f"{path}.1")
