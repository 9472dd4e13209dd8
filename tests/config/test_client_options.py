"""The options of a client: argument over variable over default, and errors that say which it was."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixlog.bytecount import GIB, MIB
from pixlog.errors import ConfigError
from pixlog.options import default_buffer_bytes, resolve_client_options, resolve_run_dir

# option, value as an argument, the variable's text, what each resolves to
SOURCES: list[tuple[str, Any, str, Any, Any]] = [
    ("rank", 3, "4", 3, 4),
    ("strict", True, "off", True, False),
    ("contract", "wandb", "pixlog", "wandb", "pixlog"),
    ("on_full", "block", "drop_newest", "block", "drop_newest"),
    ("buffer_bytes", "64MiB", "1GB", 64 * MIB, 10**9),
    ("spill_bytes", 0, "3GiB", 0, 3 * GIB),
    ("daemon", "require", "/run/p.sock", "require", "/run/p.sock"),
    ("timeout_s", 2, "1.5", 2.0, 1.5),
    ("device_copy", "async", "sync", "async", "sync"),
]


def test_client_options_default_without_sources() -> None:
    """An empty environment and no argument give the documented defaults."""
    options = resolve_client_options(environ={})
    assert (options.rank, options.local_rank, options.world_size) == (0, None, None)
    assert (options.strict, options.contract, options.on_full) == (False, "pixlog", "spill")
    assert (options.spill_bytes, options.daemon, options.timeout_s) == (2 * GIB, "auto", 30.0)
    assert options.buffer_bytes == default_buffer_bytes()


@pytest.mark.parametrize(("name", "argument", "text", "from_argument", "from_variable"), SOURCES)
def test_client_options_prefer_argument_to_variable(
    name: str, argument: Any, text: str, from_argument: Any, from_variable: Any
) -> None:
    """Each option is taken from its argument, else from its PIXLOG_ variable."""
    environ = {f"PIXLOG_{name.upper()}": text}
    assert getattr(resolve_client_options(environ=environ), name) == from_variable
    assert getattr(resolve_client_options(environ=environ, **{name: argument}), name) == from_argument


@pytest.mark.parametrize("name", [source[0] for source in SOURCES])
def test_client_options_treat_empty_variable_as_unset(name: str) -> None:
    """A variable set to nothing, as templates leave it, changes nothing."""
    assert resolve_client_options(environ={f"PIXLOG_{name.upper()}": " "}) == resolve_client_options(
        environ={}
    )


BAD: list[tuple[str, Any, str]] = [
    ("rank", -1, "a whole number"),
    ("rank", True, "a whole number"),
    ("rank", "1.5", "a whole number"),
    ("rank", 1.5, "a whole number"),
    ("strict", "maybe", "1 or 0"),
    ("contract", "mlflow", "'pixlog', 'wandb'"),
    ("on_full", "drop_old", "'spill', 'block', 'drop_newest'"),
    ("buffer_bytes", "lots", "a byte count"),
    ("buffer_bytes", 1, "at least 65536 bytes"),
    ("spill_bytes", "-1", "a byte count"),
    ("daemon", "requier", "'auto', 'require', or the path"),
    ("daemon", "/" + "d" * 120, "at most 107"),
    ("timeout_s", "soon", "a number of seconds"),
    ("device_copy", "asynchronous", "'async', 'sync'"),
    ("timeout_s", 0, "a number of seconds"),
    ("timeout_s", float("inf"), "a number of seconds"),
    ("timeout_s", True, "a number of seconds"),
]


@pytest.mark.parametrize(("name", "value", "expected"), BAD)
def test_client_options_name_bad_argument(name: str, value: Any, expected: str) -> None:
    """A bad argument is an error that names it, what was got and what was expected."""
    with pytest.raises(ConfigError, match=rf"^connect\({name}=\.\.\.\): got .*{expected}"):
        resolve_client_options(environ={}, **{name: value})


@pytest.mark.parametrize(("name", "value", "expected"), [row for row in BAD if isinstance(row[1], str)])
def test_client_options_name_bad_variable(name: str, value: str, expected: str) -> None:
    """A bad variable is an error that names it."""
    with pytest.raises(ConfigError, match=rf"^PIXLOG_{name.upper()}: got .*{expected}"):
        resolve_client_options(environ={f"PIXLOG_{name.upper()}": value})


def test_client_options_take_launcher_ranks() -> None:
    """Ranks come from the launcher, and a rank given by hand leaves the other two as they are."""
    environ = {"RANK": "5", "LOCAL_RANK": "1", "WORLD_SIZE": "8"}
    options = resolve_client_options(environ=environ)
    assert (options.rank, options.local_rank, options.world_size) == (5, 1, 8)
    assert resolve_client_options(environ=environ, rank=int(np.int64(7))).rank == 7


def test_client_options_accept_numpy_rank() -> None:
    """A rank that is a NumPy integer becomes a plain one."""
    rank: Any = np.int64(7)
    assert type(resolve_client_options(environ={}, rank=rank).rank) is int


def test_client_options_accept_socket_path_object() -> None:
    """A socket may be given as a path object and becomes absolute."""
    assert resolve_client_options(environ={}, daemon=Path("here/p.sock")).daemon == os.path.abspath(
        "here/p.sock"
    )


@pytest.mark.parametrize(
    ("limit_bytes", "nbytes"),
    [(GIB // 4, 16 * MIB), (4 * GIB, 128 * MIB), (64 * GIB, 256 * MIB)],
)
def test_default_buffer_follows_memory_limit(limit_bytes: int, nbytes: int) -> None:
    """The default budget is 1/32 of the memory allowed, at least 16 MiB and at most 256 MiB."""
    assert default_buffer_bytes(limit_bytes) == nbytes


def test_run_dir_comes_from_argument_or_variable(tmp_path: Path) -> None:
    """The argument wins over PIXLOG_RUN_DIR and a relative path becomes absolute."""
    environ = {"PIXLOG_RUN_DIR": str(tmp_path / "b")}
    assert resolve_run_dir(tmp_path / "a", environ=environ) == str(tmp_path / "a")
    assert resolve_run_dir(environ=environ) == str(tmp_path / "b")
    assert resolve_run_dir("runs/x", environ={}) == os.path.abspath("runs/x")


@pytest.mark.parametrize("run_dir", ["", b"bytes", 3, "a\0b"])
def test_run_dir_refuses_others(run_dir: Any) -> None:
    """Something that is no path is refused with what was got."""
    with pytest.raises(ConfigError, match=r"connect\(run_dir\): got .*, expected the path of a directory"):
        resolve_run_dir(run_dir, environ={})


def test_run_dir_missing_says_what_to_do() -> None:
    """Without argument and variable the error names both ways."""
    with pytest.raises(ConfigError, match=r"PIXLOG_RUN_DIR is not set: pass one"):
        resolve_run_dir(environ={})
