"""``zip``: what comes out of the archive is the run again."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

import pixlog
from exported_runs import COUNTS, IMAGES, URL, deep_floats, photo, segment_ids
from pixlog.reading.verify import verify


def test_zip_unpacks_to_a_sound_run_with_every_row(logged_run: pixlog.Run, tmp_path: Path) -> None:
    """Rows of all states, images, overlays and references of either store come back from the archive."""
    report = pixlog.export_run(logged_run, "zip", tmp_path / "out.zip")
    assert (report.counts.images, report.counts.references, report.ok) == (IMAGES, 1, True)
    with zipfile.ZipFile(report.out) as archive:
        assert archive.testzip() is None
        media = [member for member in archive.infolist() if "/media/" in member.filename]
        assert {member.compress_type for member in media} == {zipfile.ZIP_STORED}
        archive.extractall(tmp_path)
    back = pixlog.Run(tmp_path / logged_run.path.name)
    said = verify(back)
    assert (said.ok, said.orphans) == (True, [])
    assert {"saved": said.saved_count, "failed": said.failed_count, "dropped": said.dropped_count} == COUNTS
    truths = list(back.images("val/truth"))
    assert all((image.array() == photo(image.row.step)).all() for image in truths)
    assert all((image.masks["segments"].array() == segment_ids(image.row.step)).all() for image in truths)
    assert [image.boxes for image in truths] == [image.boxes for image in logged_run.images("val/truth")]
    floats = list(back.images("depth/floats"))
    assert all(np.array_equal(image.array(), deep_floats(image.row.step)) for image in floats)
    assert all(image.preview is not None for image in floats)
    assert [image.url for image in back.images("photos")] == [URL]
    assert [row.caption for row in back.images("val/list")] == ["a", "b", "c"] * 2


def test_zip_takes_only_what_was_chosen(logged_run: pixlog.Run, tmp_path: Path) -> None:
    """Key patterns, steps and ranks narrow the archive, rows and files alike."""
    out = tmp_path / "part.zip"
    pixlog.export_run(logged_run, "zip", out, key=["val/*"], step=slice(0, 2), rank=0)
    with zipfile.ZipFile(out) as archive:
        archive.extractall(tmp_path)
    back = pixlog.Run(tmp_path / logged_run.path.name)
    assert [(row.key, row.step, row.rank) for row in back.rows()] == [
        ("val/truth", 0, 0),
        ("val/truth", 1, 0),
    ]
    assert verify(back).orphans == []
