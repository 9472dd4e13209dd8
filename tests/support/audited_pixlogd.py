"""``python audited_pixlogd.py REPORT DIR... -- serve ...``: pixlogd that notes all it changes elsewhere.

Every file that Python code opens for writing, and every name it makes, moves or removes, is told to the interpreter's
audit hooks first; those that lie in none of the directories are appended to the report, one a line.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

# Which arguments of an event are the paths that it changes.
_BY_PATH = {
    "os.mkdir": slice(0, 1),
    "os.rename": slice(0, 2),
    "os.link": slice(1, 2),
    "os.symlink": slice(1, 2),
    "os.remove": slice(0, 1),
    "os.rmdir": slice(0, 1),
    "os.truncate": slice(0, 1),
    "os.chmod": slice(0, 1),
    "os.chown": slice(0, 1),
    "os.utime": slice(0, 1),
    "shutil.rmtree": slice(0, 1),
}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def _watch(report: str, allowed: list[str]) -> None:
    fd = os.open(report, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    roots = tuple(os.path.join(os.path.realpath(path), "") for path in allowed)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if not isinstance(flags, int) or not flags & _WRITING:
                return
            paths = [path]
        elif event in _BY_PATH:
            paths = list(arguments[_BY_PATH[event]])
        else:
            return
        for path in paths:
            if not isinstance(path, (str, bytes)):  # a descriptor that is open already
                continue
            name = os.path.abspath(os.fsdecode(path))
            name = os.path.join(os.path.realpath(os.path.dirname(name)), os.path.basename(name))
            if not f"{name}/".startswith(roots) and not name.startswith("/dev/"):
                os.write(fd, f"{event} {name}\n".encode("utf-8", "backslashreplace"))

    sys.addaudithook(hook)


def _serve_run(socket_path: str, run_dir: str) -> int:
    """Be the daemon of one run, as a client starts it, but in the foreground and until told to stop."""
    from pixlogd.config.settings_merge import resolve_settings
    from pixlogd.serve import serve

    return serve(
        resolve_settings().settings,
        socket_path=Path(socket_path),
        run_dir=Path(run_dir),
        ready_fd=None,
        exit_when_idle=False,
    )


def main() -> None:
    """Watch, then be the pixlogd command, or with "run SOCKET RUN_DIR" the daemon of one run."""
    split = sys.argv.index("--")
    report, *allowed = sys.argv[1:split]
    sys.argv[1:] = sys.argv[split + 1 :]
    sys.dont_write_bytecode = True
    _watch(report, allowed)
    if sys.argv[1] == "run":
        sys.exit(_serve_run(*sys.argv[2:]))
    from pixlogd.__main__ import main as pixlogd

    pixlogd()


if __name__ == "__main__":
    main()
