"""``pixlog contact-sheet``: one picture of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pixlog.cli.choosing import KeyOption, RunArgument, StepOption, parse_steps
from pixlog.cli.terminal import count_text, messages, plain, printable, progress_bar, results, spinner
from pixlog.errors import InputError, RunError
from pixlog.reading.key_patterns import chosen_keys
from pixlog.reading.run import Run
from pixlog.reading.saved_image import SavedImage
from pixlog.sheet.contact_sheet import sheet_of_rows


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
    names, chosen_steps = chosen_keys(run, keys), parse_steps(steps)
    unreadable: dict[str, list[RunError]] = {"image": [], "overlay": [], "row": []}

    def note_image(_: SavedImage, error: RunError | None) -> None:
        if error is not None:
            unreadable["image"].append(error)

    with progress_bar("making thumbnails") as report:
        sheet = sheet_of_rows(
            run,
            {key: run.rows(key, chosen_steps, state="saved") for key in names or run.keys()},
            max_images=max_images,
            thumb_px=thumb_px,
            columns=columns,
            overlays=overlays,
            progress=report,
            on_image=note_image,
            on_overlay=lambda _, error: unreadable["overlay"].append(error),
            on_row=lambda _, error: unreadable["row"].append(error),
        )
    try:
        sheet.save(output)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot write {output}: {getattr(error, 'strerror', None) or error}") from error
    results().print(plain(f"wrote {output}, {sheet.width}×{sheet.height} pixels"), soft_wrap=True)
    for noun, errors in unreadable.items():
        if errors:
            said = f"not shown: {count_text(len(errors), noun)} that cannot be read, the first: {errors[0]}"
            messages().print(printable(said), style="red")
    if any(unreadable.values()):
        raise typer.Exit(1)
