"""What the README shows works as it is written there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pixlog
from pixlog.reading.verify import verify
from waiting import scaled_s

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)

BEFORE_THE_SECOND = """
client = pixlog.connect("runs/exp1")
photo = other = np.zeros((16, 24, 3), np.uint8)
ids = np.ones((16, 24), np.uint8)
"""


def test_readme_examples_run_as_written(tmp_path: Path) -> None:
    """Both examples run without a word on stderr and print what was saved; the run they make is whole."""
    first, second = BLOCKS
    done = subprocess.run(
        [sys.executable, "-P", "-c", first + BEFORE_THE_SECOND + second],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=scaled_s(60),
        env=os.environ,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(re.findall(r"val/pred_[5-9]_\w{20}\.png \(256, 256, 3\) step [5-9]", done.stdout)) == 5
    run = pixlog.Run(tmp_path / "runs" / "exp1")
    summary = run.summary()
    assert (summary.saved, summary.failed, summary.dropped) == (31, 0, 0)
    (row,) = run.rows("val/cats")
    assert [image.caption for image in row.images] == [None, "no cat"]
    assert set(row.images[0].masks) == {"found"}
    assert verify(run).ok
