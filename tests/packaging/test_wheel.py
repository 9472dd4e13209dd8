"""The wheel holds both packages and nothing else, and is what the suite tests when it is told to."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

import pixlog
import pixlogd

CODER = "pixlogd/encode/libpng_rows.so"
LIBRARIES = {CODER, "pixlog/sending/libstreamcopy.so"}  # compiled, where there is a compiler
ROOT = Path(__file__).resolve().parents[2]
WHEEL = os.environ.get("PIXLOG_TEST_WHEEL", "")
SITE_PACKAGES = Path(sysconfig.get_path("purelib")).resolve()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel under test, or one built from the source tree where the build backend is installed."""
    if WHEEL:
        return Path(WHEEL)
    builder: Any = pytest.importorskip("hatchling.builders.wheel", reason="hatchling is not installed")
    directory = tmp_path_factory.mktemp("dist")
    return Path(
        next(iter(builder.WheelBuilder(str(ROOT)).build(directory=str(directory), versions=["standard"])))
    )


@pytest.fixture(scope="module")
def names(wheel: Path) -> list[str]:
    """Return the names of the files in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.fixture(scope="module")
def headers(wheel: Path) -> Message:
    """Return the METADATA of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


@pytest.mark.skipif(not WHEEL, reason="the source tree is under test; make test WHEEL=... tests a wheel")
@pytest.mark.parametrize("package", [pixlog, pixlogd], ids=lambda package: package.__name__)
def test_suite_imports_installed_package(package: Any) -> None:
    """Under test is what is installed in site-packages, not the source tree."""
    path = Path(package.__file__).resolve()
    assert path.is_relative_to(SITE_PACKAGES)
    assert not path.is_relative_to(ROOT / "client")
    assert not path.is_relative_to(ROOT / "daemon")


def test_wheel_holds_two_packages(names: list[str]) -> None:
    """Only pixlog, pixlogd and the metadata are in the wheel: no tests, docs or names of other projects."""
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"pixlog", "pixlogd"}
    assert [name for name in names if "/test" in name or name.endswith("conftest.py")] == []


def test_wheel_holds_every_source(names: list[str]) -> None:
    """Each Python file, type marker and C source of both source roots is in the wheel."""
    sources = set()
    for root in ("client/pixlog", "daemon/pixlogd"):
        base = ROOT / root
        sources |= {
            path.relative_to(base.parent).as_posix()
            for path in base.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
    assert {"pixlog/py.typed", "pixlogd/py.typed", "pixlogd/encode/huffman.c"} <= sources
    assert {name for name in names if ".dist-info" not in name} - LIBRARIES == sources - LIBRARIES


def test_wheel_names_its_platform_if_it_is_compiled(names: list[str], wheel: Path) -> None:
    """A wheel with the compiled libraries serves every Python 3 of one platform, one without serves all platforms."""
    _, _, python, abi, platform = wheel.stem.split("-")
    assert (python, abi) == ("py3", "none")
    assert LIBRARIES & set(names) == (set() if platform == "any" else LIBRARIES)
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in names if name.endswith(".dist-info/WHEEL"))
        tags = Parser().parsestr(archive.read(name).decode())
    assert tags["Root-Is-Purelib"] == ("true" if platform == "any" else "false")
    assert tags["Tag"] == f"py3-none-{platform}"


@pytest.mark.skipif(not WHEEL, reason="the source tree is under test; make test WHEEL=... tests a wheel")
def test_daemon_says_whether_its_coder_is_compiled(names: list[str]) -> None:
    """``pixlogd --version`` names the compiled coder exactly where the wheel holds it and it can be loaded."""
    said = subprocess.run(
        [sys.executable, "-P", "-m", "pixlogd", "--version"], capture_output=True, text=True, check=True
    ).stdout
    assert said.startswith(f"pixlogd {pixlog.__version__} (PNG: ")
    assert ("own Huffman coder" in said) == (CODER in names)


@pytest.mark.parametrize("native", ["0", "1"])
def test_build_obeys_its_variable(native: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PIXLOG_BUILD_NATIVE=0 makes a pure wheel beside a compiler; 1 makes a build without a compiler an error."""
    builder: Any = pytest.importorskip("hatchling.builders.wheel", reason="hatchling is not installed")
    monkeypatch.setenv("PIXLOG_BUILD_NATIVE", native)
    monkeypatch.setenv("CC", "no-such-compiler")
    build = builder.WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    if native == "1":
        with pytest.raises(RuntimeError, match="no-such-compiler"):
            next(iter(build))
        return
    made = Path(next(iter(build)))
    assert made.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(made) as archive:
        assert not LIBRARIES & set(archive.namelist())


def test_wheel_needs_only_numpy_and_msgpack(headers: Message) -> None:
    """Without an extra, installing pixlog brings NumPy and msgpack."""
    required = [line for line in headers.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert sorted(line.partition(">")[0] for line in required) == ["msgpack", "numpy"]


def test_wheel_holds_both_commands(wheel: Path) -> None:
    """``pixlog`` and ``pixlogd`` are commands, and each leads to a function that exists."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/entry_points.txt"))
        points = archive.read(name).decode().split()
    assert points[0] == "[console_scripts]"
    assert points[1:] == ["pixlog", "=", "pixlog.__main__:main", "pixlogd", "=", "pixlogd.__main__:main"]
    for point in metadata.distribution("pixlog").entry_points:
        assert callable(point.load())


def test_version_has_one_source(headers: Message) -> None:
    """The version is written in pyproject.toml alone; the package asks its metadata."""
    written = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert pixlog.__version__ == headers["Version"] == written
