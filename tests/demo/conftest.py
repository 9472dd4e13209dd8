"""The demo, run once in small for all tests that look at what came of it."""

from __future__ import annotations

import pytest

from browsing import browser, open_page
from demo_runs import Demo, run_demo

__all__ = ["browser", "open_page"]

_demos: list[Demo] = []


@pytest.fixture
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """Return the demo that ``train_digits.py --fast --picture`` ran; its run is not to be changed."""
    if not _demos:
        root = tmp_path_factory.mktemp("demo")
        run_dir, picture = root / "run", root / "picture.png"
        _demos.append(Demo(run_dir, picture, run_demo(run_dir, "--fast", "--picture", str(picture))))
    return _demos[0]
