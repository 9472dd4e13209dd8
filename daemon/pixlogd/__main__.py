"""``pixlogd`` and ``python -m pixlogd``: the command, or one line that says why it cannot run here."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    if sys.platform == "win32":
        sys.exit(
            "pixlogd needs Unix sockets and POSIX signals: run it on Linux or macOS, on Windows inside WSL"
        )
    try:
        from pixlogd.cli import app

        app(prog_name="pixlogd")
    except ModuleNotFoundError as exc:
        from pixlog.errors import MissingExtra

        package = (exc.name or "").partition(".")[0]
        if package in ("pixlog", "pixlogd"):
            raise
        sys.exit(str(MissingExtra("the pixlogd command", "daemon", package)))
    sys.exit(0)


if __name__ == "__main__":
    main()
