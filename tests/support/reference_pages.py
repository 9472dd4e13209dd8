"""Write the two pages that are made from the settings: config/pixlogd.toml and the table in docs/configuration.md.

Run as a script (``make reference``) it writes them; the suite asserts that they are as it would write them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pixlogd.config.settings_merge import SCALARS, variable_of
from pixlogd.config.settings_text import reference_toml

ROOT: Final = Path(__file__).resolve().parents[2]
TOML_PATH: Final = ROOT / "config" / "pixlogd.toml"
PAGE_PATH: Final = ROOT / "docs" / "configuration.md"
BEGIN: Final = "<!-- begin: written by make reference -->\n"
END: Final = "<!-- end -->\n"

_HEAD: Final = """\
# pixlogd: every setting of the daemon, at its default.
#
#   pixlogd serve --config pixlogd.toml                     a daemon for many runs
#   PIXLOG_CONFIG=$PWD/pixlogd.toml python train.py         the daemon that a training starts for itself
#
# A setting is taken from the command line (--set nice=5), else from its environment variable
# (PIXLOG_NICE, PIXLOG_ENCODE_QUALITY), else from this file, else from its default; `pixlogd serve
# --print-config` shows what is in effect and why. A name that is not known is an error.

"""


def toml_text() -> str:
    """Return what config/pixlogd.toml should hold."""
    return _HEAD + reference_toml()


def page_text(page: str) -> str:
    """Return ``page`` with the table between its marks written anew."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + _table() + END + after


def _table() -> str:
    rows = ["| setting | variable | default | what it does |", "|---|---|---|---|"]
    defaults = _defaults()
    for name, field in SCALARS.items():
        doc = field.metadata["doc"].replace("|", "\\|")
        rows.append(f"| `{name}` | `{variable_of(name)}` | {defaults[name]} | {doc} |")
    return "\n".join(rows) + "\n"


def _defaults() -> dict[str, str]:
    defaults = {}
    for name, field in SCALARS.items():
        kind = field.metadata["kind"]
        if getattr(kind, "auto", None) is not None:
            defaults[name] = "auto"
        elif field.default is None:
            defaults[name] = "unset"
        else:
            defaults[name] = f"`{kind.to_toml(field.default)}`"
    return defaults


def main() -> None:
    """Write both pages."""
    TOML_PATH.write_text(toml_text(), encoding="utf-8")
    PAGE_PATH.write_text(page_text(PAGE_PATH.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
