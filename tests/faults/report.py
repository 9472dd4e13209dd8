"""Write docs/guarantees-figures.md from the figures of the fault tests: what was tried, how often, what was lost.

``python tests/faults/report.py FIGURES``, where FIGURES is the file that ``PIXLOG_FAULT_FIGURES`` named; ``make
faults`` does both.  Of a figure that was taken more than once the last counts.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

_PAGE = Path(__file__).parents[2] / "docs" / "guarantees-figures.md"
_TABLE = "| tried | times | images | lost | seen | test |\n|---|---:|---:|---:|---|---|\n"
_OPENING = """# Guarantees: the figures

What the fault tests tried, how often, and what was lost, in their last full run ({dates}; {machine}).
`make faults` runs them and writes this page; [guarantees.md](guarantees.md) says what the figures stand for. Processes
are real, signals are real; each test prints a seed that it reruns from.

"Images" are log calls that had returned, or had been accepted, when the fault struck; "lost" are those of them
without a saved row in the end.
"""


def main(figures_path: Path) -> None:
    """Write the page."""
    figures: dict[tuple[str, str], dict[str, Any]] = {}
    for line in figures_path.read_text().splitlines():
        figure = json.loads(line)
        figures[figure["area"], figure["tried"]] = figure
    areas: dict[str, list[dict[str, Any]]] = {}
    for figure in figures.values():
        areas.setdefault(figure["area"], []).append(figure)
    dates = sorted({figure["date"] for figure in figures.values()})
    page = _OPENING.format(dates=" to ".join(dict.fromkeys([dates[0], dates[-1]])), machine=_machine())
    for area in sorted(areas, key=_number_of):
        page += f"\n## {_title(area)}\n\n{_TABLE}"
        for figure in areas[area]:
            page += f"| {_row(figure)} |\n"
    _PAGE.write_text(page)
    print(f"{_PAGE}: {len(figures)} figures")


def _machine() -> str:
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} processors, {memory_gib:.0f} GiB, busy with other work too"


def _row(figure: dict[str, Any]) -> str:
    path, _, name = figure["test"].partition("::")
    images = f"{figure['images']:,}" if figure["images"] else ""
    lost = f"{figure['lost']:,}" if figure["images"] else ""
    cells = [
        figure["tried"],
        f"{figure['times']:,}",
        images,
        lost,
        figure["measured"],
        f"`{Path(path).name}::{name}`",
    ]
    return " | ".join(cell.replace("|", "\\|") for cell in cells)


def _number_of(area: str) -> tuple[int, str]:
    number, _, rest = area.partition(" ")
    return (int(number), rest) if number.isdigit() else (99, area)


def _title(area: str) -> str:
    number, _, rest = area.partition(" ")
    title = rest if number.isdigit() else area
    return title[:1].upper() + title[1:]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
