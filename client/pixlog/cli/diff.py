"""``pixlog diff``: two runs, or two keys of one, compared image by image."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from pixlog.cli.choosing import JsonOption, RankOption, StepOption, parse_steps
from pixlog.cli.diff_tally import ShownPairs, Tally
from pixlog.cli.terminal import (
    count_text,
    messages,
    plain,
    print_json,
    printable,
    progress_bar,
    results,
    spinner,
)
from pixlog.compare.difference import ImageDiff
from pixlog.compare.picture_files import write_picture
from pixlog.compare.run_diff import iterate_diff
from pixlog.errors import PixlogError, RunError
from pixlog.reading.key_patterns import chosen_keys
from pixlog.reading.run import Run

_STYLES = {"same": "green", "differs": "", "absent": "yellow"}


def diff(
    run_a: Annotated[Path, typer.Argument(metavar="A", help="A run directory.", show_default=False)],
    run_b: Annotated[
        Path | None,
        typer.Argument(metavar="[B]", help="Another; A itself if left out.", show_default=False),
    ] = None,
    keys: Annotated[
        list[str] | None,
        typer.Option("--key", "-k", metavar="KEY", help="A key of both runs, or a pattern; repeatable."),
    ] = None,
    key_b: Annotated[
        str | None,
        typer.Option("--key-b", metavar="KEY", help="The key on the side of B, where it is another one."),
    ] = None,
    steps: StepOption = None,
    ranks: RankOption = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Write |a − b| of each pair as PNG below DIR."),
    ] = None,
    gain: Annotated[float, typer.Option("--gain", help="Brighten the images of --out so many times.")] = 1.0,
    data_range: Annotated[
        float | None,
        typer.Option(
            "--data-range", metavar="R", help="Range of values for PSNR and SSIM. Default: that of the dtype."
        ),
    ] = None,
    min_psnr_db: Annotated[
        float | None,
        typer.Option("--min-psnr", metavar="DB", help="Pairs of at least so many dB pass for the same."),
    ] = None,
    worst: Annotated[
        int | None, typer.Option("--worst", "-w", min=1, metavar="N", help="Show the N worst pairs only.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare the images of two runs, or of two keys, step by step.

    \b
      $ pixlog diff runs/a runs/b -k val/pred
      $ pixlog diff runs/a runs/b -k 'val/*' -s 0:90:10 --out diffs --gain 8
      $ pixlog diff runs/a -k val/input --key-b val/pred --worst 5
      $ pixlog diff runs/a runs/b -k val/pred --json | jq 'select(.ssim < 0.9)'

    Images pair by key, step, rank and their place in the row. MSE, PSNR and
    SSIM are of the stored pixels. With --json each pair is a line of JSON.

    Exit code 0 if every image has its like, 1 if any differs or is on one side
    only, 2 if it could not be told.
    """
    try:
        is_same = _compare(
            run_a, run_b, keys, key_b, steps, ranks, out, gain, data_range, min_psnr_db, worst, as_json
        )
    except PixlogError as error:
        messages().print(f"pixlog: {printable(str(error))}", style="red")
        raise typer.Exit(2) from None
    if not is_same:
        raise typer.Exit(1)


def _compare(
    path_a: Path,
    path_b: Path | None,
    patterns: list[str] | None,
    key_b: str | None,
    steps: str | None,
    ranks: list[int] | None,
    out: Path | None,
    gain: float,
    data_range: float | None,
    min_psnr_db: float | None,
    worst: int | None,
    as_json: bool,
) -> bool:
    if not patterns:
        raise typer.BadParameter("expected at least one key to compare", param_hint="--key")
    if not (gain > 0 and math.isfinite(gain)):
        raise typer.BadParameter(f"got {gain:g}, expected a number above 0", param_hint="--gain")
    asked_steps = parse_steps(steps)
    with spinner("reading the manifests"):
        run_a = Run(path_a)
        run_b = run_a if path_b is None else Run(path_b)
    names = _keys_of_both(run_a, run_b, patterns) if key_b is None else chosen_keys(run_a, patterns) or []
    if key_b is not None and len(names) > 1:
        raise typer.BadParameter(f"goes with one --key, got {', '.join(names)}", param_hint="--key-b")

    def pairs() -> Iterator[ImageDiff]:
        for name in names:
            with progress_bar(f"comparing {printable(name)}") as report:
                yield from iterate_diff(
                    run_a,
                    run_b,
                    name,
                    key_b=key_b,
                    step=asked_steps,
                    rank=ranks or None,
                    data_range=data_range,
                    progress=report,
                )

    tally, shown = Tally(), ShownPairs(worst)
    for pair in pairs():
        picture = write_picture(pair, out, gain) if out is not None and pair.is_compared else None
        tally.add(pair, has_picture=picture is not None)
        if as_json and worst is None:
            _print_json(pair, picture)
        else:
            shown.add(pair, picture)
    if not tally.count:
        raise RunError(f"nothing was compared: {_why_nothing(run_a, run_b, patterns, names)}")
    if as_json:
        for pair, picture in shown.in_order():
            _print_json(pair, picture)
    else:
        _show(tally, [pair for pair, _ in shown.in_order()], many_keys=len(names) > 1)
    if out is not None and not as_json:
        text = f"wrote {count_text(tally.picture_count, 'difference image')} below {out}"
        results().print(plain(text), soft_wrap=True)
    return tally.is_same(math.inf if min_psnr_db is None else min_psnr_db)


def _keys_of_both(run_a: Run, run_b: Run, patterns: list[str]) -> list[str]:
    """Return the keys that are meant: a pattern takes what fits in both runs, and a key has to be in both."""
    in_b = set(chosen_keys(run_b, patterns) or ())
    named = [run_b.known_key(key) if key in patterns else key for key in chosen_keys(run_a, patterns) or ()]
    return [key for key in named if key in in_b]


def _why_nothing(run_a: Run, run_b: Run, patterns: list[str], names: list[str]) -> str:
    if not names:
        return f"no key that fits {' or '.join(patterns)} is in both {run_a.path} and {run_b.path}"
    return f"no row of {', '.join(names)} has a step and a rank that were asked for"


def _print_json(pair: ImageDiff, picture: Path | None) -> None:
    print_json(pair.to_dict() | ({} if picture is None else {"picture": str(picture)}))


def _show(tally: Tally, shown: list[ImageDiff], *, many_keys: bool) -> None:
    console = results()
    console.print(_table(shown, tally.counters, many_keys=many_keys))
    if len(shown) < tally.count:
        console.print(f"the {len(shown):,} worst of {count_text(tally.count, 'pair')}")
    console.print(plain(tally.text()), soft_wrap=True)


def _table(shown: list[ImageDiff], columns: list[str], *, many_keys: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    if many_keys:
        table.add_column("key", overflow="fold")
    for name in ("step", *columns, "MSE", "PSNR dB", "SSIM", "max |a−b|"):
        table.add_column(name, justify="right")
    has_notes = any(pair.note or pair.state == "same" for pair in shown)
    if has_notes:
        table.add_column("note", overflow="fold")
    for pair in shown:
        table.add_row(
            *([plain(pair.key_a)] if many_keys else []),
            str(pair.step),
            *(str(getattr(pair, name)) for name in columns),
            *(_number(pair.mse, ".6g"), _number(pair.psnr_db, ".2f"), _number(pair.ssim, ".4f")),
            _number(pair.max_abs, ".6g"),
            *([plain(pair.note or ("the same" if pair.state == "same" else ""))] if has_notes else []),
            style=_STYLES.get(pair.state, "red"),
        )
    return table


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
