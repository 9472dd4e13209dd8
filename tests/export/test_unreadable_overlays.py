"""A mask or boxes file that cannot be read costs an export that overlay, never the image under it."""

from __future__ import annotations

import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pixlog
from pixlog.notebook.markup import picture_html
from written_runs import WrittenRun, gray

BOX = {"position": {"middle": [0.5, 0.5], "width": 0.5, "height": 0.5}, "class_id": 1}


@pytest.fixture
def damaged(tmp_path: Path) -> pixlog.Run:
    """An image with a good mask and good boxes, a mask that is gone, boxes of another shape, and torn ones."""
    written = WrittenRun(tmp_path / "run")
    row = written.image(
        "k",
        0,
        masks={"good": gray(), "gone": gray(9)},
        boxes={"good": {"box_data": [BOX]}, "list": [1, 2], "torn": {"box_data": [BOX], "class_labels": 5}},
    )
    paths = {file.get("group"): written.path / file["path"] for file in row["files"]}
    paths["gone"].unlink()
    paths["torn"].write_bytes(paths["torn"].read_bytes()[:-3])
    return pixlog.Run(written.path)


def _coco(out: Path) -> None:
    found = json.loads((out / "annotations.json").read_text())
    assert len(found["images"]) == 1
    assert {entry["group"] for entry in found["annotations"]} == {"good"}


def _imagefolder(out: Path) -> None:
    (line,) = [json.loads(line) for line in (out / "metadata.jsonl").read_text().splitlines()]
    assert line["objects"]["groups"] == ["good"]
    assert (bool(line["mask.good_file_name"]), line["mask.gone_file_name"]) == (True, None)


def _webdataset(out: Path) -> None:
    with tarfile.open(out / "shard-000000.tar") as shard:
        names = [name.partition(".")[2] for name in shard.getnames()]
        assert sorted(names) == ["json", "mask.good.png", "png"]


def _is_there(out: Path) -> None:
    assert out.exists()


@pytest.mark.parametrize(
    ("form", "lost", "check"),
    [
        ("coco", 3, _coco),
        ("imagefolder", 3, _imagefolder),
        ("webdataset", 3, _webdataset),
        ("html", 3, _is_there),
        ("zip", 2, _is_there),  # which copies what it is given, boxes of another shape too
        ("gif", 3, _is_there),
        ("contact-sheet", 3, _is_there),
    ],
)
def test_unreadable_overlays_are_counted_and_their_image_is_exported(
    damaged: pixlog.Run, tmp_path: Path, form: str, lost: int, check: Callable[[Path], Any]
) -> None:
    """The image and its good overlays are there; the report counts the others, names them and is not ok."""
    report = pixlog.export_run(damaged, form, tmp_path / f"out-{form}")
    assert (report.counts.images, report.counts.left_out, report.ok) == (1, {}, False)
    assert report.counts.overlays_left_out == {"its file cannot be read": lost}
    assert any("gone" in example or "mask" in example for example in report.counts.examples)
    check(report.out)


def test_zip_without_an_overlay_is_a_run_with_its_row(damaged: pixlog.Run, tmp_path: Path) -> None:
    """The archive unpacks to a run that has the row, its image and the overlays that could be read."""
    report = pixlog.export_run(damaged, "zip", tmp_path / "out.zip")
    with zipfile.ZipFile(report.out) as archive:
        archive.extractall(tmp_path / "unpacked")
    (image,) = pixlog.Run(tmp_path / "unpacked" / "run").images("k")
    assert (image.array() == gray(0)).all()
    assert (image.masks["good"].array() == gray()).all()


def test_notebook_shows_the_image_and_says_what_is_lost(damaged: pixlog.Run) -> None:
    """A cell shows the picture with what could be read over it, and one line for each overlay that could not."""
    (image,) = damaged.images("k")
    shown = picture_html(image, 60)
    assert "<img " in shown
    assert shown.count("color:#c33") == 3


@pytest.mark.parametrize(
    "content",
    [
        {"box_data": 5},
        {"box_data": {"a": 1}, "class_labels": [1]},
        {"box_data": [BOX | {"scores": [1]}], "class_labels": "x"},
        {
            "box_data": [
                BOX | {"class_id": "1"},
                BOX | {"position": {"middle": "ab", "width": 1, "height": 1}},
            ]
        },
    ],
)
def test_boxes_of_odd_content_stop_no_export(tmp_path: Path, content: Any) -> None:
    """Entries of another type than W&B's are passed over, in drawings as in annotations."""
    written = WrittenRun(tmp_path / "run")
    written.image("k", 0, boxes={"odd": content})
    for form in ("contact-sheet", "coco", "imagefolder"):
        assert pixlog.export_run(written.path, form, tmp_path / form).counts.images == 1
