"""``pixlog recover`` and ``pixlog verify --repair``: after jobs that were ended and daemons that were killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import daemons
import pixlog
from accounting import check_accounts
from daemon_rooms import entry_of, open_run
from pixlog.control import request
from pixlog.process_identity import started_ticks
from pixlog.protocol import Header, Kind
from pixlog.reading.recover import recover
from pixlog.reading.repair import repair
from pixlog.reading.verify import verify
from pixlog.writer_mark import own_mark, safe_host
from pixlogd.headers import parse_hello
from pixlogd.rundir.spill_files import NOT_WRITTEN
from pixlogd.rundir.spill_writing import write_raw
from waiting import scaled_s, wait_until
from wire_frames import CLIENT, frame, gray_pixels, hello_header, log_header
from written_runs import WrittenRun

Command = Callable[..., Any]
HOST = safe_host(socket.gethostname())


@pytest.fixture
def dead_mark() -> str:
    """Return the mark of a process of this host that has ended."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        return f"{HOST}-{process.pid}-{started_ticks(process.pid)}"


@pytest.fixture
def own() -> str:
    """Return the mark of this process."""
    return own_mark(f"{HOST}-{os.getpid()}")


def spill_in(run_dir: Path, runtime_dir: Path) -> int:
    """Leave images in the spill of a run, as a client and a daemon that were killed do; return how many calls."""
    script = (
        "import sys, numpy as np, pixlog, time\n"
        "client = pixlog.connect(sys.argv[1], buffer_bytes='256KiB')\n"
        "client.log_image('k', np.zeros((100, 100, 3), np.uint8))\n"
        "client.flush()\n"
        "print('saved', flush=True)\n"
        "sys.stdin.readline()\n"
        "for step in range(20): client.log_image('k', np.full((100, 100, 3), step, np.uint8))\n"
        "print('logged', flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(run_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as trainer:
        assert trainer.stdin is not None
        assert trainer.stdout is not None
        assert trainer.stdout.readline() == "saved\n"
        daemon = daemons.the_daemon_of(runtime_dir)
        os.kill(daemon.pid, signal.SIGSTOP)
        trainer.stdin.write("go\n")
        trainer.stdin.flush()
        assert trainer.stdout.readline() == "logged\n"
        trainer.kill()  # first: it would start another daemon, which would empty the spill
        trainer.wait()
        os.kill(daemon.pid, signal.SIGKILL)
    wait_until(lambda: daemons.gone(runtime_dir))
    return len(list((run_dir / "spill").iterdir()))


def test_recover_saves_what_a_killed_job_spilled(
    run_dir: Path, runtime_dir: Path, pixlog_command: Command
) -> None:
    """What lies in the spill has rows afterwards, the spill is empty, and a second time there is nothing to do."""
    assert spill_in(run_dir, runtime_dir)
    outcome = pixlog_command("recover", run_dir)
    assert outcome.code == 0, outcome
    assert outcome.out.endswith("brought to their end, nothing is left\n")
    count = int(outcome.out.split(": ")[1].split(" ")[0])
    assert count > 5
    report = verify(run_dir)
    assert report.ok
    assert report.saved_count == count + 1
    assert list((run_dir / "spill").iterdir()) == []
    again = pixlog_command("recover", run_dir)
    assert (again.code, again.out) == (0, f"{run_dir}: 0 calls brought to their end, nothing is left\n")


def test_recover_lists_what_it_cannot_bring_to_its_end(
    run_dir: Path, runtime_dir: Path, pixlog_command: Command, own: str
) -> None:
    """Files of the living, of other hosts, damaged ones and ones that are no spill files are named, and left."""
    with pixlog.connect(run_dir) as client:
        client.log_image("k", np.zeros((4, 4), np.uint8))
    spill = run_dir / "spill"
    (spill / "0123456789abcdef-0000.frames").write_bytes(b"garbage " * 8)
    (spill / f"1123456789abcdef-0000.frames.claimed-{own}").write_bytes(b"")
    (spill / "2123456789abcdef-0000.frames.claimed-elsewhere-1-2").write_bytes(b"")
    (spill / "3123456789abcdef-0000.frames.damaged").write_bytes(b"")
    outcome = pixlog_command("recover", run_dir, "--timeout", "5")
    assert outcome.code == 1
    said = outcome.err.splitlines()
    assert [line.partition(": ")[2].partition(":")[0][-22:] for line in said if line.startswith("left: ")]
    for words in (
        "0000.frames: does not begin as a spill file does",
        "is working on it",
        "of another host: --other-hosts",
        "a part of it cannot be read",
    ):
        assert words in outcome.err
    assert len(list(spill.iterdir())) == 4


def test_recover_keeps_the_damaged_rest_of_a_file(
    run_dir: Path, runtime_dir: Path, pixlog_command: Command
) -> None:
    """The calls before a damaged place are saved, and the file is kept aside for whoever can read more of it."""
    spill_in(run_dir, runtime_dir)
    (path,) = (run_dir / "spill").iterdir()
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + b"\xff" * 100_000)
    outcome = pixlog_command("recover", run_dir)
    assert outcome.code == 1
    assert "a part of it cannot be read" in outcome.err
    assert [path.suffix for path in (run_dir / "spill").iterdir()] == [".damaged"]
    report = verify(run_dir)
    assert report.ok
    assert report.row_count > 3


def test_recover_brings_the_calls_behind_a_damaged_place_and_other_files_to_their_end(
    run_dir: Path, runtime_dir: Path, pixlog_command: Command
) -> None:
    """A length that no file can have keeps neither the calls behind it nor later files from being saved."""
    spill = run_dir / "spill"
    spill.mkdir(parents=True)
    for client in ("0" * 16, "f" * 16):
        frames = [frame(Kind.LOG, log_header(seq), gray_pixels(seq)) for seq in range(4)]
        if client == "0" * 16:
            frames[2] = frames[2][:8] + b"\xff" + frames[2][9:]
        hello = hello_header(run_dir, client=client, host=socket.gethostname(), pid=1 << 22)
        (spill / f"{client}-0000.frames").write_bytes(b"".join([frame(Kind.HELLO, hello), *frames]))
    outcome = pixlog_command("recover", run_dir)
    assert outcome.code == 1
    assert "a part of it cannot be read" in outcome.err
    assert [path.name for path in spill.iterdir()] == [f"{'0' * 16}-0000.frames.damaged"]
    assert {(client[0], seq) for client, seq in check_accounts(run_dir).saved} == {
        *(("0", seq) for seq in (0, 1, 3)),
        *(("f", seq) for seq in range(4)),
    }


def test_recover_gives_a_row_to_calls_that_were_only_announced(
    tmp_path: Path, run_dir: Path, runtime_dir: Path, pixlog_command: Command, dead_mark: str
) -> None:
    """Of a daemon that was killed while it spilled, what is whole is saved and the rest fails by name.

    Unless another file has it: the one that the client left when it was closed comes first, whatever its name.
    """
    with open_run(tmp_path / "before") as before:
        hello = hello_header(run_dir, host=HOST, pid=1 << 22)
        client = before.client(parse_hello(hello))
        (path,) = write_raw(run_dir / "spill", dead_mark, [entry_of(client, log_header(n)) for n in range(5)])
    nbytes = len(frame(Kind.LOG, log_header(4), gray_pixels(4)))
    path.write_bytes(path.read_bytes()[: -2 * nbytes - 5])
    path.rename(f"{path}.claimed-{dead_mark}")
    (run_dir / "spill" / f"{CLIENT}-left-0000.frames").write_bytes(
        frame(Kind.HELLO, hello) + frame(Kind.LOG, log_header(3), gray_pixels(3))
    )
    outcome = pixlog_command("recover", run_dir)
    assert (outcome.code, list((run_dir / "spill").iterdir())) == (0, []), outcome
    rows = check_accounts(run_dir).of_client(CLIENT)
    assert {seq: row["state"] for seq, row in rows.items()} == {
        **dict.fromkeys((0, 1, 3), "saved"),
        **dict.fromkeys((2, 4), "failed"),
    }
    assert {rows[seq]["reason"] for seq in (2, 4)} == {NOT_WRITTEN}


@pytest.mark.parametrize("command", ["recover", "stop"])
def test_command_for_a_run_that_is_none_says_so(
    tmp_path: Path, pixlog_command: Command, command: str
) -> None:
    """A misspelt path is one line and exit code 1, also where another directory is, and never a run that is well."""
    outcome = pixlog_command(command, tmp_path / "nothing")
    assert outcome.code == 1
    assert f"there is no run at {tmp_path / 'nothing'}" in outcome.err
    outcome = pixlog_command(command, tmp_path)
    assert outcome.code == 1
    assert f"{tmp_path} is not a run directory" in outcome.err


def test_recover_shows_progress_on_a_terminal(run_dir: Path, runtime_dir: Path) -> None:
    """On a terminal a bar moves while images are saved."""
    spill_in(run_dir, runtime_dir)
    shown = run_in_terminal([sys.executable, "-m", "pixlog", "recover", str(run_dir)])
    assert "saving images" in shown
    assert "nothing is left" in shown


def test_recover_counts_what_is_in_a_file_and_not_the_room_prepared_in_it(
    run_dir: Path, runtime_dir: Path
) -> None:
    """Progress goes from nothing to the bytes of the frames, however many zeros follow the last one."""
    dead = hello_header(run_dir, host=HOST, pid=1 << 22)
    logs = b"".join(frame(Kind.LOG, log_header(seq), gray_pixels(seq)) for seq in range(40))
    prepared = frame(Kind.HELLO, {**dead, "prepared": True}) + logs
    other = frame(Kind.HELLO, {**dead, "client": "1" * 16}) + logs
    spill = run_dir / "spill"
    spill.mkdir(parents=True)
    (spill / f"{CLIENT}-0000.frames").write_bytes(prepared.ljust(1 << 20, b"\0"))
    (spill / f"{'1' * 16}-0000.frames").write_bytes(other)
    seen: list[tuple[int, int]] = []
    outcome = recover(run_dir, progress=lambda done, total: seen.append((done, total)))
    assert (outcome.count, outcome.left) == (80, [])
    nbytes = len(prepared) + len(other)
    assert {total for _, total in seen} == {nbytes}
    assert seen[-1] == (nbytes, nbytes)


def test_recover_gives_every_answer_the_time_that_it_was_given(
    run_dir: Path, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon on a busy machine may take as long for an answer as for any other progress."""
    spill_in(run_dir, runtime_dir)
    asked: list[tuple[str, float]] = []

    def ask(path: Path, command: str, *, timeout_s: float = 0.0, **arguments: Any) -> Header:
        asked.append((command, timeout_s))
        return request(path, command, timeout_s=timeout_s, **arguments)

    monkeypatch.setattr("pixlog.reading.recover.request", ask)
    timeout_s = scaled_s(60)
    assert recover(run_dir, timeout_s=timeout_s).left == []
    assert {command for command, _ in asked} == {"recover", "status"}
    assert {given for _, given in asked} == {timeout_s}


def test_recover_asks_the_next_daemon_where_one_was_about_to_end(
    run_dir: Path, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run's daemon is killed when it has accepted the question: another one is started and does it."""
    spill_in(run_dir, runtime_dir)
    killed: list[int] = []

    def ask(path: Path, command: str, **arguments: Any) -> Header:
        if not killed:
            killed.append(daemons.the_daemon_of(runtime_dir).pid)
            os.kill(killed[0], signal.SIGSTOP)
            threading.Timer(0.5, os.kill, (killed[0], signal.SIGKILL)).start()
        return request(path, command, **arguments)

    monkeypatch.setattr("pixlog.reading.recover.request", ask)
    assert recover(run_dir, timeout_s=scaled_s(60)).left == []
    assert killed
    assert len(pixlog.Run(run_dir).rows("k", state="saved")) > 1


def run_in_terminal(command: list[str], seen: Callable[[bytes], None] = lambda shown: None) -> str:
    """Run a command on a pseudo-terminal and return what it showed; ``seen`` is called with all so far."""
    import pty

    main, end = pty.openpty()
    try:
        with subprocess.Popen(command, stdin=end, stdout=end, stderr=end) as process:
            os.close(end)
            shown = b""
            deadline = time.monotonic() + scaled_s(60)
            while time.monotonic() < deadline:
                try:
                    chunk = os.read(main, 4096)
                except OSError:  # nobody has the other end any more
                    break
                shown += chunk
                seen(shown)
            assert process.wait(scaled_s(10)) == 0, shown
    finally:
        os.close(main)
    return shown.decode(errors="replace")


def test_close_shows_progress_on_a_terminal(run_dir: Path, runtime_dir: Path, tmp_path: Path) -> None:
    """A close that takes more than two seconds counts down on a terminal, and leaves the line empty."""
    script = tmp_path / "train.py"
    script.write_text(
        "import os, signal, sys, numpy as np, pixlog\n"
        "from pixlog.control import request\n"
        "from pixlog.rendezvous import socket_for\n"
        "client = pixlog.connect(sys.argv[1])\n"
        f"pid = request(socket_for(sys.argv[1]), 'status', timeout_s={scaled_s(5)})['pid']\n"
        "os.kill(pid, signal.SIGSTOP)\n"
        "for _ in range(7): client.log_image('k', np.zeros((8, 8), np.uint8))\n"
        "print(client.close())\n"
    )

    def let_it_save(shown: bytes) -> None:
        if b"pixlog: saving, 7 images left" in shown:
            os.kill(daemons.the_daemon_of(runtime_dir).pid, signal.SIGCONT)

    shown = run_in_terminal([sys.executable, str(script), str(run_dir)], let_it_save)
    assert "pixlog: saving, 7 images left" in shown
    assert "7 accepted, 7 saved" in shown.rpartition("\x1b[K")[2]


def test_repair_removes_what_dead_writers_left(written: WrittenRun, dead_mark: str, own: str) -> None:
    """Temporary files and probes of dead writers go, their claims are freed; those of the living stay."""
    written.image("k", 0)
    spill = written.path / "spill"
    spill.mkdir()
    for mark in (dead_mark, own, "elsewhere-1-2"):
        (written.path / f".writing-{mark}").mkdir()
        (written.path / f".writing-{mark}" / "0").write_bytes(b"torn")
        (written.path / f".probe-{mark}").touch()
        (spill / f"{len(mark):016x}-0000.frames.claimed-{mark}").touch()
    done = repair(written.path)
    assert done.removed == [f".probe-{dead_mark}", f".writing-{dead_mark}"]
    assert [name.partition("-0000")[2] for name in done.unclaimed] == [f".frames.claimed-{dead_mark}"]
    assert {name.rpartition("-")[0].partition("-")[2].partition("-")[0] for name in done.left} >= {HOST}
    assert len(done.left) == 6
    assert all("still runs" in why for why in done.left.values())
    assert repair(written.path, of_other_hosts=True).removed == [
        ".probe-elsewhere-1-2",
        ".writing-elsewhere-1-2",
    ]
    assert verify(written.path).leftovers == [f".writing-{own}/0"]


def test_repair_adopts_orphans_when_asked_to(written: WrittenRun, pixlog_command: Command) -> None:
    """A whole image that no row names gets one, once; broken files, and those just written, stay as they are."""
    fields = written.image("k", 0)
    image = written.path / fields["files"][0]["path"]
    orphan, broken, fresh = (image.with_name(f"{name}.png") for name in ("orphan", "broken", "fresh"))
    orphan.write_bytes(image.read_bytes())
    broken.write_bytes(b"torn")
    fresh.write_bytes(image.read_bytes())
    for path in (orphan, broken):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    listed = pixlog_command("verify", written.path, "--repair")
    assert listed.code == 0
    assert listed.out.count("no row names this file") == 3
    assert "adopted" not in listed.out
    outcome = pixlog_command("verify", written.path, "--repair", "--adopt", "--json")
    assert outcome.code == 0, outcome
    repaired = json.loads(outcome.out)["repaired"]
    assert repaired["adopted"] == ["media/images/orphan.png"]
    assert "is no image" in repaired["left"]["media/images/broken.png"]
    assert "on its way" in repaired["left"]["media/images/fresh.png"]
    report = verify(written.path)
    assert report.ok
    assert report.orphans == ["media/images/broken.png", "media/images/fresh.png"]
    (row,) = pixlog.Run(written.path).rows("orphan")
    assert row.images[0].array().shape


def test_repair_leaves_a_name_that_is_no_text(written: WrittenRun, pixlog_command: Command) -> None:
    """An orphan whose name is not UTF-8 stays, with what to do about it, and the others are adopted."""
    image = written.path / written.image("k", 0)["files"][0]["path"]
    for name in (b"bad\xff.png", "gut-ü😀.png".encode()):
        path = os.path.join(os.fsencode(image.parent), name)
        with open(path, "wb") as file:
            file.write(image.read_bytes())
        os.utime(path, (1_700_000_000, 1_700_000_000))
    outcome = pixlog_command("verify", written.path, "--repair", "--adopt", "--json")
    repaired = json.loads(outcome.out)["repaired"]
    assert repaired["adopted"] == ["media/images/gut-ü😀.png"]
    assert list(repaired["left"]) == ["media/images/bad\udcff.png"]
    assert "not UTF-8" in repaired["left"]["media/images/bad\udcff.png"]
    assert len(pixlog.Run(written.path).rows("orphan")) == 1
    assert "left alone: media/images/bad\\udcff.png" in (
        pixlog_command("verify", written.path, "--repair", "--adopt").out
    )


def test_repair_options_want_repair(written: WrittenRun, pixlog_command: Command) -> None:
    """--adopt without --repair is a mistake, and said to be one."""
    assert pixlog_command("verify", written.path, "--adopt").code == 2
