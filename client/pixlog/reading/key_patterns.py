"""Keys as people give them: names, or patterns such as ``val/*``, against the keys that a run has."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase

from pixlog.errors import RunError
from pixlog.reading.run import Run


def chosen_keys(run: Run, patterns: Sequence[str] | None) -> list[str] | None:
    """Return the keys that are meant; raise ``RunError`` with the nearest ones for a pattern that none fits."""
    if not patterns:
        return None
    keys = run.keys()
    chosen: dict[str, None] = {}
    for pattern in patterns:
        fitting = [pattern] if pattern in keys else [key for key in keys if fnmatchcase(key, pattern)]
        if not fitting:
            near = difflib.get_close_matches(pattern, keys, n=3)
            others = (
                f"did you mean {' or '.join(map(repr, near))}?" if near else f"keys: {', '.join(keys[:8])}"
            )
            raise RunError(
                f"nothing was logged under {pattern!r} in {run.path}; {others if keys else 'no rows yet'}"
            )
        chosen.update(dict.fromkeys(fitting))
    return list(chosen)
