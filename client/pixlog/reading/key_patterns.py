"""Keys as people give them: names, or patterns such as ``val/*``, against the keys that a run has."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from pixlog.reading.near_keys import unknown_key
from pixlog.reading.run import Run


def chosen_keys(run: Run, patterns: Sequence[str] | None) -> list[str] | None:
    """Return the keys that are meant; raise ``RunKeyError`` with the nearest ones for a pattern that none fits."""
    if not patterns:
        return None
    keys = run.keys()
    chosen: dict[str, None] = {}
    for pattern in patterns:
        fitting = [pattern] if pattern in keys else [key for key in keys if fnmatchcase(key, pattern)]
        if not fitting:
            raise unknown_key(pattern, keys, run.path)
        chosen.update(dict.fromkeys(fitting))
    return list(chosen)
