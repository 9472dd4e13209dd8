"""``pixlog contact-sheet``: one picture of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pixlog.cli.choosing import KeyOption, RunArgument, StepOption, parse_steps
from pixlog.cli.terminal import plain, progress_bar, results, spinner
from pixlog.errors import InputError
from pixlog.reading.key_patterns import chosen_keys
from pixlog.reading.run import Run
from pixlog.sheet.contact_sheet import contact_sheet as make_contact_sheet


def contact_sheet(
    run_dir: RunArgument,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Where to; the suffix says the format.")
    ] = Path("contact-sheet.png"),
    keys: KeyOption = None,
    steps: StepOption = None,
    max_images: Annotated[
        int,
        typer.Option("--max", "-n", min=1, help="Show at most so many images, shared out among the keys."),
    ] = 60,
    thumb_px: Annotated[
        int, typer.Option("--thumb", min=16, max=2048, help="Longest side of a thumbnail, in pixels.")
    ] = 144,
    columns: Annotated[
        int | None, typer.Option("--columns", min=1, help="Thumbnails across. Default: what suits.")
    ] = None,
    overlays: Annotated[
        bool, typer.Option("--overlays/--no-overlays", help="Draw masks and boxes over the images.")
    ] = True,
) -> None:
    """Make one picture of a run: thumbnails of every key from its first step to its last.

    \b
      $ pixlog contact-sheet runs/exp1 -o exp1.png
      $ pixlog contact-sheet runs/exp1 -k val/pred -k val/gt -s 0:90:10 --thumb 256
    """
    with spinner("reading the manifest"):
        run = Run(run_dir)
    with progress_bar("making thumbnails") as report:
        sheet = make_contact_sheet(
            run,
            chosen_keys(run, keys),
            step=parse_steps(steps),
            max_images=max_images,
            thumb_px=thumb_px,
            columns=columns,
            overlays=overlays,
            progress=report,
        )
    try:
        sheet.save(output)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot write {output}: {getattr(error, 'strerror', None) or error}") from error
    results().print(plain(f"wrote {output}, {sheet.width}×{sheet.height} pixels"), soft_wrap=True)
