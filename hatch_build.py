"""Compiles the PNG encoder's C source into the wheel, where there is a C compiler.

``daemon/pixlogd/encode/huffman.c`` needs nothing but ``cc`` and no header of Python, so one library serves every
Python of a platform: the wheel is tagged ``py3-none-<platform>``.  Without a compiler the wheel is pure, and the
encoder does without.  An editable install gets the library into the source tree, beside the C source.

``PIXLOG_BUILD_NATIVE``: ``1`` makes a build without a compiler an error, ``0`` makes the wheel pure.  ``CC`` names the
compiler.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = "daemon/pixlogd/encode/huffman.c"
LIBRARY = "daemon/pixlogd/encode/libhuffman.so"
IN_WHEEL = "pixlogd/encode/libhuffman.so"


class NativeBuildHook(BuildHookInterface[Any]):
    """Adds the library to a wheel, or to the source tree of an editable install."""

    _directory = ""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile before the wheel is put together; ``version`` is "standard" or "editable"."""
        wanted = os.environ.get("PIXLOG_BUILD_NATIVE", "")
        if wanted not in {"", "0", "1"}:
            raise ValueError(f"PIXLOG_BUILD_NATIVE is {wanted!r}, expected 0 or 1")
        root = Path(self.root)
        in_tree = root / LIBRARY
        if wanted == "0":
            if version == "editable":
                in_tree.unlink(missing_ok=True)
            return
        self._directory = tempfile.mkdtemp(prefix="pixlog-build-")
        made = Path(self._directory, in_tree.name)
        if trouble := _compile(root / SOURCE, made):
            if wanted == "1":
                raise RuntimeError(f"PIXLOG_BUILD_NATIVE=1, but {trouble}")
            if version == "editable":
                in_tree.unlink(missing_ok=True)
            self.app.display_warning(
                f"pixlog's PNG encoder is not compiled, ISA-L takes its place: {trouble}"
            )
            return
        if version == "editable":
            # Replaced, not written to: a daemon may be running with the one that is there.
            beside = in_tree.with_name(f".{in_tree.name}.{os.getpid()}")
            shutil.copyfile(made, beside)
            os.replace(beside, in_tree)
            return
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{_platform_tag()}"
        build_data["force_include"][str(made)] = IN_WHEEL

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was compiled for the wheel."""
        if self._directory:
            shutil.rmtree(self._directory, ignore_errors=True)


def _compile(source: Path, library: Path) -> str:
    """Make ``library``; return what went wrong, empty if nothing did."""
    if sys.platform == "win32":
        return "on Windows it is not supported"
    command = shlex.split(os.environ.get("CC") or "cc")
    command += ["-std=c99", "-O3", "-fPIC", "-fvisibility=hidden", "-shared", "-o", str(library), str(source)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as exc:
        return f"{command[0]}: {exc.strerror or exc}"
    if done.returncode:
        return f"{command[0]} ended with {done.returncode}: {done.stderr.strip()[-2000:]}"
    return ""


def _platform_tag() -> str:
    if sys.platform == "darwin":  # of this machine: Python itself may be built for two processors
        from packaging.tags import platform_tags

        return next(iter(platform_tags()))
    return re.sub(r"[^0-9A-Za-z_]", "_", sysconfig.get_platform())
