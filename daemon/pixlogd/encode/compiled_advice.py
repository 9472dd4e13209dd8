"""Why the encoder's compiled part is not used, or should be made anew, for a person who asks what runs.

Loading says only whether there is a library.  What is wrong with one is looked up when somebody asks.
"""

from __future__ import annotations

import ctypes
import shlex
import sys
from pathlib import Path

from pixlogd.encode import compiled


def trouble(path: Path = compiled.PATH) -> str:
    """Why the library at ``path`` is not used, or what is wrong with it all the same; empty if nothing is."""
    if not path.exists():
        return f"{path.name} is not there: pixlog was installed without a C compiler, or with PIXLOG_BUILD_NATIVE=0"
    try:
        found = ctypes.CDLL(str(path))
    except OSError as exc:
        return f"{path.name} cannot be loaded on this machine: {str(exc).removeprefix(f'{path}: ')}"
    missing = next((name for name in compiled.FUNCTIONS if not hasattr(found, name)), None)
    if missing is not None:
        return f"{path.name} is of another version: it has no {missing}"
    changed = _sources_changed_since(path)
    if changed:
        return f"{path.name} is used, but is older than {', '.join(changed)}"
    return ""


def remedy(path: Path = compiled.PATH) -> str:
    """What to type where there is :func:`trouble`; it needs a C compiler, and ends with an error without one."""
    root = _source_tree_of(path)
    what = f"-e {shlex.quote(str(root))}" if root is not None else "--force-reinstall ."
    where = "" if root is not None else "in a clone of pixlog, "
    command = f"PIXLOG_BUILD_NATIVE=1 {shlex.quote(sys.executable)} -m pip install --no-deps {what}"
    return f"to compile it, {where}with cc or the CC you name:  {command}"


def _source_tree_of(path: Path) -> Path | None:
    """The clone that an editable install runs from; None for an installed package."""
    root = path.parents[3]
    return root if (root / "hatch_build.py").is_file() else None


def _sources_changed_since(path: Path) -> list[str]:
    """The sources that are newer than the library; in an installed package times mean nothing."""
    if _source_tree_of(path) is None:
        return []
    made = path.stat().st_mtime
    return sorted(source.name for source in path.parent.glob("*.[ch]") if source.stat().st_mtime > made)
