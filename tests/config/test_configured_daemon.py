"""The daemon that a training starts for itself obeys variables and the TOML file."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import pixlog
from waiting import scaled_s


@pytest.fixture
def image() -> npt.NDArray[np.uint8]:
    """Return a small colour image."""
    return np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)


def log_one(run_dir: Path, key: str, image: npt.NDArray[np.uint8]) -> Path:
    """Log one image through a daemon of its own and return the path of its file."""
    with pixlog.connect(run_dir) as client:
        receipt = client.log_image(key, image, step=0)
        assert receipt.wait(scaled_s(30))
        assert receipt.state == "saved", receipt
        (path,) = receipt.paths
    return Path(path)


def test_started_daemon_reads_relative_config_file(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image: npt.NDArray[np.uint8]
) -> None:
    """PIXLOG_CONFIG may be relative to the training's directory, and its per-key encoding is applied."""
    (tmp_path / "pixlogd.toml").write_text('[[encode.keys]]\npattern = "photo/*"\nfile_type = "jpg"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIXLOG_CONFIG", "pixlogd.toml")
    assert log_one(run_dir, "photo/a", image).suffix == ".jpg"
    assert log_one(run_dir, "mask", image).suffix == ".png"


def test_started_daemon_reads_variable(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch, image: npt.NDArray[np.uint8]
) -> None:
    """A PIXLOG_ variable of the training sets the daemon that it starts."""
    monkeypatch.setenv("PIXLOG_ENCODE_FILE_TYPE", "bmp")
    assert log_one(run_dir, "a", image).suffix == ".bmp"


def test_started_daemon_uses_relative_runtime_dir(
    run_dir: Path, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch, image: npt.NDArray[np.uint8]
) -> None:
    """A relative PIXLOG_RUNTIME_DIR means the same directory to the training and to its daemon."""
    runtime_dir.mkdir()
    monkeypatch.chdir(runtime_dir)
    monkeypatch.setenv("PIXLOG_RUNTIME_DIR", "here")
    assert log_one(run_dir, "a", image).suffix == ".png"
    assert [path.suffix for path in (runtime_dir / "here").iterdir() if path.is_socket()] == [".sock"]


def test_connect_names_bad_setting(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting that the daemon cannot use is an error at connect that names it, not a time-out."""
    monkeypatch.setenv("PIXLOG_NICE", "low")
    with pytest.raises(
        pixlog.ConfigError, match="PIXLOG_NICE: got 'low', expected a whole number from 0 to 19"
    ):
        pixlog.connect(run_dir)
    assert not os.path.exists(run_dir / "manifest")
