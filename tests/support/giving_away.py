"""Files of other users, where there are such."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def give_away(path: Path, uid: int) -> None:
    """Make a file that of another user and group; skip the test where root may not, or knows no such user."""
    try:
        os.chown(path, uid, uid)
    except OSError as exc:
        pytest.skip(f"root cannot give a file to uid {uid} here: {exc}")
