"""What to say to someone who asks for a key that a run does not have."""

from __future__ import annotations

import difflib
from pathlib import Path

from pixlog.errors import RunKeyError


def unknown_key(asked: str, keys: list[str], run_dir: Path) -> RunKeyError:
    """Return the error for a key or pattern that none of ``keys`` fits; it names the nearest ones."""
    near = difflib.get_close_matches(asked, keys, n=3)
    near += [key for key in keys if asked and asked in key and key not in near][: 3 - len(near)]
    if near:
        hint = f"did you mean {' or '.join(map(repr, near))}?"
    else:
        hint = f"keys: {', '.join(keys[:8])}{', …' if len(keys) > 8 else ''}" if keys else "no rows yet"
    return RunKeyError(f"nothing was logged under {asked!r} in {run_dir}; {hint}")
