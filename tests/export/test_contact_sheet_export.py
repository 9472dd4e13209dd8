"""``contact-sheet`` as an export: the chosen part of a run in one PNG, and an account of the rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

import pixlog
from viewed_runs import flat
from written_runs import WrittenRun


def colors_of(path: Path) -> set[tuple[int, ...]]:
    """Return every colour of a picture."""
    with Image.open(path) as picture:
        assert (picture.format, picture.mode) == ("PNG", "RGB")
        return {tuple(color) for color in np.unique(np.asarray(picture).reshape(-1, 3), axis=0).tolist()}


def test_sheet_of_a_real_run_shows_its_images(logged_run: pixlog.Run, tmp_path: Path) -> None:
    """A run of either store becomes one PNG; every row is accounted for."""
    report = pixlog.export_run(logged_run, "contact-sheet", tmp_path / "s.png")
    assert report.ok
    assert report.counts.references == 1
    assert not report.counts.notes
    assert len(colors_of(report.out)) > 1000


def test_sheet_shows_only_what_was_chosen(tmp_path: Path) -> None:
    """Key, step, rank and where narrow the sheet, and what is not on it for want of room is told."""
    written = WrittenRun(tmp_path / "run")
    for step in range(40):
        written.image("k", step, flat(step, 7, 9), meta={"score": step})
        written.image("k", step, flat(step, 8, 9), rank=1, client="b" * 16)
    written.image("other", 0, flat(200, 7, 9))
    lost = written.image("k", 50, flat(50, 7, 9), meta={"score": 50})
    (written.path / lost["files"][0]["path"]).unlink()
    report = pixlog.export_run(
        written.path,
        "contact-sheet",
        tmp_path / "s.png",
        key="k",
        rank=0,
        where=lambda row: row.meta["score"] >= 10,
        max_images=4,
        side_px=40,
    )
    shown = sorted(color[0] for color in colors_of(report.out) if color[1:] == (7, 9))
    assert shown == [10, 20, 30]
    assert not {color for color in colors_of(report.out) if color[1:] == (8, 9)}
    counts = report.counts
    assert (counts.images, counts.saved_rows, report.ok) == (3, 31, False)
    assert counts.notes == {"not on the sheet, which shows 4 images: --max shows more": 27}
    assert "cannot read media/images/k_50" in counts.examples[0]
