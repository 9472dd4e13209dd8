"""Every benchmark runs in its short form and yields figures that make sense; how fast things are is no concern here."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import processes
from waiting import scaled_s, wait_until

_ROOT = Path(__file__).resolve().parents[2]
_PROGRAM = _ROOT / "benchmarks/run.py"

pytestmark = pytest.mark.skipif(not _PROGRAM.exists(), reason="the benchmarks are not in this distribution")


def short_form_of(name: str, directory: Path) -> dict[str, Any]:
    """Run one benchmark in its short form; return its report."""
    path = directory / "result.json"
    command = [sys.executable, str(_PROGRAM), "--short", "--no-peers", "--only", name, "--json", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=scaled_s(240))
    assert done.returncode == 0, done.stderr
    result = json.loads(path.read_text())
    assert result["form"] == "short"
    (report,) = result["reports"]
    assert report["name"] == name
    return dict(report)


def numbers_in(value: Any) -> Iterator[float]:
    """Yield every number of a JSON value."""
    if isinstance(value, dict):
        for item in value.values():
            yield from numbers_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from numbers_in(item)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield value


@pytest.mark.parametrize(
    "name",
    [
        "copy_floor",
        "beside_peers",
        "overhead",
        "small_images",
        "scaling",
        "training_loop",
        "imports",
        "reading",
        "viewing",
        "packed",
        "growth",
        "exports",
    ],
)
def test_benchmark_yields_figures(name: str, tmp_path: Path) -> None:
    """A benchmark says what it measured in finite numbers, and of each goal what was wanted and what was found."""
    report = short_form_of(name, tmp_path)
    assert all(math.isfinite(number) for number in numbers_in(report["figures"]))
    assert any(number > 0 for number in numbers_in(report["figures"]))
    assert report["goals"]
    for goal in report["goals"]:
        assert goal["met"] in (True, False, None)
        assert all(goal[field] for field in ("what", "target", "measured"))
    for header, rows in report["tables"]:
        assert all(len(row) == len(header) for row in rows)


def test_machine_is_described_without_names_and_paths(tmp_path: Path) -> None:
    """The machine's description has its processors and versions, and neither a host's name nor a path."""
    path = tmp_path / "result.json"
    command = [sys.executable, str(_PROGRAM), "--short", "--only", "imports", "--json", str(path)]
    subprocess.run(command, capture_output=True, check=True, timeout=scaled_s(120))
    text = path.read_text()
    assert json.loads(text)["machine"]["cpus"] >= 1
    assert len(Path.home().parts) < 2 or str(Path.home()) not in text
    assert str(tmp_path) not in text


def test_process_that_keeps_the_daemon_busy_ends_with_the_benchmark(tmp_path: Path) -> None:
    """Whoever kills the benchmark leaves nobody behind who fills the disk."""
    command = [sys.executable, str(_PROGRAM.with_name("log_image.py")), "--only", "28²", "--calls", "5"]
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    # Idle twice, then busy: long enough to be met there.
    benchmark = subprocess.Popen(
        [*command, "--seconds", f"{scaled_s(2)}"], env=environ, stdout=subprocess.DEVNULL
    )

    def neighbours() -> list[processes.Process]:
        """The process that it started to keep the daemon busy, once there is one."""
        found = processes.all_processes()
        return [one for one in found if one.parent_pid == benchmark.pid and "spawn_main" in one.command]

    try:
        (neighbour,) = wait_until(neighbours, timeout_s=60, what="the process that keeps the daemon busy")
    finally:
        benchmark.kill()
        benchmark.wait()
    wait_until(lambda: not neighbour.is_alive(), timeout_s=30, what="its end")


def test_benchmark_of_devices_says_when_there_is_none(tmp_path: Path) -> None:
    """Without a GPU no figure is given: the report says that it was not measured, and why."""
    try:
        import torch

        found = torch.cuda.is_available()
    except ImportError:
        found = False
    report = short_form_of("device", tmp_path)
    (goal,) = report["goals"]
    if found:
        assert all(math.isfinite(number) and number > 0 for number in numbers_in(report["figures"]))
    else:
        assert (goal["measured"], goal["met"]) == ("not measured: no GPU", None)
        assert report["figures"] == {}
