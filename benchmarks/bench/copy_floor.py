"""What a call costs beside copying the same array: ``benchmarks/log_image.py``, which can also be run alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from bench.harness import Form, Goal, Report

_PROGRAM = Path(__file__).resolve().parents[1] / "log_image.py"


def run(form: Form, directory: Path) -> Report:
    """Run it, and hold its medians and its p99 to the goals."""
    path = directory / "log_image.json"
    command = [sys.executable, str(_PROGRAM), "--json", str(path), "--seconds", form.pick("0.2", "2.5")]
    command += ["--calls", form.pick("5", "200")]  # of fewer, the 99th percentile is the worst
    command += form.pick(["--only", "28²", "--only", "256²"], [])
    environ = {**os.environ, "TMPDIR": str(directory)}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=600, env=environ)
    cases = json.loads(path.read_text())["measured"]
    report = Report("copy_floor", "log_image beside a copy of the same array", {"cases": cases})
    header = ["image", "daemon", "copy µs", "p99", "call µs", "p99", "(call − 15 µs) / copy", "goal"]
    rows = []
    medians, tails = [], []
    for case in cases:
        share = (case["call_median_us"] - 15) / case["copy_median_us"]
        allowed_us = 5_000 + 3 * case["copy_median_us"]
        medians.append(share <= 1.5)
        tails.append(case["call_p99_us"] <= allowed_us)
        rows.append(
            [
                f"{case['image']} {case['dtype']}",
                case["daemon"],
                f"{case['copy_median_us']:,.1f}",
                f"{case['copy_p99_us']:,.0f}",
                f"{case['call_median_us']:,.1f}",
                f"{case['call_p99_us']:,.0f}",
                f"{max(0.0, share):.2f}",
                "met" if medians[-1] and tails[-1] else "missed",
            ]
        )
    report.tables.append((header, rows))
    busy = [case for case in cases if case["daemon"] == "busy"]
    within = [met for met, case in zip(medians, cases, strict=True) if case["daemon"] == "busy"]
    worst = max((case["call_median_us"] - 15) / case["copy_median_us"] for case in busy)
    tail_ms = max(case["call_p99_us"] for case in cases) / 1e3
    report.goals += [
        Goal(
            "`log_image`, uint8 and float32, 28² to 4K, daemon busy: median",
            "≤ 1.5 × copy + 15 µs",
            f"worst {max(0.0, worst):.2f} × copy + 15 µs; {sum(within)} of {len(busy)} cases within",
            all(within),
        ),
        Goal(
            "same, p99, daemon idle and busy",
            "≤ 5 ms + 3 × copy",
            f"worst p99 {tail_ms:.1f} ms; {sum(tails)} of {len(cases)} cases within",
            all(tails),
        ),
    ]
    return report
