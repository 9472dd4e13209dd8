"""The daemon's settings: precedence, errors that name their place, and encoding by key."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pixlog.bytecount import MIB
from pixlog.errors import ConfigError
from pixlogd.config import settings as settings_module
from pixlogd.config.cpus import usable_cpu_count
from pixlogd.config.encode_defaults import EncodeDefaults
from pixlogd.config.settings import Settings, default_encode_workers
from pixlogd.config.settings_merge import (
    SCALARS,
    load_settings,
    misspelt_variables,
    parse_assignments,
    resolve_settings,
    variable_of,
)


def write(tmp_path: Path, text: str) -> Path:
    """Write a TOML file and return its path."""
    path = tmp_path / "pixlogd.toml"
    path.write_text(text, encoding="utf-8")
    return path


def get(settings: Settings, name: str) -> Any:
    """Return the setting with this dotted name."""
    value: Any = settings
    for part in name.split("."):
        value = getattr(value, part)
    return value


# dotted name, an argument, a variable's text, a TOML value, and what each becomes
VALUES: list[tuple[str, Any, str, str, tuple[Any, Any, Any]]] = [
    ("encode_workers", 3, "4", "5", (3, 4, 5)),
    ("encode_processes", "off", "auto", '"off"', ("off", "auto", "off")),
    ("nice", 1, "2", "3", (1, 2, 3)),
    ("idle_exit_s", 1, "2.5", "3", (1.0, 2.5, 3.0)),
    ("give_up_s", 1, "2.5", "3", (1.0, 2.5, 3.0)),
    ("drain_s", 0, "2", "3.5", (0.0, 2.0, 3.5)),
    ("fsync", "off", "batch", '"off"', ("off", "batch", "off")),
    ("ack_interval_ms", 1, "2", "3", (1.0, 2.0, 3.0)),
    ("ack_batch", 1, "2", "3", (1, 2, 3)),
    ("queue_rows", 1, "2", "3", (1, 2, 3)),
    ("queue_bytes", MIB, "2MiB", '"3MiB"', (MIB, 2 * MIB, 3 * MIB)),
    ("max_payload_bytes", MIB, "2MiB", "3145728", (MIB, 2 * MIB, 3 * MIB)),
    ("max_arenas", 1, "2", "3", (1, 2, 3)),
    ("max_arena_bytes", MIB, "2MiB", '"3MiB"', (MIB, 2 * MIB, 3 * MIB)),
    ("loop", "asyncio", "uvloop", '"auto"', ("asyncio", "uvloop", "auto")),
    ("log_level", "debug", "error", '"warning"', ("debug", "error", "warning")),
    ("metrics", "/run/a", "localhost:1", '"127.0.0.1:9464"', ("/run/a", "localhost:1", "127.0.0.1:9464")),
    ("store", "packed", "files", '"packed"', ("packed", "files", "packed")),
    ("shard_bytes", MIB, "2MiB", '"3MiB"', (MIB, 2 * MIB, 3 * MIB)),
    ("encode.file_type", "jpg", "webp", '"avif"', ("jpg", "webp", "avif")),
    ("encode.level", "small", "pillow", '"small"', ("small", "pillow", "small")),
    ("encode.quality", 1, "2", "3", (1, 2, 3)),
    ("encode.lossless", True, "0", "true", (True, False, True)),
    ("encode.background", (0, 0, 1), "0,0,2", '"#000003"', ((0, 0, 1), (0, 0, 2), (0, 0, 3))),
    ("encode.dedup", True, "0", "true", (True, False, True)),
]


def test_settings_table_covers_every_setting() -> None:
    """The table of this file has a line for each setting, so that none is untested."""
    assert [row[0] for row in VALUES] == list(SCALARS)


@pytest.mark.parametrize(("name", "argument", "text", "toml", "expected"), VALUES)
def test_settings_prefer_argument_then_variable_then_file(
    tmp_path: Path, name: str, argument: Any, text: str, toml: str, expected: tuple[Any, Any, Any]
) -> None:
    """Each setting is its argument, else its variable, else the file's, else its default, and says which."""
    variable = variable_of(name)
    table, _, last = name.rpartition(".")
    path = write(tmp_path, f"[{table}]\n{last} = {toml}\n" if table else f"{last} = {toml}\n")
    seen = []
    arguments, environ = {name: argument}, {variable: text}
    for sources in (
        resolve_settings(arguments=arguments, environ=environ, config_path=path),
        resolve_settings(environ=environ, config_path=path),
        resolve_settings(environ={}, config_path=path),
        resolve_settings(environ={}),
    ):
        seen.append((sources.sources[name], get(sources.settings, name)))
    origins = ("the command line", variable, str(path), "default")
    assert seen == list(zip(origins, (*expected, get(Settings(), name)), strict=True))


def test_settings_read_file_of_variable(tmp_path: Path) -> None:
    """PIXLOG_CONFIG names the file, and an argument names another."""
    path = write(tmp_path, "nice = 4")
    other = tmp_path / "other.toml"
    other.write_text("nice = 5")
    environ = {"PIXLOG_CONFIG": str(path)}
    assert load_settings(environ=environ).nice == 4
    assert load_settings(environ=environ, config_path=other).nice == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("encode_worker = 2", "unknown setting 'encode_worker': did you mean 'encode_workers'?"),
        ("file_type = 'jpg'", "unknown setting 'file_type': did you mean 'encode.file_type'?"),
        ("[encode]\nqualty = 3", "unknown setting 'encode.qualty': did you mean 'encode.quality'?"),
        ("[encode]\nnice = 3", "unknown setting 'encode.nice': did you mean 'nice'?"),
        ("[zebra]", "unknown setting 'zebra': known are encode_workers, encode_processes, nice, "),
        ("nice = '3'", "setting 'nice': got '3', expected a whole number from 0 to 19"),
        ("nice = 20", "setting 'nice': got 20, expected a whole number from 0 to 19"),
        ("nice = true", "setting 'nice': got True, expected a whole number"),
        (
            "encode_workers = 'all'",
            "setting 'encode_workers': got 'all', expected \"auto\" or a whole number",
        ),
        ("idle_exit_s = -1", "setting 'idle_exit_s': got -1, expected a number from 0 to 86400"),
        ("fsync = 'always'", "setting 'fsync': got 'always', expected one of \"off\", \"batch\""),
        ("queue_bytes = '1KiB'", "setting 'queue_bytes': got '1KiB', expected a byte count"),
        ("[encode]\nlossless = 1", "setting 'encode.lossless': got 1, expected true or false"),
        (
            "[encode]\nbackground = [0, 0]",
            "setting 'encode.background': got [0, 0], expected a colour such as",
        ),
        ("encode = 3", "setting 'encode': got 3, expected a table"),
        ("[encode]\nkeys = 3", "setting 'encode.keys': got 3, expected tables"),
        ("[[encode.keys]]\nquality = 3", "number 1: setting 'pattern': got None, expected a pattern"),
        (
            "[[encode.keys]]\npattern = 'a'\nlevl = 'x'",
            "number 1: unknown setting 'levl': did you mean 'level'?",
        ),
        (
            "[[encode.keys]]\npattern = 'a'\nquality = 0",
            "number 1: setting 'quality': got 0, expected a whole",
        ),
        ("nice = ", "not TOML: "),
        ("nice = '\udcff'", "not TOML: "),
    ],
)
def test_settings_refuse_bad_file(tmp_path: Path, text: str, message: str) -> None:
    """Each slip in the file is an error that names the file, the setting, what was got and what was expected."""
    path = tmp_path / "pixlogd.toml"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ConfigError) as caught:
        load_settings(config_path=path, environ={})
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


def test_settings_refuse_missing_file(tmp_path: Path) -> None:
    """A file that was asked for and is not there is an error, not a default."""
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read: No such file"):
        load_settings(config_path=tmp_path / "none.toml", environ={})


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("PIXLOG_NICE", "low", "a whole number from 0 to 19"),
        ("PIXLOG_IDLE_EXIT_S", "nan", "a number from 0 to 86400"),
        ("PIXLOG_ENCODE_LOSSLESS", "perhaps", "1 or 0"),
        ("PIXLOG_ENCODE_BACKGROUND", "1,2", "a colour such as"),
    ],
)
def test_settings_refuse_bad_variable(variable: str, text: str, expected: str) -> None:
    """A variable that cannot be used is an error that starts with its name."""
    with pytest.raises(ConfigError, match=f"^{variable}: got '{text}', expected {expected}"):
        load_settings(environ={variable: text})


def test_settings_refuse_unknown_argument() -> None:
    """An argument that is no setting is an error that names the nearest one."""
    with pytest.raises(ConfigError, match=r"the command line: unknown setting 'nise': did you mean 'nice'"):
        load_settings(arguments={"nise": 3}, environ={})


def test_encode_key_rule_first_match_counts(tmp_path: Path) -> None:
    """The first pattern that matches a key counts, lies over [encode], and * crosses slashes."""
    settings = load_settings(
        environ={},
        config_path=write(
            tmp_path,
            """
            [encode]
            quality = 70
            [[encode.keys]]
            pattern = "val/*"
            file_type = "jpg"
            [[encode.keys]]
            pattern = "*/pred"
            level = "small"
            quality = 95
            """,
        ),
    )
    assert settings.for_key("val/a/pred") == EncodeDefaults(file_type="jpg", quality=70)
    assert settings.for_key("train/pred") == EncodeDefaults(level="small", quality=95)
    assert settings.for_key("VAL/x") == settings.encode == EncodeDefaults(quality=70)


def test_encode_key_rule_lies_over_variable(tmp_path: Path) -> None:
    """A variable replaces the [encode] table's value, and a key's own value still wins over it."""
    path = write(
        tmp_path, '[encode]\nfile_type = "bmp"\n[[encode.keys]]\npattern = "m"\nfile_type = "png"\n[[encode.keys]]\n'
        'pattern = "n"\nquality = 9\n',
    )  # fmt: skip
    settings = load_settings(environ={"PIXLOG_ENCODE_FILE_TYPE": "webp"}, config_path=path)
    assert [settings.for_key(key).file_type for key in "mno"] == ["png", "webp", "webp"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nice", "got 'nice', expected name=value"),
        ("nise=3", "unknown setting 'nise': did you mean 'nice'"),
        ("nice=fast", "--set nice: got 'fast', expected a whole number"),
    ],
)
def test_assignment_refuses_bad_text(text: str, message: str) -> None:
    """A --set that is no assignment, names nothing, or has a bad value says so."""
    with pytest.raises(ConfigError) as caught:
        parse_assignments([text])
    assert message in str(caught.value)


def test_assignment_reads_text_of_each_kind() -> None:
    """Assignments are read like variables and may hold spaces and further equal signs."""
    texts = ["nice = 3", "encode.lossless=on", "encode.background=1,2,3", "encode_workers=auto"]
    assert parse_assignments(texts) == {
        "nice": 3,
        "encode.lossless": True,
        "encode.background": (1, 2, 3),
        "encode_workers": default_encode_workers(),
    }


def test_misspelt_variable_is_found() -> None:
    """A PIXLOG_ variable that nothing reads and that is close to a known one is reported; others are left alone."""
    environ = {"PIXLOG_ENCODE_WORKER": "2", "PIXLOG_NICE": "1", "PIXLOG_TEST_WHEEL": "", "HOME": "/"}
    assert misspelt_variables(environ) == [("PIXLOG_ENCODE_WORKER", "PIXLOG_ENCODE_WORKERS")]


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs CPU affinity")
@pytest.mark.parametrize(("cpus", "workers"), [(1, 1), (2, 1), (3, 1), (8, 4), (64, 8)])
def test_encode_workers_follow_affinity(monkeypatch: pytest.MonkeyPatch, cpus: int, workers: int) -> None:
    """Half of the CPUs that the process may use encode, at least one and at most eight."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cpus)))
    monkeypatch.setattr(settings_module, "usable_cpu_count", lambda: usable_cpu_count(proc="/none"))
    assert default_encode_workers() == workers


@pytest.mark.parametrize(
    ("groups", "files", "cpus"),
    [
        ("0::/pod/box\n", {"pod/cpu.max": "250000 100000\n", "pod/box/cpu.max": "max 100000\n"}, 2),
        ("3:cpu,cpuacct:/x\n", {"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ("3:cpu:/\n0::/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 16),
        ("", {}, 16),
    ],
    ids=["v2-parent", "v1-half-a-cpu", "v1-no-limit", "no-cgroup"],
)
def test_cpu_count_follows_cgroup_quota(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, groups: str, files: dict[str, str], cpus: int
) -> None:
    """A container's CPU limit counts where it is below the affinity mask, rounded down, but at least one."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)
    files = {"proc/self/cgroup": groups} | {f"cgroup/{name}": text for name, text in files.items()}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    proc, root = str(tmp_path / "proc"), str(tmp_path / "cgroup")
    assert usable_cpu_count(proc=proc, cgroup_root=root) == cpus
