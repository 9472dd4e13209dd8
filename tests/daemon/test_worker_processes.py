"""When a daemon has worker processes, and what it does where it cannot have them or loses them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import odd_worker
import processes
from daemon_rooms import client_of, entry_of, open_run
from pixlogd.config.settings import Settings
from pixlogd.pipeline import Pipeline
from pixlogd.rundir.open_run import OpenRun
from waiting import scaled_s
from wire_frames import log_header

Scene = Callable[[Pipeline, OpenRun], Awaitable[None]]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the first moment in which calls wait be long enough."""
    monkeypatch.setattr("pixlogd.worker_processes._PRESSURE_S", -1.0)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[OpenRun]:
    """Return a run that is open here."""
    with open_run(tmp_path / "run") as run:
        yield run


def play(run: OpenRun, scene: Scene, **settings: Any) -> list[str]:
    """Play a scene with a pipeline, and end that; return the rows' states in the order of their numbers."""
    states: dict[int, str] = {}

    async def whole() -> None:
        pipeline = Pipeline(
            Settings(nice=0, **{"encode_workers": 2, **settings}), lambda: None, lambda _: None
        )
        client_of(run).deliver = lambda ack: states.update({ack[0]: ack[1]})
        try:
            async with asyncio.timeout(scaled_s(60)):
                await scene(pipeline, run)
                assert await pipeline.drain(None)
        finally:
            pipeline.stop()
            await pipeline.finish()
            await run.manifest.close()
            await asyncio.get_running_loop().shutdown_default_executor()

    asyncio.run(whole())
    assert no_worker_is_left()
    return [state for _, state in sorted(states.items())]


def flood(pipeline: Pipeline, run: OpenRun, first: int, count: int = 600, **changed: Any) -> None:
    """Accept calls faster than they are worked on."""
    for seq in range(first, first + count):
        pipeline.accept(entry_of(client_of(run), log_header(seq, **changed)))
        pipeline.dispatch()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    while not condition():  # noqa: ASYNC110 - processes come and go without an event
        await asyncio.sleep(0.005)


def rows_of(run: OpenRun) -> list[dict[str, Any]]:
    """Return the rows of the manifest."""
    segments = (run.run_dir / "manifest").glob("*.jsonl")
    return [json.loads(line) for segment in segments for line in segment.read_text().splitlines()]


def no_worker_is_left() -> bool:
    """Whether every worker process has been seen to its end."""
    return not any(child.is_worker for child in processes.children())


async def flood_until_there_are(pipeline: Pipeline, run: OpenRun, count: int) -> int:
    """Flood until there are as many worker processes; return the number of the next call."""
    first = 0
    while pipeline.worker_processes.count != count:
        flood(pipeline, run, first)
        first += 600
        await pipeline.drain(None)
    return first


def test_flood_is_worked_on_by_processes(run: OpenRun) -> None:
    """As many as encode workers are started once small calls wait, and every call has one row."""

    async def scene(pipeline: Pipeline, run: OpenRun) -> None:
        first = await flood_until_there_are(pipeline, run, 2)
        flood(pipeline, run, first)
        assert pipeline._lanes, "the last calls went to no process"

    assert set(play(run, scene)) == {"saved"}


@pytest.mark.parametrize("settings", [{"encode_processes": "off"}, {"encode_workers": 1}], ids=["off", "one"])
def test_no_process_is_started_where_none_is_wanted(run: OpenRun, settings: dict[str, Any]) -> None:
    """With the setting "off", or one encode worker, threads do it all."""

    async def scene(pipeline: Pipeline, run: OpenRun) -> None:
        for first in (0, 600):
            flood(pipeline, run, first)
            assert no_worker_is_left()
            await pipeline.drain(None)

    assert play(run, scene, **settings) == ["saved"] * 1200


def test_single_calls_start_no_process(run: OpenRun) -> None:
    """A training that logs now and then never has one."""

    async def scene(pipeline: Pipeline, run: OpenRun) -> None:
        for seq in range(50):
            flood(pipeline, run, seq, 1)
            await pipeline.drain(None)
            assert pipeline.worker_processes.count == 0
        assert no_worker_is_left()

    assert play(run, scene) == ["saved"] * 50


def test_processes_without_work_end(run: OpenRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some time without a batch they are gone, and are started anew by the next flood."""
    monkeypatch.setattr("pixlogd.worker_processes._IDLE_S", 0.05)
    monkeypatch.setattr("pixlogd.worker_processes._LOOK_EVERY_S", 0.02)

    async def scene(pipeline: Pipeline, run: OpenRun) -> None:
        first = await flood_until_there_are(pipeline, run, 2)
        await until(no_worker_is_left)
        assert pipeline.worker_processes.count == 0
        while not pipeline.worker_processes.count:
            flood(pipeline, run, first)
            first += 600
            await pipeline.drain(None)

    assert set(play(run, scene)) == {"saved"}


@pytest.mark.parametrize(
    "command",
    [["/nonexistent/python"], [sys.executable, "-c", "raise SystemExit(3)"]],
    ids=["no program", "ends at once"],
)
def test_threads_work_where_no_process_can_be_had(
    run: OpenRun, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, command: list[str]
) -> None:
    """Everything is saved, and the log says once why there is none."""
    monkeypatch.setattr("pixlogd.rendering.worker_process._worker_command", lambda: command)
    monkeypatch.setattr("pixlogd.worker_processes._REST_FIRST_S", 0.0)

    async def scene(pipeline: Pipeline, run: OpenRun) -> None:
        first = 0
        while not caplog.messages:
            flood(pipeline, run, first)
            first += 600
            await pipeline.drain(None)
        flood(pipeline, run, first)

    assert set(play(run, scene)) == {"saved"}
    (line,) = caplog.messages
    assert "no worker process: " in line
    assert line.endswith("; threads encode instead")


def test_killed_processes_are_told_once_and_started_anew(
    run: OpenRun, caplog: pytest.LogCaptureFixture
) -> None:
    """Each is named in the log with what ended it; the calls it had are saved, and others take its place."""

    async def scene(pipeline: Pipeline, run: OpenRun) -> None:
        first = await flood_until_there_are(pipeline, run, 2)
        flood(pipeline, run, first)
        killed = [process.pid for process in pipeline.worker_processes._ready]
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        await pipeline.drain(None)
        await until(lambda: pipeline.worker_processes.count == 0)
        assert [f"worker process {pid} was ended by SIGKILL" in caplog.text for pid in killed] == [True, True]
        first += 600
        while pipeline.worker_processes.count != 2:
            flood(pipeline, run, first)
            first += 600
            await pipeline.drain(None)

    assert set(play(run, scene)) == {"saved"}
    assert len([line for line in caplog.messages if "was ended by" in line]) == 2


def test_call_that_crashes_two_processes_fails_alone(
    run: OpenRun, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is tried in a second process, then has its row with the reason; all others are saved."""
    command = [sys.executable, "-P", odd_worker.__file__]
    monkeypatch.setattr("pixlogd.rendering.worker_process._worker_command", lambda: command)
    crashing = -1

    async def scene(pipeline: Pipeline, run: OpenRun) -> None:
        nonlocal crashing
        crashing = await flood_until_there_are(pipeline, run, 2)
        flood(pipeline, run, crashing, 1, key="SIGSEGV")
        flood(pipeline, run, crashing + 1)

    states = play(run, scene)
    assert [number for number, state in enumerate(states) if state != "saved"] == [crashing]
    assert states[crashing] == "failed"
    assert run.tally.failed_reasons == {"rendering it ended a worker process": 1}
    assert len([line for line in caplog.messages if "was ended by SIGSEGV" in line]) == 2


@pytest.mark.parametrize(
    ("failing_starts", "reason"),
    [
        (1, "rendering it ended a worker process: SIGSEGV, then SIGSEGV"),
        (1000, "rendering it ended a worker process: SIGSEGV, and no other could be started"),
    ],
    ids=["once", "always"],
)
@pytest.mark.parametrize("failing", [["/nonexistent"], [sys.executable, "-c", "raise SystemExit(3)"]])
def test_call_that_crashed_a_process_fails_when_no_other_can_be_started(
    run: OpenRun,
    monkeypatch: pytest.MonkeyPatch,
    failing: list[str],
    failing_starts: int,
    reason: str,
) -> None:
    """Starts are tried a few times, with a rest between them, and the call has its row with the reason."""
    odd = [sys.executable, "-P", odd_worker.__file__]
    failures_left, crashing, starts = 0, -1, 0

    def command() -> list[str]:
        nonlocal failures_left, starts
        starts += 1
        failures_left -= 1
        return odd if failures_left < 0 else failing

    monkeypatch.setattr("pixlogd.rendering.worker_process._worker_command", command)
    monkeypatch.setattr("pixlogd.worker_processes._START_AGAIN_S", 0.01)

    async def scene(pipeline: Pipeline, run: OpenRun) -> None:
        nonlocal failures_left, crashing, starts
        crashing = await flood_until_there_are(pipeline, run, 2)
        failures_left, starts = failing_starts, 0
        os.kill(pipeline.worker_processes._ready[0].pid, signal.SIGKILL)
        await until(lambda: pipeline.worker_processes.count == 1)
        flood(pipeline, run, crashing, 1, key="SIGSEGV")
        await pipeline.drain(None)
        flood(pipeline, run, crashing + 1, 1)

    states = play(run, scene)
    assert [number for number, state in enumerate(states) if state != "saved"] == [crashing]
    (row,) = [row for row in rows_of(run) if row["seq"] == crashing]
    assert row["reason"] == reason
    assert starts == min(3, failing_starts + 1)


def test_processes_that_stop_at_their_start_hold_up_no_row(
    run: OpenRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many of them are waited for, rows are written meanwhile."""
    stopping = [sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)"]
    monkeypatch.setattr("pixlogd.rendering.worker_process._worker_command", lambda: stopping)

    async def scene(pipeline: Pipeline, run: OpenRun) -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))
        flood(pipeline, run, 0)
        assert len(pipeline.worker_processes._starting) == 2
        await pipeline.drain(None)
        assert len(pipeline.worker_processes._starting) == 2

    assert play(run, scene) == ["saved"] * 600
