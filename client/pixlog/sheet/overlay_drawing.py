"""Masks and boxes drawn over a picture, for sheets that people look at; the stored pixels stay as they are."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from pixlog.sheet.sheet_fonts import drawable

if TYPE_CHECKING:
    from PIL import Image as pil_image
    from PIL import ImageDraw as pil_draw

    from pixlog.sheet.sheet_fonts import Font

Color = tuple[int, int, int]

CLASS_COLORS: Final[tuple[Color, ...]] = (
    (255, 99, 97),
    (88, 196, 221),
    (255, 200, 87),
    (126, 217, 126),
    (190, 140, 255),
    (255, 150, 200),
    (80, 220, 180),
    (255, 160, 80),
    (140, 170, 255),
    (200, 220, 90),
)
"""Colours that tell neighbouring class ids apart on photographs and on dark ground."""

_MASK_OPACITY: Final = 0.45
_BLACK_TEXT: Final = (16, 18, 22)


def class_color(class_id: int) -> Color:
    """Return the colour of a class: the same for the same id everywhere."""
    return CLASS_COLORS[class_id % len(CLASS_COLORS)]


def lay_mask(picture: pil_image.Image, ids: npt.NDArray[Any]) -> pil_image.Image:
    """Return an RGB ``picture`` tinted by class where the mask is not 0, which is taken for background."""
    from PIL import Image

    rows = np.arange(picture.height) * ids.shape[0] // picture.height
    columns = np.arange(picture.width) * ids.shape[1] // picture.width
    ids = ids[rows][:, columns].astype(np.int64)
    colors = np.array(CLASS_COLORS, np.float32)[ids % len(CLASS_COLORS)]
    pixels = np.asarray(picture, np.float32)
    tinted = pixels * (1 - _MASK_OPACITY) + colors * _MASK_OPACITY
    return Image.fromarray(np.where(ids[..., None] == 0, pixels, tinted).astype(np.uint8))


def draw_boxes(
    draw: pil_draw.ImageDraw,
    boxes: Mapping[str, Any],
    *,
    size: tuple[int, int],
    full_size: tuple[int, int],
    font: Font | None,
) -> None:
    """Draw one group of boxes into a picture of ``size`` that was ``full_size`` (width, height) when logged.

    Boxes that are not as W&B describes them are left out.
    """
    labels = boxes.get("class_labels") or {}
    for box in boxes.get("box_data") or ():
        corners = box_corners(box, full_size) if isinstance(box, Mapping) else None
        if corners is None:
            continue
        left, top, right, bottom = (
            value * side / full for value, side, full in zip(corners, 2 * size, 2 * full_size, strict=True)
        )
        class_id = box.get("class_id")
        color = class_color(class_id if isinstance(class_id, int) else 0)
        draw.rectangle((left, top, max(left, right), max(top, bottom)), outline=color, width=2)
        label = box.get("box_caption") or labels.get(str(class_id)) or labels.get(class_id)
        if label:
            _draw_tag(draw, (left, top), str(label)[:24], color, font)


def box_corners(
    box: Mapping[str, Any], full_size: tuple[int, int]
) -> tuple[float, float, float, float] | None:
    """Return left, top, right, bottom of a box in pixels of the logged image, or None if it has no position.

    A position is minX, maxX, minY, maxY, or middle, width, height; in fractions of the image unless its
    domain is "pixel".
    """
    position = box.get("position")
    if not isinstance(position, Mapping):
        return None
    values: list[Any]
    if "middle" in position:
        middle = position["middle"]
        if not isinstance(middle, list | tuple) or len(middle) != 2:
            return None
        values = [*middle, position.get("width"), position.get("height")]
    else:
        values = [position.get(name) for name in ("minX", "minY", "maxX", "maxY")]
    if not all(isinstance(value, numbers.Real) and np.isfinite(float(value)) for value in values):
        return None
    left, top, right, bottom = map(float, values)
    if "middle" in position:
        left, top, right, bottom = left - right / 2, top - bottom / 2, left + right / 2, top + bottom / 2
    if box.get("domain") == "pixel":
        return left, top, right, bottom
    width, height = full_size
    return left * width, top * height, right * width, bottom * height


def _draw_tag(
    draw: pil_draw.ImageDraw,
    corner: tuple[float, float],
    text: str,
    color: Color,
    font: Font | None,
) -> None:
    """Write ``text`` on a small plate above the corner of a box, or inside it at the picture's upper edge."""
    text = drawable(text, font)
    left, top = corner
    box = draw.textbbox((0, 0), text, font=font)
    width, height = box[2] + 4, box[3] + 3
    top = top - height if top >= height else top
    draw.rectangle((left, top, left + width, top + height), fill=color)
    draw.text((left + 2, top + 1), text, fill=_BLACK_TEXT, font=font)
