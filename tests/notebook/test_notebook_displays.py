"""What runs, keys, rows and images say of themselves, as text and as HTML that is only text and pictures."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pixlog
from pixlog.errors import InputError, InputTypeError, RunKeyError
from viewed_runs import flat, write_hostile, write_training
from written_runs import WrittenRun, gray


class _Parsed(HTMLParser):
    """The elements of a piece of HTML, the sources of its pictures, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def pictures(self) -> list[Image.Image]:
        """The decoded pictures, in order."""
        sources = [value or "" for name, value in self.attributes if name == "src"]
        return [Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) for source in sources]

    @property
    def page(self) -> _Parsed:
        """The page in the frame."""
        return _Parsed(next(value or "" for name, value in self.attributes if name == "srcdoc"))


def html_of(thing: object) -> _Parsed:
    """Return what a notebook would show of a thing."""
    shown = thing._repr_html_()  # type: ignore[attr-defined]
    shown.encode()  # a notebook sends it as UTF-8
    return _Parsed(shown)


@pytest.fixture
def run(tmp_path: Path) -> pixlog.Run:
    """A small training with overlays, lists, failed and dropped rows."""
    return pixlog.Run(write_training(tmp_path / "run").path)


def test_key_view_gives_steps_and_images(run: pixlog.Run) -> None:
    """run[key] has the key's steps; steps are labels when it is indexed; iterating yields every image."""
    view = run["val/pred"]
    assert view.steps == list(range(12))
    assert [image.row.step for image in view[2:9:3]] == [2, 2, 5, 5, 8, 8]
    assert [(image.row.step, image.row.rank) for image in view[4]] == [(4, 0), (4, 1)]
    assert len(list(view)) == 24
    assert len(view.rows(rank=1)) == 12
    assert repr(view) == f"<KeyView 'val/pred' of '{run.path}': 24 rows, 24 saved; 12 steps from 0 to 11>"
    assert repr(run["train/batch"]).endswith("1 row, 1 saved; step 4>")


def test_unknown_key_is_an_error_that_names_near_ones(run: pixlog.Run) -> None:
    """A mistyped key is a KeyError and a RunError, and says what is there; a step likewise."""
    with pytest.raises(KeyError, match="did you mean 'val/pred'"):
        run["val/perd"]
    with pytest.raises(RunKeyError, match="did you mean 'val/"):
        run["val"]
    with pytest.raises(
        RunKeyError, match=r"nothing was logged under 'zzz' in .*; keys: train/bad, train/batch"
    ):
        run["zzz"]
    with pytest.raises(RunKeyError, match="'val/pred' has no step 99; the nearest are 9, 10, 11"):
        run["val/pred"][99]
    with pytest.raises(InputTypeError, match="a key is a string, got 3"):
        run[3]  # type: ignore[index]


def test_run_is_a_collection_of_keys(run: pixlog.Run) -> None:
    """A run iterates over its keys, knows which it has, and completes them in a notebook."""
    assert list(run) == run.keys() == run._ipython_key_completions_()
    assert "val/pred" in run
    assert "val" not in run
    assert 3 not in run


def test_run_shows_each_key_and_its_last_image(run: pixlog.Run) -> None:
    """A line per key with its counts, and the last image with the pixels that were logged."""
    shown = html_of(run)
    for text in ("val/pred", "0 to 11 (12)", "79 rows", "1 failed"):
        assert text in shown.text
    assert shown.tags.count("tr") == 1 + len(run.keys())
    red = [int(np.asarray(picture)[0, -1, 0]) for picture in shown.pictures]
    assert red == [0, 111, 111, 90, 111]


def test_rows_and_images_show_pictures_captions_and_reasons(run: pixlog.Run) -> None:
    """Rows tell state, caption or reason; an image is shown with its caption; lists show each image."""
    rows = html_of(run.rows("val/input"))
    assert rows.tags.count("tr") == 21
    assert "4 more rows are not shown" in rows.text
    assert "photo 3" in rows.text
    assert "expected at most 4 channels, got 7" in html_of(run.rows("train/bad")).text
    images = html_of(run.images("train/batch"))
    assert [np.asarray(picture)[0, 0].tolist() for picture in images.pictures] == [
        [10 * n, 20, 0] for n in range(5)
    ]
    one = html_of(run.images("val/input")[2])
    assert one.pictures[0].size == (480, 360)
    assert "photo 1" in one.text
    row = html_of(run.rows("train/batch")[0])
    assert len(row.pictures) == 5
    assert "images/separated" not in row.text


def test_slider_page_has_every_step_and_its_images(run: pixlog.Run) -> None:
    """The page in the frame holds one section a step, with the images of all ranks in order."""
    page = html_of(run["val/input"]).page
    steps = [value for name, value in page.attributes if name == "data-step"]
    assert steps == [str(step) for step in range(12)]
    reds = [np.asarray(picture)[0, 0, 0] for picture in page.pictures]
    assert reds == [10 * step + rank for step in range(12) for rank in range(2)]
    assert "photo 7" in page.text
    assert "evenly spread" not in page.text
    assert "failed: expected at most 4 channels, got 7" in html_of(run["train/bad"]).page.text


def test_slider_is_bounded_and_says_what_it_left_out(tmp_path: Path) -> None:
    """Steps are spread evenly with first and last among them, within the bytes given; the rest is counted."""
    random = np.random.default_rng(0)
    written = WrittenRun(tmp_path / "run")
    for step in range(200):
        written.images("k", step, [random.integers(0, 256, (64, 64, 3), np.uint8) for _ in range(3)])
    view = pixlog.Run(written.path)["k"]
    few = html_of(view.show(max_steps=5, max_images=2)).page
    assert re.findall(r"step (-?\d+)", few.text) == ["0", "50", "100", "149", "199"]
    assert len(few.pictures) == 10
    assert "5 of 200 steps, evenly spread" in few.text
    assert few.text.count("1 more images of this step are not shown") == 5
    frame = view.show(max_nbytes=200_000, thumb_px=64)._repr_html_()
    assert len(frame) < 260_000
    steps = [int(step) for step in re.findall(r"step (\d+)", _Parsed(frame).page.text)]
    assert (steps[0], steps[-1]) == (0, 199)
    assert len(steps) >= 3
    assert max(np.diff(steps)) <= 3 * min(np.diff(steps))


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    """Keys, captions, reasons, meta and class names never become elements or attributes."""
    run = pixlog.Run(write_hostile(tmp_path / "run").path)
    things: list[object] = [run, run.rows(), run.images(), *run.rows(), *run.images()]
    pages = [html_of(run[key]).page for key in run]
    for shown in [*(html_of(thing) for thing in things), *pages]:
        assert "onerror=" in shown.text
        names = {name for name, _ in shown.attributes}
        assert not {name for name in names if name.startswith("on")}
        assert all(
            (value or "").startswith("data:image/") for name, value in shown.attributes if name == "src"
        )
        assert shown.tags.count("script") == (1 if shown in pages else 0)


def test_images_without_pixels_show_words(tmp_path: Path) -> None:
    """A missing file, a reference, an unencodable character: words, no traceback."""
    written = WrittenRun(tmp_path / "run")
    lost = written.image("k", 0, gray(1), caption="a\0b")
    odd = written.fields("odd \ud800", value={"_type": "image-file", "path": "x.png", "caption": "\udfff"})
    written.append(json.dumps(odd).encode() + b"\n")
    (written.path / lost["files"][0]["path"]).unlink()
    written.row("r", 0, value={"_type": "image-file", "path": "s3://b/a.png", "format": "png"})
    run = pixlog.Run(written.path)
    assert "cannot read media/images/k_0" in html_of(run["k"]).page.text
    assert "reference to s3://b/a.png" in html_of(run.images("r")[0]).text
    for thing in (run, run.rows(), run.images(), run["odd \ud800"]):
        html_of(thing)


def test_diff_shows_the_worst_pairs_with_both_images(tmp_path: Path) -> None:
    """A comparison is a table, the worst pair first."""
    written = WrittenRun(tmp_path / "run")
    for step in range(3):
        written.image("a", step, flat(100))
        written.image("b", step, flat(100 + 10 * step))
    shown = html_of(pixlog.diff(written.path, key="a", key_b="b"))
    assert [np.asarray(picture)[0, 0, 0] for picture in shown.pictures] == [100, 120, 100, 110, 100, 100]
    assert "3 pairs: 1 the same, 2 differ" in shown.text


def test_options_of_show_are_checked(run: pixlog.Run) -> None:
    """Sizes that cannot be are errors with what was got."""
    with pytest.raises(InputError, match=r"thumb_px is 16 or more, .* got 3, 60, 16, 4000000"):
        run["val/pred"].show(thumb_px=3)
