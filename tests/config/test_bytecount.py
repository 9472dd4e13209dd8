"""Byte counts are read as written, and the memory limit is the smallest that binds the process."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixlog.bytecount import GIB, KIB, MIB, format_bytes, memory_limit_bytes, parse_bytes


@pytest.mark.parametrize(
    ("text", "nbytes"),
    [
        (0, 0),
        (1234, 1234),
        ("1234", 1234),
        ("256MiB", 256 * MIB),
        ("1GB", 10**9),
        ("1.5 GiB", 3 * GIB // 2),
        ("64k", 64 * KIB),
        ("64kB", 64_000),
        (" 2 tib ", 2048 * GIB),
        ("7B", 7),
    ],
)
def test_parse_bytes_reads_units(text: int | str, nbytes: int) -> None:
    """Binary units are powers of 1024, decimal ones of 1000, and case and spaces do not matter."""
    assert parse_bytes(text) == nbytes


@pytest.mark.parametrize("text", ["", "lots", "1 QB", "-1", -1, "1e6", "MiB", True, "1,5GB", "1GBit"])
def test_parse_bytes_refuses_others(text: int | str) -> None:
    """Anything else is refused with what was got and an example of what was expected."""
    with pytest.raises(ValueError, match=r"^got .*, expected a byte count such as"):
        parse_bytes(text)


@given(st.integers(min_value=0, max_value=2**60))
def test_format_bytes_round_trips(nbytes: int) -> None:
    """What is written is read back as the same number of bytes."""
    assert parse_bytes(format_bytes(nbytes)) == nbytes


def _host(tmp_path: Path, *, total_kib: int, cgroup: str) -> tuple[str, Path]:
    proc = tmp_path / "proc"
    (proc / "self").mkdir(parents=True)
    (proc / "self" / "cgroup").write_text(cgroup)
    (proc / "meminfo").write_text(f"MemTotal:  {total_kib} kB\nMemFree: 1 kB\n")
    return str(proc), tmp_path / "cgroup"


def test_memory_limit_reads_v2_parents(tmp_path: Path) -> None:
    """In the v2 hierarchy the smallest memory.max from the process's group up to the root counts."""
    proc, root = _host(tmp_path, total_kib=64 * MIB, cgroup="0::/job/step\n")
    (root / "job" / "step").mkdir(parents=True)
    (root / "job" / "step" / "memory.max").write_text("max\n")
    (root / "job" / "memory.max").write_text(f"{3 * GIB}\n")
    assert memory_limit_bytes(proc=proc, cgroup_root=str(root)) == 3 * GIB


def test_memory_limit_reads_v1_root_in_container(tmp_path: Path) -> None:
    """In a v1 container, where the host's path is not visible, the mount's own limit counts."""
    proc, root = _host(tmp_path, total_kib=64 * MIB, cgroup="9:pids:/x\n4:cpu,memory:/docker/abc\n0::/\n")
    (root / "memory").mkdir(parents=True)
    (root / "memory" / "memory.limit_in_bytes").write_text(f"{GIB}\n")
    assert memory_limit_bytes(proc=proc, cgroup_root=str(root)) == GIB


def test_memory_limit_is_host_memory_without_limit(tmp_path: Path) -> None:
    """Without a limit, or with v1's number beyond any memory, the host's memory counts."""
    proc, root = _host(tmp_path, total_kib=8 * MIB, cgroup="4:memory:/a/../../etc\n")
    (root / "memory").mkdir(parents=True)
    (root / "memory" / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert memory_limit_bytes(proc=proc, cgroup_root=str(root)) == 8 * GIB


def test_memory_limit_survives_system_without_proc(tmp_path: Path) -> None:
    """Where neither file exists the answer comes from the C library, and nothing is raised."""
    limit = memory_limit_bytes(proc=str(tmp_path / "none"), cgroup_root=str(tmp_path / "none"))
    assert limit is None or limit > 0
