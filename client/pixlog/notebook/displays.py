"""Runs, rows and images as a notebook shows them: a bounded table or grid, and a word about what was left out."""

from __future__ import annotations

import time
from itertools import islice
from typing import TYPE_CHECKING, Final

from pixlog.errors import MissingExtra
from pixlog.notebook.markup import grid_html, label_of, picture_html, table_html, text_html
from pixlog.reading.decoding import pillow

if TYPE_CHECKING:
    from pixlog.compare.run_diff import RunDiff
    from pixlog.reading.images import Images
    from pixlog.reading.rows import Row, Rows
    from pixlog.reading.run import Run
    from pixlog.reading.saved_image import SavedImage

_KEYS_SHOWN: Final = 60
_ROWS_SHOWN: Final = 20
_IMAGES_SHOWN: Final = 24
_IMAGES_A_ROW: Final = 4
_SMALL_PX: Final = 64
_MIDDLE_PX: Final = 160
_LARGE_PX: Final = 512
_NUMBERS: Final = frozenset({"rows", "steps", "step", "rank", "failed", "dropped", "MSE", "PSNR dB", "SSIM"})


def run_html(run: Run) -> str | None:
    """Return a table of the run's keys with the last image of each."""
    if not _can_show():
        return None
    summary = run.summary()
    lines = []
    for key in islice(summary.keys.values(), _KEYS_SHOWN):
        last = run.rows(key.key, key.last_step, state="saved")
        images = last[-1].images if len(last) else []
        steps = str(key.first_step) if key.step_count == 1 else f"{key.first_step} to {key.last_step}"
        lines.append(
            [
                text_html(key.key),
                f"{key.rows:,}",
                f"{steps} ({key.step_count:,})",
                ", ".join(map(str, key.ranks[:8])) + ("…" if len(key.ranks) > 8 else ""),
                f"{key.failed:,}",
                f"{key.dropped:,}",
                time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(key.last_time)),
                picture_html(images[0], _SMALL_PX, overlays=False) if images else "",
            ]
        )
    head = ["key", "rows", "steps", "ranks", "failed", "dropped", "last logged", "last image"]
    title = f"<div><b>{text_html(run.path.name)}</b> {text_html(run.path, limit=400)}: {summary.counts_text()}</div>"
    return (
        title + table_html(head, lines, numbers=_NUMBERS) + _left_out(len(lines), len(summary.keys), "keys")
    )


def rows_html(rows: Rows) -> str | None:
    """Return a table of the first rows, with their images."""
    if not _can_show():
        return None
    shown = list(islice(rows, _ROWS_SHOWN))
    lines = [
        [
            text_html(row.key),
            str(row.step),
            str(row.rank),
            row.state,
            _small_pictures(row),
            text_html(row.reason or _captions(row)),
        ]
        for row in shown
    ]
    head = ["key", "step", "rank", "state", "images", "caption, or reason"]
    total = len(rows) if len(shown) == _ROWS_SHOWN else len(shown)
    return table_html(head, lines, numbers=_NUMBERS) + _left_out(len(shown), total, "rows")


def row_html(row: Row) -> str | None:
    """Return the images of a row and its fields."""
    if not _can_show():
        return None
    wanted = (
        "key",
        "step",
        "rank",
        "state",
        "reason",
        "meta",
        "input",
        "notes",
        "client",
        "seq",
        "call",
        "host",
        "pid",
    )
    fields = row.to_dict()
    lines = [
        [name, text_html(fields[name], limit=1000)]
        for name in wanted
        if fields.get(name) not in (None, [], {})
    ]
    images = row.images
    figures = [(picture_html(image, _MIDDLE_PX), label_of(image)) for image in images[:_IMAGES_SHOWN]]
    return (
        grid_html(figures)
        + _left_out(len(figures), len(images), "images")
        + table_html(["field", "value"], lines)
    )


def images_html(images: Images) -> str | None:
    """Return the first images in a grid."""
    if not _can_show():
        return None
    shown = list(islice(images, _IMAGES_SHOWN))
    figures = [
        (picture_html(image, _MIDDLE_PX), f"{text_html(image.row.key)} @{image.row.step} {label_of(image)}")
        for image in shown
    ]
    total = len(images) if len(shown) == _IMAGES_SHOWN else len(shown)
    return grid_html(figures) + _left_out(len(shown), total, "images")


def image_html(image: SavedImage) -> str | None:
    """Return one image, its caption and what it is."""
    if not _can_show():
        return None
    row = image.row
    where = image.file.relative_path if image.file is not None else image.url
    lines = (
        f"{text_html(row.key)} @{row.step} {label_of(image)}<br><small>{text_html(where, limit=400)}</small>"
    )
    return (
        f'<figure style="margin:0">{picture_html(image, _LARGE_PX)}<figcaption>{lines}</figcaption></figure>'
    )


def diff_html(found: RunDiff) -> str | None:
    """Return a table of the pairs that differ most, with both images."""
    if not _can_show():
        return None
    shown = found.worst(_ROWS_SHOWN)
    lines = [
        [
            text_html(pair.key_a),
            str(pair.step),
            str(pair.rank),
            *(
                "" if value is None else f"{value:.5g}"
                for value in (pair.mse, pair.psnr_db, pair.ssim, pair.max_abs)
            ),
            *(
                "" if side is None else picture_html(side, _SMALL_PX, overlays=False)
                for side in (pair.a, pair.b)
            ),
            text_html(pair.note),
        ]
        for pair in shown
    ]
    head = ["key", "step", "rank", "MSE", "PSNR dB", "SSIM", "max |a−b|", "A", "B", "note"]
    title = f"<div>{found.counts_text()}; the worst first</div>"
    return title + table_html(head, lines, numbers=_NUMBERS) + _left_out(len(shown), len(found), "pairs")


def _small_pictures(row: Row) -> str:
    images = row.images
    more = f" +{len(images) - _IMAGES_A_ROW:,}" if len(images) > _IMAGES_A_ROW else ""
    return " ".join(picture_html(image, _SMALL_PX, overlays=False) for image in images[:_IMAGES_A_ROW]) + more


def _captions(row: Row) -> str:
    return " | ".join(str(image.caption) for image in row.images[:_IMAGES_A_ROW] if image.caption is not None)


def _left_out(shown: int, total: int, noun: str) -> str:
    return f"<div>{total - shown:,} more {noun} are not shown</div>" if total > shown else ""


def _can_show() -> bool:
    """Return whether there is Pillow to make thumbnails with; without it a notebook shows the text."""
    try:
        pillow()
    except MissingExtra:
        return False
    return True
