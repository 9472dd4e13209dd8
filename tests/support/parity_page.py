"""docs/wandb-parity.md: what the comparison with wandb gives, as a page.

Run as a program, it compares and writes the page.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from parity import ROOT, Verdict, compare, log_with_pixlog, oracle_python, run_wandb
from parity_cases import all_cases

PAGE: Final = ROOT / "docs" / "wandb-parity.md"

REASONS: Final = {
    "widened": "wandb overflows on int8 and int16 (an OverflowError, or pixels that wrap); pixlog computes in wider "
    "integers and gives what the rule says.",
    "not finite": "In wandb one NaN or infinity switches the scaling of the whole image off or turns it black; in "
    "pixlog the finite values decide, and NaN, +inf and −inf become 0, 255 and 0.",
    "one pixel": "wandb squeezes out every axis of length 1, and so misreads colour images that are one pixel wide "
    "or high or fails on them; pixlog keeps the axes that an image needs.",
    "mode": "wandb reinterprets the bytes of the array in the mode asked for, which gives garbage or an error; "
    "pixlog converts, as wandb has done since.",
    "alpha in jpg": "wandb fails to save an RGBA array as a jpg; pixlog drops the alpha channel and notes it, as "
    "wandb has done since.",
    "more inputs": "pixlog takes this input; wandb raises.",
    "references": "wandb refuses to log a reference; pixlog records it in the row.",
    "no objects": "pixlog takes numbers only: arrays of Python objects never go over the wire.",
    "numpy numbers": "wandb refuses NumPy numbers in boxes; pixlog takes them.",
    "wrapped ids": "wandb casts float masks unchecked, and ids out of range wrap around; pixlog refuses them.",
    "traversal": "wandb lets a key leave its directory through `..`; pixlog's files stay inside the run directory, "
    "by the rule of later versions.",
}


def page(versions: dict[str, str], verdicts: Sequence[Verdict]) -> str:
    """Return the text of the parity page."""
    packages = ", ".join(f"{name} {version}" for name, version in versions.items())
    equal = sum(verdict.kind == "equal" for verdict in verdicts)
    errors = sum(verdict.kind == "error" for verdict in verdicts)
    different = len(verdicts) - equal - errors
    lines = [
        '# What `contract="wandb"` gives, beside the real wandb 0.18.0',
        "",
        "Written by `make oracle`, which logs every input below with both, decodes what was saved and compares "
        "pixels, modes, JSON and exception classes. Do not edit.",
        "",
        f"Compared with {packages}.",
        "",
        f"**{len(verdicts)} inputs: {equal} equal, {errors} refused by both, {different} different on purpose.** "
        "Equal means: every decoded sample, mode and palette, every JSON field and its order, and every byte of the "
        "boxes' JSON files. Digests and sizes of images are left out, since they belong to the encoder. Refused by "
        "both means: wandb raises, and pixlog's error is of the same class, or of the one that stands for it in the "
        "last table.",
        "",
        "| group | inputs | equal | refused by both | different on purpose |",
        "|---|---|---|---|---|",
    ]
    groups = list(dict.fromkeys(verdict.case.group for verdict in verdicts))
    for group in groups:
        inside = [verdict for verdict in verdicts if verdict.case.group == group]
        counts = [sum(verdict.kind == kind for verdict in inside) for kind in ("equal", "error", "different")]
        lines.append(f"| {group} | {len(inside)} | {counts[0]} | {counts[1]} | {counts[2]} |")
    lines += ["", "## Differences, and why", ""]
    for reason, text in REASONS.items():
        inside = [verdict for verdict in verdicts if verdict.case.differs == reason]
        if inside:
            lines += [f"### {reason.capitalize()}", "", text, "", "| input | what differs |", "|---|---|"]
            lines += [f"| {_cell(verdict.case.name)} | {_cell(verdict.detail)} |" for verdict in inside]
            lines.append("")
    lines += ["## What is refused by both", ""]
    lines += ["| wandb raises | pixlog raises | inputs |", "|---|---|---|"]
    pairs: dict[str, list[str]] = {}
    for verdict in verdicts:
        if verdict.kind == "error":
            pairs.setdefault(verdict.detail, []).append(verdict.case.name)
    for pair, names in sorted(pairs.items()):
        theirs, ours = pair.split(" → ")
        shown = ", ".join(_cell(name) for name in names[:3])
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        lines.append(f"| {theirs} | {ours} | {shown}{more} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    cleaned = re.sub(r"/\S*/(case\d+)/", "", text)
    return cleaned.replace("|", "\\|").replace("\n", " ")


def main(directory: Path) -> int:
    """Compare everything and write the page; return 1 when a difference has no reason, or a reason no difference."""
    python = oracle_python()
    if python is None:
        print("no Python with wandb 0.18.0: run  make oracle", file=sys.stderr)
        return 1
    versions, outcomes = run_wandb(python, directory / "wandb")
    verdicts = [
        compare(case, outcomes[case.name], log_with_pixlog(case, directory / f"pixlog{number}"))
        for number, case in enumerate(all_cases())
        if case.name in outcomes
    ]
    wrong = [verdict for verdict in verdicts if not verdict.as_expected]
    for verdict in wrong:
        print(
            f"! {verdict.case.name}: {verdict.kind} {verdict.detail} (reason given: {verdict.case.differs})"
        )
    equal = sum(verdict.kind != "different" for verdict in verdicts)
    print(f"{len(verdicts)} inputs, {equal} equal or refused by both, {len(wrong)} unexplained")
    if len(verdicts) < len(all_cases()):
        print("without torch the page would be incomplete: not written")
    elif not wrong:
        PAGE.write_text(page(versions, verdicts), encoding="utf-8")
        print(f"wrote {PAGE.relative_to(ROOT)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        (Path(temporary) / "wandb").mkdir()
        sys.exit(main(Path(temporary)))
