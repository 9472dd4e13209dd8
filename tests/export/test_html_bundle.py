"""What the exported page has instead of a server: one script, a decoder of PNGs, the filter language."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

import pixlog
import viewers
from pixlog.errors import InputError, PixlogError
from pixlog.export.html.bundle import bundled, viewer_script
from pixlog.export.html.entries import entry_of
from pixlog.reading.decoding import array_of_pil
from pixlog.reading.rows import Row
from pixlog.view.expression import parse_expression
from pixlog.view.row_fields import value_at
from viewed_runs import flat
from written_runs import WrittenRun

if reason := viewers.missing_browser():
    pytest.skip(reason, allow_module_level=True)

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_MAIN = """
import { decodePng } from "./png.js";
import { parseExpression } from "./expression.js";
const inflate = async (bytes) =>
  new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).arrayBuffer();
globalThis.decode = async (text) => {
  const found = await decodePng(Uint8Array.from(atob(text), (one) => one.charCodeAt(0)), inflate);
  return found && { ...found, values: [...found.values] };
};
globalThis.passing = (text, rows) => {
  try {
    const test = parseExpression(text);
    return JSON.parse(rows).filter(test).map((row) => row.id);
  } catch (error) {
    return error.message;
  }
};
"""


@pytest.fixture(scope="module")
def parts(browser: Browser) -> Iterator[Page]:
    """Return an empty page with ``decode`` and ``passing`` of the exported page's modules."""
    folder = files("pixlog.export.html") / "static"
    modules = {name: (folder / name).read_text() for name in ("png.js", "expression.js")}
    page = browser.new_page()
    page.add_script_tag(content=bundled(modules | {"main.js": _MAIN}, "main.js"))
    yield page
    page.close()


def _picture(mode: str, size: tuple[int, int]) -> Image.Image:
    rng = np.random.default_rng([len(mode), *mode.encode()])
    shape = (size[1], size[0])
    if mode == "I;16":
        return Image.fromarray(rng.integers(0, 65536, shape, np.uint16))
    if mode == "1":
        return Image.fromarray(rng.integers(0, 2, shape, np.uint8) * 255).convert("1")
    if mode.startswith("P"):
        picture = Image.fromarray(rng.integers(0, int(mode[1:]), shape, np.uint8), "P")
        picture.putpalette(rng.integers(0, 256, 3 * int(mode[1:]), np.uint8).tobytes())
        return picture
    channels = len(mode) if mode != "L" else 1
    pixels = rng.integers(0, 256, (*shape, channels), np.uint8)
    pixels[size[1] // 2 :] //= 8  # so that encoders choose several filters
    return Image.fromarray(pixels[..., 0] if mode == "L" else pixels, mode)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16", "1", "P2", "P4", "P16", "P200"])
def test_png_samples_are_those_that_pillow_reads(parts: Page, mode: str) -> None:
    """Every mode that the daemon or Pillow writes decodes to the same values, also at an odd width."""
    picture = _picture(mode, (37, 21))
    for options in ({}, {"optimize": True}):
        buffer = io.BytesIO()
        picture.save(buffer, "png", **options)
        expected = array_of_pil(Image.open(io.BytesIO(buffer.getvalue())))
        found = parts.evaluate("(text) => decode(text)", base64.b64encode(buffer.getvalue()).decode())
        assert (found["width"], found["height"]) == (37, 21)
        assert found["dtype"] == expected.dtype.name
        assert found["values"] == expected.astype(int).ravel().tolist()


def test_transparent_palette_decodes_to_rgba(parts: Page) -> None:
    """A palette with transparency gives four channels."""
    picture = _picture("P16", (9, 5))
    buffer = io.BytesIO()
    picture.save(buffer, "png", transparency=bytes([0, 100, 200] + [255] * 13))
    expected = array_of_pil(Image.open(io.BytesIO(buffer.getvalue())))
    found = parts.evaluate("(text) => decode(text)", base64.b64encode(buffer.getvalue()).decode())
    assert found["channels"] == 4
    assert found["values"] == expected.ravel().tolist()


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n"])
def test_other_bytes_are_left_to_the_browser(parts: Page, data: bytes) -> None:
    """What is no PNG, or one without a header, is not guessed at."""
    assert parts.evaluate("(text) => decode(text)", base64.b64encode(data).decode()) is None


@pytest.fixture(scope="module")
def filtered(tmp_path_factory: pytest.TempPathFactory) -> pixlog.Run:
    """Return rows with numbers, texts, nested values and gaps to filter by."""
    run = WrittenRun(tmp_path_factory.mktemp("filtered") / "run")
    for step in range(10):
        meta = {"score": step / 10, "tag": f"Cat {step}", "deep": {"er": [step, 1]}, "odd name": step}
        run.image("k", step, flat(step), caption=f"photo {step}", rank=step % 2, meta=meta)
    run.image("k", 10, flat(0), meta={"score": None, "flag": True, "empty": [], "__proto__": 1})
    run.row("k", 11, state="failed", reason="too many channels", value=None, notes=["one", "two"])
    run.images("list", 12, [flat(0), flat(1)], captions=["left", "right"])
    for step, loss in enumerate((0.5, "nan", "inf", "-inf"), 13):
        run.image("k", step, flat(0), meta={"loss": loss})
    return pixlog.Run(run.path)


@pytest.mark.parametrize(
    "text",
    [
        "meta.score < 0.3",
        "meta.score>=.8 and rank==1",
        "not meta.score < 0.9 and state == 'saved'",
        "step = 3 or step = -1 || step == 5",
        "(step < 2 or step > 10) && !(state != 'saved')",
        "caption ~ 'PHOTO 7'",
        "caption !~ 'photo'",
        "caption ~ 'left | right' and count == 2",
        'meta.tag == "Cat 4"',
        r'meta.tag == "Cat \4"',
        "meta.deep.er[0] == 6",
        "meta.deep ~ 'er'",
        'meta["odd name"] == 8',
        "meta.flag == 1",
        "meta.empty or meta.flag",
        "meta.__proto__ == 1 or meta.constructor",
        "meta.score == none and meta.flag == true",
        "reason ~ 'channels' and notes ~ 'one; two'",
        "meta.tag < 3",
        "meta.tag < 'Cat 3'",
        "meta.loss < 1",
        "meta.loss == 'nan' or meta.loss == 'inf'",
        "meta.loss != 'nan' and meta.loss",
        "width == 40 and format == 'png' and key != 'k'",
        "1 < 2",
        "-1.5e1 < step and input.dtype",
        "",
        "score < 1",
        "step <",
        "(step",
        "step 3",
        "step < 3)",
        "step ; 3",
        "  ; 3",
        "__import__('os')",
        "toString == 1",
        "meta.__class__.__mro__ == 1 )",
        "not " * 60 + "step",
        "(" * 60 + "step" + ")" * 60,
        "1" * 1001,
    ],
)
def test_filter_means_on_the_page_what_it_means_in_the_viewer(
    parts: Page, filtered: pixlog.Run, text: str
) -> None:
    """The two parsers pass the same rows and report the same mistake at the same place."""
    rows = list(filtered.rows())
    told = json.dumps([entry_of(number, row, ()).json for number, row in enumerate(rows)])
    found: Any = parts.evaluate("([text, rows]) => passing(text, rows)", [text, told])
    assert found == _answer(rows, text)


def _answer(rows: list[Row], text: str) -> list[int] | str:
    try:
        expression = parse_expression(text)
    except InputError as error:
        return str(error)
    return [
        number
        for number, row in enumerate(rows)
        if expression.test([value_at(row, path) for path in expression.paths])
    ]


def test_bundle_refuses_what_it_cannot_join() -> None:
    """Forms of import and export that it does not know, missing modules and ends of a script are errors."""
    for line in ('import "./a.js";', "export default 1;", "export let a = 1;", "export { a };"):
        with pytest.raises(PixlogError, match="not known here"):
            bundled({"main.js": line}, "main.js")
    with pytest.raises(PixlogError, match=r"no module 'b\.js'"):
        bundled({"main.js": 'import { a } from "./b.js";'}, "main.js")
    with pytest.raises(PixlogError, match="cannot hold"):
        bundled({"main.js": 'const a = "</SCRIPT>";'}, "main.js")


def test_bundle_joins_modules_that_import_each_other(parts: Page) -> None:
    """Circles, renamed names and whole modules work; each module runs once, and only those that are needed."""
    modules = {
        "main.js": """
import { a as first } from "./a.js";
import * as b from "./b.js";
globalThis.said = [first(), b.b(), globalThis.runs];
""",
        "a.js": """
import { b } from "./b.js";
globalThis.runs = (globalThis.runs ?? 0) + 1;
export function a() {
  return b() + 1;
}
""",
        "b.js": """
import { a } from "./a.js";
export function b() {
  return 40 + a.length;
}
""",
        "unneeded.js": "throw new Error();",
    }
    parts.add_script_tag(content=bundled(modules, "main.js"))
    assert parts.evaluate("() => globalThis.said") == [41, 40, 1]


def test_script_holds_the_viewer_and_no_request_to_a_server() -> None:
    """The page's script has the viewer's modules with the export's answers in the place of the server's."""
    script = viewer_script()
    for name in ("lightbox.js", "compare.js", "server.js", "png.js"):
        assert f'define("{name}"' in script
    assert "fetch(" not in script
    assert "XMLHttpRequest" not in script


def test_export_of_a_page_needs_no_server() -> None:
    """The viewer's code is used without what its server needs."""
    code = "import sys, pixlog.export.html; print({'starlette', 'uvicorn'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_modules_are_in_the_wheel() -> None:
    """The modules lie beside the Python code, as files that the build takes along."""
    folder = Path(str(files("pixlog.export.html") / "static"))
    assert {path.name for path in folder.iterdir()} == {"exported.js", "expression.js", "png.js"}
