"""Text and small pictures as pieces of HTML that a notebook can hold: no text is ever markup, no piece loads anything.

Styles are written on the elements, so that nothing of the notebook around them changes its look.
"""

from __future__ import annotations

import base64
import html
import io
from typing import TYPE_CHECKING, Final

from pixlog.errors import RunError
from pixlog.reading.saved_image import SavedImage
from pixlog.sheet.thumbnail import thumbnail_of

if TYPE_CHECKING:
    from PIL import Image as pil_image

_TEXT_CHARS: Final = 200
_JPEG_FROM_NBYTES: Final = 12_000
_JPEG_QUALITY: Final = 88
_CELL: Final = "padding:2px 10px 2px 0;text-align:left;vertical-align:top"
_NUMBER: Final = "padding:2px 10px 2px 0;text-align:right;vertical-align:top"


def text_html(value: object, *, limit: int = _TEXT_CHARS) -> str:
    """Return ``value`` as text of a page: cut to ``limit`` characters, isolated from the direction of its script."""
    text = str(value)
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    visible = "".join(char if char.isprintable() or char == "\n" else "\ufffd" for char in text)
    return f"<bdi>{html.escape(visible, quote=True)}</bdi>"


def attribute(value: object) -> str:
    """Return ``value`` in quotes, as the value of an attribute."""
    text = str(value).encode("utf-8", "replace").decode()
    return f'"{html.escape(text, quote=True)}"'


def data_uri(picture: pil_image.Image) -> str:
    """Return an RGB picture as a data URI: PNG, or JPEG where that is a fraction of it."""
    png = io.BytesIO()
    picture.save(png, "PNG")
    data, kind = png.getvalue(), "png"
    if len(data) > _JPEG_FROM_NBYTES:
        jpeg = io.BytesIO()
        picture.save(jpeg, "JPEG", quality=_JPEG_QUALITY)
        if len(jpeg.getvalue()) < len(data) // 2:
            data, kind = jpeg.getvalue(), "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def picture_html(image: SavedImage, side_px: int, *, overlays: bool = True) -> str:
    """Return an image as an ``img`` of at most ``side_px``, with its masks and boxes, or words if it has no pixels."""
    if image.url is not None:
        return f"<span>reference to {text_html(image.url)}</span>"
    lost: list[RunError] = []
    try:
        picture = thumbnail_of(image, side_px, overlays=overlays, on_overlay=lost.append)
    except RunError as error:
        return f'<span style="color:#c33">{text_html(error)}</span>'
    size = f'width="{picture.width}" height="{picture.height}"'
    name = attribute(f"{image.row.key} step {image.row.step}")
    notes = "".join(f'<div style="color:#c33;font-size:12px">{text_html(error)}</div>' for error in lost)
    return (
        f'<img src="{data_uri(picture)}" {size} alt={name} style="image-rendering:pixelated;max-width:none">'
        f"{notes}"
    )


def label_of(image: SavedImage) -> str:
    """Return where an image comes from within its step, and its caption, as HTML."""
    row = image.row
    parts = [f"rank {row.rank}"] if row.rank else []
    parts += [f"[{image.index}]"] if image.index or len(row.images) > 1 else []
    caption = "" if image.caption is None else text_html(image.caption)
    return " ".join([*parts, caption]).strip()


def grid_html(figures: list[tuple[str, str]]) -> str:
    """Return figures of (picture, label) beside each other, as many as fit across."""
    return (
        '<div style="display:flex;flex-wrap:wrap;gap:8px;align-items:flex-end">'
        + "".join(
            f'<figure style="margin:0;max-width:260px">{picture}<figcaption style="font-size:12px;'
            f'overflow-wrap:anywhere">{label}</figcaption></figure>'
            for picture, label in figures
        )
        + "</div>"
    )


def table_html(head: list[str], lines: list[list[str]], *, numbers: frozenset[str] = frozenset()) -> str:
    """Return a table of cells that are HTML already; columns named in ``numbers`` stand at the right."""
    styles = [_NUMBER if name in numbers else _CELL for name in head]
    top = "".join(f'<th style="{style}">{name}</th>' for name, style in zip(head, styles, strict=True))
    body = "".join(
        "<tr>"
        + "".join(f'<td style="{style}">{cell}</td>' for cell, style in zip(line, styles, strict=True))
        + "</tr>"
        for line in lines
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
