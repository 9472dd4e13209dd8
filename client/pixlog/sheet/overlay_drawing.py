"""Masks and boxes drawn over a picture, for sheets that people look at; the stored pixels stay as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from pixlog.css_colors import Color
from pixlog.reading.class_colors import class_color
from pixlog.reading.overlay_shapes import box_corners, shapes
from pixlog.sheet.sheet_fonts import drawable

if TYPE_CHECKING:
    from PIL import Image as pil_image
    from PIL import ImageDraw as pil_draw

    from pixlog.sheet.sheet_fonts import Font

_MASK_OPACITY: Final = 0.45
_BLACK_TEXT: Final = (16, 18, 22)
_WHITE_TEXT: Final = (255, 255, 255)
_LIGHT: Final = 140
"""Luma from which on black text is read more easily than white."""
_FAR_PX: Final = float(1 << 16)


def lay_mask(
    picture: pil_image.Image, ids: npt.NDArray[Any], given: Mapping[Any, Color] | None = None
) -> pil_image.Image:
    """Return an RGB ``picture`` tinted by class where the mask is not 0, which is taken for background.

    ``given`` are the colours of some classes by id; the others have ours.
    """
    from PIL import Image

    rows = np.arange(picture.height) * ids.shape[0] // picture.height
    columns = np.arange(picture.width) * ids.shape[1] // picture.width
    ids = ids[rows][:, columns].astype(np.int64)
    classes, numbers = np.unique(ids, return_inverse=True)
    of_classes = np.array([class_color(class_id, given) for class_id in classes.tolist()], np.float32)
    colors = of_classes[numbers.reshape(ids.shape)]
    pixels = np.asarray(picture, np.float32)
    tinted = pixels * (1 - _MASK_OPACITY) + colors * _MASK_OPACITY
    return Image.fromarray(np.where(ids[..., None] == 0, pixels, tinted).astype(np.uint8))


def draw_boxes(
    draw: pil_draw.ImageDraw,
    groups: Mapping[str, Any],
    *,
    size: tuple[int, int],
    full_size: tuple[int, int],
    font: Font | None,
    given: Mapping[Any, Color] | None = None,
) -> None:
    """Draw the boxes of every group into a picture of ``size`` that was ``full_size`` (width, height) when logged.

    Boxes that are not as W&B describes them are left out.  ``given`` are the colours of some classes by id.
    """
    for box in shapes(groups, "box_data", "box_caption"):
        corners = box_corners(box.content, *full_size)
        if corners is None:
            continue
        corners = [(_near(x * size[0] / full_size[0]), _near(y * size[1] / full_size[1])) for x, y in corners]
        color = class_color(box.class_id or 0, given)
        if (box.content["position"].get("rotation_deg") or 0) % 360 == 0:
            (left, right), (top, bottom) = (
                sorted(values) for values in zip(corners[0], corners[2], strict=True)
            )
            draw.rectangle((left, top, right, bottom), outline=color, width=2)
        else:
            draw.polygon(corners, outline=color, width=2)
        label = box.caption or box.label
        if label:
            _draw_tag(draw, min(corners, key=lambda corner: corner[::-1]), str(label)[:24], color, font)


def _near(value: float) -> float:
    """Return a coordinate that Pillow can draw: far outside of every picture is far enough."""
    return min(max(value, -_FAR_PX), _FAR_PX)


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
    red, green, blue = color
    is_light = 0.299 * red + 0.587 * green + 0.114 * blue > _LIGHT
    draw.text((left + 2, top + 1), text, fill=_BLACK_TEXT if is_light else _WHITE_TEXT, font=font)
