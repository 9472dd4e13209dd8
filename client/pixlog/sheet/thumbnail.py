"""A small picture of a logged image, with its masks and boxes, for people to look at."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from pixlog.errors import RunError
from pixlog.reading.class_colors import given_colors
from pixlog.reading.decoding import as_eight_bits
from pixlog.reading.overlay_shapes import shape_groups
from pixlog.reading.saved_image import SavedImage
from pixlog.sheet.overlay_drawing import draw_boxes, lay_mask

if TYPE_CHECKING:
    from PIL import Image as pil_image

    from pixlog.sheet.sheet_fonts import Font

GROUND: Final = (46, 50, 59)
"""What shows through transparent pixels."""


def thumbnail_of(
    image: SavedImage,
    side_px: int,
    *,
    overlays: bool = True,
    font: Font | None = None,
    on_overlay: Callable[[RunError], None] | None = None,
) -> pil_image.Image:
    """Return ``image`` as RGB with its longer side at most ``side_px``; needs Pillow.

    Small images are enlarged by whole factors, pixel by pixel; large ones are reduced with a filter.
    Overlays that cannot be read are left out, and ``on_overlay`` is told of each.
    Raises ``RunError`` if the image's file is missing, does not decode, or was only logged as a reference.
    """
    from PIL import ImageDraw

    stored = image.preview.pil() if image.preview is not None else image.pil()
    picture = _fit(_as_rgb(stored), side_px)
    if overlays:
        told, given = on_overlay or _pass_over, given_colors(image)
        for mask in image.masks.values():
            try:
                picture = lay_mask(picture, mask.array(), given)
            except RunError as error:
                told(error)
        draw = ImageDraw.Draw(picture)
        draw_boxes(
            draw,
            shape_groups(image, "boxes", told),
            size=picture.size,
            full_size=stored.size,
            font=font,
            given=given,
        )
    return picture


def _pass_over(error: RunError) -> None:
    """Leave out an overlay that cannot be read."""


def _as_rgb(picture: pil_image.Image) -> pil_image.Image:
    """Return ``picture`` as RGB, transparency on a plain ground."""
    from PIL import Image

    picture = as_eight_bits(picture)
    if picture.mode == "RGB":
        return picture
    ground = Image.new("RGBA", picture.size, (*GROUND, 255))
    return Image.alpha_composite(ground, picture).convert("RGB")


def fitted_size(size: tuple[int, int], side_px: int) -> tuple[int, int]:
    """Return the (width, height) that ``thumbnail_of`` gives an image of ``size``."""
    longest = max(size)
    if longest > side_px:
        width, height = (max(1, round(side * side_px / longest)) for side in size)
        return width, height
    factor = side_px // longest
    return size[0] * factor, size[1] * factor


def _fit(picture: pil_image.Image, side_px: int) -> pil_image.Image:
    from PIL import Image

    size = fitted_size(picture.size, side_px)
    if max(picture.size) > side_px:
        return picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    return picture.resize(size, Image.Resampling.NEAREST)
