"""Compiles the C sources into the wheel, where there is a C compiler.

They need nothing but ``cc`` and no header of Python, so their libraries serve every Python of a platform: the wheel
is tagged ``py3-none-<platform>``.  Without a compiler the wheel is pure, and everything works without them, slower.
Each library lies in its package, beside its source; an editable install gets it into the source tree.

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

LIBRARIES = {
    "daemon/pixlogd/encode/libpng_rows.so": [
        "daemon/pixlogd/encode/checksums.c",
        "daemon/pixlogd/encode/filters.c",
        "daemon/pixlogd/encode/huffman.c",
        "daemon/pixlogd/encode/literals.c",
        "daemon/pixlogd/encode/photograph.c",
    ],
    "client/pixlog/sending/libstreamcopy.so": ["client/pixlog/sending/stream_copy.c"],
}
"""Each library of the source tree with its sources; in the wheel its path begins at the package."""


class NativeBuildHook(BuildHookInterface[Any]):
    """Adds the libraries to a wheel, or to the source tree of an editable install."""

    _directory = ""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile before the wheel is put together; ``version`` is "standard" or "editable"."""
        wanted = os.environ.get("PIXLOG_BUILD_NATIVE", "")
        if wanted not in {"", "0", "1"}:
            raise ValueError(f"PIXLOG_BUILD_NATIVE is {wanted!r}, expected 0 or 1")
        in_tree = [Path(self.root, library) for library in LIBRARIES]
        made: list[Path] = []
        if wanted != "0":
            self._directory = tempfile.mkdtemp(prefix="pixlog-build-")
            made = [Path(self._directory, library.name) for library in in_tree]
            if trouble := self._compile_all(made):
                if wanted == "1":
                    raise RuntimeError(f"PIXLOG_BUILD_NATIVE=1, but {trouble}")
                self.app.display_warning(f"pixlog is installed without its compiled parts: {trouble}")
                made = []
        if version == "editable":
            _put_in_place(made, in_tree)
        elif made:
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{_platform_tag()}"
            for library, path in zip(made, LIBRARIES, strict=True):
                build_data["force_include"][str(library)] = path.partition("/")[2]

    def _compile_all(self, libraries: list[Path]) -> str:
        for library, sources in zip(libraries, LIBRARIES.values(), strict=True):
            if trouble := _compile([Path(self.root, source) for source in sources], library):
                return trouble
        return ""

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was compiled for the wheel."""
        if self._directory:
            shutil.rmtree(self._directory, ignore_errors=True)


def _put_in_place(made: list[Path], in_tree: list[Path]) -> None:
    """Put the libraries into the source tree; with none made, remove what is there."""
    if not made:
        for path in in_tree:
            path.unlink(missing_ok=True)
        return
    for library, path in zip(made, in_tree, strict=True):
        # Replaced, not written to: a daemon may be running with the one that is there.
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        shutil.copyfile(library, beside)
        os.replace(beside, path)


def _compile(sources: list[Path], library: Path) -> str:
    """Make ``library``; return what went wrong, empty if nothing did."""
    if sys.platform == "win32":
        return "on Windows it is not supported"
    command = shlex.split(os.environ.get("CC") or "cc")
    command += [
        "-std=c99",
        "-O3",
        "-fPIC",
        "-fvisibility=hidden",
        "-shared",
        "-o",
        str(library),
        *map(str, sources),
    ]
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
