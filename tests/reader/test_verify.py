"""``verify``: each way in which a run can be unsound is found and named."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from pixlog.reading.run import Run
from pixlog.reading.verify import VerifyReport, verify
from written_runs import WrittenRun, gray, line_of


def test_sound_run_verifies(written: WrittenRun) -> None:
    """A run with images, lists, masks, boxes, failures, drops and a reference has nothing to report."""
    written.image("a/b", 0, masks={"gt": gray(1)}, boxes={"p": {"box_data": []}})
    written.images("k", 1, [gray(2), gray(3)])
    written.row("k", 2, state="failed", reason="shape")
    written.row("k", 3, state="dropped", reason="full")
    written.row("k", 4, value={"_type": "image-file", "path": "s3://b/x.png"})
    report = verify(written.path)
    assert report.ok
    assert (report.row_count, report.saved_count, report.failed_count, report.dropped_count) == (5, 3, 1, 1)
    assert report.file_count == 5
    assert report.nbytes == sum(path.stat().st_size for path in (written.path / "media").rglob("*.*"))
    assert (report.orphans, report.leftovers, report.torn_nbytes) == ([], [], 0)


def test_empty_run_verifies(written: WrittenRun) -> None:
    """A run without rows is sound."""
    assert verify(written.path).ok


def _media(written: WrittenRun) -> Path:
    (path,) = (path for path in (written.path / "media").rglob("*.*") if path.is_file())
    return path


def _only_failure(report: VerifyReport) -> tuple[str, str]:
    assert not report.ok
    (failure,) = report.failures
    assert (failure.key, failure.step, failure.seq) == ("k", 3, 0)
    return failure.kind, failure.detail


def test_missing_file_is_found(written: WrittenRun) -> None:
    """A file that a row names and that is gone is a failure."""
    written.image("k", 3)
    path = _media(written)
    path.unlink()
    said = f"cannot read {path.relative_to(written.path)}: No such file or directory"
    assert _only_failure(verify(written.path)) == ("missing", said)


def test_truncated_file_is_found(written: WrittenRun) -> None:
    """A file of another size is a failure that names both sizes."""
    fields = written.image("k", 3)
    path = _media(written)
    path.write_bytes(path.read_bytes()[:-1])
    size = fields["files"][0]["size"]
    assert _only_failure(verify(written.path)) == ("size", f"has {size - 1} bytes, its row says {size}")


def test_flipped_bit_is_found(written: WrittenRun) -> None:
    """A file of the right size and other bytes is a failure that names both hashes."""
    fields = written.image("k", 3)
    path = _media(written)
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    kind, detail = _only_failure(verify(written.path))
    assert kind == "sha256"
    assert fields["files"][0]["sha256"] in detail
    assert hashlib.sha256(data).hexdigest() in detail


def test_file_that_does_not_decode_is_found(written: WrittenRun) -> None:
    """A file that is as its row says and is no whole image is a failure."""
    written.image("k", 9)
    whole = _media(written).read_bytes()
    half = written.media("k", 3, whole[: len(whole) // 2], "png", role="image")
    WrittenRun(written.path, segment="2.jsonl").row(
        "k", 3, client="b", value={"_type": "image-file", "path": half["path"]}, files=[half]
    )
    kind, detail = _only_failure(verify(written.path))
    assert kind == "decode"
    assert "does not decode" in detail


def test_boxes_that_are_not_json_are_found(written: WrittenRun) -> None:
    """An overlay file must parse."""
    boxes = written.media("k", 3, b"{", "boxes2D.json", role="boxes", group="g")
    written.row("k", 3, files=[boxes])
    kind, detail = _only_failure(verify(written.path))
    assert (kind, "is not JSON" in detail) == ("decode", True)


def test_image_of_another_size_than_its_row_says_is_found(written: WrittenRun) -> None:
    """Width and height in the row are those of the file."""
    fields = written.image("k", 3)
    written.segment.write_bytes(line_of(fields | {"value": fields["value"] | {"width": 5}}))
    assert _only_failure(verify(written.path)) == ("shape", "is 6×4 pixels, its row says 5×4")


def test_rows_that_disagree_about_a_file_are_found(written: WrittenRun) -> None:
    """Two rows that name one file with different hashes cannot both be right."""
    fields = written.image("a", 0, client="b")
    written.row("k", 3, value=fields["value"], files=[fields["files"][0] | {"sha256": "0" * 64}])
    kind, detail = _only_failure(verify(written.path))
    assert (kind, "0" * 64 in detail) == ("sha256", True)


def test_path_outside_the_run_is_found_and_not_read(written: WrittenRun, tmp_path: Path) -> None:
    """A path that leaves the run directory is a failure, whatever lies there."""
    data = b"secret"
    (tmp_path / "outside").write_bytes(data)
    entry = {
        "path": "../outside",
        "sha256": hashlib.sha256(data).hexdigest(),
        "size": 6,
        "role": "image",
        "index": 0,
    }
    written.row("k", 3, files=[entry])
    kind, detail = _only_failure(verify(written.path))
    assert (kind, "stay inside the run directory" in detail) == ("path", True)


@pytest.mark.parametrize(
    "more",
    [{"files": [{"path": "x"}]}, {"files": [7]}, {"files": 7}, {"value": None}, {"value": 5}],
)
def test_row_with_malformed_fields_is_found(written: WrittenRun, more: dict[str, Any]) -> None:
    """A saved row needs a value and whole file entries."""
    line = written.fields("k", 3) | more
    written.append(json.dumps(line, separators=(",", ":")).encode() + b"\n")
    assert _only_failure(verify(written.path))[0] == "row"


def test_damaged_lines_make_it_fail(written: WrittenRun) -> None:
    """Manifest lines that are no rows are counted and make the run unsound."""
    written.image("k", 3)
    written.append(b"garbage\n")
    report = verify(written.path)
    assert not report.ok
    assert (report.problems.not_json, report.failures) == (1, [])


def test_orphans_and_leftovers_are_listed_without_failing(written: WrittenRun) -> None:
    """Files without a row and temporary files are told apart, and are no failure; so is a torn tail."""
    written.image("k", 0)
    images = written.path / "media" / "images"
    (images / "k_1_0123.png").write_bytes(b"x")
    (written.path / ".writing-host-7").mkdir()
    (written.path / ".writing-host-7" / "12").write_bytes(b"x")
    written.append(b'{"v":1')
    report = verify(written.path)
    assert report.ok
    assert report.orphans == ["media/images/k_1_0123.png"]
    assert report.leftovers == [".writing-host-7/12"]
    assert report.torn_nbytes == 6


def test_shared_file_is_checked_once(written: WrittenRun) -> None:
    """A file that many rows name is read once and counted once."""
    fields = written.image("k", 0)
    for step in range(1, 50):
        written.row("k", step, value=fields["value"], files=fields["files"])
    report = verify(Run(written.path))
    assert (report.ok, report.row_count, report.file_count) == (True, 50, 1)


def test_many_failures_are_all_reported_in_order(written: WrittenRun) -> None:
    """Every failure of a large run is in the report, in reading order, however many threads look."""
    for step in range(300):
        written.image("k", step)
    for path in sorted((written.path / "media").rglob("*.png"))[::2]:
        path.unlink()
    calls: list[tuple[int, int]] = []
    report = verify(written.path, workers=4, progress=lambda done, total: calls.append((done, total)))
    assert len(report.failures) == 150
    assert [failure.step for failure in report.failures] == sorted(
        failure.step for failure in report.failures
    )
    assert calls == [(100, 300), (200, 300), (300, 300), (300, 300)]
