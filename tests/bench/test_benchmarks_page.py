"""The page of benchmarks is what its JSON says, goals that were missed included."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from waiting import scaled_s

_ROOT = Path(__file__).resolve().parents[2]
_PAGE = _ROOT / "docs/benchmarks.md"
_RESULTS = _ROOT / "benchmarks/results/latest.json"

pytestmark = pytest.mark.skipif(not _RESULTS.exists(), reason="the benchmarks are not in this distribution")


def test_page_is_written_from_the_results(tmp_path: Path) -> None:
    """Writing the page anew from the committed figures gives the committed page."""
    program = (
        "import sys; from pathlib import Path; from bench.page import RESULTS, write_page; "
        "write_page(RESULTS, Path(sys.argv[1]), Path(sys.argv[1]).parent)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "page.md")]
    subprocess.run(command, check=True, cwd=_ROOT / "benchmarks", timeout=scaled_s(120))
    assert (tmp_path / "page.md").read_text() == _PAGE.read_text()


def test_page_shows_every_goal_and_what_came_of_it() -> None:
    """Each goal of the results stands on the page with its word: met, missed or not measured."""
    page = _PAGE.read_text()
    words = {True: "met", False: "**missed**", None: "not measured"}
    for report in json.loads(_RESULTS.read_text())["reports"]:
        for goal in report["goals"]:
            cells = (goal["what"], goal["target"], goal["measured"], words[goal["met"]])
            assert "| " + " | ".join(cells) + " |" in page


def test_plots_of_the_page_are_small() -> None:
    """Every plot that the page shows is there and below 150 KB."""
    named = [part.partition(")")[0] for part in _PAGE.read_text().split("](images/")[1:]]
    assert named
    for name in named:
        assert 0 < (_ROOT / "docs/images" / name).stat().st_size < 150_000
