"""``pixlog verify`` and ``pixlog contact-sheet``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from written_runs import WrittenRun

Command = Callable[..., Any]


def test_verify_of_a_sound_run_ends_with_0(written: WrittenRun, pixlog_command: Command) -> None:
    """A sound run: one line, exit code 0."""
    written.image("k", 0)
    written.row("k", 1, state="failed", reason="x")
    outcome = pixlog_command("verify", written.path)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(f"{written.path}: 2 rows (1 saved, 1 failed, 0 dropped), 1 file, ")
    assert outcome.out.endswith(": all sound\n")


def test_verify_lists_failures_and_ends_with_1(written: WrittenRun, pixlog_command: Command) -> None:
    """Each failure is one line that begins with its kind and path; exit code 1."""
    fields = [written.image("k", step) for step in range(3)]
    paths = [entry["files"][0]["path"] for entry in fields]
    (written.path / paths[0]).unlink()
    (written.path / paths[2]).write_bytes(b"short")
    written.append(b"garbage\n")
    outcome = pixlog_command("verify", written.path)
    assert outcome.code == 1
    lines = outcome.out.splitlines()
    assert (
        lines[0]
        == f"missing: {paths[0]} (k step 0 rank 0): cannot read {paths[0]}: No such file or directory"
    )
    assert lines[1].startswith(f"size: {paths[2]} (k step 2 rank 0): has 5 bytes, its row says ")
    assert lines[2].startswith("manifest: ")
    assert lines[-1].endswith(": 2 failures, 1 line of the manifest unreadable")


def test_verify_lists_orphans_without_failing(written: WrittenRun, pixlog_command: Command) -> None:
    """Orphans and temporary files are notes, ten of each kind at most."""
    written.image("k", 0)
    for number in range(12):
        (written.path / "media" / "images" / f"x{number:02}.png").write_bytes(b"")
    (written.path / ".writing-h-1").mkdir()
    (written.path / ".writing-h-1" / "0").write_bytes(b"")
    written.append(b'{"v":1')
    outcome = pixlog_command("verify", written.path)
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert lines[0] == "note: no row names this file: media/images/x00.png"
    assert lines[10] == "note: no row names this file: 2 more (--json lists all)"
    assert lines[11] == "note: temporary file: .writing-h-1/0"
    assert lines[12] == "note: 6 bytes of unfinished last lines, which readers ignore"


def test_verify_json_has_everything(written: WrittenRun, pixlog_command: Command) -> None:
    """--json gives the whole report, with the same exit code."""
    path = written.image("k", 7)["files"][0]["path"]
    (written.path / path).unlink()
    outcome = pixlog_command("verify", written.path, "--json", "-j", "1")
    said = json.loads(outcome.out)
    assert (outcome.code, said["ok"], said["row_count"]) == (1, False, 1)
    assert said["failures"][0] | {"detail": ""} == {
        "kind": "missing",
        "path": path,
        "key": "k",
        "step": 7,
        "rank": 0,
        "client": "00000000000000aa",
        "seq": 0,
        "detail": "",
    }


def test_contact_sheet_writes_a_picture(written: WrittenRun, pixlog_command: Command, tmp_path: Path) -> None:
    """The picture is written where asked, in the format of its suffix."""
    for step in range(5):
        written.image("k", step)
    for name in ("sheet.png", "sheet.jpg"):
        outcome = pixlog_command(
            "contact-sheet", written.path, "-o", tmp_path / name, "--thumb", "64", "-n", "3"
        )
        assert outcome.code == 0
        with Image.open(tmp_path / name) as sheet:
            assert outcome.out == f"wrote {tmp_path / name}, {sheet.width}×{sheet.height} pixels\n"


def test_contact_sheet_says_what_it_cannot_show(
    written: WrittenRun, pixlog_command: Command, tmp_path: Path
) -> None:
    """Images and masks that cannot be read are counted and the first is named; the rest is in the picture."""
    mask = np.zeros((4, 4), np.uint8)
    for step in range(4):
        written.image("k", step, np.full((4, 4), step, np.uint8), masks={"pred": mask})
    for path in sorted(written.path.rglob("*.mask.png"))[:2] + sorted(
        (written.path / "media/images").glob("k_3_*.png")
    ):
        path.write_bytes(b"no PNG")
    outcome = pixlog_command("contact-sheet", written.path, "-o", tmp_path / "sheet.png")
    assert outcome.code == 1
    assert outcome.out.startswith(f"wrote {tmp_path / 'sheet.png'}, ")
    images, overlays = outcome.err.splitlines()
    assert images.startswith("not shown: 1 image that cannot be read, the first: ")
    assert "k_3_" in images
    assert overlays.startswith("not shown: 2 overlays that cannot be read, the first: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "nowhere/x.png"], "cannot write nowhere/x.png: No such file or directory"),
        (["-o", "x.nope"], "cannot write x.nope: unknown file extension: .nope"),
        (["-s", "99"], "has no saved images to show"),
        (["-k", "other"], "nothing was logged under 'other'"),
    ],
)
def test_contact_sheet_mistakes_are_one_line(
    written: WrittenRun,
    pixlog_command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    """What cannot be shown or written ends with one line and exit code 1."""
    monkeypatch.chdir(tmp_path)
    written.image("k", 0)
    outcome = pixlog_command("contact-sheet", written.path, *arguments)
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert message in outcome.err
