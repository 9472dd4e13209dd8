"""The page and its plots, written from the JSON of a run: ``python benchmarks/bench/page.py``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

_ROOT: Final = Path(__file__).resolve().parents[2]
RESULTS: Final = _ROOT / "benchmarks/results/latest.json"
PAGE: Final = _ROOT / "docs/benchmarks.md"
IMAGES: Final = _ROOT / "docs/images"
_WORDS: Final = {True: "met", False: "**missed**", None: "not measured"}
_OURS, _OTHERS = "#1f77b4", "#b8bec6"

_INTRODUCTION: Final = """\
# Benchmarks

Written by `make bench` from `benchmarks/results/latest.json`; do not edit it by hand. Contestants take turns within
one run, so a ratio compares two things that the same machine did at the same time; a figure in parentheses is the
lowest and the highest round. Absolute times hold for this machine only.

"""


def write_page(results: Path = RESULTS, page: Path = PAGE, images: Path = IMAGES) -> None:
    """Write the page and its plots."""
    result = json.loads(results.read_text())
    reports = {report["name"]: report for report in result["reports"]}
    plots = _plots(reports, images)
    text = _INTRODUCTION + _about(result) + _goals(result["reports"])
    for report in result["reports"]:
        text += f"\n## {report['title']}\n"
        for name, caption in plots.get(report["name"], ()):
            text += f"\n![{caption}](images/{name})\n"
        for header, rows in report["tables"]:
            text += "\n" + _table(header, rows)
        for note in report["notes"]:
            text += f"\n{note}\n"
        text += (
            f"\n<sub>{report['date']}, {report['seconds']:.0f} s, load average {report['load']:.1f}.</sub>\n"
        )
    page.write_text(text)


def _about(result: Mapping[str, Any]) -> str:
    machine = result["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    peers: Mapping[str, str] = next(
        (
            report["figures"].get("versions", {})
            for report in result["reports"]
            if report["name"] == "beside_peers"
        ),
        {},
    )
    text = f"{result['date']}, {machine['cpus']} processors ({machine['processor']}), {machine['system']}; {versions}"
    if peers:
        text += "; " + ", ".join(f"{name}: {number}" for name, number in peers.items())
    text += ".\n"
    text += f"\nRuns lay {machine['files']}, but for the comparison of fsync, which was on disk.\n"
    if machine.get("shared"):
        text += f"\n{machine['shared']}\n"
    return text


def _goals(reports: Sequence[Mapping[str, Any]]) -> str:
    goals = [goal for report in reports for goal in report["goals"]]
    met = sum(goal["met"] is True for goal in goals)
    missed = sum(goal["met"] is False for goal in goals)
    rows = [[goal["what"], goal["target"], goal["measured"], _WORDS[goal["met"]]] for goal in goals]
    text = f"\n## Goals\n\n{met} met, {missed} missed, {len(goals) - met - missed} not measured.\n\n"
    return text + _table(["what", "goal", "measured", ""], rows)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [
        header,
        ["---", *["---:" if not _is_prose(rows, i) else "---" for i in range(1, len(header))]],
        *rows,
    ]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def _is_prose(rows: Sequence[Sequence[str]], column: int) -> bool:
    return any(len(row[column]) > 40 or not any(c.isdigit() for c in row[column]) for row in rows)


def _plots(reports: Mapping[str, Mapping[str, Any]], images: Path) -> dict[str, list[tuple[str, str]]]:
    """Draw what there are figures for; return names and captions by report."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams |= {
        "svg.hashsalt": "pixlog",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    images.mkdir(parents=True, exist_ok=True)
    made: dict[str, list[tuple[str, str]]] = {}
    peers = reports.get("beside_peers", {}).get("figures", {})
    for size, mark in (("1080p", "1080p"), ("256²", "256")):
        if size in peers:
            caller = {name: entry["call_median_ms"] for name, entry in peers[size].items()}
            saved = {name: entry["images_per_s"]["median"] for name, entry in peers[size].items()}
            _bars(
                images / f"bench-callers-{mark}.svg",
                f"Milliseconds in the caller, {size}",
                caller,
                reverse=False,
            )
            _bars(
                images / f"bench-saved-{mark}.svg", f"Images saved in a second, {size}", saved, reverse=True
            )
            made.setdefault("beside_peers", []).extend(
                [
                    (f"bench-callers-{mark}.svg", f"milliseconds in the caller, {size}, logarithmic"),
                    (f"bench-saved-{mark}.svg", f"images saved in a second, {size}, logarithmic"),
                ]
            )
    grown = reports.get("growth", {}).get("figures", {})
    if grown:
        _growth(images / "bench-growth.svg", grown)
        made["growth"] = [("bench-growth.svg", "time of an image over that of a fresh run and of one client")]
    return made


def _bars(path: Path, title: str, values: Mapping[str, float], *, reverse: bool) -> None:
    from matplotlib import pyplot

    ordered = sorted(values.items(), key=lambda item: item[1], reverse=not reverse)
    figure, axes = pyplot.subplots(figsize=(7, 0.32 * len(ordered) + 0.8), layout="constrained")
    names, numbers = [name for name, _ in ordered], [number for _, number in ordered]
    colours = [_OURS if name.startswith("pixlog") else _OTHERS for name in names]
    bars = axes.barh(names, numbers, color=colours)
    axes.bar_label(bars, [f"{number:,.3g}" for number in numbers], padding=3)
    axes.set_xscale("log")
    axes.set_title(title, loc="left")
    axes.margins(x=0.12)
    _save(figure, path)


def _growth(path: Path, grown: Mapping[str, Any]) -> None:
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(7, 2.6), sharey=True, layout="constrained")
    for axes, entries, name, key in (
        (left, grown["images"], "images", "over_a_fresh_run"),
        (right, grown["clients"], "clients", "over_one_client"),
    ):
        spread = [entry[key] for entry in entries]
        middle = [entry["median"] for entry in spread]
        reach = [
            [m - s["low"] for m, s in zip(middle, spread, strict=True)],
            [s["high"] - m for m, s in zip(middle, spread, strict=True)],
        ]
        axes.errorbar(
            [entry[name] for entry in entries], middle, yerr=reach, marker="o", color=_OURS, capsize=3
        )
        axes.set_xscale("log")
        axes.set_ylim(bottom=0)
        axes.set_xlabel(name)
        axes.axhline(1, color=_OTHERS, linewidth=1)
    left.set_title("Time of an image: over a fresh run", loc="left")
    right.set_title("… and over one client", loc="left")
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    from matplotlib import pyplot

    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


if __name__ == "__main__":
    write_page()
