"""Names of exported images are readable, and no two of them are one file anywhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pixlog
from exported_runs import HOSTILE_KEY
from pixlog.export.file_names import FileNames
from pixlog.reading.rows import Row
from pixlog.reading.saved_image import SavedImage
from written_runs import WrittenRun, gray


def _stems(run: Path) -> list[str]:
    names = FileNames()
    return [names.stem(image) for image in pixlog.Run(run).images()]


def test_names_say_key_step_and_rank(tmp_path: Path) -> None:
    """Calls that repeat a step are counted, images of a list numbered, negative steps kept."""
    written = WrittenRun(tmp_path)
    written.image("val/pred", 3)
    written.image("val/pred", 3)
    written.image("val/pred", 3, rank=12)
    written.images("val/pred", -2, [gray(0), gray(1)])
    assert _stems(tmp_path) == [
        "val/pred/-0000002_rank0_image0",
        "val/pred/-0000002_rank0_image1",
        "val/pred/00000003_rank0",
        "val/pred/00000003_rank0_call2",
        "val/pred/00000003_rank12",
    ]


def test_names_of_hostile_keys_stay_inside_and_apart(tmp_path: Path) -> None:
    """No key leaves its directory, hides, or falls together with another where case does not count."""
    written = WrittenRun(tmp_path)
    file = written.image("k", 0)["files"]
    keys = [
        "../up",
        "a//b",
        ".hidden",
        "A",
        "a",
        "a/00000000_rank0.png",
        "con",
        "x" * 500,
        "x" * 501,
        "?",
        "*",
        "",
    ]
    for key in [*keys, HOSTILE_KEY, "a/.."]:
        written.row(key, 0, files=file)
    stems = _stems(tmp_path)
    assert len({stem.casefold() for stem in stems}) == len(keys) + 3
    for stem in stems:
        parts = stem.split("/")
        assert not any(part in ("", ".", "..") or part.startswith(".") for part in parts)
        assert max(len(part.encode()) for part in parts) <= 200
    files = {f"{stem}.png".casefold() for stem in stems}
    directories = {stem.casefold().rpartition("/")[0] for stem in stems}
    assert not any(
        directory == file or directory.startswith(f"{file}/") for directory in directories for file in files
    )


_TEXTS = st.text(st.sampled_from("aA/.~_ 0\u00e4\u00c4\u212a-"), max_size=8)


@settings(max_examples=300)
@given(keys=st.sets(_TEXTS, max_size=8))
def test_no_two_keys_share_a_name(keys: set[str]) -> None:
    """Whatever the keys are, their images differ, in upper and lower case alike, and none is another's directory."""
    names = FileNames(avoid=("a", "aa"))
    row = {"step": 0, "rank": 0, "client": "c", "seq": 0, "state": "saved", "value": {}}
    images = [SavedImage(Row({**row, "key": key}, Path()), 0, None, None) for key in sorted(keys)]
    stems = [names.stem(image).casefold() for image in images]
    assert len(set(stems)) == len(keys)
    assert not any(other.startswith(f"{stem}/") for stem in stems for other in stems)


@pytest.mark.parametrize("to", ["imagefolder", "coco", "webdataset", "zip"])
def test_exports_of_colliding_keys_have_every_image(tmp_path: Path, to: str) -> None:
    """Every image of keys that collide is written, none over another."""
    written = WrittenRun(tmp_path / "run")
    for number, key in enumerate(["a", "A", "a/b", "A/B", "a?", "a*"]):
        for seq in range(2):
            written.image(key, 0, np.full((4, 6), 2 * number + seq, np.uint8))
    report = pixlog.export_run(written.path, to, tmp_path / "out")
    assert report.counts.images == 12
    if to in ("imagefolder", "coco"):
        assert len([path for path in report.out.rglob("*.png") if path.stat().st_size]) == 12
