"""docs/run-directory.md: its examples run, and its table names the fields that rows have."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pixlog.reading.run import Run
from written_runs import WrittenRun, gray

PAGE = Path(__file__).parents[2] / "docs" / "run-directory.md"
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _examples(language: str) -> list[str]:
    return [body for name, body in _BLOCK.findall(PAGE.read_text()) if name == language]


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """A directory with a run of the name that the page uses."""
    written = WrittenRun(tmp_path / "runs" / "exp1")
    for step in range(5):
        written.image("val/pred", step, meta={"score": step / 10}, masks={"gt": gray(1)}, caption="c")
    written.images("train/batch", 2, [gray(1), gray(2)])
    written.row("val/pred", 7, state="failed", reason="got shape (3, 4, 5)")
    other = WrittenRun(written.path, segment="20250102T040000Z-host-9.jsonl")
    other.image("val/pred", 8, np.zeros((4, 4), np.uint8), client="b")
    other.append(b'{"v":1,"key":"val')
    return tmp_path


@pytest.mark.parametrize("code", _examples("python"))
def test_python_example_runs(workplace: Path, code: str) -> None:
    """Each Python example runs as it stands, where the library it needs is installed."""
    for library in ("pandas", "duckdb"):
        if f"import {library}" in code and importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=workplace, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "8 rows, 7 saved" in done.stdout or "val/pred" in done.stdout


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
def test_jq_examples_run(workplace: Path) -> None:
    """The jq examples print what they are said to print, whatever segments end in."""
    early = WrittenRun(workplace / "runs/exp1", segment="20250101T000000Z-host-1.jsonl")
    early.append(b'{"v":1,"key":"val')
    failed, files = (
        subprocess.run(["sh", "-c", code], cwd=workplace, capture_output=True, text=True, check=True).stdout
        for code in _examples("sh")
    )
    assert failed == "val/pred\t7\tfailed\tgot shape (3, 4, 5)\n"
    run = Run(workplace / "runs/exp1")
    paths = [image.path.relative_to(run.path).as_posix() for image in run.images("val/pred")]
    assert files.splitlines() == paths


def test_page_names_every_field_of_a_row() -> None:
    """Every property of a row is in the page's table of fields."""
    page = PAGE.read_text()
    for name in (
        "key",
        "step",
        "rank",
        "client",
        "seq",
        "state",
        "time",
        "value",
        "reason",
        "input",
        "files",
    ):
        assert f"| `{name}`" in page
    for name in ("call", "meta", "`local_rank`, `world_size`", "`host`, `pid`", "notes"):
        assert f"| {name}" in page or f"| `{name}`" in page
