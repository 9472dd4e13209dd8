"""fsync = "batch" has media and rows on the disk before an image counts as saved; "off" never waits for the disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import daemons
import pixlog
from tracing import call_counts, traced
from waiting import scaled_s, wait_until

IMAGES = 12


def log_images(client: pixlog.Client) -> None:
    """Log some images under steps of their own."""
    for step in range(IMAGES):
        client.log_image("k", np.full((20, 20), step, np.uint8), step=step)


def test_fsync_off_flushes_nothing(
    run_dir: Path, runtime_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default no file is flushed to the disk."""
    monkeypatch.setenv("PIXLOG_FSYNC", "off")
    with pixlog.connect(run_dir) as client:
        with traced(
            daemons.the_daemon_of(runtime_dir).pid, ["-e", "trace=fsync,rename,linkat"], tmp_path / "trace"
        ):
            log_images(client)
            assert client.flush(scaled_s(30)) == 0
        calls = call_counts(tmp_path / "trace")
    assert (calls["fsync"], calls["rename"] + calls["linkat"]) == (0, IMAGES)


def test_fsync_batch_flushes_each_file_and_each_batch_of_rows(
    run_dir: Path, runtime_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every media file is flushed, and the segment with the rows, for all rows of a batch at once."""
    monkeypatch.setenv("PIXLOG_FSYNC", "batch")
    with pixlog.connect(run_dir) as client:
        with traced(daemons.the_daemon_of(runtime_dir).pid, ["-y", "-e", "trace=fsync"], tmp_path / "trace"):
            log_images(client)
            assert client.flush(scaled_s(30)) == 0
        flushed = (tmp_path / "trace").read_text()
    files = [line for line in flushed.splitlines() if "/.writing-" in line or "/media/images/#" in line]
    assert len(files) == IMAGES, flushed  # each under a temporary name, or without one
    assert 1 <= flushed.count(".jsonl>") <= IMAGES
    assert "media/images>" in flushed


@pytest.mark.parametrize(("store", "media"), [("files", "media/images"), ("packed", "media/shards")])
def test_fsync_batch_flushes_every_name_on_the_way_to_an_image(
    run_dir: Path,
    runtime_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    store: str,
    media: str,
) -> None:
    """The run directory's own name too, though the run was opened, and its directories made, before the first image."""
    monkeypatch.setenv("PIXLOG_FSYNC", "batch")
    monkeypatch.setenv("PIXLOG_STORE", store)
    with pixlog.connect(run_dir) as client:
        assert (run_dir / "media").is_dir()
        with traced(daemons.the_daemon_of(runtime_dir).pid, ["-y", "-e", "trace=fsync"], tmp_path / "trace"):
            log_images(client)
            assert client.flush(scaled_s(30)) == 0
        flushed = (tmp_path / "trace").read_text()
    media_dir = run_dir / media
    for directory in (run_dir.parent, run_dir, run_dir / "manifest", media_dir.parent, media_dir):
        assert f"<{directory}>" in flushed, flushed


def test_fsync_batch_waits_for_the_disk(
    run_dir: Path, runtime_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the disk does not confirm (EIO), no image counts as saved; when it does, all are."""
    monkeypatch.setenv("PIXLOG_FSYNC", "batch")
    with pixlog.connect(run_dir) as client:
        pid = daemons.the_daemon_of(runtime_dir).pid
        with traced(pid, ["-e", "trace=fsync", "-e", "inject=fsync:error=EIO"], tmp_path / "trace"):
            log_images(client)
            wait_until(lambda: call_counts(tmp_path / "trace")["fsync"] >= 3)
            assert client.stats().saved == 0
        assert client.flush(scaled_s(30)) == 0
        assert client.stats().saved == IMAGES
