"""What ``Run.images`` yields: files, pixels, captions, overlays."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixlog.errors import RunError
from pixlog.reading.overlay_shapes import shapes
from pixlog.reading.rows import Row
from pixlog.reading.run import Run
from pixlog.reading.saved_image import SavedImage
from pixlog.view.row_json import overlays_json
from written_runs import WrittenRun, encode, gray, line_of


def test_image_gives_path_pixels_and_caption(written: WrittenRun) -> None:
    """An image has its file's absolute path, its exact pixels, its caption, row and index."""
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    written.image("val/pred", 3, pixels, caption="epoch 3")
    (image,) = Run(written.path).images("val/pred", step=3)
    assert image.path.is_absolute()
    assert image.path.parent == written.path / "media/images/val"
    np.testing.assert_array_equal(image.array(), pixels, strict=True)
    np.testing.assert_array_equal(np.asarray(image.pil()), pixels)
    assert (image.caption, image.index, image.row.step, image.url) == ("epoch 3", 0, 3, None)


def test_images_of_a_list_come_in_its_order(written: WrittenRun) -> None:
    """A row of several images yields each with its own index and caption."""
    written.images("k", 0, [gray(0), gray(9), gray(5)], captions=["a", None, "c"])
    written.image("k", 1)
    images = Run(written.path).images("k")
    assert len(images) == 4
    assert [(image.index, image.caption) for image in images] == [(0, "a"), (1, None), (2, "c"), (0, None)]
    np.testing.assert_array_equal(images[1].array(), gray(9))
    assert images[-1].row.step == 1
    assert [image.index for image in images[1:3]] == [1, 2]
    with pytest.raises(IndexError):
        images[4]


def test_images_by_index_are_those_of_iteration(written: WrittenRun) -> None:
    """Any index, slice or order gives what iteration gives, past failed rows, damaged lines and lists."""
    for step in range(0, 40, 4):
        written.images("k", step, [gray(0)] * (1 + step % 5))
        written.image("k", step + 1)
        written.row("k", step + 2, state="failed", reason="shape")
        written.append(line_of(written.fields("k", step + 3))[:-3] + b"?}\n")
    images = Run(written.path).images("k")
    expected = [(image.row.step, image.index) for image in images]
    count = len(expected)
    assert len(Run(written.path).images("k")) == count == 40

    def places(found: Iterable[SavedImage]) -> list[tuple[int, int]]:
        return [(image.row.step, image.index) for image in found]

    for index in np.random.default_rng(0).permutation(np.arange(-count, count)):
        assert places([images[index]]) == [expected[index]]
    assert places(reversed(images)) == expected[::-1]
    for first in (None, 0, 3, count, -4):
        for stop in (None, 0, 9, count + 5, -2):
            for stride in (None, 1, 7, -1, -3):
                of = slice(first, stop, stride)
                assert places(Run(written.path).images("k")[of]) == expected[of]
    for index in (count, -count - 1):
        with pytest.raises(IndexError, match=f"image {index} of {count}"):
            images[index]


def test_images_by_index_read_rows_once_and_no_further_than_asked(written: WrittenRun) -> None:
    """Rows are looked through once however many indices are asked for, and the first images without the others."""
    for step in range(60):
        written.image("k", step)
    asked: list[int] = []

    def where(row: Row) -> bool:
        asked.append(row.step)
        return row.step % 2 == 0

    images = Run(written.path).images("k", where=where)
    assert images[0].row.step == 0
    assert asked == [0]
    assert [image.row.step for image in images[1:3]] == [2, 4]
    assert len(asked) < 20
    assert [images[index].row.step for index in range(30)] == list(range(0, 60, 2))
    assert [image.row.step for image in reversed(images)] == list(range(58, -1, -2))
    assert (len(images), images[-1].row.step) == (30, 58)
    assert asked == list(range(60))


def test_row_whose_files_are_no_files_costs_no_other_image(written: WrittenRun) -> None:
    """Only reading its own place is an error; the count and the images around it are there."""
    written.image("k", 0)
    written.row("k", 1, value={"_type": "image-file"}, files=[{"path": 5}])
    written.image("k", 2)
    images = Run(written.path).images("k")
    assert (len(images), images[0].row.step, images[2].row.step) == (3, 0, 2)
    with pytest.raises(RunError):
        images[1]


def test_images_are_of_saved_rows_only(written: WrittenRun) -> None:
    """Failed and dropped rows have no images."""
    written.image("k", 0)
    written.row("k", 1, state="failed", reason="shape")
    written.row("k", 2, state="dropped", reason="full")
    run = Run(written.path)
    assert [image.row.step for image in run.images("k")] == [0]
    assert [len(row.images) for row in run.rows("k")] == [1, 0, 0]


@pytest.mark.parametrize(
    ("pixels", "file_type"),
    [
        (np.arange(12, dtype=np.uint8).reshape(3, 4), "png"),
        (np.arange(24, dtype=np.uint8).reshape(3, 4, 2), "png"),
        (np.arange(48, dtype=np.uint8).reshape(3, 4, 4), "png"),
        (np.arange(0, 65536, 5462, dtype=np.uint16).reshape(3, 4), "png"),
        (np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4), "tiff"),
        (np.eye(4, dtype=bool), "png"),
    ],
)
def test_image_array_has_the_dtype_that_was_stored(
    written: WrittenRun, pixels: np.ndarray, file_type: str
) -> None:
    """8-bit, 16-bit, float and 1-bit files come back bit-exact in their own dtype, and writable."""
    written.image("k", 0, pixels, file_type=file_type)
    array = Run(written.path).images("k")[0].array()
    np.testing.assert_array_equal(array, pixels, strict=True)
    assert array.flags.writeable


def test_palette_file_comes_back_as_colours(written: WrittenRun) -> None:
    """A palette is a way of storing colours: the array is RGB, or RGBA where there is transparency."""
    pixels = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 0, 0]]], np.uint8)
    picture = Image.fromarray(pixels).quantize(4)
    for step, options in enumerate([{}, {"transparency": 0}]):
        buffer = io.BytesIO()
        picture.save(buffer, "png", **options)
        entry = written.media("k", step, buffer.getvalue(), "png", role="image")
        written.row("k", step, value={"_type": "image-file", "path": entry["path"]}, files=[entry])
    opaque, transparent = (image.array() for image in Run(written.path).images("k"))
    np.testing.assert_array_equal(opaque, pixels)
    assert transparent.shape == (2, 2, 4)
    np.testing.assert_array_equal(transparent[..., :3], pixels)


def test_image_gives_masks_and_boxes_by_group(written: WrittenRun) -> None:
    """Masks are class ids as stored; boxes are the JSON as logged."""
    ids = np.array([[0, 1], [300, 65535]], np.uint16)
    val = {"box_data": [{"position": {"minX": 0}}], "class_labels": {"1": "cat"}}
    written.image("k", 0, masks={"gt": gray(1), "deep": ids}, boxes={"pred": val})
    (image,) = Run(written.path).images("k")
    assert list(image.masks) == ["gt", "deep"]
    np.testing.assert_array_equal(image.masks["gt"].array(), gray(1), strict=True)
    np.testing.assert_array_equal(image.masks["deep"].array(), ids, strict=True)
    assert image.masks["gt"].path.is_file()
    assert image.boxes == {"pred": val}
    assert (image.polygons, image.keypoints, image.preview) == ({}, {}, None)


def test_overlays_belong_to_their_own_image_of_a_list(written: WrittenRun) -> None:
    """Masks of the second image of a list are not the first one's."""
    fields = written.images("k", 0, [gray(0), gray(1)])
    mask = Image.new("L", (6, 4), 7)
    buffer = io.BytesIO()
    mask.save(buffer, "png")
    entry = written.media("k", 1, buffer.getvalue(), "mask.png", role="mask", index=1, group="gt")
    written.row("k", 1, value=fields["value"], files=[*fields["files"], entry])
    first, second = Run(written.path).images("k", 1)
    assert (list(first.masks), list(second.masks)) == ([], ["gt"])


def test_image_kept_in_16_bits_has_a_preview(written: WrittenRun) -> None:
    """The 8-bit rendering beside a 16-bit image is image.preview."""
    fields = written.image("k", 0, np.array([[0, 65535]], np.uint16))
    preview = written.media("k", 0, _png(np.array([[0, 255]], np.uint8)), "preview.png", role="preview")
    written.row("k", 1, value=fields["value"], files=[*fields["files"], preview])
    (image,) = Run(written.path).images("k", 1)
    assert image.preview is not None
    assert image.preview.array().dtype == np.uint8
    assert image.array().dtype == np.uint16


def test_reference_has_an_url_and_no_file(written: WrittenRun) -> None:
    """An image logged as a reference is listed with its URL; its path and pixels are an error that says so."""
    written.row(
        "k", 0, value={"_type": "image-file", "path": "s3://bucket/a.png", "format": "png", "caption": "c"}
    )
    (image,) = Run(written.path).images("k")
    assert (image.url, image.caption, image.file) == ("s3://bucket/a.png", "c", None)
    with pytest.raises(RunError, match=r"reference to s3://bucket/a\.png"):
        image.array()
    with pytest.raises(RunError, match="reference"):
        _ = image.path


def test_missing_or_broken_file_is_a_run_error(written: WrittenRun) -> None:
    """Pixels that cannot be had are a RunError that names the file."""
    written.image("k", 0)
    written.image("k", 1)
    missing, broken = Run(written.path).images("k")
    missing.path.unlink()
    with pytest.raises(RunError, match=r"cannot read media/images/k_0_.*: No such file"):
        missing.array()
    broken.path.write_bytes(broken.path.read_bytes()[:40])
    with pytest.raises(RunError, match=r"media/images/k_1_.* does not decode"):
        broken.pil()


@pytest.mark.parametrize("path", ["../outside.png", "/etc/passwd", "media/../../outside.png"])
def test_path_that_leaves_the_run_is_an_error(written: WrittenRun, path: str) -> None:
    """A row cannot make a reader open a file outside the run directory."""
    entry = {"path": path, "sha256": "0" * 64, "size": 1, "role": "image", "index": 0}
    written.row("k", 0, value={"_type": "image-file", "path": path}, files=[entry])
    (image,) = Run(written.path).images("k")
    with pytest.raises(RunError, match="stay inside the run directory"):
        _ = image.path
    with pytest.raises(RunError, match="stay inside the run directory"):
        image.array()


def test_image_larger_than_pillows_limit_is_decoded(
    written: WrittenRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow's guard against strangers' files does not keep users from their own large images."""
    written.image("k", 0, gray(width=40, height=30))
    for limit in (1000, 100):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        assert Run(written.path).images("k")[0].array().shape == (30, 40)
        assert limit == Image.MAX_IMAGE_PIXELS


def test_media_totals_count_images_and_bytes_once(written: WrittenRun) -> None:
    """Images count per row, bytes per file, overlays are bytes only, and what users write does not mislead."""
    first = written.image("a", 0, masks={"gt": gray(3)}, meta={"files": [{"path": "x", "size": 10**9}]})
    written.row("a", 1, value=first["value"], files=first["files"])
    written.images("b", 0, [gray(1), gray(2)])
    written.row("b", 1, state="failed", reason="x", meta={"files": [{"size": 5}], "state": "saved"})
    run = Run(written.path)
    totals = run.media_totals()
    assert (totals["a"].images, totals["b"].images) == (2, 2)
    on_disk = [path.stat().st_size for path in (written.path / "media").rglob("*.*") if path.is_file()]
    assert totals["a"].nbytes + totals["b"].nbytes == sum(on_disk)
    written.image("b", 9)
    calls: list[tuple[int, int]] = []
    assert run.media_totals(lambda done, total: calls.append((done, total)))["b"].images == 3
    assert calls == [(5, 5)]


def test_meta_of_the_image_joins_meta_of_the_call(written: WrittenRun) -> None:
    """image.meta has the call's entries and the image's own; a row of images with one each has no meta itself."""
    written.image("k", 0, meta={"epoch": 1, "score": 0.1}, input={"meta": {"score": 0.9}})
    fields = written.images("k", 1, [gray(0), gray(1)])
    written.row(
        "k",
        2,
        value=fields["value"],
        files=fields["files"],
        meta=[{"a": 1}, None],
        input=[{"meta": {"a": 1}}],
    )
    run = Run(written.path)
    assert run.images("k", 0)[0].meta == {"epoch": 1, "score": 0.9}
    assert [image.meta for image in run.images("k", 2)] == [{"a": 1}, {}]
    assert run.rows("k", 2)[0].meta == {}


def test_classes_and_mask_labels_are_given_by_the_image(written: WrittenRun) -> None:
    """image.classes and image.mask_labels have what the row's input says of them."""
    record = {"classes": [{"id": 1, "name": "cat"}], "masks": {"gt": {"class_labels": {"1": "cat"}}, "x": {}}}
    written.image("k", 0, input=record)
    (image,) = Run(written.path).images("k")
    assert (image.classes, image.mask_labels) == ([{"id": 1, "name": "cat"}], {"gt": {1: "cat"}})


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def test_media_files_are_found_after_the_run_moved(written: WrittenRun, tmp_path: Path) -> None:
    """A run directory can be moved or copied as a whole."""
    written.image("k", 0)
    moved = written.path.rename(tmp_path / "moved")
    assert Run(moved).images("k")[0].array().shape == (4, 6)


def test_mask_labels_pass_over_ids_that_no_pixel_has(written: WrittenRun) -> None:
    """Labels of runs on disk may have keys such as 1.0, which is 1, and 2.5 or text, which name nothing."""
    labels = {
        "0": "sky",
        str(2**60 + 1): "far",
        "1.0": "cat",
        "2.5": "half",
        "nan": "none",
        "1e400": "much",
        "x": "text",
    }
    record = {"masks": {"gt": {"class_labels": labels}}}
    written.image("k", 0, masks={"gt": gray()}, input=record)
    (image,) = Run(written.path).images()
    assert image.mask_labels == {"gt": {0: "sky", 2**60 + 1: "far", 1: "cat"}}


def test_labels_of_boxes_are_found_under_ids_of_every_spelling(written: WrittenRun) -> None:
    """A box has the name of its class whether the run on disk says 1 or 1.0 of either; odd labels name nothing."""
    position = {"minX": 0, "maxX": 1, "minY": 0, "maxY": 1}
    data = [{"position": position, "class_id": class_id} for class_id in (1, 1.0, 2, 2.5, "x", None)]
    written.image(
        "k", 0, boxes={"b": {"box_data": data, "class_labels": {"1.0": "cat", "2": "dog", "x": "odd"}}}
    )
    written.image("k", 1, boxes={"b": {"box_data": data[:1], "class_labels": ["cat"]}})
    odd, listed = Run(written.path).images("k")
    found = [(box.class_id, box.label) for box in shapes(odd.boxes, "box_data", "box_caption")]
    assert found == [(1, "cat"), (1, "cat"), (2, "dog"), (None, None), (None, None), (None, None)]
    assert [box.label for box in shapes(listed.boxes, "box_data", "box_caption")] == [None]
    page = overlays_json(odd, lambda file: file.json())
    assert page["boxes"]["b"]["class_labels"] == {"1": "cat", "2": "dog"}


@pytest.mark.parametrize("masks", [None, 7, ["gt"], {"gt": 7}, {"gt": {"class_labels": ["cat"]}}])
def test_mask_labels_of_odd_records_are_empty(written: WrittenRun, masks: object) -> None:
    """What a run on disk says of its masks may have any form; it costs the names and nothing else."""
    written.image("k", 0, masks={"gt": gray()}, input={"masks": masks})
    (image,) = Run(written.path).images()
    assert not any(image.mask_labels.values())


def test_image_far_behind_the_others_of_its_row_costs_no_more_than_they(written: WrittenRun) -> None:
    """A row that says of its only file that it is image 10**15 of a list, and names no list, is read at once."""
    entry = written.media("k", 0, encode(gray(7)), "png", role="image", index=10**15)
    written.row("k", 0, value={"_type": "images/separated", "filenames": 7}, files=[entry])
    (image,) = Run(written.path).images("k")
    assert image.index == 10**15
    np.testing.assert_array_equal(image.array(), gray(7))
