"""A daemon that stands still delays no call and loses no image, and ends nobody's patience."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

import daemons
from accounting import check_accounts
from fault_plan import FaultPlan
from nursery import Nursery
from pictures import assert_steps_are_numbers
from waiting import TIME_FACTOR


@pytest.mark.parametrize("shape", [(512, 512, 3), (1080, 1920, 3)], ids=["512", "1080p"])
def test_stopped_daemon_delays_no_call_and_everything_arrives(
    plan: FaultPlan,
    nursery: Nursery,
    tmp_path: Path,
    run_dir: Path,
    runtime_dir: Path,
    shape: tuple[int, ...],
) -> None:
    """While the daemon is stopped calls go on at their pace; after SIGCONT every image is saved."""
    stop_s = plan.repeats(suite=3, full=30)
    stops = plan.repeats(suite=1, full=5)
    images = spilled = lost = 0
    took: dict[str, list[dict[str, float]]] = {"copy": [], "memory": [], "spill": []}
    for number in range(stops):
        run = run_dir / str(number)
        trainer = nursery.start(
            "training:log_at_pace",
            tmp_path / f"trainer-{number}",
            run_dir=str(run),
            shape=shape,
            heed=str(tmp_path / f"heed-{number}"),
            stop=str(tmp_path / f"stop-{number}"),
            pause_s=0.02 if shape[0] < 1000 else 0.1,
        )
        trainer.wait_for("logged")
        with daemons.stopped(daemons.the_daemon_of(runtime_dir)):
            (tmp_path / f"heed-{number}").touch()
            time.sleep(stop_s)
            (tmp_path / f"stop-{number}").touch()
            (times,) = map(json.loads, trainer.wait_for("times"))
        trainer.wait_for("stats", timeout_s=240)
        assert trainer.wait() == 0, trainer.complaints()
        for name, taken in times.items():
            took[name] += taken
        ((_, counts),) = trainer.stats().items()
        account = check_accounts(run, clients=trainer.stats())
        assert_steps_are_numbers(run, list(account.rows.values()))
        images += counts["accepted"]
        spilled += counts["spilled"]
        lost += counts["accepted"] - counts["saved"]
        daemons.wait_for_end(runtime_dir)
    plan.record(
        "3 daemon stopped",
        f"The daemon is stopped for {stop_s} s while images of {'×'.join(map(str, shape))} are logged",
        times=stops,
        images=images,
        lost=lost,
        measured=f"{spilled} went into the spill; {_percentiles(took)}",
    )
    assert lost == 0


def _percentiles(times: dict[str, list[dict[str, float]]]) -> str:
    words = {"memory": "calls into memory took", "spill": "calls into the spill", "copy": "numpy's copy"}
    return "; ".join(
        f"{said} {_percentile(ms, 50):.2f} ms (median), {_percentile(ms, 99):.2f} ms (p99),"
        f" {_percentile(own_ms, 99):.2f} ms (p99 without steal time)"
        for name, said in words.items()
        if (ms := [took["ms"] for took in times[name]])
        and (own_ms := [took["ms"] - took["stolen_ms"] for took in times[name]])
    )


def _percentile(values: list[float], percent: int) -> float:
    return sorted(values)[len(values) * percent // 100]


@pytest.mark.parametrize("inline", [False, True], ids=["arena", "inline"])
def test_close_on_stopped_daemon_is_bounded_and_loses_nothing(
    plan: FaultPlan,
    nursery: Nursery,
    tmp_path: Path,
    run_dir: Path,
    runtime_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    inline: bool,
) -> None:
    """close(timeout_s=2) returns within 3 s, reports what is unsaved, and the daemon saves it when it goes on."""
    monkeypatch.setenv("PIXLOG_IDLE_EXIT_S", "1")
    times = plan.repeats(suite=1, full=10)
    images = unsaved = lost = 0
    slowest_s = 0.0
    for number in range(times):
        run = run_dir / str(number)
        trainer = nursery.start(
            "training:close_when_stopped",
            tmp_path / f"trainer-{number}",
            run_dir=str(run),
            count=100,
            shape=(256, 256, 3),
            inline=inline,
            close_s=2.0,
            go=str(tmp_path / f"go-{number}"),
        )
        trainer.wait_for("ready")
        (daemon,) = [one for one in daemons.serving_in(runtime_dir) if str(run) in one.command]
        with daemons.stopped(daemon):
            (tmp_path / f"go-{number}").touch()
            trainer.wait_for("stats")
            assert trainer.wait() == 0, trainer.complaints()
        (took_s,) = map(float, trainer.said_after("closed"))
        ((_, counts),) = trainer.stats().items()
        assert counts["pending"] == counts["accepted"] - counts["saved"] == 100
        assert f"{counts['pending']} images not yet saved" in trainer.complaints()
        slowest_s = max(slowest_s, took_s)
        images += counts["accepted"]
        unsaved += counts["pending"]
        daemons.wait_for_end(runtime_dir)
        lost += counts["accepted"] - len(check_accounts(run, clients=trainer.stats()).saved)
    plan.record(
        "3 daemon stopped",
        f"close(timeout_s=2) while the daemon is stopped, images {'inline' if inline else 'in shared memory'}",
        times=times,
        images=images,
        lost=lost,
        measured=f"it returned after {slowest_s:.2f} s at most and reported {unsaved} images as not yet saved",
    )
    assert slowest_s < 3.0 * TIME_FACTOR
    assert lost == 0
