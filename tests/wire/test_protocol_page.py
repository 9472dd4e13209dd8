"""docs/protocol.md: complete, and its examples are what it says they are."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import pixlog
from pixlog.model.image_options import FILE_TYPES, LEVELS, NORMALIZE_RULES, OPTION_NAMES
from pixlog.pixels.layout import LAYOUTS
from pixlog.protocol import LIMITS, MAJOR, MINOR, Kind
from pixlogd.headers import Hello, parse_log
from served import serving
from waiting import scaled_s
from wire_frames import decode, hello_header

PAGE = Path(__file__).resolve().parents[2] / "docs" / "protocol.md"
TEXT = PAGE.read_text(encoding="utf-8")


def block(language: str) -> str:
    """Return the page's only code block in a language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    return str(found)


def section(title: str) -> str:
    """Return a section, with its subsections of lower rank."""
    match = re.search(rf"^(#+) {re.escape(title)}\n(.*?)(?=^#{{1,3}} |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert match is not None, title
    return match[2]


def test_page_lists_every_kind_and_version() -> None:
    """Each kind of frame has its number and name, and the page's version is the code's."""
    rows = re.findall(r"^\| (\d+) \| ([A-Z]+) \|", section("Frames"), re.MULTILINE)
    assert {int(number): name for number, name in rows} == {int(kind): kind.name for kind in Kind}
    assert f"**{MAJOR}.{MINOR}**" in TEXT


def test_page_lists_every_field() -> None:
    """Nothing that the two sides say to each other is missing from the section it belongs to."""
    hello = {field.name for field in dataclasses.fields(Hello)} | hello_header("/run").keys()
    log = {
        "seq",
        "key",
        "step",
        "time",
        "items",
        "list",
        "buffers",
        "at",
        "contract",
        "call",
        "meta",
        "state",
        "reason",
    }
    assert not {name for name in hello if f"`{name}`" not in section("HELLO")}
    assert not {name for name in log if f"`{name}`" not in section("LOG")}
    # A layout is part of the data, and the rest are options.
    options = OPTION_NAMES - {"layout"}
    assert not {name for name in options if f"`{name}`" not in section("LOG")}
    for values in (FILE_TYPES, LEVELS, NORMALIZE_RULES, LAYOUTS):
        assert not {value for value in values if f"`{value}`" not in section("LOG")}


def test_page_states_the_limits_of_the_code() -> None:
    """The numbers of the table are those that the decoder checks."""
    assert f"{LIMITS.head_nbytes:,}" in section("Limits")
    assert f"{LIMITS.payload_nbytes:,}" in section("Limits")
    with pytest.raises(pixlog.PixlogError, match=str(10**12 - 1)):
        parse_log({"seq": 10**12}, None)
    assert f"{10**12 - 1:,}" in section("Limits")


def test_example_bytes_are_a_call() -> None:
    """The frame that is spelt out byte by byte is one, and means what stands beside it."""
    stream = b"".join(
        bytes.fromhex(re.split(r"\s{3,}", line)[0].replace(" ", "")) for line in block("hex").splitlines()
    )
    (one,) = decode(stream)
    assert one.kind is Kind.LOG
    log = parse_log(one.header, one.payload)
    assert (log.seq, log.key, log.step, log.header["time"]) == (0, "k", 0, 1.5)
    assert log.header["items"][0]["data"]["shape"] == [1, 2]
    assert log.place == memoryview(b"\x00\xff")
    assert "state" not in log.header


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js to run the page's client")
def test_client_in_node_logs_an_image(directory: Path, run_dir: Path, tmp_path: Path) -> None:
    """The page's client, as printed, logs its image to a real daemon; it is short, and other readers see the image."""
    program = tmp_path / "log_image.mjs"
    program.write_text(block("js"), encoding="utf-8")
    assert len(block("js").splitlines()) < 80
    with serving(directory) as daemon:
        ended = subprocess.run(
            ["node", str(program), str(daemon.socket_path), str(run_dir), "val/ä"],
            capture_output=True,
            text=True,
            timeout=scaled_s(60),
            check=False,
        )
    assert ended.returncode == 0, ended.stderr
    seq, state, reason, paths, notes = json.loads(ended.stdout)
    assert (seq, state, reason, notes) == (0, "saved", None, [])
    (image,) = pixlog.Run(run_dir).images("val/ä")
    assert [run_dir / path for path in paths] == [image.row.files[0].path]
    assert image.caption == "from Node"
    at = np.arange(48 * 64 * 3)
    expected = np.select([at % 3 == 0, at % 3 == 1], [at % 251, at % 127], 99).reshape(48, 64, 3)
    assert np.array_equal(image.array(), expected)
