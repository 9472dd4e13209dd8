"""Take the pictures of docs/viewer.md anew, from a run of the demo.

make demo ARGS='--run-dir runs/pictures'
.venv/bin/python tests/support/viewer_pictures.py runs/pictures [NAME...]
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PIL import Image

import pixlog
import viewers

if TYPE_CHECKING:
    from playwright.sync_api import Page

FOLDER: Final = Path(__file__).parents[2] / "docs" / "images"
MAX_NBYTES: Final = 250_000


def _board(page: Page) -> None:
    page.locator("#position").fill("14")
    page.locator("#position").press("Enter")


def _image(page: Page) -> None:
    page.locator('article[data-key="val/found"] .cell').first.click()
    page.locator("canvas.histogram").wait_for()
    stage = page.locator("canvas.stage").bounding_box()
    assert stage is not None
    page.mouse.move(stage["x"] + stage["width"] * 0.29, stage["y"] + stage["height"] * 0.39)


def _pixels(page: Page) -> None:
    _image(page)
    for _ in range(9):
        page.mouse.wheel(0, -220)
        page.wait_for_timeout(30)


def _linked(page: Page) -> None:
    page.locator('article[data-key="val/found"] .cell').first.click()
    page.locator("dialog.lightbox[data-shown]").wait_for()
    page.keyboard.press("x")
    page.locator("dialog.compare[data-shown]").wait_for()


def _swipe(page: Page) -> None:
    _linked(page)
    page.keyboard.press("2")
    page.locator("dialog.compare select").nth(1).select_option("2")


def _nothing(page: Page) -> None:
    """Take the page as it opens."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture: where the page is opened, how, and what is done there first."""

    name: str
    prepare: Callable[[Page], None] = _nothing
    place: str = ""
    scheme: str = "dark"
    size: tuple[int, int] = (1280, 800)
    exported: bool = False
    """Whether it is taken of the page that was exported to a folder."""


PICTURES: Final = (
    Picture("viewer-board", _board),
    Picture("viewer-board-light", _board, scheme="light"),
    Picture("viewer-image", _image, scheme="light"),
    Picture("viewer-pixels", _pixels),
    Picture("viewer-linked", _linked),
    Picture("viewer-swipe", _swipe, scheme="light"),
    Picture("viewer-gallery", place="#view=gallery&galleryKey=train/input"),
    Picture("viewer-narrow", size=(400, 760)),
    Picture("viewer-export", _linked, exported=True),
)


def main() -> int:
    """Write every picture as WebP; return the exit code."""
    if reason := viewers.missing_browser():
        sys.exit(f"no pictures: {reason}")
    if len(sys.argv) < 2:
        sys.exit(f"usage: {sys.argv[0]} RUN [NAME...]")
    run_dir, names = Path(sys.argv[1]), sys.argv[2:]
    from playwright.sync_api import sync_playwright

    with (
        tempfile.TemporaryDirectory() as cache,
        viewers.viewer_process(run_dir, cache=Path(cache) / "cache") as url,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(
            executable_path=viewers.CHROMIUM, args=list(viewers.BROWSER_ARGUMENTS)
        )
        pixlog.export_run(run_dir, "html", Path(cache) / "page")
        exported_url = (Path(cache) / "page" / "index.html").as_uri()
        for picture in PICTURES:
            if names and picture.name not in names:
                continue
            width, height = picture.size
            page = browser.new_page(
                viewport={"width": width, "height": height},
                color_scheme="light" if picture.scheme == "light" else "dark",
            )
            page.goto((exported_url if picture.exported else url) + picture.place)
            page.wait_for_selector(".cell[data-drawn]")
            picture.prepare(page)
            page.wait_for_timeout(1500)
            _save(page.screenshot(), FOLDER / f"{picture.name}.webp")
            page.close()
        browser.close()
    return 0


def _save(png: bytes, path: Path) -> None:
    image = Image.open(io.BytesIO(png)).convert("RGB")
    for quality in (88, 80, 70, 60, 45):
        buffer = io.BytesIO()
        image.save(buffer, "webp", quality=quality, method=6)
        if len(buffer.getvalue()) <= MAX_NBYTES:
            break
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(buffer.getvalue())
    print(f"{path.name}: {image.width}×{image.height}, {len(buffer.getvalue()):,} bytes")


if __name__ == "__main__":
    sys.exit(main())
