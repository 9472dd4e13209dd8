"""A run with one of everything that an export meets, logged through a real daemon."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

import pixlog
from waiting import scaled_s
from written_runs import WrittenRun

STEPS: Final = 4
WIDTH: Final = 40
HEIGHT: Final = 30
URL: Final = "s3://bucket/photos/0001.png"
SEGMENTS: Final = {0: "background", 1: "sky", 2: "tree"}
HOSTILE_KEY: Final = "odd/../key: <b>\u00e9\u4e16*?|\x07"


def photo(step: int, *, index: int = 0) -> npt.NDArray[np.uint8]:
    """Return the pixels logged at ``step``, (30, 40, 3)."""
    return np.random.default_rng([step, index]).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def segment_ids(step: int) -> npt.NDArray[np.uint8]:
    """Return the mask logged at ``step``, (30, 40): class 1 is one region, class 2 two, 0 the rest."""
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    ids[: 5 + step, :20] = 1
    ids[20:, 3:9] = 2
    ids[22:28, 30:] = 2
    return ids


def deep_levels(step: int) -> npt.NDArray[np.uint16]:
    """Return the 16-bit depth logged at ``step``, (20, 24)."""
    return (np.arange(480, dtype=np.uint16).reshape(20, 24) * 130 + step).astype(np.uint16)


def deep_floats(step: int) -> npt.NDArray[np.float32]:
    """Return the floating-point depth logged at ``step``, (20, 24)."""
    return np.linspace(-1.5, 7.25, 480, dtype=np.float32).reshape(20, 24) + np.float32(step)


def boxes() -> dict[str, Any]:
    """Return a group with a box in fractions, one in pixels, and one turned by 90 degrees."""
    return {
        "box_data": [
            {
                "position": {"middle": [0.75, 0.25], "width": 0.2, "height": 0.2},
                "class_id": 3,
                "scores": {"confidence": 0.9, "iou": 0.5},
                "box_caption": "sure",
            },
            {"position": {"minX": 22, "maxX": 38, "minY": 17, "maxY": 28}, "domain": "pixel", "class_id": 4},
            {
                "position": {"middle": [20, 15], "width": 10, "height": 4, "rotation_deg": 90},
                "domain": "pixel",
                "class_id": 4,
                "scores": {"confidence": 0.2},
            },
        ],
        "class_labels": {3: "dog", 4: "bird"},
    }


def polygons() -> dict[str, Any]:
    """Return a group with a plain polygon in fractions and one with a hole in pixels."""
    return {
        "polygon_data": [
            {"points": [[0.5, 0.5], [0.9, 0.5], [0.9, 0.9]], "class_id": 5},
            {
                "points": [[2, 2], [18, 2], [18, 18], [2, 18]],
                "holes": [[[6, 6], [14, 6], [14, 14], [6, 14]]],
                "domain": "pixel",
                "class_id": 5,
            },
        ],
        "class_labels": {5: "roof"},
    }


def keypoints() -> dict[str, Any]:
    """Return a group with one set of three named points, one of them absent."""
    return {
        "keypoint_data": [{"points": [[0.55, 0.1, 2], [0.6, 0.4, 1], [0, 0, 0]], "class_id": 6}],
        "skeleton": [[0, 1], [1, 2]],
        "point_names": ["head", "hand", "foot"],
        "class_labels": {6: "body"},
    }


def log_everything(run_dir: Path) -> None:
    """Log, of rank 0, every kind of row; 2 rows of rank 1; 2 that fail; and write one that was dropped.

    ``val/truth``: steps 0 to 3 with overlays of every kind; ``val/list``: three images in each of 2 rows;
    ``depth/levels`` and ``depth/floats``: kept depth; ``photos``: one reference; ``train/bad``: failed and dropped.
    ``twice``: the same key, step and rank, three times.
    """
    with pixlog.connect(run_dir, rank=0) as client:
        for step in range(STEPS):
            truth = pixlog.Image(
                photo(step),
                caption=f"photo {step}",
                masks={"segments": {"mask_data": segment_ids(step), "class_labels": SEGMENTS}},
                boxes={"found": boxes()},
                polygons={"roofs": polygons()},
                keypoints={"bodies": keypoints()},
            )
            meta: dict[str, Any] = {
                "score": step / 4,
                "epoch": step // 2,
                "name": f"cat {step}",
                "mixed": step,
            }
            if step == 1:
                meta |= {"mixed": "text", "list": [1, 2]}
            client.log_image("val/truth", truth, step=step, meta=meta)
            client.log_image("depth/levels", deep_levels(step), step=step, depth="keep")
            client.log_image("depth/floats", deep_floats(step), step=step, depth="keep")
        for step in (-1, 2):
            several = [photo(step + 10, index=index) for index in range(3)]
            client.log_image("val/list", several, step=step, caption=["a", "b", "c"])
        for index in range(3):
            client.log_image("twice", photo(7, index=index), step=7)
        client.log_image("photos", pixlog.Image(URL, caption="elsewhere"), step=0)
        client.log_image(HOSTILE_KEY, photo(1), step=0, caption="é\n<b>", file_type="jpg")
        client.log_image(HOSTILE_KEY.upper(), photo(2), step=0)
        for step in range(2):
            client.log_image("train/bad", np.zeros((5, 6, 7), np.uint8), step=step)
        assert client.flush(scaled_s(30)) == 0
    with pixlog.connect(run_dir, rank=1) as client:
        for step in range(2):
            client.log_image("val/rank", photo(step), step=step)
        assert client.flush(scaled_s(30)) == 0
    WrittenRun(run_dir).row("train/bad", 2, state="dropped", reason="spill budget", value=None)


COUNTS: Final = {"saved": 4 + 8 + 2 + 3 + 1 + 2 + 2, "failed": 2, "dropped": 1}
"""Rows by state of what ``log_everything`` logs."""
IMAGES: Final = 4 + 8 + 6 + 3 + 2 + 2
"""Stored images among them; one more is a reference."""
