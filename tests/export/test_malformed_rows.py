"""A row whose list of files is none costs an export that row, which is counted and named, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import pixlog
from pixlog.cli.app import run_command
from written_runs import WrittenRun, line_of

MALFORMED: list[Any] = [[{"role": "image"}], ["x"], "abc", 5, {"a": 1}]


@pytest.fixture
def written(tmp_path: Path) -> WrittenRun:
    """Two good rows, and between them some that anything but a daemon of ours may have written."""
    run = WrittenRun(tmp_path / "run")
    run.image("k", 0)
    for number, files in enumerate(MALFORMED):
        run.append(line_of(run.fields("k", 1 + number) | {"files": files}))
    run.image("k", 9)
    return run


@pytest.mark.parametrize(
    "form",
    ["zip", "imagefolder", "webdataset", "coco", "parquet", "html", "gif", "contact-sheet"],
)
def test_export_leaves_out_rows_whose_files_are_malformed(
    written: WrittenRun, tmp_path: Path, form: str
) -> None:
    """Both images are exported; the report counts every other row, says what is wrong with it and is not ok."""
    report = pixlog.export_run(written.path, form, tmp_path / f"out-{form}")
    counts = report.counts
    assert (counts.images, counts.rows, report.ok) == (2, 7, False)
    assert counts.left_out == {"the row does not say which files are its": len(MALFORMED)}
    assert counts.examples[0].startswith("'k' step 1 rank 0: a file of a row has path, sha256, size, role")
    assert counts.examples[3] == "'k' step 4 rank 0: files of a row are a list, got 5"


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (["export", "-t", "zip", "-o", "out.zip"], 1, "'k' step 1 rank 0: a file of a row has"),
        (["contact-sheet", "-o", "sheet.png"], 1, "not shown: 5 rows that cannot be read"),
        (["ls", "-k", "k"], 0, "damaged: files of a row are a list, got 5"),
        (["verify"], 1, "files of a row are a list, got 5"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_commands_name_rows_whose_files_are_malformed(
    written: WrittenRun,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
    code: int,
    said: str,
) -> None:
    """What can be shown or written is; the rest is named, with the exit code of damage."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    name, *options = command
    assert run_command([name, str(written.path), *options]) == code
    printed = capsys.readouterr()
    assert said in printed.out + printed.err
