"""The contact sheet shows what a run holds."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from pixlog.errors import InputError, RunError
from pixlog.reading.class_colors import class_color
from pixlog.reading.overlay_shapes import box_corners
from pixlog.reading.run import Run
from pixlog.sheet.contact_sheet import contact_sheet
from pixlog.sheet.overlay_drawing import lay_mask
from pixlog.sheet.sheet_fonts import drawable
from pixlog.sheet.thumbnail import thumbnail_of
from written_runs import WrittenRun, gray


def _colors(sheet: Image.Image) -> set[tuple[int, ...]]:
    pixels = np.asarray(sheet).reshape(-1, 3)
    return {tuple(color) for color in np.unique(pixels, axis=0).tolist()}


def _plain(color: tuple[int, int, int], size: int = 8) -> np.ndarray:
    return np.full((size, size, 3), color, np.uint8)


def test_sheet_shows_every_image_of_a_small_run(written: WrittenRun) -> None:
    """Each image appears with its own pixels, whatever its key, and lists with all of theirs."""
    colors = [(250, 1, 2), (3, 240, 4), (5, 6, 230), (220, 210, 7)]
    written.image("a", 0, _plain(colors[0]), caption="é ✓")
    written.image("b/c", 5, _plain(colors[1]))
    written.images("d", 1, [_plain(colors[2]), _plain(colors[3])])
    sheet = contact_sheet(written.path)
    assert sheet.mode == "RGB"
    assert set(colors) <= _colors(sheet)


def test_sheet_takes_images_evenly_with_first_and_last(written: WrittenRun) -> None:
    """A long key is shown by evenly spaced images; keys share the room, and what one leaves others take."""
    for step in range(100):
        written.image("long", step, _plain((step + 100, 0, 77)))
    written.image("short", 0, _plain((1, 2, 3)))
    calls: list[tuple[int, int]] = []
    sheet = contact_sheet(
        written.path, max_images=6, progress=lambda done, total: calls.append((done, total))
    )
    shown = sorted(color[0] - 100 for color in _colors(sheet) if color[1:] == (0, 77))
    assert shown == [0, 25, 50, 74, 99]
    assert (1, 2, 3) in _colors(sheet)
    assert calls[-1] == (6, 6)


def test_sheet_shows_only_keys_and_steps_asked_for(written: WrittenRun) -> None:
    """keys and step narrow the sheet."""
    written.image("a", 0, _plain((250, 0, 0)))
    written.image("a", 1, _plain((251, 0, 0)))
    written.image("b", 1, _plain((252, 0, 0)))
    colors = _colors(contact_sheet(Run(written.path), "a", step=slice(1, 9)))
    assert [(level, 0, 0) in colors for level in (250, 251, 252)] == [False, True, False]


def test_sheet_shows_places_of_missing_and_referenced_images(written: WrittenRun) -> None:
    """An unreadable file or a reference has its place and does not stop the sheet."""
    written.image("a", 0)
    Run(written.path).images("a")[0].path.unlink()
    written.row("b", 0, value={"_type": "image-file", "path": "s3://b/x.png"})
    assert contact_sheet(written.path).width > 100


def test_sheet_of_nothing_is_an_error(written: WrittenRun) -> None:
    """A run without images, or without the key asked for, says so."""
    written.row("a", 0, state="failed", reason="x")
    with pytest.raises(RunError, match="no saved images to show"):
        contact_sheet(written.path)
    with pytest.raises(RunError, match="no saved images to show of 'nope'"):
        contact_sheet(written.path, "nope")
    with pytest.raises(InputError, match="max_images and columns are 1 or more"):
        contact_sheet(written.path, max_images=0)


def test_sheet_too_large_for_memory_is_an_error(written: WrittenRun) -> None:
    """Columns that nobody has the memory for end in what was asked for and what is possible."""
    written.image("k", 0)
    with pytest.raises(
        InputError, match=r"would have 15,.*pixels, expected at most 268,435,456 .*got 100000000 c"
    ):
        contact_sheet(written.path, columns=100_000_000)


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((8, 8), (96, 96)),
        ((8, 4), (48, 96)),
        ((60, 70), (70, 60)),
        ((1000, 500), (50, 100)),
        ((1, 3000), (100, 1)),
    ],
)
def test_thumbnail_enlarges_by_whole_factors_and_reduces(
    written: WrittenRun, shape: tuple[int, int], size: tuple[int, int]
) -> None:
    """Pixels of small images stay square and sharp; large images are reduced to fit."""
    written.image("k", 0, gray(width=shape[1], height=shape[0]))
    assert thumbnail_of(Run(written.path).images("k")[0], 100).size == size


@pytest.mark.parametrize("dtype", [np.uint16, np.float32, bool])
def test_thumbnail_shows_deep_images(written: WrittenRun, dtype: type) -> None:
    """16-bit, float and 1-bit images are shown from dark to light."""
    ramp = np.linspace(0, 65535 if dtype is np.uint16 else 1, 64).reshape(8, 8).round(4)
    written.image("k", 0, ramp.astype(dtype), file_type="tiff")
    pixels = np.asarray(thumbnail_of(Run(written.path).images("k")[0], 8))
    assert pixels.dtype == np.uint8
    assert pixels.min() == 0 if dtype is not bool else pixels.max() == 255
    assert pixels.max() == 255


def test_thumbnail_stretches_what_has_32_bits(written: WrittenRun) -> None:
    """A file of 32-bit integers is shown from its least value to its largest, as the viewer shows it."""
    counts = np.arange(-300_000, 340_000, 10_000).astype(np.int32).reshape(8, 8)
    written.image("k", 0, counts, file_type="tiff")
    (image,) = Run(written.path).images("k")
    assert image.array().dtype == np.int32
    pixels = np.asarray(thumbnail_of(image, 8, overlays=False))[..., 0]
    assert (pixels[0, 0], pixels[-1, -1]) == (0, 255)
    assert (np.diff(pixels.ravel().astype(int)) > 0).all()


def test_thumbnail_shows_masks_and_boxes(written: WrittenRun) -> None:
    """Masked pixels are tinted in their class's colour, boxes are outlined in theirs, and both can be left out."""
    mask = np.zeros((50, 50), np.uint8)
    mask[:10, :10] = 3
    box = {"position": {"minX": 0.5, "maxX": 0.9, "minY": 0.5, "maxY": 0.9}, "class_id": 1}
    written.image(
        "k", 0, np.zeros((50, 50), np.uint8), masks={"m": mask}, boxes={"b": {"box_data": [box, 7]}}
    )
    (image,) = Run(written.path).images("k")
    pixels = np.asarray(thumbnail_of(image, 50))
    assert pixels[5, 5].tolist() == [int(0.45 * value) for value in class_color(3)]
    assert pixels[25, 30].tolist() == list(class_color(1))
    assert not np.asarray(thumbnail_of(image, 50, overlays=False)).any()


def test_mask_of_another_size_is_stretched() -> None:
    """A mask lies over the whole picture whatever its own size."""
    tinted = lay_mask(Image.new("RGB", (4, 4)), np.array([[0, 1]], np.uint16))
    assert np.asarray(tinted)[:, 0].max() == 0
    assert np.asarray(tinted)[:, 3].max() > 0


@pytest.mark.parametrize(
    ("box", "corners"),
    [
        ({"position": {"minX": 0.1, "maxX": 0.5, "minY": 0.2, "maxY": 1}}, (10, 10, 50, 50)),
        ({"position": {"middle": [0.5, 0.5], "width": 0.2, "height": 1}}, (40, 0, 60, 50)),
        ({"position": {"minX": 1, "maxX": 5, "minY": 2, "maxY": 9}, "domain": "pixel"}, (1, 2, 5, 9)),
        ({"position": {"minX": 1}}, None),
        ({"position": {"middle": 3, "width": 1, "height": 1}}, None),
        ({"position": {"minX": float("nan"), "maxX": 1, "minY": 1, "maxY": 1}}, None),
        ({}, None),
    ],
)
def test_box_corners_come_from_every_form_of_position(
    box: dict[str, object], corners: tuple[float, ...] | None
) -> None:
    """Both forms of a position, in fractions or pixels; one without a usable position is left out."""
    found = box_corners(box, 100, 50)
    ends = None if found is None else (*found[0], *found[2])
    assert ends == (None if corners is None else pytest.approx(corners))


def test_turned_box_is_drawn_turned(written: WrittenRun) -> None:
    """A box that lies flat, turned by 90° about its middle, stands upright in the picture, and one by 45° leans."""
    flat = {"middle": [30, 20], "width": 30, "height": 4}
    for step, degrees in enumerate((0, 90, 45)):
        box = {"position": flat | {"rotation_deg": degrees}, "domain": "pixel", "class_id": 1}
        written.image("k", step, np.zeros((40, 60), np.uint8), boxes={"b": {"box_data": [box]}})
    spans = []
    for image in Run(written.path).images("k"):
        down, across = np.nonzero((np.asarray(thumbnail_of(image, 60)) == class_color(1)).all(axis=2))
        spans.append((int(np.ptp(across)), int(np.ptp(down))))
    for (width, height), wanted in zip(spans, [(30, 4), (4, 30), (24, 24)], strict=True):
        assert abs(width - wanted[0]) <= 2
        assert abs(height - wanted[1]) <= 2


def test_box_far_outside_of_the_picture_is_drawn(written: WrittenRun) -> None:
    """Positions that no picture reaches do not stop the drawing, turned or not."""
    far = {"middle": [0.5, 0.5], "width": 1e12, "height": 1e12}
    boxes = [
        {"position": far | {"rotation_deg": degrees}, "class_id": 1, "box_caption": "far"}
        for degrees in (0, 30)
    ]
    written.image("k", 0, boxes={"b": {"box_data": boxes}})
    (image,) = Run(written.path).images("k")
    assert thumbnail_of(image, 60).size == (60, 40)


def test_text_is_reduced_to_what_a_font_can_draw() -> None:
    """Without a font of the system, accents are dropped and the rest of the world becomes question marks."""
    assert drawable("é\nü 漢", None) == "e u ?"
