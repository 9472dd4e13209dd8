"""How the ``pixlog`` command starts and ends, as a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from waiting import scaled_s
from written_runs import WrittenRun

Command = Callable[..., Any]


def _python(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=scaled_s(60),
        check=False,
        **options,
    )


def test_module_and_script_run_the_command(written: WrittenRun) -> None:
    """python -m pixlog does what the command does."""
    written.row("k", 0)
    done = _python("-m", "pixlog", "ls", str(written.path))
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 row, 1 saved, 1 key" in done.stdout


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
@pytest.mark.parametrize("options", [[], ["-k", "*"]])
def test_json_is_json_in_any_encoding(written: WrittenRun, encoding: str, options: list[str]) -> None:
    """What the encoding of stdout cannot say is escaped as JSON has it, not as Python has it."""
    key = "é/😀/中"
    written.row(key, 0)
    done = subprocess.run(
        [sys.executable, "-m", "pixlog", "ls", written.path, "--json", *options],
        env=os.environ | {"PYTHONIOENCODING": encoding},
        capture_output=True,
        timeout=scaled_s(60),
        check=True,
    )
    said = json.loads(done.stdout.decode(encoding))
    assert key in (said["key"] if options else json.dumps(said, ensure_ascii=False))


def test_command_names_the_missing_extra() -> None:
    """Without typer the command says in one line what to install."""
    code = "import sys; sys.modules['typer'] = None; from pixlog.__main__ import main; main()"
    done = _python("-c", code)
    assert done.returncode == 1
    assert done.stderr == (
        "the pixlog command needs the package 'typer': install it with  pip install 'pixlog[daemon]'\n"
    )


def test_verify_names_the_missing_extra(written: WrittenRun) -> None:
    """Without Pillow, reading pixels says in one line what to install."""
    code = (
        "import sys; sys.modules['PIL'] = None; from pixlog.__main__ import main; "
        f"sys.argv = ['pixlog', 'verify', {str(written.path)!r}]; main()"
    )
    done = _python("-c", code)
    assert done.returncode == 1
    assert done.stderr == (
        "pixlog: reading pixels needs the package 'pillow': install it with  pip install 'pixlog[daemon]'\n"
    )


def test_reader_loads_neither_pillow_nor_the_client(written: WrittenRun) -> None:
    """Opening a run and listing its rows imports numpy and the standard library alone."""
    written.image("k", 0)
    code = (
        f"import sys, pixlog; run = pixlog.Run({str(written.path)!r}); run.summary(); list(run.images('k'))\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'PIL', 'typer', 'rich', 'asyncio'}))"
    )
    assert _python("-c", code).stdout == "[]\n"


def test_command_survives_a_closed_pipe(written: WrittenRun) -> None:
    """pixlog ls | head ends quietly."""
    for step in range(3000):
        written.row("k", step)
    process = subprocess.Popen(
        [sys.executable, "-m", "pixlog", "ls", str(written.path), "-n", "0", "-k", "k", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait(timeout=scaled_s(60)) in (1, 141)


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_command_prints_in_any_encoding(written: WrittenRun, encoding: str) -> None:
    """What the terminal's encoding cannot say is printed as an escape."""
    written.row("é", 0)
    written.row("é", 5)
    done = _python(
        "-X", "utf8=0", "-m", "pixlog", "ls", str(written.path), env={"PYTHONIOENCODING": encoding}
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert ("\\xe9" if encoding == "ascii" else "é") in done.stdout


@pytest.mark.parametrize("command", ["ls", "verify", "contact-sheet", "status", "stop"])
def test_every_help_teaches_by_example(pixlog_command: Command, command: str) -> None:
    """Each command's help shows how it is called."""
    outcome = pixlog_command(command, "--help")
    assert outcome.code == 0
    assert f"$ pixlog {command}" in outcome.out


def test_help_and_version(pixlog_command: Command) -> None:
    """The command alone shows its help, --version the version."""
    from pixlog import __version__

    assert "contact-sheet" in pixlog_command("--help").out
    assert pixlog_command("--version").out == f"pixlog {__version__}\n"
