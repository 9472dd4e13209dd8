"""The exported page in a real browser, opened from the disk: no server, no network."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

import pixlog
import viewers
from browsing import color_at, expect_color, go_to, open_image, scale_of
from exported_runs import URL, deep_floats, deep_levels
from viewed_runs import (
    HOSTILE,
    STEPS,
    write_deep,
    write_half_surrogates,
    write_hostile,
    write_large,
    write_training,
)
from waiting import wait_until
from written_runs import WrittenRun

if reason := viewers.missing_browser():
    pytest.skip(reason, allow_module_level=True)

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

OpenPage = Callable[..., Any]
LARGE_ROWS = 10_000

_REDS = """(card) => [...card.querySelectorAll(".cell:not([hidden]) canvas:not([hidden])")].map((canvas) =>
  canvas.getContext("2d").getImageData(canvas.width >> 1, canvas.height >> 1, 1, 1).data[0])"""


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the exported page of a small training; the run itself is gone."""
    root = tmp_path_factory.mktemp("html")
    run = write_training(root / "run")
    report = pixlog.export_run(run.path, "html", root / "page")
    assert report.ok
    assert (report.counts.images, report.counts.rows) == (81, 79)
    run.path.rename(root / "gone")
    return root / "page" / "index.html"


@pytest.fixture
def page(open_page: OpenPage, training: Path) -> Page:
    """Return the page of the small training with its board drawn."""
    opened: Page = open_page(training.as_uri())
    return opened


def card(page: Page, key: str) -> Locator:
    """Return the card of a key."""
    return page.locator(f'article.card[data-key="{key}"]')


def part_bytes(script: Path) -> bytes:
    """Return the bytes that a script of the folder ``data`` delivers."""
    found = re.fullmatch(rb'pixlog\("([a-z]+(?:-\d+)*)","([A-Za-z0-9+/=]*)"\)\n', script.read_bytes())
    assert found, script
    assert found[1].decode() == script.stem
    return base64.b64decode(found[2])


def expect_reds(page: Page, key: str, levels: list[int]) -> None:
    """Wait until the cells of a card have these red levels: 10 × step + rank."""
    wait_until(lambda: card(page, key).evaluate(_REDS) == levels, what=f"{levels} in {key}", poll_s=0.05)


def test_slider_moves_every_key_on_every_axis(page: Page) -> None:
    """Steps, epochs from meta and the newest image: each key shows its nearest earlier image."""
    expect(page.locator("#stop-count")).to_have_text(f"{STEPS} / {STEPS}")
    go_to(page, 7)
    expect_reds(page, "val/input", [70, 71])
    expect_reds(page, "val/rare", [60])
    expect(card(page, "val/rare").locator("header .where")).to_have_text("6")
    page.select_option("#axis", "meta:epoch")
    expect(page.locator("#stop-count")).to_have_text("3 / 3")
    go_to(page, 1)
    expect_reds(page, "val/input", [40, 50, 60, 70, 41, 51, 61, 71])


def test_filter_ranks_and_gallery_work_without_a_server(page: Page) -> None:
    """An expression over meta keeps what passes, a mistake is told; the gallery sorts and searches captions."""
    page.locator("#where").fill("meta.score < 0.3 and rank == 1")
    expect(page.locator("#matching")).to_have_text("12 of 79 rows")
    expect_reds(page, "val/input", [31])
    page.locator("#where").fill("score <")
    expect(page.locator("#where-error")).to_contain_text("did you mean meta.score")
    page.locator("#where").fill("")
    expect(page.locator("#where-error")).to_be_hidden()
    page.get_by_role("button", name="Rank 1", exact=True).click()
    expect_reds(page, "val/input", [110])
    card(page, "val/input").locator(".title").click()
    expect(page.locator("#gallery-count")).to_have_text(f"{STEPS} rows")
    page.locator("#caption").fill("OTO 1")
    expect(page.locator("#gallery-count")).to_have_text("3 rows")
    page.select_option("#sort", "caption")
    wait_until(
        lambda: (
            page.locator(".tile[data-drawn]:visible .said").all_inner_texts()
            == ["photo 1", "photo 10", "photo 11"]
        )
    )


def test_head_says_when_it_was_exported_and_what_is_missing(page: Page) -> None:
    """The page says that it is an export, and shows rows that failed or were dropped with their reasons."""
    expect(page.locator("#counters .state")).to_have_text(re.compile(r"exported \d{4}-\d\d-\d\d \d\d:\d\d"))
    expect(page.locator("#counters .failed")).to_have_text("1 failed")
    expect(card(page, "train/bad").locator(".cell").first).to_contain_text("the buffer was full")


def test_overlays_obey_switches_opacity_and_thresholds(page: Page) -> None:
    """Masks are tinted by class at the opacity asked for; boxes go below the least score; values are told."""
    dialog = open_image(page, "val/truth")
    scale = scale_of(page)
    expect_color(page, 25, 29, [55, 178, 0], scale=scale)  # half of class 2's #00ff00 over (110, 100, 0)
    dialog.locator('input[data-name="opacity"]').press("End")
    expect_color(page, 25, 29, [0, 255, 0], scale=scale)
    dialog.get_by_label("tree", exact=True).first.uncheck()
    expect_color(page, 25, 29, [110, 100, 0], scale=scale)
    for name in ("Masks", "Labels", "Polygons", "Keypoints"):
        dialog.get_by_role("button", name=name, exact=True).click()
    page.locator("#one-to-one").click()
    plain = [110, 100, 0]
    weak, strong = (30, 17), (30, 4)  # on the upper edges of the boxes of 0.2 and 0.9
    wait_until(lambda: all(color_at(page, *edge, scale=1) != plain for edge in (weak, strong)))
    threshold = dialog.locator("input[data-score=confidence]")
    for _ in range(30):
        threshold.press("ArrowRight")
    wait_until(lambda: color_at(page, *weak, scale=1) == plain and color_at(page, *strong, scale=1) != plain)
    expect(page.locator(".panel .facts")).to_contain_text("min 0 max 110")


def test_readout_tells_stored_values_and_classes(page: Page) -> None:
    """Under the cursor: the stored values of the pixel and the class of the mask, as in the viewer."""
    open_image(page, "val/truth")
    box = page.locator("canvas.stage").bounding_box()
    assert box is not None
    scale = scale_of(page)
    x, y = box["x"] + box["width"] / 2 - 10.5 * scale, box["y"] + box["height"] / 2 + 0.5 * scale
    page.mouse.move(x, y)
    expect(page.locator("#readout .place")).to_have_text("9, 15")
    expect(page.locator("#readout .values")).to_have_text("110 100 0")
    expect(page.locator("#readout .class")).to_have_text("truth: sky (1)")


def test_linked_images_are_compared_in_every_way(page: Page) -> None:
    """x opens the images of one call; side by side, swipe, flicker and the exact |a − b| with gain."""
    open_image(page, "val/pred")
    page.keyboard.press("x")
    compared = page.locator("dialog.compare")
    expect(compared.locator("figcaption strong")).to_have_text(["val/input", "val/truth", "val/pred"])
    compared.get_by_role("button", name="Take val/truth").click()
    expect(compared.locator("figcaption strong")).to_have_text(["val/input", "val/pred"])
    stage = "dialog.compare canvas.stage"
    page.keyboard.press("2")
    expect(page.get_by_role("slider", name="Divider")).to_be_visible()
    scale: float = page.locator(stage).first.evaluate(
        "(c) => Math.floor(Math.min((c.width - 16) / 40, (c.height - 16) / 30))"
    )
    wait_until(lambda: color_at(page, 5, 10, scale=scale, canvas=stage)[2] == 0)  # the input, left of it
    page.get_by_role("slider", name="Divider").focus()
    for _ in range(25):
        page.keyboard.press("ArrowLeft")
    wait_until(lambda: color_at(page, 5, 10, scale=scale, canvas=stage)[2] == 8)  # the prediction
    page.keyboard.press("3")
    for lit in ("1", "0"):
        expect(page.locator(stage)).to_have_attribute("data-lit", lit)
    page.keyboard.press("4")
    expect(page.locator("#difference-facts")).to_contain_text("max 8")
    expect(page.locator("#difference-facts")).to_contain_text("50.0 % of pixels differ")
    wait_until(lambda: color_at(page, 5, 5, scale=scale, canvas=stage) == [0, 0, 32])
    assert color_at(page, 30, 5, scale=scale, canvas=stage) == [0, 0, 0]


def test_download_gives_the_stored_file(page: Page) -> None:
    """The stored bytes come out under the file's own name, and the path that is shown is the run's."""
    open_image(page, "val/input")
    sha256 = page.locator(".details dd").locator("button.copy").nth(1).inner_text().strip()
    with page.expect_download() as caught:
        page.keyboard.press("d")
    assert caught.value.suggested_filename.startswith("input_11_")
    assert hashlib.sha256(Path(caught.value.path()).read_bytes()).hexdigest() == sha256


def test_light_and_dark_follow_the_system(open_page: OpenPage, training: Path) -> None:
    """The theme is the system's until t turns it."""
    page = open_page(training.as_uri(), scheme="light")
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    page.locator("body").press("t")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_everything_that_was_logged_is_on_the_page(
    open_page: OpenPage, logged_run: pixlog.Run, tmp_path: Path
) -> None:
    """Logged through the daemon, in files or packed: kept depth with its values, lists, references."""
    report = pixlog.export_run(logged_run, "html", tmp_path / "page")
    assert report.ok
    assert report.counts.references == 1
    page = open_page((tmp_path / "page" / "index.html").as_uri())
    go_to(page, 0)
    expect(card(page, "photos").locator(".cell.reference")).to_contain_text(URL)
    for key, pixels in (("depth/levels", deep_levels(0)), ("depth/floats", deep_floats(0))):
        open_image(page, key)
        scale = scale_of(page)
        box = page.locator("canvas.stage").bounding_box()
        x, y = box["x"] + box["width"] / 2 + 0.5 * scale, box["y"] + box["height"] / 2 + 0.5 * scale
        page.mouse.move(x, y)
        expect(page.locator("#readout .values")).to_have_text(f"{float(pixels[10, 12]):.5g}")
        page.keyboard.press("Escape")
    open_image(page, "val/list")
    page.keyboard.press("ArrowDown")
    expect(page.locator(".images .chip[aria-pressed=true]")).to_have_text("2")


def test_equal_deep_images_are_shown_by_their_own_preview(tmp_path: Path) -> None:
    """Equal stored files of one key and step that were rendered with two value ranges keep their own pictures."""
    run = WrittenRun(tmp_path / "run")
    levels = [250, 40]
    for level in levels:
        write_deep(run, "depth", level)
    pixlog.export_run(run.path, "html", tmp_path / "page")
    data = tmp_path / "page" / "data"
    rows = json.loads(zlib.decompress(part_bytes(data / "rows-0.js")))
    for name in ("thumbnail", "shown"):
        found = []
        for row in rows:
            pack, offset, nbytes = row["images"][0]["files"][name]
            part = part_bytes(data / f"pack-{pack}.js")[offset : offset + nbytes]
            found.append(int(np.asarray(Image.open(io.BytesIO(part)).convert("L")).max()))
        assert found == levels, name


def test_half_surrogates_in_texts_cost_nothing(open_page: OpenPage, tmp_path: Path) -> None:
    """A run with keys and texts that UTF-8 cannot hold is exported whole."""
    run = write_half_surrogates(tmp_path / "run")
    report = pixlog.export_run(run.path, "html", tmp_path / "page")
    assert report.ok
    page = open_page((tmp_path / "page" / "index.html").as_uri())
    expect(page.locator("article.card")).to_have_count(3)
    expect(page.locator(".cell[data-drawn]")).to_have_count(3)
    expect(page.locator(".cell.failed")).to_have_count(1)


def test_hostile_texts_stay_text(open_page: OpenPage, tmp_path: Path) -> None:
    """Markup in the run's name, keys, captions, groups, class names and reasons is shown, and never run."""
    run = write_hostile(tmp_path / "<script>window.pwned=1<!--")
    pixlog.export_run(run.path, "html", tmp_path / "page")
    page = open_page((tmp_path / "page" / "index.html").as_uri())
    expect(page).to_have_title("<script>window.pwned=1<!-- · pixlog")
    expect(page.locator("article.card")).to_have_count(4)
    expect(page.locator(".cell.failed .note")).to_have_text(f"failed: {HOSTILE}")
    page.locator("article.card").filter(has=page.locator("h2", has_text="img src")).locator(".cell").click()
    expect(page.locator(".panel .caption")).to_have_text(HOSTILE)
    expect(page.locator(".overlay-panel .classes .name").first).to_have_text(HOSTILE)
    expect(page.locator(".details")).to_contain_text(HOSTILE)
    assert page.evaluate("() => window.pwned") is None
    assert page.locator("img, iframe").count() == 0


def test_page_runs_no_script_but_its_own(training: Path) -> None:
    """The policy names the one script and the one style sheet by their hashes, and forbids everything else."""
    text = training.read_text()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)
    assert policy
    for tag in ("script", "style"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy[1]
    assert "default-src 'none'" in policy[1]
    assert "require-trusted-types-for 'script'" in policy[1]
    assert "unsafe" not in policy[1]
    assert not re.search(r"https?://(?!www\.w3\.org/)", text)


def test_data_is_bytes_alone_and_names_no_directory(training: Path) -> None:
    """Every script delivers base64 and nothing else; the paths of the machine that exported are in none."""
    secret = str(training.parent.parent).encode()
    for script in (training.parent / "data").iterdir():
        data = part_bytes(script)
        assert secret not in data
        if not script.name.startswith("pack-"):
            assert secret not in zlib.decompress(data)


def test_missing_data_is_told(browser: Browser, training: Path, tmp_path: Path) -> None:
    """A page that was copied without its folder says what it needs."""
    (tmp_path / "index.html").write_bytes(training.read_bytes())
    page = browser.new_page()
    page.goto((tmp_path / "index.html").as_uri())
    expect(page.locator(".empty.failed")).to_contain_text("this page needs the folder data beside it")
    page.close()


def test_unreadable_files_are_counted_and_told_where_they_would_be(
    open_page: OpenPage, tmp_path: Path
) -> None:
    """A file that is gone costs its image alone: the report counts it, its place on the page says why."""
    run = write_training(tmp_path / "run")
    victim = next((run.path / "media" / "images" / "val").glob("rare_9_*.png"))
    victim.unlink()
    report = pixlog.export_run(run.path, "html", tmp_path / "page", key="val/*")
    assert not report.ok
    assert sum(report.counts.left_out.values()) == 1
    page = open_page((tmp_path / "page" / "index.html").as_uri())
    expect(card(page, "val/rare").locator(".cell.failed")).to_contain_text("cannot be read")
    expect(card(page, "train/batch")).to_have_count(0)


def test_ten_thousand_images_are_few_files_and_scroll(open_page: OpenPage, tmp_path: Path) -> None:
    """The page does not grow with the run, files are packed and shared, and only the tiles on the screen exist."""
    run = write_large(tmp_path / "run", LARGE_ROWS)
    report = pixlog.export_run(run.path, "html", tmp_path / "page")
    assert report.counts.images == LARGE_ROWS
    index = tmp_path / "page" / "index.html"
    assert index.stat().st_size < 300_000
    assert len(list((tmp_path / "page" / "data").iterdir())) < 100
    page = open_page(index.as_uri())
    expect(page.locator("#stop-count")).to_have_text("1,000 / 1,000")
    go_to(page, 777)
    expect(card(page, "train/key5").locator("header .where")).to_have_text("777")
    card(page, "train/key3").locator(".title").click()
    expect(page.locator("#gallery-count")).to_have_text("1,000 rows")
    page.locator(".scroller").evaluate("(element) => { element.scrollTop = element.scrollHeight; }")
    wait_until(lambda: "999" in page.locator(".tile[data-drawn]:visible .where").all_inner_texts())
    assert page.locator(".tile").count() < 150


def test_thumbnails_stand_for_large_images_on_the_board(open_page: OpenPage, tmp_path: Path) -> None:
    """An image of more than 256 pixels is drawn small from its thumbnail and large from its stored file."""
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (400, 700, 3), np.uint8)
    with pixlog.connect(tmp_path / "run") as client:
        client.log_image("large", pixels, step=0)
    pixlog.export_run(tmp_path / "run", "html", tmp_path / "page")
    page = open_page((tmp_path / "page" / "index.html").as_uri())
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    page.wait_for_selector(".cell[data-drawn]")
    assert [Path(url).name for url in asked if "pack-" in url] == ["pack-0.js"]
    open_image(page, "large")
    expect(page.locator("canvas.histogram")).to_be_visible()
    page.locator("#one-to-one").click()
    at = "([x, y]) => { const c = document.querySelector('canvas.stage'); const d = c.getContext('2d')"
    at += ".getImageData(Math.round(c.width / 2 - 350) + x, Math.round(c.height / 2 - 200) + y, 1, 1).data;"
    at += " return [...d].slice(0, 3); }"
    wait_until(lambda: page.evaluate(at, [333, 222]) == pixels[222, 333].tolist())
