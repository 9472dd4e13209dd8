"""However a training script ends, what it logged is saved, its exit code is its own, and nothing is left behind."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import daemons
import pixlog
import processes
from accounting import check_accounts
from fault_plan import FaultPlan
from scripts import run_script, write_script
from waiting import scaled_s, wait_until

_THREE_LINES = """
    import sys, numpy, pixlog
    client = pixlog.connect(sys.argv[1])
    client.log_image("image", numpy.zeros((16, 16, 3), numpy.uint8), step=int(sys.argv[2]))
    """

_ENDLESS = """
    import os, sys, time
    import numpy, pixlog
    client = pixlog.connect(sys.argv[1])
    step = 0
    while True:
        client.log_image("image", numpy.zeros((16, 16, 3), numpy.uint8), step=step)
        os.write(1, b"%d\\n" % step)
        step += 1
        time.sleep(0.001)
    """

_FIFTY_AND_THEN = """
    import os, signal, sys
    import numpy, pixlog
    client = pixlog.connect(sys.argv[1])
    for step in range(50):
        client.log_image("image", numpy.zeros((16, 16, 3), numpy.uint8), step=step)
    """

_ENDS = {
    "an exception": ('raise ValueError("training went wrong")', 1),
    "sys.exit(3)": ("sys.exit(3)", 3),
    "SIGTERM": ("os.kill(os.getpid(), signal.SIGTERM); signal.pause()", -signal.SIGTERM),
    "SIGINT": ("os.kill(os.getpid(), signal.SIGINT); signal.pause()", -signal.SIGINT),
    "os.abort()": ("os.abort()", -signal.SIGABRT),
    "an exception in a with block": ('with client: raise ValueError("training went wrong")', 1),
}


def test_three_line_script_loses_nothing(
    plan: FaultPlan, tmp_path: Path, run_dir: Path, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connect, log, end of file: the image is saved each time, though now and then the last daemon is just leaving."""
    times = plan.repeats(suite=8, full=200)
    monkeypatch.setenv("PIXLOG_IDLE_EXIT_S", "0.1")
    for step in range(times):
        done = run_script(tmp_path / "script.py", _THREE_LINES, run_dir, str(step))
        assert (done.returncode, done.stderr) == (0, "")
        time.sleep(
            plan.random.uniform(0.0, 0.3)
        )  # so that the next begins before, while and after the daemon ends
    rows = check_accounts(run_dir).rows.values()
    saved = {row["step"] for row in rows if row["state"] == "saved"}
    plan.record(
        "8 endings",
        "A script of three lines: connect, log, end of file",
        times=times,
        images=times,
        lost=times - len(saved),
    )
    assert saved == set(range(times))


@pytest.mark.parametrize("end", _ENDS)
def test_script_that_ends_badly_loses_nothing_and_keeps_its_exit_code(
    plan: FaultPlan,
    tmp_path: Path,
    run_dir: Path,
    runtime_dir: Path,
    end: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Exceptions, sys.exit and signals end the script as ever, and what it logged before is saved."""
    times = plan.repeats(suite=1, full=20)
    monkeypatch.setenv("PIXLOG_IDLE_EXIT_S", "0.5")
    statement, code = _ENDS[end]
    lost = 0
    for number in range(times):
        run = run_dir / str(number)
        done = run_script(tmp_path / "script.py", f"{_FIFTY_AND_THEN}{statement}\n", run)
        assert done.returncode == code, done.stderr
        daemons.wait_for_end(runtime_dir)
        lost += 50 - len(check_accounts(run).saved)
    plan.record("8 endings", f"A script ends by {end}", times=times, images=50 * times, lost=lost)
    assert lost == 0


def test_ctrl_c_in_terminal_reaches_training_and_not_daemon(
    plan: FaultPlan, tmp_path: Path, run_dir: Path, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C typed into a terminal ends the script; the daemon goes on, saves what was logged and ends by itself."""
    times = plan.repeats(suite=2, full=20)
    monkeypatch.setenv("PIXLOG_IDLE_EXIT_S", "0.5")
    command = write_script(tmp_path / "script.py", _ENDLESS)
    images = lost = 0
    for number in range(times):
        run = run_dir / str(number)
        with terminal([*command, str(run)]) as (pid, terminal_fd):
            said = read_lines(terminal_fd, 20)
            daemon = daemons.the_daemon_of(runtime_dir)
            with pixlog.connect(run):  # so that the daemon does not end by itself meanwhile
                os.write(terminal_fd, b"\x03")
                said += read_to_end(terminal_fd)
                _, status = os.waitpid(pid, 0)
                assert os.waitstatus_to_exitcode(status) == -signal.SIGINT, said
                assert b"KeyboardInterrupt" in said
                assert daemon.is_alive(), "Ctrl-C ended the daemon"
        daemons.wait_for_end(runtime_dir)
        steps = [int(line) for line in re.findall(rb"^(\d+)\r$", said, re.M)]
        rows = check_accounts(run).rows.values()
        saved = {row["step"] for row in rows if row["state"] == "saved"}
        images += len(steps)
        lost += len(set(steps) - saved)
    plan.record(
        "8 endings", "Ctrl-C is typed into the terminal of a training", times=times, images=images, lost=lost
    )
    assert lost == 0


@contextmanager
def terminal(command: list[str]) -> Iterator[tuple[int, int]]:
    """Run a command in a terminal of its own; yield its pid and the other end of the terminal."""
    pid, terminal_fd = pty.fork()
    if not pid:
        os.execv(command[0], command)
    try:
        yield pid, terminal_fd
    finally:
        os.close(terminal_fd)


def read_lines(fd: int, count: int) -> bytes:
    """Read from a terminal until ``count`` lines came."""
    said = b""
    deadline = time.monotonic() + scaled_s(30)
    while said.count(b"\n") < count:
        ready, _, _ = select.select([fd], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, said
        said += os.read(fd, 65536)
    return said


def read_to_end(fd: int) -> bytes:
    """Read from a terminal until nobody writes to it any more."""
    said = b""
    deadline = time.monotonic() + scaled_s(30)
    while True:
        ready, _, _ = select.select([fd], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, said
        try:
            chunk = os.read(fd, 65536)
        except OSError:  # EIO: the last process has closed it
            return said
        if not chunk:
            return said
        said += chunk


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name
)
def test_killing_one_jobs_process_group_leaves_the_others_daemon_alone(
    plan: FaultPlan,
    tmp_path: Path,
    run_dir: Path,
    runtime_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
) -> None:
    """Of two jobs on a host one is ended with its process group: both daemons go on, nothing of either is lost."""
    monkeypatch.setenv("PIXLOG_IDLE_EXIT_S", "1")
    command = write_script(tmp_path / "script.py", _ENDLESS)
    jobs = [
        subprocess.Popen(
            [*command, str(run_dir / name)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        for name in "ab"
    ]
    for job in jobs:
        assert job.stdout is not None
        read_lines(job.stdout.fileno(), 20)
    both = set(daemons.serving_in(runtime_dir))
    assert len(both) == 2
    ended, other = jobs
    os.killpg(ended.pid, number)
    steps = {"a": steps_until_end(ended)}
    assert {daemon.pid for daemon in both if daemon.is_alive()} >= {_daemon_pid(run_dir / "b")}
    assert other.stdout is not None
    read_lines(other.stdout.fileno(), 50)
    os.killpg(other.pid, signal.SIGKILL)
    steps["b"] = steps_until_end(other)
    daemons.wait_for_end(runtime_dir)
    lost = 0
    for name in "ab":
        account = check_accounts(run_dir / name)
        lost += len(steps[name] - {row["step"] for row in account.rows.values() if row["state"] == "saved"})
        assert len(list((run_dir / name / "manifest").iterdir())) == 1, "a daemon was started anew"
    plan.record(
        "8 endings",
        f"{number.name} to the process group of one of two jobs on a host",
        times=1,
        images=sum(map(len, steps.values())),
        lost=lost,
        measured="the other job's daemon was not touched",
    )
    assert lost == 0


def steps_until_end(job: subprocess.Popen[bytes]) -> set[int]:
    """Read what a job still said and wait for its end; return the steps it logged last."""
    said, _ = job.communicate(timeout=scaled_s(30))
    return {int(line) for line in said.split(b"\n")[1:] if line}


def _daemon_pid(run: Path) -> int:
    (segment,) = wait_until(lambda: list((run / "manifest").iterdir()), timeout_s=30)
    return int(segment.stem.rpartition("-")[2])


def test_daemon_leaves_no_process_behind(
    plan: FaultPlan, tmp_path: Path, run_dir: Path, runtime_dir: Path
) -> None:
    """Within 10 s of its last client the daemon is gone; training never had a child to reap, nor a zombie."""
    script = """
        import sys
        sys.path.insert(0, sys.argv[2])
        import numpy, pixlog, processes
        client = pixlog.connect(sys.argv[1])
        client.log_image("image", numpy.zeros((16, 16, 3), numpy.uint8))
        print([str(child) for child in processes.children()])
        client.close()
        print([str(child) for child in processes.children()])
        """
    times = plan.repeats(suite=1, full=10)
    slowest_s = 0.0
    for number in range(times):
        done = run_script(
            tmp_path / "script.py", script, run_dir / str(number), Path(processes.__file__).parent
        )
        left = time.monotonic()
        assert (done.stdout, done.stderr) == ("[]\n[]\n", "")
        wait_until(lambda: not daemons.started_in(runtime_dir), timeout_s=10, what="the end of every process")
        slowest_s = max(slowest_s, time.monotonic() - left)
    plan.record(
        "8 endings",
        "The last client leaves a daemon that it had started",
        times=times,
        images=times,
        lost=0,
        measured=f"the daemon was gone after {slowest_s:.1f} s at most; no zombie, no orphan",
    )


# What creates, renames or removes a name, and the calls that open files to write.
_MAKING = re.compile(
    r"\b(openat|open|creat|mkdir|mkdirat|rename|renameat2?|link|linkat|symlink|symlinkat|mknod|mknodat)\("
)
_PATH = re.compile(r'"((?:[^"\\]|\\.)*)"')


@pytest.mark.skipif(sys.platform != "linux", reason="needs strace")
def test_no_file_is_made_outside_run_and_runtime_directories(
    plan: FaultPlan, tmp_path: Path, run_dir: Path, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Client and daemon, traced, create nothing but in the run's directory and the one of the socket."""
    trace = tmp_path / "trace"
    strace = ["strace", "-f", "-qq", "-o", str(trace), "-e", "trace=file", "-s", "4096"]
    try:
        subprocess.run([*strace, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("strace is not installed or may not trace here")
    monkeypatch.setenv("PIXLOG_IDLE_EXIT_S", "0.5")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    script = """
        import sys, numpy, pixlog
        client = pixlog.connect(sys.argv[1], buffer_bytes="1MiB")
        for step in range(60):
            client.log_image("a/b", numpy.zeros((128, 128, 3), numpy.uint8), step=step)
        """
    command = write_script(tmp_path / "script.py", script)
    subprocess.run([*strace, *command, str(run_dir)], check=True, timeout=scaled_s(60))
    daemons.wait_for_end(runtime_dir)
    check_accounts(run_dir)
    made = {path for line in trace.read_text().splitlines() for path in _made(line)}
    allowed = (f"{run_dir}", f"{runtime_dir}", "/dev/null", "/proc/self", "/dev/pts", "/dev/tty")
    outside = sorted(path for path in made if not path.startswith(allowed))
    inside = sum(path.startswith(str(run_dir)) for path in made)
    assert inside > 60
    plan.record(
        "8 endings",
        "Client and daemon are traced while 60 images are saved",
        times=1,
        images=60,
        lost=0,
        measured=f"{inside} files made in the run directory, {len(outside)} outside of it and the runtime directory",
    )
    assert outside == []


def _made(line: str) -> list[str]:
    """Return the paths that a traced call made or opened to write."""
    call = _MAKING.search(line)
    if call is None or " = -1 " in line:
        return []
    if call[1] in ("open", "openat") and not re.search(r"O_(CREAT|WRONLY|RDWR)", line):
        return []
    return _PATH.findall(line)[-1:]
