"""The environment variables that pixlog reads, and the ranks that launchers announce in theirs.

Nothing here is read at import: callers pass ``os.environ`` (or a mapping of their own) when they need it.  A
variable that is set to the empty string counts as not set, because job templates often leave one so.

The daemon has a variable for each of its settings too, named ``PIXLOG_`` + the setting's name in capitals:
``PIXLOG_ENCODE_WORKERS``, ``PIXLOG_IDLE_EXIT_S``, ... (see ``config/pixlogd.toml``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

PIXLOG_RUN_DIR: Final = "PIXLOG_RUN_DIR"
"""The run directory that ``pixlog.connect()`` uses when it is called without one."""

PIXLOG_STRICT: Final = "PIXLOG_STRICT"
"""``1``: bad input raises at the call instead of becoming a warning and a failed row.  Default ``0``."""

PIXLOG_CONTRACT: Final = "PIXLOG_CONTRACT"
"""``pixlog`` (default) or ``wandb``: whose rules turn values into pixels."""

PIXLOG_ON_FULL: Final = "PIXLOG_ON_FULL"
"""``spill`` (default), ``block`` or ``drop_newest``: what a call does when the image buffer is full."""

PIXLOG_BUFFER_BYTES: Final = "PIXLOG_BUFFER_BYTES"
"""Memory for images that are logged but not yet saved, per process: ``256MiB``, ``1GB``, or a number of bytes."""

PIXLOG_SPILL_BYTES: Final = "PIXLOG_SPILL_BYTES"
"""Disk space in the run directory for images that did not fit the buffer, per process.  Default ``2GiB``."""

PIXLOG_DAEMON: Final = "PIXLOG_DAEMON"
"""``auto`` (default: find or start the run's daemon), ``require`` (never start one), or a socket's path."""

PIXLOG_TIMEOUT_S: Final = "PIXLOG_TIMEOUT_S"
"""Seconds that ``connect`` waits for a daemon, and a call for room under ``block``.  Default ``30``."""

PIXLOG_DEVICE_COPY: Final = "PIXLOG_DEVICE_COPY"
"""``sync`` (default): images on a device are copied to the host in the call; ``async``: while training goes on."""

PIXLOG_RANK: Final = "PIXLOG_RANK"
"""This process's rank, for launchers that ``detect_ranks`` does not know; wins over those that it does."""

PIXLOG_HOST: Final = "PIXLOG_HOST"
"""The host name that rows and manifest segments carry.  Default: the machine's own."""

PIXLOG_RUNTIME_DIR: Final = "PIXLOG_RUNTIME_DIR"
"""The private directory of sockets and locks.  Default ``$XDG_RUNTIME_DIR/pixlog``, else ``/tmp/pixlog-<uid>``."""

PIXLOG_CONFIG: Final = "PIXLOG_CONFIG"
"""The TOML file of the daemon's settings; a daemon that ``connect`` starts reads it too."""

PIXLOG_VIEW_TOKEN: Final = "PIXLOG_VIEW_TOKEN"
"""What ``pixlog view`` asks of those who open its page, as ``--token`` does, but in no list of processes."""


class Ranks(NamedTuple):
    """Where a process stands in its distributed job; ``None`` where the launcher does not say."""

    rank: int
    local_rank: int | None
    world_size: int | None


class _Launcher(NamedTuple):
    """The variables of one launcher; each tuple lists alternatives, the best first."""

    rank: str
    local_rank: tuple[str, ...]
    world_size: tuple[str, ...]


# The launcher nearest to the process comes first.  mpirun inside a Slurm allocation leaves the batch step's
# SLURM_PROCID (0 everywhere on a node) in every process, so Slurm's own numbers count only where no MPI launcher set
# any; torchrun is started by the others and never the other way round.
_LAUNCHERS: Final = (
    _Launcher("RANK", ("LOCAL_RANK",), ("WORLD_SIZE",)),  # torchrun
    _Launcher("OMPI_COMM_WORLD_RANK", ("OMPI_COMM_WORLD_LOCAL_RANK",), ("OMPI_COMM_WORLD_SIZE",)),  # Open MPI
    _Launcher("PMI_RANK", ("MPI_LOCALRANKID",), ("PMI_SIZE",)),  # MPICH, Intel MPI
    # SLURM_NTASKS describes the allocation; only inside a step, where SLURM_PROCID is set, is there a rank.
    _Launcher("SLURM_PROCID", ("SLURM_LOCALID",), ("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS")),
)


def detect_ranks(environ: Mapping[str, str]) -> Ranks:
    """Return the ranks that torchrun, Open MPI, MPICH or Slurm set, looked for in this order.

    A launcher counts when its rank variable is a whole number that is not negative; all three values then come
    from this launcher.  Without any, the process is rank 0 of a job of unknown size.
    """
    for launcher in _LAUNCHERS:
        rank = _natural(environ, launcher.rank)
        if rank is not None:
            return Ranks(rank, _first(environ, launcher.local_rank), _first(environ, launcher.world_size))
    return Ranks(0, None, None)


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> int | None:
    for name in names:
        value = _natural(environ, name)
        if value is not None:
            return value
    return None


def _natural(environ: Mapping[str, str], name: str) -> int | None:
    text = environ.get(name, "").strip()
    return int(text) if text.isascii() and text.isdigit() else None
