"""``coco``: pycocotools reads back the overlays that were logged."""

from __future__ import annotations

import contextlib
import io
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import pixlog
from exported_runs import HEIGHT, IMAGES, STEPS, URL, WIDTH, deep_levels, photo, segment_ids
from pixlog.export.coco_rle import class_regions, counts_area, counts_bounds, counts_text, mask_counts
from written_runs import WrittenRun, gray

# pycocotools hands its arrays to NumPy in the way of NumPy 1.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def _coco(directory: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pycocotools.coco import COCO
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(directory / "annotations.json"))


def _of(coco: Any, key: str, step: int) -> tuple[Any, list[Any]]:
    (image,) = [image for image in coco.imgs.values() if (image["key"], image["step"]) == (key, step)]
    return image, coco.loadAnns(coco.getAnnIds(imgIds=[image["id"]]))


def _named(coco: Any, annotations: list[Any], name: str) -> list[Any]:
    (category,) = coco.getCatIds(catNms=[name])
    return [annotation for annotation in annotations if annotation["category_id"] == category]


@pytest.fixture
def exported(logged_run: pixlog.Run, tmp_path: Path) -> Path:
    """The run with one of everything, exported."""
    report = pixlog.export_run(logged_run, "coco", tmp_path / "out")
    assert (report.counts.images, report.counts.references, report.ok) == (IMAGES, 1, True)
    return report.out


def test_coco_has_every_image_with_its_pixels_and_facts(exported: Path) -> None:
    """Each image has an entry, a file with its pixels, caption and meta; deep ones a preview; references a file."""
    coco = _coco(exported)
    assert len(coco.imgs) == IMAGES
    for entry in coco.imgs.values():
        with Image.open(exported / "images" / entry["file_name"]) as picture:
            assert picture.size == (entry["width"], entry["height"])
            pixels = np.asarray(picture)
        if entry["key"] == "val/truth":
            assert (pixels == photo(entry["step"])).all()
            assert (entry["caption"], entry["meta"]["epoch"]) == (
                f"photo {entry['step']}",
                entry["step"] // 2,
            )
        if entry["key"] == "depth/levels":
            assert (pixels == deep_levels(entry["step"])).all()
            assert (exported / entry["preview_file_name"]).is_file()
    (reference,) = [json.loads(line) for line in (exported / "references.jsonl").read_text().splitlines()]
    assert reference["url"] == URL


def test_coco_masks_decode_to_the_mask_logged(exported: Path) -> None:
    """One annotation for each class of a mask, whose pixels by ``annToMask`` are those of the class; no background."""
    coco = _coco(exported)
    for step in range(STEPS):
        _, annotations = _of(coco, "val/truth", step)
        ids = segment_ids(step)
        for number, name in ((1, "sky"), (2, "tree")):
            (annotation,) = _named(coco, annotations, name)
            assert (coco.annToMask(annotation) == (ids == number)).all()
            assert annotation["area"] == (ids == number).sum()
            assert (annotation["category_id"], annotation["iscrowd"]) == (number, 0)
            rows, columns = np.nonzero(ids == number)
            left, top = columns.min(), rows.min()
            assert annotation["bbox"] == [left, top, columns.max() - left + 1, rows.max() - top + 1]
    assert "background" not in {category["name"] for category in coco.cats.values()}


def test_coco_boxes_are_in_pixels_whichever_way_they_were_logged(exported: Path) -> None:
    """Boxes in fractions, in pixels, and turned ones have x, y, width and height, scores, and their outline."""
    coco = _coco(exported)
    _, annotations = _of(coco, "val/truth", 1)
    (dog,) = _named(coco, annotations, "dog")
    birds = _named(coco, annotations, "bird")
    assert dog["bbox"] == [26.0, 4.5, 8.0, 6.0]
    assert (dog["score"], dog["scores"]["iou"], dog["caption"], dog["group"]) == (0.9, 0.5, "sure", "found")
    assert [bird["bbox"] for bird in birds] == [[22.0, 17.0, 16.0, 11.0], [18.0, 10.0, 4.0, 10.0]]
    assert [bird["area"] for bird in birds] == [16 * 11, 40]
    mask = coco.annToMask(birds[0])
    assert mask.shape == (HEIGHT, WIDTH)
    assert mask[17:28, 22:38].all()
    assert mask.sum() == 16 * 11


def test_coco_polygons_and_their_holes_fill_the_pixels_meant(exported: Path) -> None:
    """A polygon is one of COCO, and one with a hole is run lengths without the pixels of the hole."""
    coco = _coco(exported)
    _, annotations = _of(coco, "val/truth", 2)
    plain, holed = _named(coco, annotations, "roof")
    assert plain["segmentation"] == [[20.0, 15.0, 36.0, 15.0, 36.0, 27.0]]
    assert plain["area"] == 16 * 12 / 2
    wanted = np.zeros((HEIGHT, WIDTH), np.uint8)
    wanted[2:18, 2:18] = 1
    wanted[6:14, 6:14] = 0
    assert (coco.annToMask(holed) == wanted).all()
    assert holed["area"] == wanted.sum()


def test_coco_keypoints_have_a_category_with_their_skeleton(exported: Path) -> None:
    """Points are x, y, visibility; the category names them and joins them, from 1; absent points are zeros."""
    coco = _coco(exported)
    _, annotations = _of(coco, "val/truth", 0)
    (body,) = _named(coco, annotations, "body")
    assert body["keypoints"] == [22.0, 3.0, 2, 24.0, 12.0, 1, 0, 0, 0]
    assert (body["num_keypoints"], body["bbox"]) == (2, [22.0, 3.0, 2.0, 9.0])
    category = coco.cats[body["category_id"]]
    assert category["keypoints"] == ["head", "hand", "foot"]
    assert category["skeleton"] == [[1, 2], [2, 3]]


def test_coco_evaluates_predictions_against_truth(tmp_path: Path) -> None:
    """``--group`` parts truth from predictions, with the same image ids, so that COCOeval scores them: 1 if equal."""
    written = WrittenRun(tmp_path / "run")
    box = {"position": {"middle": [0.5, 0.5], "width": 0.5, "height": 0.5}, "class_id": 1}
    truth = {"box_data": [box], "class_labels": {"1": "cat"}}
    found = {"box_data": [box | {"scores": {"confidence": 0.8}}], "class_labels": {"1": "cat"}}
    for step in range(3):
        written.image("k", step, gray(width=80, height=60), boxes={"truth": truth, "found": found})
    sides = {
        name: pixlog.export_run(written.path, "coco", tmp_path / name, group=name).out
        for name in ("truth", "found")
    }
    coco, results = _coco(sides["truth"]), json.loads((sides["found"] / "annotations.json").read_text())
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(coco, coco.loadRes(results["annotations"]), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1.0)
    assert len(coco.imgs) == 3


def test_coco_categories_are_the_names_of_classes(tmp_path: Path) -> None:
    """Equal names share a category; an id that two names use goes to the first; classes without a name get one."""
    written = WrittenRun(tmp_path / "run")
    position = {"minX": 0, "maxX": 1, "minY": 0, "maxY": 1}

    def group(labels: dict[str, str], *class_ids: int) -> dict[str, Any]:
        return {
            "box_data": [{"position": position, "class_id": n} for n in class_ids],
            "class_labels": labels,
        }

    boxes = {"a": group({"1": "cat"}, 1), "b": group({"1": "dog", "7": "cat"}, 1, 7), "c": group({}, 9)}
    mask = np.zeros((4, 6), np.uint8)
    mask[0, 0] = 3
    written.image(
        "k", 0, boxes=boxes, masks={"m": mask}, input={"masks": {"m": {"class_labels": {"3": "dog"}}}}
    )
    coco = _coco(pixlog.export_run(written.path, "coco", tmp_path / "out").out)
    names = {number: category["name"] for number, category in coco.cats.items()}
    assert names == {1: "cat", 2: "dog", 9: "class_9"}
    _, annotations = _of(coco, "k", 0)
    assert [(entry["group"], names[entry["category_id"]]) for entry in annotations] == [
        ("a", "cat"),
        ("b", "dog"),
        ("b", "cat"),
        ("c", "class_9"),
        ("m", "dog"),
    ]


def test_coco_tells_of_shapes_without_a_place(tmp_path: Path) -> None:
    """Boxes, polygons and masks that have no place in the image are counted as notes, the rest is exported."""
    written = WrittenRun(tmp_path / "run")
    nowhere = {"position": {"middle": [None, 0.5], "width": 0.5, "height": 0.5}, "class_id": 1}
    written.image("k", 0, boxes={"b": {"box_data": [nowhere, nowhere]}}, masks={"m": gray(width=3, height=3)})
    report = pixlog.export_run(written.path, "coco", tmp_path / "out")
    assert dict(report.counts.notes) == {
        "box without a finite position left out": 2,
        "mask that is not one class id for each pixel of its image left out": 1,
    }
    assert len(_coco(report.out).imgs) == 1


@pytest.mark.parametrize("seed", range(6))
def test_run_lengths_equal_those_of_pycocotools(seed: int) -> None:
    """Text, area and box of random masks, of any shape, are what the COCO API computes."""
    from pycocotools import mask as api

    rng = np.random.default_rng(seed)
    height, width = (int(side) for side in rng.integers(1, 90, 2))
    ids = rng.integers(0, 4, (height, width)) * (rng.random((height, width)) < [0.02, 0.5, 0.9][seed % 3])
    ids = np.repeat(ids, 7, axis=1).astype(np.uint16)
    for number, counts in class_regions(ids):
        theirs = api.encode(np.asfortranarray((ids == number).astype(np.uint8)))
        assert counts_text(counts) == theirs["counts"].decode()
        assert counts_area(counts) == api.area(theirs)
        assert counts_bounds(counts, height) == api.toBbox(theirs).tolist()
    empty = np.zeros((height, width), bool)
    assert (
        counts_text(mask_counts(empty))
        == api.encode(np.asfortranarray(empty.astype(np.uint8)))["counts"].decode()
    )


def test_coco_keypoints_without_a_number_keep_their_places(tmp_path: Path) -> None:
    """A visibility of NaN counts as visible, a position of NaN as absent, and the other points keep their numbers."""
    nan = float("nan")
    points = {
        "keypoint_data": [
            {"points": [[1, 2, nan], [nan, 5, 2], [3, 4, 1]], "class_id": 1, "domain": "pixel"},
            {"points": [[nan, 2, 2]], "class_id": 2, "domain": "pixel"},
        ]
    }
    with pixlog.connect(tmp_path / "run") as client:
        image = pixlog.Image(np.zeros((8, 8), np.uint8), keypoints={"g": points})
        assert client.log_image("k", image, step=0).wait(30)
    report = pixlog.export_run(tmp_path / "run", "coco", tmp_path / "out")
    (body,) = json.loads((report.out / "annotations.json").read_text())["annotations"]
    assert body["keypoints"] == [1.0, 2.0, 2, 0, 0, 0, 3.0, 4.0, 1]
    assert (body["num_keypoints"], body["bbox"]) == (2, [1.0, 2.0, 2.0, 2.0])
    assert report.counts.notes == {
        "keypoint without a finite position written as absent": 1,
        "keypoints without finite positions left out": 1,
    }
