"""The protocol is enough to write a client in another language."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pixlog
from waiting import scaled_s, wait_until

CLIENT = Path(__file__).parents[2] / "examples" / "log_one_image.mjs"


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
def test_node_client_logs_an_image(run_dir: Path, runtime_dir: Path) -> None:
    """The client in the examples, of fewer than 80 lines without a package, logs pixels that come back exactly."""
    assert len(CLIENT.read_text().splitlines()) < 80
    runtime_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    socket = runtime_dir / "service.sock"
    command = [sys.executable, "-m", "pixlogd", "serve", "--socket", str(socket)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as daemon:
        try:
            wait_until(socket.exists, timeout_s=30)
            done = subprocess.run(
                ["node", str(CLIENT), str(socket), str(run_dir)],
                capture_output=True,
                text=True,
                check=True,
                timeout=scaled_s(30),
            )
        finally:
            daemon.terminate()
            daemon.wait(scaled_s(30))
    assert done.stdout == "saved\n"
    (image,) = pixlog.Run(run_dir).images("from/node")
    assert image.caption == "hello"
    assert image.array()[47, 63].tolist() == [252, 235, 128]
