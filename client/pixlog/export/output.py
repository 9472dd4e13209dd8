"""Where an export goes: complete or not at all, and never over something else unless that was asked for.

The format writes into a temporary directory beside the output, on the same file system; the last step is a rename.  A
directory that replaces another must find that one to be an export, which a hidden file in it says: ``--force`` with a
mistyped path does not take anyone's home away.

Whoever writes holds a lock on the temporary directory.  One of the same output that nobody holds any more was left by a
process that was killed, and goes with the next export.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from pixlog.errors import InputError, RunError

_MOST_OF_NAME: Final = 100
_YOUNG_S: Final = 60

MARK: Final = ".pixlog-export.json"
"""Name of the file in an exported directory that says what it is."""


@contextmanager
def atomic_output(out: Path, *, run_dir: Path, is_directory: bool, force: bool) -> Iterator[Path]:
    """Give a path to write to, which becomes ``out`` when the block ends without an exception.

    Raises ``InputError`` if ``out`` exists and ``force`` is not given or it is not an export, if it is inside of the
    run, and if it cannot be written.
    """
    out = Path(os.path.abspath(out))
    check_output(out, run_dir=run_dir, is_directory=is_directory, force=force)
    prefix = f".{out.name[:_MOST_OF_NAME]}.exporting-"
    try:
        _remove_abandoned(out.parent, prefix)
        work = Path(tempfile.mkdtemp(prefix=prefix, dir=out.parent))
    except OSError as error:
        raise InputError(f"cannot write into {out.parent}: {error.strerror}") from error
    lock = _locked(work)
    try:
        target = work / out.name
        yield target
        _publish(target, out, work, force=force)
    except OSError as error:
        if error.filename is not None and str(error.filename).startswith(str(run_dir)):
            raise RunError(f"cannot read {error.filename}: {error.strerror}") from error
        raise InputError(f"cannot write {out}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def check_output(out: Path, *, run_dir: Path, is_directory: bool, force: bool) -> None:
    """Raise ``InputError`` if an export may not be written to ``out``."""
    if not out.parent.is_dir():
        raise InputError(f"there is no directory {out.parent} to write {out.name} into")
    real, run = out.resolve(), run_dir.resolve()
    if real == run or run in real.parents:
        raise InputError(
            f"{out} is inside of the run {run_dir}, which is left as it is: choose a place outside"
        )
    if not os.path.lexists(out):
        return
    if out.is_dir() and not out.is_symlink():
        if not is_directory:
            raise InputError(f"{out} is a directory, expected the name of the file to write")
        if not any(out.iterdir()):
            return
        if not force:
            raise InputError(f"{out} exists already and is not empty; --force (force=True) replaces it")
        if not (out / MARK).is_file():
            raise InputError(f"{out} is not an export of pixlog (it has no {MARK}), so it is not replaced")
        return
    if not force:
        raise InputError(f"{out} exists already; --force (force=True) replaces it")
    if is_directory:
        raise InputError(f"{out} is a file, expected a directory to replace")


def write_mark(directory: Path, facts: dict[str, Any]) -> None:
    """Say in an exported directory what it is."""
    (directory / MARK).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def _remove_abandoned(parent: Path, prefix: str) -> None:
    """Remove temporary directories whose process is gone; those of the last minute may be about to be locked."""
    for path in parent.glob(f"{glob.escape(prefix)}*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _YOUNG_S and (lock := _locked(path)) is not None:
                shutil.rmtree(path, ignore_errors=True)
                os.close(lock)


def _locked(directory: Path) -> int | None:
    """Return a descriptor of a directory that this process alone has locked; None where that cannot be."""
    try:
        import fcntl

        descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    except (ImportError, OSError):
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _publish(target: Path, out: Path, work: Path, *, force: bool) -> None:
    if target.is_dir():
        if force and out.is_dir() and any(out.iterdir()):
            os.rename(out, work / "replaced")
        os.rename(target, out)
    elif force:
        os.replace(target, out)
    else:
        try:
            os.link(target, out)  # unlike a rename it does not replace what came there meanwhile
        except FileExistsError:
            raise InputError(f"{out} came into being meanwhile; --force (force=True) replaces it") from None
        except OSError:
            with contextlib.suppress(FileNotFoundError):
                os.rename(target, out)
