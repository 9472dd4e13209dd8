"""``pixlog export`` at a terminal: what it makes, what it says, how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import pixlog
from exported_runs import IMAGES
from pixlog.cli.app import run_command
from waiting import scaled_s, wait_until
from written_runs import WrittenRun


def _command(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pixlog", "export", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=scaled_s(60),
    )


def test_export_command_tells_what_it_wrote_and_what_not(logged_run: pixlog.Run, tmp_path: Path) -> None:
    """The report names the output, counts images, rows and references, and why rows failed or were dropped."""
    done = _command(logged_run.path, "--to", "imagefolder", "--out", tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"wrote {tmp_path / 'out'}: {IMAGES} images of 25 rows, ")
    assert "note: 1 image logged as references, whose pixels are elsewhere" in lines
    assert "2 rows failed when logged and so without image:" in lines
    assert "1 row dropped when logged and so without image:" in lines
    assert "  1 × spill budget" in lines
    assert any(line.startswith("  2 × ") and "got an array of shape (5, 6, 7)" in line for line in lines)


def test_export_command_takes_keys_steps_ranks_and_options(logged_run: pixlog.Run, tmp_path: Path) -> None:
    """--key, --step and --rank narrow it, options of the format are passed on, --json says the counts."""
    done = _command(
        *(logged_run.path, "-t", "webdataset", "-o", tmp_path / "out", "--json"),
        *("-k", "val/*", "-k", "twice", "-s", "0:3", "-r", 0, "--shard-count", 2),
    )
    said = json.loads(done.stdout)
    assert (said["images"], said["rows"], said["format"], said["ok"]) == (6, 4, "webdataset", True)
    assert said["out"] == str(tmp_path / "out")
    assert len(list((tmp_path / "out").glob("*.tar"))) == 3


def test_export_command_ends_with_1_when_something_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that cannot be read is told on stderr with its key and step; the rest is exported."""
    written = WrittenRun(tmp_path / "run")
    gone = written.image("k", 7)
    written.image("k", 8)
    (written.path / gone["files"][0]["path"]).unlink()
    assert run_command(["export", str(written.path), "-t", "coco", "-o", str(tmp_path / "out")]) == 1
    printed = capsys.readouterr()
    assert "1 image of 2 rows" in printed.out
    assert "left out: 1 image: a file of it cannot be read" in printed.err
    assert "'k' step 7 rank 0 image 0: cannot read media/images/k_7_" in printed.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--to", "zip", "-k", "nope"], 1, "nothing was logged under 'nope'"),
        (["--to", "gip"], 1, "a format is one of"),
        (["--to", "zip", "--embed"], 1, "zip has no option 'embed'"),
        (["--to", "zip", "--step", "x"], 2, "expected a step"),
        ([], 2, "a format is one of html, zip"),
    ],
)
def test_export_command_mistakes_are_one_message(
    tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    """What was wrong is said, without a traceback, and nothing is made."""
    WrittenRun(tmp_path / "run").image("k", 0)
    done = _command(tmp_path / "run", *arguments, *(["-o", tmp_path / "out"] if arguments else []))
    assert done.returncode == code
    assert message in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_export_command_that_is_interrupted_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C, or the end of the session, takes away what was written until then, and says so."""
    written = WrittenRun(tmp_path / "run")
    for step in range(50):
        written.image("k", step)
    endless = written.path / written.image("k", 50)["files"][0]["path"]
    endless.unlink()
    os.mkfifo(endless)  # nobody writes to it: an export never comes to its end by itself
    command = [sys.executable, "-m", "pixlog", "export", str(written.path), "-t", "imagefolder", "-o", "out"]
    program = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_until(lambda: any(tmp_path.glob(".out.exporting-*/out/images/*")), timeout_s=60)
        os.kill(program.pid, number)
        out, err = program.communicate(timeout=scaled_s(60))
    finally:
        program.kill()
        program.wait()
    assert (out, err) == ("", "interrupted: nothing was written\n")
    assert program.returncode == 130
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
