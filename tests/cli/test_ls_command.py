"""``pixlog ls`` shows keys and rows, to people and to programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from written_runs import WrittenRun, gray

Command = Callable[..., Any]


def test_ls_shows_each_key(written: WrittenRun, pixlog_command: Command) -> None:
    """Keys with their rows, images, steps, ranks, sizes and last time, and a total."""
    first = written.image("val/pred", 3, time=1_700_000_000.0)
    written.image("val/pred", 9, rank=2, time=1_700_000_060.0)
    written.images("train/batch", 1, [gray(1), gray(2)])
    outcome = pixlog_command("ls", written.path)
    assert (outcome.code, outcome.err) == (0, "")
    size = first["files"][0]["size"]
    assert outcome.lines[0] == "key rows images steps ranks size last logged"
    assert outcome.lines[1].startswith("train/batch 1 2 1 0 ")
    assert outcome.lines[2].startswith("val/pred 2 2 3–9 (2) 0, 2 ")
    assert outcome.lines[2].endswith("2023-11-14 22:14:20")
    assert outcome.lines[3].startswith("3 rows, 3 saved, 2 keys, ")
    assert size < 200


def test_ls_shows_what_was_not_saved(written: WrittenRun, pixlog_command: Command) -> None:
    """Failed and dropped rows have columns where there are any, and --state lists them with their reasons."""
    written.image("k", 0)
    written.row("k", 1, state="failed", reason="got shape (3, 4, 5)")
    written.row("k", 2, state="dropped", reason="spill budget")
    lines = pixlog_command("ls", written.path).lines
    assert lines[0] == "key rows images steps ranks failed dropped size last logged"
    assert lines[1].startswith("k 3 1 0–2 (3) 0 1 1 ")
    outcome = pixlog_command("ls", written.path, "--state", "failed", "--state", "dropped")
    assert outcome.lines[1:] == ["k 1 0 1 failed got shape (3, 4, 5)", "k 2 0 2 dropped spill budget"]


def test_ls_key_lists_rows(written: WrittenRun, pixlog_command: Command) -> None:
    """--key lists rows with size, caption and file; patterns, steps and ranks narrow them."""
    fields = written.image("a/x", 0, caption="first [red]one[/red]")
    written.image("a/y", 4, rank=1, notes=["alpha dropped"])
    written.images("b", 4, [gray(0), gray(1)], captions=["p", "q"])
    lines = pixlog_command("ls", written.path, "--key", "a/*", "-k", "b").lines
    assert lines[0] == "key step rank seq state pixels size caption file, or reason"
    path = fields["files"][0]["path"]
    assert lines[1].startswith("a/x 0 0 0 saved 6×4 ")
    assert lines[1].endswith(f"first [red]one[/red] {path}")
    assert lines[2].endswith(".png (alpha dropped)")
    assert lines[3].endswith(".png and 1 more")
    assert " 6×4 ×2 " in lines[3]
    assert " p | q " in lines[3]
    assert len(pixlog_command("ls", written.path, "-s", "4", "-r", "1").lines) == 2


def test_ls_says_what_there_is_where_no_row_fits(written: WrittenRun, pixlog_command: Command) -> None:
    """A choice that leaves nothing is answered with the steps, ranks and states that the keys have."""
    assert pixlog_command("ls", written.path, "-s", "5:").out == "no rows fit: the run has no rows yet\n"
    written.image("a", 0)
    written.image("a", 4, rank=2)
    written.image("b", 7, rank=1)
    assert pixlog_command("ls", written.path, "-k", "a", "-s", "5:").out == (
        "no rows fit: a has steps 0–4, ranks 0, 2; 2 saved\n"
    )
    assert pixlog_command("ls", written.path, "--state", "failed").out == (
        "no rows fit: 2 keys have steps 0–7, ranks 0–2; 3 saved\n"
    )
    assert pixlog_command("ls", written.path, "-k", "b", "-r", "0").out == (
        "no rows fit: b has step 7, rank 1; 1 saved\n"
    )


def test_ls_limits_rows_and_says_so(written: WrittenRun, pixlog_command: Command) -> None:
    """50 rows are shown unless --limit says otherwise, and the rest is counted."""
    for step in range(60):
        written.row("k", step)
    assert pixlog_command("ls", written.path, "-k", "k").lines[-1] == "… 10 more; -n 0 shows all"
    assert len(pixlog_command("ls", written.path, "-k", "k", "-n", "0").lines) == 61
    assert len(pixlog_command("ls", written.path, "-k", "k", "-n", "3").lines) == 5


def test_ls_json_gives_keys_as_one_object(written: WrittenRun, pixlog_command: Command) -> None:
    """--json has the same figures by name."""
    entry = written.image("é", 3)["files"][0]
    written.append(b"garbage\n")
    outcome = pixlog_command("ls", written.path, "--json")
    said = json.loads(outcome.out)
    assert (said["rows"], said["saved"], said["nbytes"]) == (1, 1, entry["size"])
    assert said["keys"]["é"]["images"] == 1
    assert said["keys"]["é"]["first_step"] == 3
    assert said["problems"]["not_json"] == 1


def test_ls_json_gives_rows_as_written(written: WrittenRun, pixlog_command: Command) -> None:
    """--json with a choice prints the manifest's rows, one a line."""
    rows = [written.image("k", step, meta={"a": step}) for step in range(3)]
    outcome = pixlog_command("ls", written.path, "-k", "k", "--json")
    assert [json.loads(line) for line in outcome.out.splitlines()] == rows


def test_ls_warns_of_damaged_lines(written: WrittenRun, pixlog_command: Command) -> None:
    """Lines that cannot be read are mentioned on stderr, with where to look."""
    written.row("k", 0)
    written.append(b"garbage\n")
    outcome = pixlog_command("ls", written.path)
    assert outcome.code == 0
    assert "1 line of the manifest could not be read as rows; see pixlog verify" in " ".join(
        outcome.err.split()
    )


def test_ls_of_a_run_without_rows_is_friendly(written: WrittenRun, pixlog_command: Command) -> None:
    """A run that has only just begun is no error."""
    outcome = pixlog_command("ls", written.path)
    assert (outcome.code, outcome.out) == (0, f"{written.path} has no rows yet\n")


def test_ls_prints_hostile_keys_harmlessly(written: WrittenRun, pixlog_command: Command) -> None:
    """Control characters and half surrogates in keys are printed as escapes, markup and emoji codes as they are."""
    for key in ("\x1b[31mred", "a\nb", ":100:", "[bold]x[/bold]"):
        written.row(key)
    written.append(
        b'{"v":1,"key":"\\ud800","step":0,"rank":0,"client":"z","seq":0,"state":"failed","time":1.0}\n'
    )
    out = pixlog_command("ls", written.path).out
    for text in (r"\x1b[31mred", r"a\nb", ":100:", "[bold]x[/bold]", r"\ud800"):
        assert text in out
    assert "\x1b" not in out
    assert json.loads(pixlog_command("ls", written.path, "--json").out)["keys"]["\ud800"]["failed"] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["-k", "val/perd"], 1, "nothing was logged under 'val/perd'"),
        (["-k", "val/perd"], 1, "did you mean 'val/pred'?"),
        (["-k", "zzz*"], 1, "keys: val/pred"),
        (["--state", "lost"], 1, "state is one of saved, failed, dropped; got 'lost'"),
        (["-s", "1:x"], 2, "got '1:x', expected a step"),
        (["-s", "0:9:0"], 2, "got '0:9:0', expected a step"),
        (["--bogus"], 2, "No such option"),
    ],
)
def test_ls_mistakes_are_one_message(
    written: WrittenRun, pixlog_command: Command, arguments: list[str], code: int, message: str
) -> None:
    """A wrong key, state, step or option ends with what was expected, and no traceback."""
    written.row("val/pred")
    outcome = pixlog_command("ls", written.path, *arguments)
    assert outcome.code == code
    assert message in " ".join(outcome.err.replace("│", " ").split())
    assert "Traceback" not in outcome.err


def test_ls_of_no_run_is_one_line(tmp_path: Any, pixlog_command: Command) -> None:
    """A path that is no run ends with one line and exit code 1."""
    outcome = pixlog_command("ls", tmp_path / "nope")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith(f"pixlog: there is no run at {tmp_path / 'nope'}: expected a directory")
    assert outcome.err.count("\n") == 1
