"""A manifest may come from anyone: no path in it makes an export read or write outside of where it should."""

from __future__ import annotations

import hashlib
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

import pixlog
from pixlog.export.file_names import suffix_of
from pixlog.reading.verify import verify
from written_runs import WrittenRun, encode, gray

SHARD = "media/shards/x.tar"
OUTSIDE = ("../../stolen.png", "/tmp/pixlog-stolen.png", "media/../../stolen.png", "media/images/..")
"""Paths that leave the run directory."""
IMPOSSIBLE = ("media/nul\0.png", "media/half\ud800.png")
"""Paths that no file can have."""
FORMATS = ("zip", "imagefolder", "webdataset", "coco")
"""Those that make files or members of the stored files."""
PIXELS = gray(5, width=300, height=300)


def _packed(written: WrittenRun, path: str, *, step: int = 0, sized: bool = True, **more: Any) -> None:
    """Append a row whose image is a part of a shard that is there, under any path."""
    data = encode(PIXELS)
    (written.path / SHARD).parent.mkdir(parents=True, exist_ok=True)
    (written.path / SHARD).write_bytes(data)
    named = {"path": path, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    place = {"role": "image", "index": 0, "shard": SHARD, "offset": 0}
    value = {"_type": "image-file", **named, "format": "png", "width": 300, "height": 300}
    fields = written.fields("k", step, value=value, files=[named | place | more])
    if not sized:
        del value["width"]
    written.append(json.dumps(fields, separators=(",", ":")).encode() + b"\n")


def _files_below(path: Path) -> set[str]:
    return {file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("path", OUTSIDE + IMPOSSIBLE)
def test_packed_file_that_leaves_the_run_is_left_out(tmp_path: Path, form: str, path: str) -> None:
    """Every format counts a part of a shard whose own path leaves the run, and exports the sound row beside it."""
    written = WrittenRun(tmp_path / "run")
    _packed(written, path, step=0)
    _packed(written, "media/images/sound.png", step=1)
    (tmp_path / "to").mkdir()
    report = pixlog.export_run(written.path, form, tmp_path / "to" / "out")
    assert (report.counts.images, sum(report.counts.left_out.values())) == (1, 1)
    assert {name.partition("/")[0] for name in _files_below(tmp_path)} == {"run", "to"}


@pytest.mark.parametrize("path", OUTSIDE + IMPOSSIBLE)
def test_packed_file_that_leaves_the_run_is_reported_by_verify(tmp_path: Path, path: str) -> None:
    """A part of a shard whose path leaves the run is a failure, although its bytes are there and sound."""
    written = WrittenRun(tmp_path / "run")
    _packed(written, path)
    assert [failure.kind for failure in verify(written.path).failures] == ["path"]
    (image,) = pixlog.Run(written.path).images("k")
    with pytest.raises(pixlog.RunError, match="got '"):
        image.array()


@pytest.mark.parametrize(
    "path",
    [
        "manifest/20990101T000000Z-more-0.jsonl",
        "Manifest/00010101T000000Z-export-0.jsonl",
        "spill/image.png",
        "media/images/",
        ".writing-x/image.png",
        "./manifest/00010101T000000Z-export-0.jsonl",
        "media\\..\\..\\..\\stolen.png",
    ],
)
def test_zip_has_no_media_among_its_rows_nor_outside_for_windows(tmp_path: Path, path: str) -> None:
    """What an unpacked run takes for rows or spill, and what Windows takes for ``..``, is left out of the archive."""
    written = WrittenRun(tmp_path / "run")
    _packed(written, path)
    written.image("sound", 0)
    report = pixlog.export_run(written.path, "zip", tmp_path / "out.zip")
    assert (report.counts.images, sum(report.counts.left_out.values())) == (1, 1)
    with zipfile.ZipFile(report.out) as archive:
        names = archive.namelist()
    assert [name for name in names if not name.startswith("run/media/images/")] == [
        "run/manifest/00010101T000000Z-export-0.jsonl"
    ]


def test_zip_keeps_a_backslash_in_a_key(tmp_path: Path) -> None:
    r"""A key such as ``a\b`` is a name like any other, and comes back from the archive."""
    written = WrittenRun(tmp_path / "run")
    written.image("a\\b", 0, gray(3))
    report = pixlog.export_run(written.path, "zip", tmp_path / "out.zip")
    with zipfile.ZipFile(report.out) as archive:
        archive.extractall(tmp_path / "back")
    assert (pixlog.Run(tmp_path / "back" / "run").images("a\\b")[0].array() == gray(3)).all()


@pytest.mark.parametrize("form", ["imagefolder", "webdataset", "coco"])
def test_suffix_of_a_stored_file_is_a_plain_one(tmp_path: Path, form: str) -> None:
    """A name's suffix is the one thing of a manifest's path that goes into new names; it is made plain and short."""
    written = WrittenRun(tmp_path / "run")
    for step, suffix in enumerate(("x\\..\\y", "a b:c\n", "z" * 400, "")):
        _packed(written, f"media/images/k.{suffix}", step=step)
    report = pixlog.export_run(written.path, form, tmp_path / "out")
    assert report.counts.images == 4
    if form == "webdataset":
        with tarfile.open(tmp_path / "out" / "shard-000000.tar") as tar:
            names = tar.getnames()
    else:
        names = list(_files_below(tmp_path / "out"))
    images = sorted(name for name in names if "_rank0" in name and not name.endswith(".json"))
    suffixes = [name.partition(".")[2] for name in images]
    assert suffixes == ["_y", "a b_c_", "z" * 32, "bin"]


def test_suffix_is_that_of_the_last_part() -> None:
    """Dots of a directory or a missing dot make no suffix."""
    named = {"media/a.b/c.png": ".png", "media/a.b/c": ".bin", "media/c.": ".bin", "c.tar.GZ": ".GZ"}
    assert {path: suffix_of(path) for path in named} == named


@pytest.mark.parametrize(
    "place", [{"offset": -1}, {"offset": 2**63}, {"offset": 10**9}, {"size": -1}, {"size": 2**63}]
)
@pytest.mark.parametrize("form", FORMATS)
def test_part_that_its_shard_does_not_have_is_left_out(
    tmp_path: Path, form: str, place: dict[str, Any]
) -> None:
    """Offsets and sizes that no file has cost the image that they are of, with or without its size in the row."""
    written = WrittenRun(tmp_path / "run")
    _packed(written, "media/images/a.png", step=0, **place)
    _packed(written, "media/images/b.png", step=1, sized=False, **place)
    _packed(written, "media/images/sound.png", step=2)
    report = pixlog.export_run(written.path, form, tmp_path / "out")
    assert (report.counts.images, sum(report.counts.left_out.values())) == (1, 2)
    found = verify(written.path).failures
    assert {failure.kind for failure in found} <= {"missing", "size", "sha256"}
    assert len(found) == 2


def test_table_has_no_number_where_none_of_64_bits_fits(tmp_path: Path) -> None:
    """A size or an offset beyond a column's 64 bits is null in the table, and the table is written."""
    written = WrittenRun(tmp_path / "run")
    _packed(written, "media/images/a.png", size=2**63, offset=2**63)
    table = pixlog.Run(written.path).to_arrow()
    assert (table["size"].to_pylist(), table["shard_offset"].to_pylist()) == ([None], [None])
