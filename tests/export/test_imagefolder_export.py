"""``imagefolder``: Hugging Face's ``datasets`` reads back what was logged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pixlog
from exported_runs import (
    IMAGES,
    STEPS,
    URL,
    deep_floats,
    deep_levels,
    keypoints,
    photo,
    polygons,
    segment_ids,
)
from hugging_face import loaded
from pixlog.export import imagefolder
from written_runs import WrittenRun, gray


@pytest.fixture
def data(logged_run: pixlog.Run, tmp_path: Path) -> Iterator[Any]:
    """The run with one of everything, as ``datasets`` has it."""
    report = pixlog.export_run(logged_run, "imagefolder", tmp_path / "out")
    assert (report.counts.images, report.counts.references, report.ok) == (IMAGES, 1, True)
    with loaded("imagefolder", tmp_path, data_dir=report.out) as found:
        yield found


def test_imagefolder_loads_with_all_pixels_as_they_were_stored(data: Any) -> None:
    """One split has every image, of every key, 16-bit and floating-point depth, and masks as images."""
    assert list(data) == ["train"]
    lines = list(data["train"])
    assert len(lines) == IMAGES
    by_key: dict[str, list[Any]] = {}
    for line in lines:
        by_key.setdefault(line["key"], []).append(line)
    for line in by_key["val/truth"]:
        assert (np.asarray(line["image"]) == photo(line["step"])).all()
        assert (np.asarray(line["mask.segments"]) == segment_ids(line["step"])).all()
        assert (line["width"], line["height"]) == (40, 30)
    for line in by_key["val/list"]:
        assert (np.asarray(line["image"]) == photo(line["step"] + 10, index=line["image_index"])).all()
    for line in by_key["depth/levels"]:
        assert (np.asarray(line["image"]) == deep_levels(line["step"])).all()
        assert np.asarray(line["preview"]).dtype == np.uint8
    for line in by_key["depth/floats"]:
        assert (np.asarray(line["image"]) == deep_floats(line["step"])).all()
    again = [np.asarray(line["image"]) for line in by_key["twice"]]
    assert [(pixels == photo(7, index=index)).all() for index, pixels in enumerate(again)] == [True] * 3


def test_imagefolder_has_captions_meta_and_overlays(data: Any) -> None:
    """Captions, meta by entry and whole, boxes in pixels, polygons and keypoints come back with their image."""
    truths = [line for line in data["train"] if line["key"] == "val/truth"]
    assert [line["caption"] for line in truths] == [f"photo {step}" for step in range(STEPS)]
    assert [line["meta.score"] for line in truths] == [0.0, 0.25, 0.5, 0.75]
    assert [line["meta.epoch"] for line in truths] == [0, 0, 1, 1]
    assert json.loads(truths[1]["meta"])["list"] == [1, 2]
    objects = truths[0]["objects"]
    assert objects["bbox"] == [[26.0, 4.5, 8.0, 6.0], [22.0, 17.0, 16.0, 11.0], [18.0, 10.0, 4.0, 10.0]]
    assert objects["categories"] == [3, 4, 4]
    assert objects["labels"] == ["dog", "bird", "bird"]
    assert objects["scores"] == [0.9, None, 0.2]
    assert objects["captions"] == ["sure", "", ""]
    assert json.loads(truths[0]["polygons"])["roofs"]["polygon_data"] == polygons()["polygon_data"]
    assert json.loads(truths[0]["keypoints"])["bodies"]["skeleton"] == keypoints()["skeleton"]
    assert json.loads(truths[0]["mask_labels"])["segments"]["2"] == "tree"
    others = [line for line in data["train"] if line["key"] == "twice"]
    assert all(line["caption"] is None and line["meta"] is None for line in others)
    assert all(line["objects"]["bbox"] == [] for line in others)


def test_imagefolder_keeps_references_in_a_file_of_their_own(logged_run: pixlog.Run, tmp_path: Path) -> None:
    """An image whose pixels are elsewhere is told with its URL and not as an image."""
    out = pixlog.export_run(logged_run, "imagefolder", tmp_path / "out").out
    (line,) = [json.loads(line) for line in (out / "references.jsonl").read_text().splitlines()]
    assert (line["url"], line["caption"], line["key"]) == (URL, "elsewhere", "photos")


def test_imagefolder_reads_keys_named_like_splits_as_one_split(tmp_path: Path) -> None:
    """Keys such as train, val and my_test are keys and no splits."""
    written = WrittenRun(tmp_path / "run")
    keys = ["train/a", "val", "test-1/b", "my_eval", "valid 2/dev", "plain"]
    for key in keys:
        written.image(key, 3)
    out = pixlog.export_run(written.path, "imagefolder", tmp_path / "out").out
    with loaded("imagefolder", tmp_path, data_dir=out) as found:
        assert {name: sorted(line["key"] for line in split) for name, split in found.items()} == {
            "train": sorted(keys)
        }


def test_imagefolder_loads_meta_that_is_named_like_a_path(tmp_path: Path) -> None:
    """An entry of meta called, say, source_file_name is text and no image."""
    written = WrittenRun(tmp_path / "run")
    written.image("k", 0, meta={"source_file_name": "a.raw", "file_name": "b.raw"})
    out = pixlog.export_run(written.path, "imagefolder", tmp_path / "out").out
    with loaded("imagefolder", tmp_path, data_dir=out) as found:
        (line,) = list(found["train"])
    assert (line["meta.source_file_name_"], line["meta.file_name"]) == ("a.raw", "b.raw")


def test_imagefolder_loads_when_columns_begin_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A column that only images far behind have is known to whoever reads the beginning alone."""
    monkeypatch.setattr(imagefolder, "_INFERRED_NBYTES", 2000)
    written = WrittenRun(tmp_path / "run")
    for step in range(40):
        box = {"box_data": [{"position": {"middle": [0.5, 0.5], "width": 0.5, "height": 0.5}, "class_id": 1}]}
        more: dict[str, Any] = {"caption": "late", "boxes": {"b": box}} if step == 33 else {}
        written.image("k", step, meta={"loss": 1 if step < 20 else 0.5}, **more)
    out = pixlog.export_run(written.path, "imagefolder", tmp_path / "out").out
    lines = [json.loads(line) for line in (out / "metadata.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [33, *(step for step in range(40) if step != 33)]
    assert '"meta.loss":1.0' in (out / "metadata.jsonl").read_text()
    with loaded("imagefolder", tmp_path, data_dir=out) as found:
        assert sum(line["caption"] == "late" for line in found["train"]) == 1


def test_imagefolder_leaves_out_and_counts_what_cannot_be_read(tmp_path: Path) -> None:
    """An image whose file is gone or cut short leaves no line and no file behind; one whose mask is gone loses that."""
    written = WrittenRun(tmp_path / "run")
    gone = written.image("k", 0)
    cut = written.image("k", 1)
    masked = written.image("k", 2, masks={"m": gray()})
    written.image("k", 3)
    (written.path / gone["files"][0]["path"]).unlink()
    path = written.path / cut["files"][0]["path"]
    path.write_bytes(path.read_bytes()[:-3])
    (written.path / masked["files"][1]["path"]).unlink()
    report = pixlog.export_run(written.path, "imagefolder", tmp_path / "out")
    assert (report.counts.images, sum(report.counts.left_out.values()), report.ok) == (2, 2, False)
    assert report.counts.overlays_left_out.total() == 1
    assert sorted(path.name for path in report.out.rglob("*.png")) == [
        "00000002_rank0.png",
        "00000003_rank0.png",
    ]
    lines = [json.loads(line) for line in (report.out / "metadata.jsonl").read_text().splitlines()]
    assert [line["mask.m_file_name"] for line in lines] == [None, None]


def test_imagefolder_writes_numbers_that_are_not_finite_as_null(tmp_path: Path) -> None:
    """A column of numbers stays one, in JSON that every reader takes; the JSON of ``meta`` names the number."""
    written = WrittenRun(tmp_path / "run")
    for step, loss in enumerate((0.5, "nan", "-inf")):
        written.image("k", step, meta={"loss": loss})
    pixlog.export_run(written.path, "imagefolder", tmp_path / "out")

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    text = (tmp_path / "out" / "metadata.jsonl").read_text()
    lines = [json.loads(line, parse_constant=refuse) for line in text.splitlines()]
    assert sorted((line["step"], line["meta.loss"]) for line in lines) == [(0, 0.5), (1, None), (2, None)]
    assert [json.loads(line["meta"])["loss"] for line in lines] == [0.5, "nan", "-inf"]
