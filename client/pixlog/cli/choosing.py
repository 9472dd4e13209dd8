"""Options by which several commands choose keys, steps, ranks and states, and what they mean."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="The run directory.", show_default=False)]
KeyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--key", "-k", metavar="KEY", help="A key, or a pattern such as [bold]'val/*'[/bold]; repeatable."
    ),
]
StepOption = Annotated[
    str | None,
    typer.Option(
        "--step",
        "-s",
        metavar="STEPS",
        help="A step [bold]3[/bold], several [bold]3,5,8[/bold], or a range without its end [bold]0:90[/bold], "
        "[bold]0:90:10[/bold].",
    ),
]
RankOption = Annotated[
    list[int] | None, typer.Option("--rank", "-r", metavar="RANK", help="A rank; repeatable.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def parse_steps(text: str | None) -> int | slice | list[int] | None:
    """Return the steps that ``--step`` means; raise ``typer.BadParameter`` for anything else."""
    if text is None:
        return None
    try:
        if ":" in text:
            bounds = [int(bound) if bound.strip() else None for bound in text.split(":")]
            if len(bounds) <= 3 and (len(bounds) < 3 or bounds[2] is None or bounds[2] >= 1):
                return slice(*bounds)
        else:
            labels = [int(label) for label in text.split(",")]
            return labels[0] if len(labels) == 1 else labels
    except ValueError:
        pass
    raise typer.BadParameter(
        f"got {text!r}, expected a step such as 3, several such as 3,5,8, or a range such as 0:90 or 0:90:10",
        param_hint="--step",
    )
