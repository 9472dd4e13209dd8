"""``webdataset``: what ``webdataset`` and ``tar`` read from the shards is what was logged."""

from __future__ import annotations

import gc
import io
import json
import subprocess
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import webdataset
from PIL import Image

import pixlog
from exported_runs import IMAGES, STEPS, deep_floats, photo, segment_ids
from written_runs import WrittenRun, gray

_MODES = {"png", "jpg", "tiff"}


def _samples(directory: Path) -> list[dict[str, Any]]:
    shards = [str(path) for path in (sorted(directory.glob("*.tar")) if directory.is_dir() else [directory])]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the package leaves closing to the collector
        found = list(webdataset.WebDataset(shards, shardshuffle=False, empty_check=False))
        gc.collect()
    return [sample | {"json": json.loads(sample["json"])} for sample in found]


def _pixels(data: bytes) -> npt.NDArray[Any]:
    return np.asarray(Image.open(io.BytesIO(data)))


def test_webdataset_gives_each_image_with_masks_and_facts(logged_run: pixlog.Run, tmp_path: Path) -> None:
    """The package ``webdataset`` has one sample for each image, its pixels, masks, preview and JSON."""
    report = pixlog.export_run(logged_run, "webdataset", tmp_path / "out")
    assert (report.counts.images, report.counts.references, report.ok) == (IMAGES, 1, True)
    samples = _samples(report.out)
    assert len({sample["__key__"] for sample in samples}) == len(samples) == IMAGES
    assert all(len(_MODES & sample.keys()) == 1 for sample in samples)
    truths = [sample for sample in samples if sample["json"]["key"] == "val/truth"]
    assert len(truths) == STEPS
    for sample in truths:
        facts = sample["json"]
        assert (_pixels(sample["png"]) == photo(facts["step"])).all()
        assert (_pixels(sample[facts["masks"]["segments"]["file"]]) == segment_ids(facts["step"])).all()
        assert facts["masks"]["segments"]["class_labels"]["1"] == "sky"
        assert facts["caption"] == f"photo {facts['step']}"
        assert facts["meta"]["score"] == facts["step"] / 4
        assert [len(facts[kind]) for kind in ("boxes", "polygons", "keypoints")] == [1, 1, 1]
    floats = [sample for sample in samples if sample["json"]["key"] == "depth/floats"]
    assert all((_pixels(sample["tiff"]) == deep_floats(sample["json"]["step"])).all() for sample in floats)
    assert all(_pixels(sample["preview.png"]).dtype == np.uint8 for sample in floats)


def test_webdataset_is_listed_and_unpacked_by_tar(logged_run: pixlog.Run, tmp_path: Path) -> None:
    """The program ``tar`` unpacks a shard without complaint."""
    out = pixlog.export_run(logged_run, "webdataset", tmp_path / "out", key="val/truth").out
    done = subprocess.run(
        ["tar", "-xvf", str(out / "shard-000000.tar"), "-C", str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[:3] == [
        "val/truth/00000000_rank0.png",
        "val/truth/00000000_rank0.mask.segments.png",
        "val/truth/00000000_rank0.json",
    ]
    assert (_pixels((tmp_path / "val/truth/00000002_rank0.png").read_bytes()) == photo(2)).all()


def test_webdataset_begins_a_shard_by_count_and_by_size(tmp_path: Path) -> None:
    """No shard has more samples, or more bytes, than was asked, unless one sample alone is larger."""
    written = WrittenRun(tmp_path / "run")
    for step in range(10):
        written.image("k", step)
    by_count = pixlog.export_run(written.path, "webdataset", tmp_path / "a", shard_count=4).out
    sizes = [len(_samples(path)) for path in sorted(by_count.glob("*.tar"))]
    assert sizes == [4, 4, 2]
    by_size = pixlog.export_run(written.path, "webdataset", tmp_path / "b", shard_size="5KB").out
    assert len(_samples(by_size)) == 10
    assert {path.stat().st_size for path in by_size.glob("*.tar")} == {5120}
    alone = pixlog.export_run(written.path, "webdataset", tmp_path / "c", shard_size=1).out
    assert len(list(alone.glob("*.tar"))) == 10


@pytest.mark.parametrize("options", [{"shard_count": 0}, {"shard_size": "much"}, {"shard_size": 0}])
def test_webdataset_refuses_limits_that_are_none(tmp_path: Path, options: dict[str, Any]) -> None:
    """A limit of nothing, or one that is no size, is an error and leaves nothing."""
    written = WrittenRun(tmp_path / "run")
    written.image("k", 0)
    with pytest.raises(pixlog.InputError, match="shard"):
        pixlog.export_run(written.path, "webdataset", tmp_path / "out", **options)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_webdataset_tells_groups_with_like_names_apart(tmp_path: Path) -> None:
    """Groups that differ in what a file name cannot say get files of their own, and the JSON says which."""
    written = WrittenRun(tmp_path / "run")
    masks = {"a.b": gray(1), "a/b": gray(2), "A_B": gray(3)}
    written.image("dots.in/key.1", 0, masks=masks)
    (sample,) = _samples(pixlog.export_run(written.path, "webdataset", tmp_path / "out").out)
    for group, ids in masks.items():
        assert (_pixels(sample[sample["json"]["masks"][group]["file"]]) == ids).all()
