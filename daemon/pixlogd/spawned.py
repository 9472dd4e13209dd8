"""``python -m pixlogd.spawned``: how a client starts the daemon of its run.

The process forks before it imports anything heavy, so that its starter has a child to wait for, and the daemon
has none of its starter's family: no Ctrl-C of the terminal, nothing for training to reap.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from pathlib import Path


def main() -> None:
    """Become the daemon of one run."""
    parser = argparse.ArgumentParser(prog="pixlogd.spawned")
    parser.add_argument("--run-dir", type=Path, required=True)
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--ready-fd", type=int, required=True)
    arguments = parser.parse_args()
    if os.fork():
        os._exit(0)
    sys.exit(_become_daemon(arguments.run_dir, arguments.socket, arguments.ready_fd))


def _become_daemon(run_dir: Path, socket_path: Path, ready_fd: int) -> int:
    try:
        from pixlog.errors import PixlogError
        from pixlogd.config.settings_merge import resolve_settings
        from pixlogd.serve import refusal_word, serve
    except ImportError as exc:
        _say(ready_fd, f"missing daemon {exc.name or exc}")
        return 1
    try:
        settings = resolve_settings().settings
    except PixlogError as exc:
        _say(ready_fd, refusal_word(exc))
        return 1
    return serve(settings, socket_path=socket_path, run_dir=run_dir, ready_fd=ready_fd, exit_when_idle=True)


def _say(fd: int, word: str) -> None:
    with contextlib.suppress(OSError):
        os.write(fd, word.replace("\n", " ").encode() + b"\n")
        os.close(fd)


if __name__ == "__main__":
    main()
