"""What real processes log through a real daemon is what the reader and the commands show."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import pixlog
from pixlog.reading.verify import verify
from waiting import scaled_s, wait_until

_WORKER = """
import os, sys
import numpy as np
import pixlog

with pixlog.connect(sys.argv[1], rank=int(sys.argv[2])) as client:
    for step in range(int(sys.argv[3])):
        pixels = np.full((16, 24, 3), (step, int(sys.argv[2]), 7), np.uint8)
        client.log_image("val/pred", pixels, step=step, meta={"score": step / 10})
"""


def _worker(run_dir: Path, rank: int, count: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", _WORKER, str(run_dir), str(rank), str(count)])


def _command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pixlog", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=scaled_s(60),
    )


def test_reader_follows_two_ranks_to_the_end(run_dir: Path) -> None:
    """Rows of two processes are seen as they are written, once each, and their files are whole at that moment."""
    count = 60
    with pixlog.connect(run_dir, rank=9) as client:
        client.log_image("first", np.zeros((2, 2), np.uint8)).wait(scaled_s(20))
        run = pixlog.Run(run_dir)
        workers = [_worker(run_dir, rank, count) for rank in (0, 1)]
        seen: list[tuple[int, int]] = []
        for row in run.follow("val/pred", poll_s=0.01, timeout_s=scaled_s(30)):
            (image,) = row.images
            assert image.array()[0, 0].tolist() == [row.step, row.rank, 7]
            seen.append((row.rank, row.step))
            if len(seen) == 2 * count:
                break
        assert [worker.wait() for worker in workers] == [0, 0]
    assert sorted(seen) == [(rank, step) for rank in (0, 1) for step in range(count)]
    assert run.steps("val/pred") == list(range(count))
    assert [row.rank for row in run.rows("val/pred", 5)] == [0, 1]
    assert len(run.rows("val/pred", where=lambda row: row.meta["score"] < 0.3)) == 6
    assert verify(run).ok
    assert run.problems.total == 0


def _pixels(dtype: Any, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    return np.random.default_rng(0).integers(0, 255, shape).astype(dtype)


def test_images_come_back_as_they_were_logged(run_dir: Path) -> None:
    """Pixels, captions, overlays, previews and reasons survive the way through the daemon."""
    pixels = _pixels(np.uint8, (20, 30, 3))
    deep = _pixels(np.uint16, (20, 30)) * 200
    ids = np.arange(600, dtype=np.uint16).reshape(20, 30)
    box = {"position": {"minX": 0.1, "maxX": 0.2, "minY": 0.3, "maxY": 0.4}, "class_id": 1}
    with pixlog.connect(run_dir) as client:
        image = pixlog.Image(
            pixels,
            caption="é",
            masks={"gt": {"mask_data": ids, "class_labels": {3: "cat"}}},
            boxes={"pred": {"box_data": [box], "class_labels": {1: "dog"}}},
            meta={"own": 1},
        )
        client.log_image("k", image, step=4)
        client.log_image("deep", deep, depth="keep", step=0)
        client.log_image("list", [pixels, pixlog.Image(255 - pixels, caption="b")], step=0)
        client.log({"a": pixels, "b": pixels}, step=1)
    run = pixlog.Run(run_dir)
    (saved,) = run.images("k", step=4)
    np.testing.assert_array_equal(saved.array(), pixels, strict=True)
    assert (saved.caption, saved.meta, saved.mask_labels) == ("é", {"own": 1}, {"gt": {3: "cat"}})
    np.testing.assert_array_equal(saved.masks["gt"].array(), ids, strict=True)
    assert saved.boxes["pred"]["box_data"] == [box]
    (kept,) = run.images("deep")
    np.testing.assert_array_equal(kept.array(), deep, strict=True)
    assert kept.preview is not None
    assert kept.preview.array().dtype == np.uint8
    first, second = run.images("list")
    assert (first.caption, second.caption, second.index) == (None, "b", 1)
    np.testing.assert_array_equal(second.array(), 255 - pixels)
    calls = {row.call for row in run.rows(["a", "b"])}
    assert len(calls) == 1
    assert None not in calls
    assert verify(run_dir).ok


def test_commands_show_and_end_a_real_daemon(run_dir: Path) -> None:
    """status shows the client and its counts, stop ends the daemon after what it had accepted."""
    client = pixlog.connect(run_dir)
    for step in range(20):
        client.log_image("k", np.full((8, 8), step, np.uint8), step=step)
    client.flush(timeout_s=scaled_s(20))
    (daemon,) = json.loads(_command("status", str(run_dir), "--json").stdout)["daemons"]
    (run,) = daemon["runs"]
    assert (run["accepted"], run["saved"], run["failed"], run["dropped"]) == (20, 20, 0, 0)
    assert len(run["clients"]) == 1
    assert "20 saved" in _command("status", "--all").stdout
    client.close(timeout_s=scaled_s(20))
    stopped = _command("stop", str(run_dir))
    assert (stopped.returncode, stopped.stderr) == (0, "")
    assert stopped.stdout in (
        f"stopped the daemon with pid {daemon['pid']}\n",
        f"no daemon is running for {run_dir}; nothing to stop\n",
    )
    assert "no daemon is running" in _command("status", str(run_dir)).stdout
    assert "20 saved" in _command("verify", str(run_dir)).stdout


def test_watch_sees_a_daemon_to_its_end(run_dir: Path) -> None:
    """status --watch goes on while the daemon lives and ends by itself."""
    client = pixlog.connect(run_dir)
    client.log_image("k", np.zeros((8, 8), np.uint8))
    client.flush(timeout_s=scaled_s(20))
    watch = subprocess.Popen(
        [sys.executable, "-m", "pixlog", "status", str(run_dir), "--watch", "--json", "--interval", "0.1"],
        stdout=subprocess.PIPE,
        text=True,
    )
    lines: list[dict[str, Any]] = []
    assert watch.stdout is not None

    def read() -> None:
        assert watch.stdout is not None
        lines.extend(json.loads(line) for line in watch.stdout)

    reader = threading.Thread(target=read)
    reader.start()
    wait_until(lambda: len(lines) >= 2, timeout_s=30)
    client.close(timeout_s=scaled_s(20))
    assert _command("stop", str(run_dir)).returncode == 0
    assert watch.wait(timeout=scaled_s(30)) == 0
    reader.join()
    watch.stdout.close()
    assert lines[0]["daemons"]
    assert lines[-1] == {"daemons": [], "manifest": {"rows": 1, "saved": 1, "failed": 0, "dropped": 0}}


def test_a_loss_that_is_not_finite_is_a_number_like_the_others(run_dir: Path) -> None:
    """NaN and infinities in meta come back as numbers that compare, alone and in the column; text stays text."""
    losses = [0.0, 0.5, float("nan"), float("inf"), float("-inf")]
    names = ["a", "nan", "b", "inf", "c"]
    with pixlog.connect(run_dir) as client:
        for step, (loss, name) in enumerate(zip(losses, names, strict=True)):
            meta = {"loss": loss, "name": name, "bad": float("nan"), "list": [loss]}
            call = client.log_image(
                "k", pixlog.Image(np.zeros((2, 2), np.uint8), meta={"own": loss}), step=step, meta=meta
            )
        call.wait(scaled_s(20))
    run = pixlog.Run(run_dir)
    assert len(run.rows(where=lambda row: row.meta.get("loss", 1) < 0.3)) == 2
    np.testing.assert_array_equal([row.meta["loss"] for row in run.rows()], losses)
    np.testing.assert_array_equal([image.meta["own"] for image in run.images()], losses)
    table = run.to_arrow()
    for column in ("meta.loss", "meta.own"):
        np.testing.assert_array_equal(table[column].to_pylist(), losses)
    assert table["meta.name"].to_pylist() == names
    assert str(table["meta.bad"].type) == "double"
    assert json.loads(table["meta"][3].as_py())["loss"] == "inf"
    assert run.rows()[2].to_dict()["meta"]["loss"] == "nan"
