"""``pixlog export``: a run, or a part of it, in a format that other programs open."""

from __future__ import annotations

import dataclasses
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from pixlog.cli.choosing import JsonOption, KeyOption, RankOption, RunArgument, StepOption, parse_steps
from pixlog.cli.terminal import (
    count_text,
    messages,
    nbytes_text,
    plain,
    print_json,
    printable,
    progress_bar,
    results,
    spinner,
)
from pixlog.export.export_run import ExportReport, export_run
from pixlog.export.formats import FORMATS
from pixlog.reading.run import Run

_REASONS_SHOWN = 5


def export(
    run_dir: RunArgument,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            "-t",
            metavar="FORMAT",
            help="\n\n".join(f"[bold]{format.name}[/bold]: {format.summary}." for format in FORMATS.values()),
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="PATH", help="Where to. Default: here, named for the run."),
    ] = None,
    keys: KeyOption = None,
    steps: StepOption = None,
    ranks: RankOption = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace an earlier export.")] = False,
    as_json: JsonOption = False,
    groups: Annotated[
        list[str] | None,
        typer.Option(
            "--group", metavar="NAME", help="[bold]coco[/bold]: only overlays of this name; repeatable."
        ),
    ] = None,
    shard_count: Annotated[
        int | None,
        typer.Option(
            "--shard-count",
            min=1,
            metavar="N",
            help="[bold]webdataset[/bold]: most images in a shard. Default: 10,000.",
        ),
    ] = None,
    shard_size: Annotated[
        str | None,
        typer.Option(
            "--shard-size",
            metavar="SIZE",
            help="[bold]webdataset[/bold]: most bytes in a shard. Default: 1GB.",
        ),
    ] = None,
    embed: Annotated[
        bool | None,
        typer.Option("--embed", help="[bold]parquet[/bold]: put the bytes of the images into the table."),
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option("--fps", metavar="N", help="[bold]gif, mp4[/bold]: frames a second. Default: 8."),
    ] = None,
    side_px: Annotated[
        int | None,
        typer.Option(
            "--side",
            metavar="PX",
            help="[bold]gif, mp4, contact-sheet[/bold]: longest side of a picture. Default: 400, 720, 144.",
        ),
    ] = None,
    overlays: Annotated[
        bool | None,
        typer.Option(
            "--overlays/--no-overlays",
            help="[bold]gif, mp4, contact-sheet[/bold]: draw masks and boxes. Default: yes.",
        ),
    ] = None,
    labels: Annotated[
        bool | None,
        typer.Option(
            "--labels/--no-labels", help="[bold]gif, mp4[/bold]: write step and caption. Default: yes."
        ),
    ] = None,
    crf: Annotated[
        int | None,
        typer.Option("--crf", metavar="N", help="[bold]mp4[/bold]: 0 loses least, 51 most. Default: 18."),
    ] = None,
    max_images: Annotated[
        int | None,
        typer.Option(
            "--max", metavar="N", help="[bold]contact-sheet[/bold]: most images on it. Default: 60."
        ),
    ] = None,
    columns: Annotated[
        int | None,
        typer.Option(
            "--columns",
            min=1,
            metavar="N",
            help="[bold]contact-sheet[/bold]: thumbnails across. Default: what suits.",
        ),
    ] = None,
) -> None:
    """Turn a run, or a part of it, into files that other programs open.

    \b
      $ pixlog export runs/exp1 --to html                   makes exp1-html
      $ pixlog export runs/exp1 -t zip -k 'val/*' -s 0:100  some keys, steps
      $ pixlog export runs/exp1 -t coco -k val/pred --group truth -o truth
      $ pixlog export runs/exp1 -t mp4 -k val/pred --fps 24 -o pred.mp4
      $ pixlog export runs/exp1 -t parquet --force          over the last one

    The output is there when it is complete; Ctrl-C leaves nothing behind. It may run while training logs.
    Exit code 0 if every image was exported, 1 otherwise, with why.
    """
    options: dict[str, Any] = {
        "group": groups or None,
        "columns": columns,
        "crf": crf,
        "embed": embed,
        "fps": fps,
        "labels": labels,
        "max_images": max_images,
        "overlays": overlays,
        "shard_count": shard_count,
        "shard_size": shard_size,
        "side_px": side_px,
    }
    if to is None:
        raise typer.BadParameter(f"a format is one of {', '.join(FORMATS)}; got none", param_hint="--to")
    given = {name: value for name, value in options.items() if value is not None}
    with spinner("reading the manifest"):
        run = Run(run_dir)
    try:
        with _sigterm_as_ctrl_c(), progress_bar(f"writing {to}") as report_progress:
            report = export_run(
                run,
                to,
                out,
                key=keys,
                step=parse_steps(steps),
                rank=ranks,
                force=force,
                progress=report_progress,
                **given,
            )
    except KeyboardInterrupt:
        messages().print("interrupted: nothing was written")
        raise
    if as_json:
        print_json(_to_json(report), indent=2)
    else:
        _show(results(), report)
    _complain(messages(), report)
    if not report.ok:
        raise typer.Exit(1)


@contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    """Let the end of a session or of a job clean up as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _show(console: Console, report: ExportReport) -> None:
    counts = report.counts
    rows = f"{count_text(counts.images, 'image')} of {count_text(counts.rows, 'row')}"
    console.print(
        plain(f"wrote {report.out}: {rows}, {nbytes_text(report.nbytes)} in {report.duration_s:.1f} s"),
        soft_wrap=True,
    )
    if counts.references:
        said = (
            f"note: {count_text(counts.references, 'image')} logged as references, whose pixels are elsewhere"
        )
        console.print(plain(said), soft_wrap=True)
    for text, count in counts.notes.most_common(_REASONS_SHOWN):
        console.print(plain(f"note: {count:,} × {text}"), soft_wrap=True)
    for state, count in (("failed", counts.failed_rows), ("dropped", counts.dropped_rows)):
        if count:
            console.print(
                plain(f"{count_text(count, 'row')} {state} when logged and so without image:"),
                style="yellow",
                soft_wrap=True,
            )
            reasons = [(why, n) for why, n in counts.reasons.most_common() if why.startswith(f"{state}: ")]
            for why, n in reasons[:_REASONS_SHOWN]:
                console.print(plain(f"  {n:,} × {why.partition(': ')[2]}"), soft_wrap=True)
            if len(reasons) > _REASONS_SHOWN:
                console.print(f"  … {count_text(len(reasons) - _REASONS_SHOWN, 'other reason')}")


def _complain(console: Console, report: ExportReport) -> None:
    counts = report.counts
    for reason, count in counts.left_out.most_common():
        console.print(printable(f"left out: {count_text(count, 'image')}: {reason}"), style="red")
    for reason, count in counts.overlays_left_out.most_common():
        console.print(
            printable(f"left out: {count_text(count, 'overlay')} of exported images: {reason}"), style="red"
        )
    for example in counts.examples:
        console.print(printable(f"  {example}"))
    if report.damaged_lines:
        lines = count_text(report.damaged_lines, "line")
        console.print(f"{lines} of the manifest could not be read as rows; see pixlog verify", style="yellow")


def _to_json(report: ExportReport) -> dict[str, Any]:
    said = dataclasses.asdict(report.counts) | {"rows": report.counts.rows}
    return {
        "format": report.format,
        "out": str(report.out),
        **said,
        "nbytes": report.nbytes,
        "duration_s": round(report.duration_s, 3),
        "damaged_lines": report.damaged_lines,
        "ok": report.ok,
    }
