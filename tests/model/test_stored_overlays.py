"""all_boxes and all_masks: paths and hashes of overlays, as the manifest has them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pixlog
from pixlog.errors import InputError, InputTypeError, RunError
from pixlog.model.image import Image
from pixlog.model.stored_overlays import stored_overlays
from pixlog.receipt import Receipt

PIXELS = np.zeros((8, 9), np.uint8)
BOXES = {"box_data": [{"position": {"minX": 0, "maxX": 1, "minY": 0, "maxY": 1}, "class_id": 1}]}


def _assert_stored(run_dir: Path, entry: dict[str, Any], kind: str) -> None:
    content = (run_dir / entry["path"]).read_bytes()
    assert entry["_type"] == kind
    assert (entry["size"], entry["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())


def test_overlays_are_found_by_client_and_by_run(tmp_path: Path) -> None:
    """For a list and for a single image the entries are those of the stored files, with None where there is none."""
    with pixlog.connect(tmp_path / "run") as client:
        images = [
            Image(PIXELS),
            Image(PIXELS, boxes={"b": BOXES}, masks={"m": {"mask_data": PIXELS}}),
            Image(PIXELS, boxes={"c": BOXES}),
        ]
        single = Image(PIXELS, boxes={"d": BOXES})
        client.log_image("list", images, step=3)
        client.log_image("single", single)
        for run in (client, pixlog.Run(tmp_path / "run")):
            found = Image.all_boxes([*images, single], run, "list", 3)
            assert found
            assert [entry and list(entry) for entry in found] == [None, ["b"], ["c"], ["d"]]
            assert found[1]
            assert found[3]
            _assert_stored(tmp_path / "run", found[1]["b"], "boxes2D")
            _assert_stored(tmp_path / "run", found[3]["d"], "boxes2D")
            masks = Image.all_masks(images, run, "list", 3)
            assert masks
            assert masks[1]
            assert (masks[0], masks[2]) == (None, None)
            _assert_stored(tmp_path / "run", masks[1]["m"], "mask")


def test_images_without_overlays_give_false() -> None:
    """Without any boxes or masks there is nothing to look up, and no run is needed."""
    for images in ([], [Image(PIXELS)]):
        assert Image.all_boxes(images, None, "k", 0) is False  # type: ignore[arg-type]
        assert Image.all_masks(images, None, "k", 0) is False  # type: ignore[arg-type]


def test_image_that_was_not_logged_is_refused() -> None:
    """Overlays have no path before their image is logged."""
    with pytest.raises(InputError, match="not logged"):
        Image.all_boxes([Image(PIXELS, boxes={"b": BOXES})], None, "k", 0)  # type: ignore[arg-type]


class _Pending(Receipt):
    """A receipt that never settles."""

    def __init__(self) -> None:
        super().__init__(None, "c" * 16, "k", 0)  # type: ignore[arg-type]

    def wait(self, timeout_s: float | None = None) -> bool:
        return self.state != "pending"


def test_image_that_is_not_saved_is_told() -> None:
    """A row that is pending after the timeout, and one that failed, are errors that say so."""
    image = Image(PIXELS, boxes={"b": BOXES})
    receipt = _Pending()
    image._bind(receipt, 0)
    with pytest.raises(RunError, match=r"still pending after 0\.1 s"):
        stored_overlays([image], None, "boxes", timeout_s=0.1)
    receipt.settle("failed", "no space", [])
    with pytest.raises(RunError, match="no space"):
        stored_overlays([image], None, "boxes")
    receipt.settle("saved", None, [])
    with pytest.raises(InputTypeError, match="expected a pixlog Client or Run"):
        stored_overlays([image], "runs/exp1", "boxes")
