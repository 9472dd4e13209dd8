"""An export is there whole or not at all, and replaces nothing that it was not told to."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

import pixlog
from pixlog.export.output import MARK
from small_disks import tiny_disk
from written_runs import WrittenRun

DIRECTORIES = ("imagefolder", "webdataset", "coco")
FILES = ("zip", "parquet")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of three images and one dropped row."""
    written = WrittenRun(tmp_path / "run")
    for step in range(3):
        written.image("k", step)
    written.row("lost", 0, state="dropped", reason="the buffer was full", value=None)
    return written.path


def _names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize("to", [*DIRECTORIES, *FILES])
def test_export_is_named_for_the_run_where_no_name_is_given(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str
) -> None:
    """Without ``out`` it is made in the working directory, and nothing else is."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    report = pixlog.export_run(run, to)
    assert report.out == tmp_path / "here" / (f"run.{to}" if to in FILES else f"run-{to}")
    assert _names(tmp_path / "here") == [report.out.name]
    assert (report.counts.images, report.nbytes > 0, report.ok) == (3, True, True)


@pytest.mark.parametrize("to", [*DIRECTORIES, *FILES])
def test_export_replaces_an_earlier_one_only_by_force(run: Path, tmp_path: Path, to: str) -> None:
    """A second export to the same place is an error; with ``force`` it is the one that is there."""
    out = tmp_path / "out"
    pixlog.export_run(run, to, out)
    with pytest.raises(pixlog.InputError, match=r"out exists already.*--force"):
        pixlog.export_run(run, to, out)
    report = pixlog.export_run(run, to, out, step=1, force=True)
    assert report.counts.images == 1
    if to == "imagefolder":
        assert len((out / "metadata.jsonl").read_text().splitlines()) == 1
    assert _names(tmp_path) == ["out", "run"]


def test_export_forced_over_a_directory_that_is_no_export_is_refused(run: Path, tmp_path: Path) -> None:
    """``force`` never takes away a directory that pixlog did not make."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home/thesis.tex").write_text("all of it")
    with pytest.raises(pixlog.InputError, match="not an export of pixlog"):
        pixlog.export_run(run, "coco", tmp_path / "home", force=True)
    assert (tmp_path / "home/thesis.tex").read_text() == "all of it"


def test_export_takes_an_empty_directory(run: Path, tmp_path: Path) -> None:
    """An empty directory, as made by ``mkdir`` beforehand, is as good as none."""
    (tmp_path / "out").mkdir()
    out = pixlog.export_run(run, "coco", tmp_path / "out").out
    assert (out / MARK).is_file()


@pytest.mark.parametrize(
    ("to", "out", "message"),
    [
        ("zip", "missing/out.zip", "there is no directory"),
        ("zip", "taken", "is a directory, expected the name of the file"),
        ("coco", "file", "exists already"),
        ("zip", "run/out.zip", "inside of the run"),
        ("coco", "run", "inside of the run"),
        ("coco", "run/media/out", "there is no directory|inside of the run"),
    ],
)
def test_export_says_why_it_cannot_go_there(
    run: Path, tmp_path: Path, to: str, out: str, message: str
) -> None:
    """Every place that cannot be written to has its own message, before anything is read."""
    (tmp_path / "taken").mkdir()
    (tmp_path / "file").touch()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    with pytest.raises(pixlog.InputError, match=message):
        pixlog.export_run(run, to, tmp_path / out)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize("to", [*DIRECTORIES, *FILES])
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_export_that_breaks_off_leaves_nothing(
    run: Path, tmp_path: Path, to: str, error: type[BaseException]
) -> None:
    """Ctrl-C in the middle, or any exception, leaves neither the output nor anything beside it, nor takes the old."""
    pixlog.export_run(run, to, tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}

    def interrupt(done: int, total: int) -> None:
        assert total in (1, 3, 4)
        if done == total:
            raise error

    with pytest.raises(error):
        pixlog.export_run(run, to, tmp_path / "out", force=True, progress=interrupt)
    assert _names(tmp_path) == ["out", "run"]
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before


def test_export_onto_a_full_disk_says_so_and_leaves_nothing(run: Path) -> None:
    """An error of the disk names the output and why; what was written until then is gone."""
    with tiny_disk(nbytes=4096) as disk:
        with pytest.raises(pixlog.InputError, match=r"cannot write .*out.*No space left"):
            pixlog.export_run(run, "coco", disk / "out")
        assert _names(disk) == []


def test_export_takes_the_remains_of_one_that_was_killed(run: Path, tmp_path: Path) -> None:
    """The temporary directory of a killed process goes with the next export there; one that is in use stays."""
    program = f"""
import os, signal, sys
import pixlog
pixlog.export_run({str(run)!r}, "zip", {str(tmp_path / "out.zip")!r},
                  progress=lambda done, total: done == total and os.kill(os.getpid(), signal.SIGKILL))
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    (left,) = [path for path in tmp_path.iterdir() if ".exporting-" in path.name]
    os.utime(left, (1_700_000_000, 1_700_000_000))
    used: list[bool] = []

    def look(done: int, total: int) -> None:
        for path in tmp_path.glob(".out.zip.exporting-*"):
            os.utime(path, (1_700_000_000, 1_700_000_000))
            used.append(path != left)
        if done < total:
            pixlog.export_run(run, "zip", tmp_path / "out.zip", step=0)

    with pytest.raises(pixlog.InputError, match="came into being meanwhile"):
        pixlog.export_run(run, "zip", tmp_path / "out.zip", progress=look)
    assert used
    assert all(used)
    assert _names(tmp_path) == ["out.zip", "run"]


def test_export_of_nothing_names_the_keys_that_are_there(run: Path, tmp_path: Path) -> None:
    """A key, or steps, that nothing fits end with what there is; so does a choice of which nothing was saved."""
    for choice, message in (
        ({"key": "val/*"}, r"nothing was logged under 'val/\*'.*keys: k, lost"),
        ({"step": 7}, r"no row of .* fits; keys: 'k' \(steps 0 to 2\), 'lost' \(step 0\)"),
        ({"key": "k", "rank": 3}, r"no row of .* fits; keys: 'k'"),
        (
            {"key": "lost"},
            "none of the 1 rows that fit was saved; 'lost' step 0 dropped: the buffer was full",
        ),
    ):
        with pytest.raises(pixlog.PixlogError, match=message):
            pixlog.export_run(run, "coco", tmp_path / "out", **choice)
    assert pixlog.export_run(run, "parquet", tmp_path / "rows", key="lost").counts.dropped_rows == 1


@pytest.mark.parametrize(
    ("to", "options", "message"),
    [
        ("zipp", {}, "a format is one of .*zip.*got 'zipp'; did you mean 'zip'"),
        ("zip", {"embed": True}, "zip has no option 'embed', it takes none; embed is one of parquet"),
        ("webdataset", {"shards": 3}, "webdataset has no option 'shards', it takes shard_count, shard_size"),
    ],
)
def test_export_refuses_what_it_does_not_know(
    run: Path, tmp_path: Path, to: str, options: dict[str, Any], message: str
) -> None:
    """An unknown format or option is an error with those that there are."""
    with pytest.raises(pixlog.InputError, match=message):
        pixlog.export_run(run, to, tmp_path / "out", **options)


@pytest.mark.parametrize("to", [*DIRECTORIES, *FILES])
def test_export_outlives_its_run(run: Path, tmp_path: Path, to: str) -> None:
    """Nothing in an export is a link to the run or shares its file: the run can be deleted, or written into."""
    out = pixlog.export_run(run, to, tmp_path / "out").out
    paths = [out] if out.is_file() else [path for path in out.rglob("*") if path.is_file()]
    assert all(path.stat().st_nlink == 1 and not path.is_symlink() for path in paths)


def test_export_of_a_run_that_grows_takes_the_rows_of_its_beginning(run: Path, tmp_path: Path) -> None:
    """Rows that are logged while it writes are not in it, nor counted."""
    written = WrittenRun(run, segment="20260101T000000Z-host-78.jsonl")

    def log_more(done: int, total: int) -> None:
        written.image("k", 100 + done, client="00000000000000bb")

    report = pixlog.export_run(run, "zip", tmp_path / "out.zip", progress=log_more)
    assert (report.counts.images, report.counts.rows) == (3, 4)
    with zipfile.ZipFile(report.out) as archive:
        assert len([name for name in archive.namelist() if "/media/" in name]) == 3
