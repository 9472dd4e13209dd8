"""``pixlog ls``: the keys of a run, or the rows of some keys."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from itertools import islice
from typing import Annotated, Any

import typer
from rich.table import Table

from pixlog.cli.choosing import (
    JsonOption,
    KeyOption,
    RankOption,
    RunArgument,
    StepOption,
    parse_steps,
)
from pixlog.cli.terminal import (
    count_text,
    messages,
    moment_text,
    nbytes_text,
    plain,
    print_json,
    progress_bar,
    ranges_text,
    results,
    spinner,
)
from pixlog.errors import RunError
from pixlog.reading.key_patterns import chosen_keys
from pixlog.reading.media_totals import MediaTotal
from pixlog.reading.rows import Row, Rows
from pixlog.reading.run import Run
from pixlog.reading.run_summary import KeySummary, RunSummary

_STATE_STYLES = {"saved": "green", "failed": "red", "dropped": "yellow"}


def ls(
    run_dir: RunArgument,
    keys: KeyOption = None,
    steps: StepOption = None,
    ranks: RankOption = None,
    states: Annotated[
        list[str] | None,
        typer.Option("--state", metavar="STATE", help="saved, failed or dropped; repeatable."),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=0, help="Show at most so many rows; 0 shows all.")
    ] = 50,
    as_json: JsonOption = False,
) -> None:
    """List what a run holds: its keys, or with any choice its rows.

    \b
      $ pixlog ls runs/exp1                          keys, steps, counts, sizes
      $ pixlog ls runs/exp1 -k val/pred -s 0:10      rows of ten steps
      $ pixlog ls runs/exp1 --state failed           what failed, and why
      $ pixlog ls runs/exp1 -k 'val/*' -n 0 --json   every row as a line of JSON

    With --json, keys are printed as one JSON object, rows as the manifest has
    them, one a line.
    """
    with spinner("reading the manifest"):
        run = Run(run_dir)
    asked_steps = parse_steps(steps)
    names = chosen_keys(run, keys)
    if names is None and asked_steps is None and not ranks and not states:
        _list_keys(run, as_json=as_json)
        return
    rows = run.rows(names, asked_steps, ranks or None, states or None)
    if as_json:
        for row in rows if limit == 0 else islice(rows, limit):
            print_json(row.to_dict())
    else:
        _show_rows(run, names, rows, limit)
    _warn_of_problems(run)


def _list_keys(run: Run, *, as_json: bool) -> None:
    with progress_bar("adding up sizes") as report:
        totals = run.media_totals(report)
    summary = run.summary()
    if as_json:
        print_json(_as_json(run, summary, totals), indent=2)
        return
    console = results()
    if not summary.keys:
        console.print(plain(f"{run.path} has no rows yet"))
    else:
        console.print(_key_table(summary, totals))
        nbytes = sum(total.nbytes for total in totals.values())
        console.print(
            plain(
                f"{summary.counts_text()}, {count_text(len(summary.keys), 'key')}, {nbytes_text(nbytes)}, "
                f"{count_text(summary.client_count, 'client')}"
            )
        )
    _warn_of_problems(run)


def _key_table(summary: RunSummary, totals: dict[str, MediaTotal]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("key", overflow="fold")
    for name in ("rows", "images", "steps", "ranks"):
        table.add_column(name, justify="right")
    unsaved = [state for state in ("failed", "dropped") if getattr(summary, state)]
    for state in unsaved:
        table.add_column(state, justify="right", style=_STATE_STYLES[state])
    table.add_column("size", justify="right")
    table.add_column("last logged")
    for key in summary.keys.values():
        total = totals.get(key.key, MediaTotal())
        table.add_row(
            plain(key.key),
            f"{key.rows:,}",
            f"{total.images:,}",
            _steps_text(key),
            ranges_text(key.ranks),
            *(f"{getattr(key, state):,}" for state in unsaved),
            nbytes_text(total.nbytes),
            moment_text(key.last_time),
        )
    return table


def _steps_text(key: KeySummary) -> str:
    if key.step_count == 1:
        return str(key.first_step)
    return f"{key.first_step}–{key.last_step} ({key.step_count:,})"


def _show_rows(run: Run, names: Sequence[str] | None, rows: Rows, limit: int) -> None:
    console = results()
    if not len(rows):
        console.print(plain(f"no rows fit: {_what_there_is(run, names)}"))
        return
    shown = list(rows if limit == 0 else islice(rows, limit))
    table = Table(box=None, pad_edge=False, header_style="bold")
    has_captions = any(_captions(row) for row in shown)
    table.add_column("key", overflow="fold")
    for name in ("step", "rank", "seq"):
        table.add_column(name, justify="right")
    table.add_column("state")
    table.add_column("pixels", justify="right")
    table.add_column("size", justify="right")
    if has_captions:
        table.add_column("caption", overflow="ellipsis", no_wrap=True, max_width=40)
    table.add_column("file, or reason", overflow="fold")
    for row in shown:
        table.add_row(
            plain(row.key),
            str(row.step),
            str(row.rank),
            str(row.seq),
            f"[{_STATE_STYLES[row.state]}]{row.state}[/]",
            _pixels_text(row),
            _size_text(row),
            *([plain(_captions(row))] if has_captions else []),
            plain(_where_text(row)),
        )
    console.print(table)
    if len(rows) > len(shown):
        console.print(f"… {len(rows) - len(shown):,} more; -n 0 shows all")


def _what_there_is(run: Run, names: Sequence[str] | None) -> str:
    """Return what of the keys asked for is in the run, for a choice that left none of it."""
    summary = run.summary()
    keys = [key for key in summary.keys.values() if names is None or key.key in names]
    if not keys:
        return "the run has no rows yet"
    what = keys[0].key if len(keys) == 1 else count_text(len(keys), "key")
    first, last = min(key.first_step for key in keys), max(key.last_step for key in keys)
    steps = f"step {first}" if first == last else f"steps {first}–{last}"
    ranks = tuple(sorted({rank for key in keys for rank in key.ranks}))
    states = [
        f"{count:,} {state}" for state in _STATE_STYLES if (count := sum(getattr(key, state) for key in keys))
    ]
    verb = "has" if len(keys) == 1 else "have"
    return f"{what} {verb} {steps}, rank{'' if len(ranks) == 1 else 's'} {ranges_text(ranks)}; {', '.join(states)}"


def _pixels_text(row: Row) -> str:
    value = row.value or {}
    if not value.get("width"):
        return ""
    count = value.get("count")
    return f"{value['width']}×{value['height']}" + ("" if count is None else f" ×{count}")


def _size_text(row: Row) -> str:
    with contextlib.suppress(RunError):
        return nbytes_text(sum(file.size for file in row.files)) if row.files else ""
    return "?"


def _captions(row: Row) -> str:
    value = row.value or {}
    captions = [value.get("caption"), *(value.get("captions") or ())]
    return " | ".join(str(caption) for caption in captions if caption is not None)


def _where_text(row: Row) -> str:
    if row.state != "saved":
        return row.reason or ""
    try:
        images = row.images
    except RunError as error:
        return f"damaged: {error}"
    names = [image.file.relative_path if image.file else image.url or "" for image in images[:1]]
    more = [f"and {len(images) - 1} more"] if len(images) > 1 else []
    notes = [f"({'; '.join(row.notes)})"] if row.notes else []
    return " ".join([*names, *more, *notes])


def _as_json(run: Run, summary: RunSummary, totals: dict[str, MediaTotal]) -> dict[str, Any]:
    said = dataclasses.asdict(summary) | {"run_dir": str(summary.run_dir)}
    for key, fields in said["keys"].items():
        total = totals.get(key, MediaTotal())
        fields |= {"images": total.images, "nbytes": total.nbytes}
        del fields["key"]
    problems = dataclasses.asdict(run.problems)
    return said | {"nbytes": sum(total.nbytes for total in totals.values()), "problems": problems}


def _warn_of_problems(run: Run) -> None:
    if run.problems.total:
        messages().print(
            f"pixlog: {count_text(run.problems.total, 'line')} of the manifest could not be read as rows; "
            f"see  pixlog verify {run.path}",
            style="yellow",
        )
