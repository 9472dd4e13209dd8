"""``pixlog`` and ``python -m pixlog``: the command, or one line that says why it cannot run here."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line and exit: 0 done, 1 it could not be done or what was checked is not sound, 2 usage."""
    try:
        from pixlog.cli.app import run_command
    except ModuleNotFoundError as exc:
        from pixlog.errors import MissingExtra

        package = (exc.name or "").partition(".")[0]
        if package in ("pixlog", "pixlogd"):
            raise
        sys.exit(str(MissingExtra("the pixlog command", "daemon", package)))
    sys.exit(run_command())


if __name__ == "__main__":
    main()
