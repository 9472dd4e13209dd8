"""What ``pixlog.connect`` was asked for: argument, else ``PIXLOG_*`` variable, else default, merged here alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, NamedTuple, TypeVar, cast

from pixlog import environment
from pixlog.bytecount import BYTE_COUNT, GIB, KIB, MIB, memory_limit_bytes, parse_bytes
from pixlog.errors import ConfigError

Contract = Literal["pixlog", "wandb"]
OnFull = Literal["spill", "block", "drop_newest"]
DeviceCopy = Literal["async", "sync"]

DEFAULT_SPILL_BYTES: Final = 2 * GIB
DEFAULT_TIMEOUT_S: Final = 30.0
MIN_BUFFER_BYTES: Final = 64 * KIB
MAX_SOCKET_PATH_BYTES: Final = 107

T = TypeVar("T")


class ClientOptions(NamedTuple):
    """The options of one client, checked, with nothing left to default.

    ``daemon`` is ``"auto"``, ``"require"`` or the path of a daemon's socket; ``local_rank`` and ``world_size`` are
    ``None`` where no launcher told them.
    """

    rank: int
    local_rank: int | None
    world_size: int | None
    strict: bool
    contract: Contract
    on_full: OnFull
    buffer_bytes: int
    spill_bytes: int
    daemon: str
    timeout_s: float
    device_copy: DeviceCopy


def resolve_client_options(
    *,
    rank: int | None = None,
    strict: bool | None = None,
    contract: str | None = None,
    on_full: str | None = None,
    buffer_bytes: int | str | None = None,
    spill_bytes: int | str | None = None,
    daemon: str | os.PathLike[str] | None = None,
    timeout_s: float | None = None,
    device_copy: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> ClientOptions:
    """Merge the arguments of ``connect`` (``None``: not given) with the environment and the defaults.

    Raises ``ConfigError`` naming the argument or the variable, what it held and what was expected.
    """
    env = os.environ if environ is None else environ
    ranks = environment.detect_ranks(env)

    def pick(
        name: str, argument: object, variable: str, convert: Callable[[Any], T], default: Callable[[], T]
    ) -> T:
        """The one place where the order of precedence is written down."""
        if argument is not None:
            source, value = f"connect({name}=...)", argument
        elif text := env.get(variable, "").strip():
            source, value = variable, text
        else:
            return default()
        try:
            return convert(value)
        except ValueError as exc:
            raise ConfigError(f"{source}: {exc}") from None

    return ClientOptions(
        rank=pick("rank", rank, environment.PIXLOG_RANK, _rank, lambda: ranks.rank),
        local_rank=ranks.local_rank,
        world_size=ranks.world_size,
        strict=pick("strict", strict, environment.PIXLOG_STRICT, parse_flag, lambda: False),
        contract=cast(
            Contract,
            pick(
                "contract",
                contract,
                environment.PIXLOG_CONTRACT,
                _choice("pixlog", "wandb"),
                lambda: "pixlog",
            ),
        ),
        on_full=cast(
            OnFull,
            pick(
                "on_full",
                on_full,
                environment.PIXLOG_ON_FULL,
                _choice("spill", "block", "drop_newest"),
                lambda: "spill",
            ),
        ),
        buffer_bytes=pick(
            "buffer_bytes", buffer_bytes, environment.PIXLOG_BUFFER_BYTES, _buffer_bytes, default_buffer_bytes
        ),
        spill_bytes=pick(
            "spill_bytes",
            spill_bytes,
            environment.PIXLOG_SPILL_BYTES,
            parse_bytes,
            lambda: DEFAULT_SPILL_BYTES,
        ),
        daemon=pick("daemon", daemon, environment.PIXLOG_DAEMON, _daemon, lambda: "auto"),
        timeout_s=pick(
            "timeout_s", timeout_s, environment.PIXLOG_TIMEOUT_S, _seconds, lambda: DEFAULT_TIMEOUT_S
        ),
        device_copy=cast(
            DeviceCopy,
            pick(
                "device_copy",
                device_copy,
                environment.PIXLOG_DEVICE_COPY,
                _choice("async", "sync"),
                lambda: "sync",
            ),
        ),
    )


def resolve_run_dir(
    run_dir: str | os.PathLike[str] | None = None, *, environ: Mapping[str, str] | None = None
) -> str:
    """Return the absolute run directory of the argument or of ``PIXLOG_RUN_DIR``; ``ConfigError`` without either."""
    env = os.environ if environ is None else environ
    if run_dir is None:
        run_dir = env.get(environment.PIXLOG_RUN_DIR) or None
        if run_dir is None:
            raise ConfigError(
                f"connect() got no run directory and {environment.PIXLOG_RUN_DIR} is not set: pass one, "
                "as in pixlog.connect('runs/exp1')"
            )
    path: object = os.fspath(run_dir) if isinstance(run_dir, (str, os.PathLike)) else None
    if not isinstance(path, str) or not path or "\0" in path:
        raise ConfigError(f"connect(run_dir): got {run_dir!r}, expected the path of a directory")
    return os.path.abspath(path)


def default_buffer_bytes(limit_bytes: int | None = None) -> int:
    """Return the arena's default budget: 1/32 of the memory allowed here, between 16 MiB and 256 MiB.

    Each logging process has an arena of its own and its pages count against the container: at 1/32, eight ranks stay
    within a quarter of the limit even when all are full, and 8 GiB suffice for the largest default.  No default is
    larger because a job that is ended has two seconds to get its arenas onto the disk.
    """
    if limit_bytes is None:
        limit_bytes = memory_limit_bytes()
    if limit_bytes is None:
        return 128 * MIB
    return max(16 * MIB, min(256 * MIB, limit_bytes // 32 // MIB * MIB))


def parse_flag(value: object) -> bool:
    """Return the truth of a bool or of ``1/0``, ``true/false``, ``yes/no``, ``on/off``; else ``ValueError``."""
    if isinstance(value, bool):
        return value
    word = value.lower() if isinstance(value, str) else None
    if word in ("1", "true", "yes", "on"):
        return True
    if word in ("0", "false", "no", "off"):
        return False
    raise ValueError(f"got {value!r}, expected 1 or 0 (also true/false, yes/no, on/off)")


def _choice(*names: str) -> Callable[[object], str]:
    def choose(value: object) -> str:
        if isinstance(value, str) and value in names:
            return value
        raise ValueError(f"got {value!r}, expected one of {', '.join(map(repr, names))}")

    return choose


def _rank(value: object) -> int:
    expected = "a whole number, 0 or more"
    if isinstance(value, str):
        if not (value.isascii() and value.isdigit()):
            raise ValueError(f"got {value!r}, expected {expected}")
        return int(value)
    try:
        number = value.__index__()  # type: ignore[attr-defined]  # np.int64 ranks are common
    except (AttributeError, TypeError):
        number = -1
    if isinstance(value, bool) or number < 0:
        raise ValueError(f"got {value!r}, expected {expected}")
    return int(number)


def _buffer_bytes(value: int | str) -> int:
    nbytes = parse_bytes(value)
    if nbytes < MIN_BUFFER_BYTES:
        raise ValueError(f"got {value!r}, expected {BYTE_COUNT}, at least {MIN_BUFFER_BYTES} bytes")
    return nbytes


def _seconds(value: object) -> float:
    expected = "a number of seconds, more than 0"
    try:
        if isinstance(value, bool):
            raise TypeError
        seconds = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ValueError(f"got {value!r}, expected {expected}") from None
    if not 0 < seconds < float("inf"):
        raise ValueError(f"got {value!r}, expected {expected}")
    return seconds


def _daemon(value: object) -> str:
    expected = "'auto', 'require', or the path of a daemon's socket"
    try:
        name = os.fspath(value)  # type: ignore[call-overload]
    except TypeError:
        raise ValueError(f"got {value!r}, expected {expected}") from None
    if name in ("auto", "require"):
        return str(name)
    if not isinstance(name, str) or "/" not in name or "\0" in name:
        # A bare word is more likely a misspelt mode than a socket in the working directory.
        raise ValueError(f"got {value!r}, expected {expected} (with a '/' in it)")
    path = os.path.abspath(name)
    if len(os.fsencode(path)) > MAX_SOCKET_PATH_BYTES:
        raise ValueError(
            f"got a path of {len(os.fsencode(path))} bytes ({path!r}), expected at most {MAX_SOCKET_PATH_BYTES}, "
            "the system's limit for sockets"
        )
    return path
