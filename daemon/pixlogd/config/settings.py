"""Every setting of the daemon: its default, the values it takes and what it does, in one frozen dataclass.

The order of precedence lives in ``settings_merge``; the texts here are also what ``config/pixlogd.toml`` and
``docs/configuration.md`` are written from.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

from pixlog.bytecount import GIB, MIB
from pixlogd.config.cpus import usable_cpu_count
from pixlogd.config.encode_defaults import EncodeDefaults, setting
from pixlogd.config.setting_kinds import Address, ByteCount, Choice, Duration, Whole


def default_encode_workers() -> int:
    """Return half of the CPUs that this process may use, from 1 to 8: the other half is the trainer's."""
    return max(1, min(8, usable_cpu_count() // 2))


@dataclass(frozen=True, slots=True)
class KeyDefaults:
    """Encoding of the keys that match ``pattern`` (``*``, ``?`` and ``[...]``; ``*`` also matches ``/``)."""

    pattern: str
    encode: EncodeDefaults


@dataclass(frozen=True, slots=True)
class Settings:
    """The daemon's settings, checked and complete; ``Settings()`` holds the defaults."""

    encode_workers: int = setting(
        default_encode_workers(),
        Whole(1, 256, auto=default_encode_workers()),
        'Images encoded at once. "auto": half of the CPUs that the daemon may use by its affinity and its container\'s '
        "limit, at most 8.",
    )
    encode_processes: Literal["auto", "off"] = setting(
        "auto",
        Choice(("auto", "off")),
        "auto: when PNGs of up to 1.5 MB of pixels have come faster than one interpreter encodes them for a second, as "
        "many processes as encode_workers (at most 8) encode them. Each takes about 25 MB of its own and ends after "
        "10 s without work. With one encode worker there is none, nor outside of Linux. off: threads alone.",
    )
    nice: int = setting(
        10, Whole(0, 19), "How far the daemon steps back for other processes; 0 competes with the training."
    )
    idle_exit_s: float = setting(
        5.0,
        Duration(0, 86_400),
        "Seconds after its last client is gone and everything is written until a daemon that was started for one "
        "run ends. `pixlogd serve` does not end by itself; it closes a run after a minute of that.",
    )
    give_up_s: float = setting(
        3600.0,
        Duration(1, 8_640_000),
        "Seconds that a daemon that was started for one run waits for a disk that refuses, once its last client is "
        "gone and nothing has been written since. Then it leaves in the run's spill what that still takes, says in "
        "daemon.log how much it could not, and ends.",
    )
    drain_s: float = setting(
        1.0,
        Duration(0, 86_400),
        "Seconds that a daemon told to stop (SIGTERM) has for encoding. What is left is written raw into the run's "
        "spill, which is fast, for the next daemon to encode; the more there is, the earlier this begins. "
        "`pixlog stop` gives it all the time that it needs.",
    )
    fsync: Literal["off", "batch"] = setting(
        "off",
        Choice(("off", "batch")),
        "batch: media and manifest are on the disk itself before an image counts as saved, so that saved images "
        "survive a power loss. off: they are in the kernel's hands and survive everything but that.",
    )
    ack_interval_ms: float = setting(
        20.0,
        Duration(0, 60_000),
        "Milliseconds that an acknowledgement may wait for others to ride with it, unless somebody waits for what is "
        "still on its way; among more than 16 clients longer, in proportion, but not more than ten times as long.",
    )
    ack_batch: int = setting(
        128, Whole(1, 65_536), "Acknowledgements that are sent at once without waiting any longer."
    )
    queue_rows: int = setting(
        1024,
        Whole(1, 1_000_000),
        "Log calls of one client that may wait in the daemon; beyond, it reads no more from that client's socket.",
    )
    queue_bytes: int = setting(
        256 * MIB,
        ByteCount(MIB),
        "Memory for payloads that came through the socket rather than an arena, shared out among the clients; a client "
        "that has used its share is read no more until half of it is free.",
    )
    max_payload_bytes: int = setting(
        GIB, ByteCount(MIB), "The largest log call that is taken; a larger one is refused before it is read."
    )
    max_arenas: int = setting(64, Whole(1, 1024), "Shared-memory arenas that one client may pass.")
    max_arena_bytes: int = setting(
        16 * GIB, ByteCount(MIB), "The size of all arenas of one client together (it is the client's memory)."
    )
    loop: Literal["auto", "uvloop", "asyncio"] = setting(
        "auto", Choice(("auto", "uvloop", "asyncio")), "The event loop. auto: uvloop where it is installed."
    )
    log_level: Literal["debug", "info", "warning", "error"] = setting(
        "info", Choice(("debug", "info", "warning", "error")), "What daemon.log in the run directory holds."
    )
    metrics: str = setting(
        "",
        Address(),
        "Where the daemon's numbers can be had as text for Prometheus (GET /metrics): the absolute path of a Unix "
        'socket or a loopback port such as "127.0.0.1:9464". Nowhere by default.',
    )
    store: Literal["files", "packed"] = setting(
        "files",
        Choice(("files", "packed")),
        "How media are kept. files: one file an image. packed: in few tar shards under media/shards, for file systems "
        "that limit the number of files.",
    )
    shard_bytes: int = setting(
        8 * GIB, ByteCount(MIB), "The size at which a packed run begins another shard."
    )
    encode: EncodeDefaults = field(default_factory=EncodeDefaults)
    """The ``[encode]`` table: how images are encoded unless their key or their call says otherwise."""
    encode_keys: tuple[KeyDefaults, ...] = ()
    """The ``[[encode.keys]]`` tables in the file's order, each already laid over ``encode``."""

    def for_key(self, key: str) -> EncodeDefaults:
        """Return how images of ``key`` are encoded: by the first pattern that matches, else by ``encode``."""
        for rule in self.encode_keys:
            if fnmatchcase(key, rule.pattern):
                return rule.encode
        return self.encode
