"""``pixlog status`` and ``pixlog stop``, against answers made up here."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pixlog.cli import daemons as daemons_module
from pixlog.cli import find_daemon
from pixlog.errors import ConnectError
from pixlog.rendezvous import socket_for
from written_runs import WrittenRun

Command = Callable[..., Any]


def _client(rank: int, **more: Any) -> dict[str, Any]:
    counts = {"queued": 3, "in_flight": 2, "accepted": 1500, "saved": 1490, "failed": 1, "dropped": 4}
    return {"client": f"{rank:016x}", "rank": rank, "pid": 4000 + rank, "host": "node1", **counts, **more}


def _run(run_dir: Path, **more: Any) -> dict[str, Any]:
    counts = {"accepted": 3000, "saved": 2980, "failed": 2, "dropped": 8, "queued": 6, "bytes": 12_345_678}
    clients = [_client(1), _client(0, connected=False)]
    return {
        "run_dir": str(run_dir), "clients": clients, **counts, "images_per_s": 123.4, "mb_per_s": 56.7, **more
    }  # fmt: skip


class FakeDaemons:
    """Daemons by socket path, each with its answer to "status"; a "stop" takes it away."""

    def __init__(self) -> None:
        self.answers: dict[Path, dict[str, Any] | ConnectError] = {}
        self.asked: list[tuple[Path, str]] = []
        self.own: dict[str, Path] = {}

    def add(
        self, path: str, *runs: dict[str, Any], pid: int = 99, own: bool = True, worker_processes: int = 0
    ) -> None:
        status = {
            "pid": pid,
            "version": "0.1.0",
            "uptime_s": 75.0,
            "workers": 2,
            "worker_processes": worker_processes,
            "socket": path,
            "runs": list(runs),
        }
        self.answers[Path(path)] = status
        if own:
            self.own |= {run["run_dir"]: Path(path) for run in runs}

    def dial(self, path: Path, timeout_s: float) -> socket.socket | None:
        return socket.socket(socket.AF_UNIX) if path in self.answers else None

    def request(self, path: Path, command: str, *, timeout_s: float = 5.0) -> dict[str, Any]:
        self.asked.append((path, command))
        answer = self.answers[path]
        if isinstance(answer, ConnectError):
            raise answer
        if command == "stop":
            del self.answers[path]
            return {"pid": answer["pid"], "queued": 6}
        return answer

    def socket_for(self, run_dir: Path) -> Path:
        return self.own.get(str(run_dir), Path("/none.sock"))

    def running_sockets(self) -> list[Path]:
        return list(self.answers)


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> FakeDaemons:
    """Daemons that exist only in this test."""
    fakes = FakeDaemons()
    for name in ("dial", "request", "socket_for", "running_sockets"):
        monkeypatch.setattr(find_daemon, name, getattr(fakes, name))
    monkeypatch.setattr(daemons_module, "request", fakes.request)
    return fakes


@pytest.mark.parametrize(
    ("count", "words"), [(0, "2 workers,"), (1, "2 workers (1 process),"), (2, "2 workers (2 processes),")]
)
def test_status_tells_how_many_workers_are_processes(
    written: WrittenRun, fakes: FakeDaemons, pixlog_command: Command, count: int, words: str
) -> None:
    """Behind the number of workers, while there are any."""
    fakes.add("/s/a.sock", _run(written.path), worker_processes=count)
    assert words in pixlog_command("status", written.path).lines[0]


def test_status_shows_daemon_run_and_clients(
    written: WrittenRun, fakes: FakeDaemons, pixlog_command: Command
) -> None:
    """The daemon, the run's counts and rates, and a line for each client, connected ones first."""
    fakes.add("/s/a.sock", _run(written.path))
    outcome = pixlog_command("status", written.path)
    assert (outcome.code, outcome.err) == (0, "")
    words = " ".join(outcome.out.split())
    assert outcome.lines[0] == "pixlogd 0.1.0, pid 99, up 1 min 15 s, 2 workers, /s/a.sock"
    assert (
        f"{written.path} 3,000 accepted, 2,980 saved, 2 failed, 8 dropped, 6 queued; 123.4 images/s" in words
    )
    assert "56.7 MB/s, 12.3 MB written client rank pid host" in words
    assert outcome.lines[-3:] == [
        "client rank pid host queued in flight accepted saved failed dropped",
        "0000000000000001 1 4001 node1 3 2 1,500 1,490 1 4",
        "0000000000000000 0 4000 node1 3 2 1,500 1,490 1 4",
    ]


def test_status_says_how_long_half_of_the_calls_took(
    written: WrittenRun, fakes: FakeDaemons, pixlog_command: Command
) -> None:
    """Of each histogram the bound below which the median lies; nothing where no call was worked on yet."""
    bounds_s = [0.001, 0.01, 0.1]
    encode = {"bounds_s": bounds_s, "counts": [1, 4, 4, 0], "sum_s": 0.5}
    write = {"bounds_s": bounds_s, "counts": [0, 0, 0, 3], "sum_s": 9.0}
    fakes.add("/s/a.sock", _run(written.path, encode_latency=encode, write_latency=write))
    words = " ".join(pixlog_command("status", written.path).out.split())
    assert "12.3 MB written, encode ≤ 10 ms, write > 100 ms client" in words
    none = {"bounds_s": bounds_s, "counts": [0, 0, 0, 0], "sum_s": 0.0}
    fakes.add("/s/a.sock", _run(written.path, encode_latency=none, write_latency=none))
    assert "12.3 MB written client" in " ".join(pixlog_command("status", written.path).out.split())


def test_status_all_shows_every_daemon(fakes: FakeDaemons, pixlog_command: Command, tmp_path: Path) -> None:
    """--all shows each daemon, and on stderr those that give no answer."""
    fakes.add("/s/a.sock", _run(tmp_path / "a"), pid=11)
    fakes.add("/s/b.sock", pid=22)
    fakes.answers[Path("/s/c.sock")] = ConnectError("the daemon on /s/c.sock did not answer 'status'")
    outcome = pixlog_command("status", "--all")
    assert outcome.code == 0
    assert "pid 11" in outcome.out
    assert "pid 22" in outcome.out
    assert "serves no run at the moment" in outcome.out
    assert outcome.err == "pixlog: the daemon on /s/c.sock did not answer 'status'\n"


def test_status_finds_a_service_that_serves_the_run(
    written: WrittenRun, fakes: FakeDaemons, pixlog_command: Command
) -> None:
    """A run may be served by a daemon that serves many runs."""
    fakes.add("/s/service.sock", _run(Path("/elsewhere")), _run(written.path), own=False)
    assert "/s/service.sock" in pixlog_command("status", written.path).out


def test_status_without_daemon_counts_the_manifest(
    written: WrittenRun, fakes: FakeDaemons, pixlog_command: Command
) -> None:
    """After the run, the counts come from the manifest, as text and as JSON."""
    written.row("k", 0)
    written.row("k", 1, state="failed", reason="x")
    outcome = pixlog_command("status", written.path)
    text = f"no daemon is running for {written.path}; its manifest has 2 rows, 1 saved, 1 failed\n"
    assert (outcome.code, outcome.out) == (0, text)
    said = json.loads(pixlog_command("status", written.path, "--json").out)
    assert said == {"daemons": [], "manifest": {"rows": 2, "saved": 1, "failed": 1, "dropped": 0}}
    assert pixlog_command("status", "--all").out == "no daemon is running\n"


def test_status_json_is_the_daemons_answer(
    written: WrittenRun, fakes: FakeDaemons, pixlog_command: Command
) -> None:
    """--json prints what the daemon said."""
    fakes.add("/s/a.sock", _run(written.path))
    said = json.loads(pixlog_command("status", written.path, "--json").out)
    assert said == {"daemons": [fakes.answers[Path("/s/a.sock")]]}


@pytest.mark.parametrize("as_json", [False, True])
def test_status_watch_goes_on_until_the_daemon_ends(
    written: WrittenRun,
    fakes: FakeDaemons,
    pixlog_command: Command,
    monkeypatch: pytest.MonkeyPatch,
    as_json: bool,
) -> None:
    """--watch asks again and again, and says so when the daemon has gone."""
    fakes.add("/s/a.sock", _run(written.path))
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            fakes.answers.clear()

    monkeypatch.setattr("time.sleep", pause)
    outcome = pixlog_command(
        "status", written.path, "--watch", "--interval", "0.5", *(["--json"] if as_json else [])
    )
    assert (outcome.code, pauses) == (0, [0.5] * 3)
    if as_json:
        assert [len(json.loads(line)["daemons"]) for line in outcome.out.splitlines()] == [1, 1, 1, 0]
    else:
        assert outcome.out.count("pid 99") == 3
        assert outcome.lines[-1].endswith("its manifest has 0 rows")


def test_status_shows_trouble(written: WrittenRun, fakes: FakeDaemons, pixlog_command: Command) -> None:
    """What keeps a run from being written is shown."""
    fakes.add("/s/a.sock", _run(written.path, trouble="No space left on device", clients=[]))
    out = pixlog_command("status", written.path).out
    assert "trouble: No space left on device" in out
    assert "no clients" in out


@pytest.mark.parametrize("arguments", [[], ["x", "--all"]])
def test_status_wants_a_run_or_all(pixlog_command: Command, arguments: list[str]) -> None:
    """Neither or both is a usage error."""
    outcome = pixlog_command("status", *arguments)
    assert outcome.code == 2
    assert "expected either a run directory or --all" in outcome.err


def test_status_of_a_silent_daemon_is_an_error(
    written: WrittenRun, fakes: FakeDaemons, pixlog_command: Command
) -> None:
    """A daemon that does not answer is not taken for none."""
    fakes.add("/s/a.sock", _run(written.path))
    fakes.answers[Path("/s/a.sock")] = ConnectError(
        "the daemon on /s/a.sock did not answer 'status': timed out"
    )
    outcome = pixlog_command("status", written.path)
    assert (outcome.code, outcome.err) == (
        1,
        "pixlog: the daemon on /s/a.sock did not answer 'status': timed out\n",
    )


def test_command_asks_again_where_a_daemon_is_being_killed(
    run_dir: Path, runtime_dir: Path, pixlog_command: Command
) -> None:
    """A socket that accepts and hangs up, as that of a killed daemon does for a moment, counts as one of no daemon."""
    WrittenRun(run_dir).image("k", 0)
    runtime_dir.mkdir(mode=0o700)
    path = socket_for(run_dir)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(8)

        def hang_up_and_end() -> None:
            for _ in range(4):
                listener.accept()[0].close()
            path.unlink()

        dying = threading.Thread(target=hang_up_and_end)
        dying.start()
        outcome = pixlog_command("status", run_dir)
        dying.join()
    assert outcome.code == 0, outcome
    assert "no daemon is running" in outcome.out


def test_stop_waits_for_the_daemons_end(
    written: WrittenRun, fakes: FakeDaemons, pixlog_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """stop sends the word and returns when the process is gone, or a zombie of somebody else."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        fakes.add("/s/a.sock", _run(written.path), pid=process.pid)
        outcome = pixlog_command("stop", written.path, "--timeout", "0.2")
        assert outcome.code == 1
        assert f"the daemon with pid {process.pid} is still writing after 0.2 s" in outcome.err
        fakes.add("/s/a.sock", _run(written.path), pid=process.pid)
        assert process.stdin is not None
        process.stdin.close()
        outcome = pixlog_command("stop", written.path, "--timeout", "20")
        assert (outcome.code, outcome.out) == (0, f"stopped the daemon with pid {process.pid}\n")
    assert fakes.asked[-1] == (Path("/s/a.sock"), "stop")


def test_stop_without_daemon_is_friendly(
    written: WrittenRun, fakes: FakeDaemons, pixlog_command: Command
) -> None:
    """Nothing to stop is no error."""
    outcome = pixlog_command("stop", written.path)
    assert (outcome.code, outcome.out) == (0, f"no daemon is running for {written.path}; nothing to stop\n")


def test_stop_spares_a_daemon_that_serves_other_runs(
    written: WrittenRun, fakes: FakeDaemons, pixlog_command: Command
) -> None:
    """A service is only ended when asked for by name, because other runs would lose it."""
    fakes.add("/s/service.sock", _run(Path("/other")), _run(written.path), pid=_dead_pid(), own=False)
    outcome = pixlog_command("stop", written.path)
    assert outcome.code == 1
    assert "also serves /other: --shared ends it all the same" in outcome.err
    assert all(command == "status" for _, command in fakes.asked)
    assert pixlog_command("stop", written.path, "--shared").code == 0


def _dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert not os.path.exists(f"/proc/{process.pid}/x")
    return process.pid
