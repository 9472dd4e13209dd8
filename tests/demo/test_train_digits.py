"""The demo in small: a training in six processes whose every image is saved and accounted for."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from PIL import Image

import pixlog
from demo_runs import EXAMPLES, Demo, run_demo
from pixlog.reading.verify import VerifyFailure, VerifyReport, verify
from written_runs import WrittenRun

KEYS = {
    "model/filters",
    "train/found",
    "train/input",
    "train/scene",
    "val/error",
    "val/found",
    "val/misread",
    "val/probability",
    "val/truth",
}


def test_demo_saves_and_shows_the_images_of_every_process(demo: Demo) -> None:
    """``train_digits.py --fast`` exits 0 with a verified run of two ranks and four loaders, a table and a sheet."""
    done, run_dir = demo.ended, demo.run_dir
    assert done.returncode == 0, done.stdout + done.stderr

    run = pixlog.Run(run_dir)
    summary = run.summary()
    assert (summary.failed, summary.dropped, summary.ranks, summary.client_count) == (0, 0, (0, 1), 6)
    assert set(run.keys()) == KEYS
    assert {row.world_size for row in run.rows()} == {2}
    assert {row.meta["worker"] for row in run.rows("train/input")} == {0, 1}
    calls = [row.call for row in run.rows("val/found", 2)] + [row.call for row in run.rows("val/error", 2)]
    assert len(calls) == 4
    assert len(set(calls)) == 2, "the pictures of one validation are linked by their call"
    found = run.images("val/found", 1)[0]
    assert found.array().shape == (424, 640, 3)
    assert set(found.masks) == set(found.boxes) == {"found"}
    assert verify(run).ok

    assert f"Verified: {summary.rows:,} rows" in done.stdout
    for words in (
        "rank 1, loader 1",
        "inside log calls",
        "encoding the same in the loop",
        f"pixlog ls {run_dir}",
        f"pixlog view {run_dir}",
    ):
        assert words in done.stdout
    assert "pixlog:" not in done.stderr, "nothing that the demo logs needs a warning"
    for picture in (run_dir / "contact-sheet.png", demo.picture):
        with Image.open(picture) as opened:
            assert opened.width > 500


def test_demo_refuses_a_run_directory_that_is_in_use(run_dir: Path) -> None:
    """A second demo in one run directory would count the first one's rows as its own, so it does not start."""
    WrittenRun(run_dir)
    done = run_demo(run_dir)
    assert done.returncode == 2
    assert "holds a run already" in done.stderr


def test_demo_complains_about_what_does_not_add_up(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call without an end, a row too few and a file that is missing are each named."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    from digits_job.messages import ProcessReport
    from digits_job.report import complaints

    WrittenRun(run_dir).image("k")
    run = pixlog.Run(run_dir)
    stats = pixlog.Stats(1, 1, 0, 0, 0, 0, 0, 0, 0, {}, {})
    checked = verify(run)
    assert complaints(run, [ProcessReport("rank 0", stats, {}, 0.0)], checked) == []

    unsettled = dataclasses.replace(stats, accepted=3, saved=2, pending=1)
    missing = VerifyFailure("missing", "media/images/k.png", "k", 0, 0, "c", 0, "cannot be read")
    broken = VerifyReport(run_dir, failures=[missing])
    assert complaints(run, [ProcessReport("rank 0", unsettled, {}, 0.0)], broken) == [
        f"rank 0: 1 of 3 images have no end: {unsettled}",
        "2 log calls were saved, the run has 1 such rows",
        str(missing),
    ]
