"""``pixlogd --version`` says what makes PNGs, and where that is not the compiled part, why and what to type."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pixlogd
from pixlogd.encode import compiled
from pixlogd.encode.compiled_advice import remedy, trouble

needs_library = pytest.mark.skipif(compiled.library is None, reason="the encoder is not compiled")


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Return where the library of a daemon that was installed into ``tmp_path`` belongs; none is there."""
    path = tmp_path / "lib" / "daemon" / "pixlogd" / "encode" / compiled.FILE_NAME
    shutil.copytree(
        Path(pixlogd.__file__).parent, path.parents[1], ignore=shutil.ignore_patterns("*.so", "__pycache__")
    )
    return path


def version_of(library: Path) -> list[str]:
    """Return the lines that the daemon around ``library`` says of itself."""
    shown = subprocess.run(
        [sys.executable, "-P", "-m", "pixlogd", "--version"],
        env={**os.environ, "PYTHONPATH": str(library.parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stderr == ""
    return shown.stdout.splitlines()


def put_library(path: Path) -> None:
    """Copy the library that is in use to ``path``."""
    shutil.copyfile(compiled.PATH, path)


def test_version_says_how_to_compile_what_is_not_there(library: Path) -> None:
    """Without a library NumPy runs, and a line says what to type in a clone."""
    first, why, command = version_of(library)
    assert "(PNG: NumPy, " in first
    assert why.startswith(f"{compiled.FILE_NAME} is not there: ")
    assert "in a clone of pixlog" in command
    assert command.endswith(
        f"PIXLOG_BUILD_NATIVE=1 {sys.executable} -m pip install --no-deps --force-reinstall ."
    )


def test_version_names_the_clone_that_it_runs_from(library: Path) -> None:
    """An editable install is compiled where it lies, whatever is in the path of it."""
    root = library.parents[3]
    (root / "hatch_build.py").touch()
    assert version_of(library)[2].endswith(f"-m pip install --no-deps -e {root}")
    spaced = root / "my clone" / library.relative_to(root)
    spaced.parent.mkdir(parents=True)
    (root / "my clone" / "hatch_build.py").touch()
    assert remedy(spaced).endswith(f"-e '{root}/my clone'")


@needs_library
def test_version_of_what_fits_is_one_line(library: Path) -> None:
    """A library that is there and fits leaves nothing to say, whatever the times of an installed package are."""
    put_library(library)
    os.utime(library, (0, 0))
    (line,) = version_of(library)
    assert "(PNG: own Huffman coder, " in line


@needs_library
def test_version_tells_of_sources_that_came_after_the_library(library: Path) -> None:
    """In a clone the sources that are newer than the library are named, as after a pull; it is used all the same."""
    put_library(library)
    (library.parents[3] / "hatch_build.py").touch()
    made = library.stat().st_mtime
    for source in library.parent.glob("*.[ch]"):
        os.utime(source, (made - 1, made - 1))
    assert len(version_of(library)) == 1
    os.utime(library.with_name("photograph.c"), (made + 1, made + 1))
    first, why, command = version_of(library)
    assert "(PNG: own Huffman coder, " in first
    assert why == f"{compiled.FILE_NAME} is used, but is older than photograph.c"
    assert " -e " in command


def test_version_tells_of_a_library_of_another_machine(library: Path) -> None:
    """What the system does not load is named with the system's reason."""
    library.write_bytes(b"\x7fELF of another processor")
    first, why, _ = version_of(library)
    assert "(PNG: NumPy, " in first
    assert why.startswith(f"{compiled.FILE_NAME} cannot be loaded on this machine: ")
    assert str(library) not in why


@needs_library
def test_version_tells_of_a_library_of_another_version(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that lacks a function that is asked of it is not used, and the function is named."""
    put_library(library)
    monkeypatch.setitem(compiled.FUNCTIONS, "pixlog_of_tomorrow", (None, []))
    assert compiled.load(library) is None
    assert trouble(library) == f"{compiled.FILE_NAME} is of another version: it has no pixlog_of_tomorrow"
