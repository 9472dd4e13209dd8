"""What the pages for users show works as it is written there: the commands and the Python, in the page's order."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import numpy as np
import pytest

import pixlog
from waiting import scaled_s

DOCS: Final = Path(__file__).parents[2] / "docs"
_BLOCK: Final = re.compile(r"^```(python|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

WANTED: Final = {
    "from-wandb.md": [],
    "diff.md": [],
    "films.md": [],
    "notebook.md": [],
    "export.md": [
        "pixlog export runs/exp1 -t webdataset --shard-count 12",
        "pixlog export runs/exp1 -t coco -k val/pred",
    ],
}
"""The pages, and what a page takes for done before its examples."""

_NOT_OURS: Final = ("duckdb ", "pixlog view", " | ", "&& ")
"""Lines with programs that the tests need not have, and the viewer, which does not end."""


def _write_run(run_dir: Path) -> None:
    """Write a run of three keys over fifteen steps, with masks and two groups of boxes."""
    classes = {0: "background", 1: "cat"}
    with pixlog.connect(run_dir) as client:
        for step in range(15):
            photo = np.full((48, 64, 3), 10 * step, np.uint8)
            mask = np.zeros((48, 64), np.uint8)
            mask[10:30, 10:40] = 1
            box = {"position": {"minX": 0.2, "maxX": 0.6, "minY": 0.2, "maxY": 0.6}, "class_id": 1}
            groups = {
                "truth": {"box_data": [box], "class_labels": classes},
                "found": {"box_data": [box | {"scores": {"confidence": 0.9}}], "class_labels": classes},
            }
            pred = pixlog.Image(
                photo, masks={"area": {"mask_data": mask, "class_labels": classes}}, boxes=groups
            )
            client.log(
                {"val/input": photo, "val/truth": 255 - photo, "val/pred": pred},
                step=step,
                meta={"score": step / 15},
            )


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """A directory with the runs that the pages speak of."""
    _write_run(tmp_path / "runs" / "exp1")
    for name in "ab":
        (tmp_path / "runs" / name).symlink_to("exp1")
    return tmp_path


def _run(command: list[str], workplace: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(workplace / "hugging-face"),
        "MPLBACKEND": "agg",
    }
    return subprocess.run(
        command,
        cwd=workplace,
        capture_output=True,
        text=True,
        check=False,
        timeout=scaled_s(60),
        env=environment,
    )


@pytest.mark.timeout(900)  # a process for each line, some of which import all of Hugging Face's datasets
@pytest.mark.parametrize("page", WANTED)
def test_page_examples_run_as_written(page: str, workplace: Path) -> None:
    """Every command and every block of Python of the page ends well; a comparison may find differences."""
    blocks = _BLOCK.findall((DOCS / page).read_text(encoding="utf-8"))
    assert blocks
    for line in WANTED[page]:
        assert _run(["sh", "-c", line], workplace).returncode == 0
    for language, body in blocks:
        if language == "python":
            done = _run([sys.executable, "-P", "-c", body], workplace)
            assert done.returncode == 0, f"{body}\n{done.stderr}"
            continue
        for line in body.splitlines():
            if any(other in line for other in _NOT_OURS):
                continue
            done = _run(["sh", "-c", line], workplace)
            assert done.returncode <= line.startswith("pixlog diff"), f"{line}\n{done.stdout}{done.stderr}"
