"""A packed run behaves as one of files: logging, references, reading, verifying."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import pixlog
from pixlog.reading.verify import verify
from waiting import scaled_s


def test_packed_run_reads_back_like_one_of_files(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images, lists, masks, references and shared content come back from shards; hundreds of them make few files."""
    monkeypatch.setenv("PIXLOG_STORE", "packed")
    pixels = np.random.default_rng(1).integers(0, 256, (300, 20, 30, 3), np.uint8)
    mask = (pixels[0, ..., 0] > 128).astype(np.uint8)
    with pixlog.connect(run_dir, strict=True) as client:
        for step, image in enumerate(pixels):
            first = client.log_image("k", image, step=step)
        client.log_image("list", list(pixels[:3]), step=0)
        client.log_image("over", pixlog.Image.ref(first, masks={"m": {"mask_data": mask}}), step=0)
        for step in range(3):
            client.log_image("same", pixels[0], step=step, dedup=True)
        assert client.flush(scaled_s(30)) == 0
    run = pixlog.Run(run_dir)
    assert all((image.array() == pixels[image.row.step]).all() for image in run.images("k"))
    assert [(image.array() == pixels[image.index]).all() for image in run.images("list")] == [True] * 3
    over = next(iter(run.images("over")))
    assert (over.array() == pixels[-1]).all()
    assert (over.masks["m"].array() == mask).all()
    assert len({image.row.files[0].offset for image in run.images("same")}) == 1
    report = verify(run_dir)
    assert (report.ok, report.orphans, report.saved_count) == (True, [], 305)
    assert len([path for path in (run_dir / "media").rglob("*") if path.is_file()]) == 1
