"""One worker process: what it renders is what a thread renders, and whoever ends it loses nothing."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import odd_worker
import pixlog
import processes
from daemon_rooms import client_of, entry_of, open_run, row_of
from pixlog.model.describe import describe
from pixlogd.config.encode_defaults import EncodeDefaults
from pixlogd.config.settings import Settings
from pixlogd.rendering.exchange import LARGEST_NBYTES
from pixlogd.rendering.worker_process import WorkerProcess
from pixlogd.rundir.open_run import ClientRecord, Entry
from pixlogd.work import process
from waiting import wait_until
from wire_frames import log_header

DAEMON = Settings(nice=0)
ODD_WORKER = [sys.executable, "-P", odd_worker.__file__]


def started(*command: str) -> Iterator[WorkerProcess]:
    """Start a worker process, and see it to its end."""
    worker = WorkerProcess(command or None)
    try:
        assert worker.wait_until_ready()
        yield worker
    finally:
        worker.close()


@pytest.fixture
def worker() -> Iterator[WorkerProcess]:
    """Return a worker process."""
    yield from started()


@pytest.fixture
def odd() -> Iterator[WorkerProcess]:
    """Return a worker process that ends by the signal that a key names."""
    yield from started(*ODD_WORKER)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[ClientRecord]:
    """Return a client of a run that is open here."""
    with open_run(tmp_path / "run") as run:
        yield client_of(run)


def pictures() -> list[Any]:
    """Return images of many kinds, as a training logs them."""
    random = np.random.default_rng(0)
    photo = random.integers(0, 256, (48, 40, 3), np.uint8)
    classes = random.integers(0, 3, (48, 40), np.uint8)
    boxes = {"position": {"minX": 0.1, "maxX": 0.5, "minY": 0.1, "maxY": 0.5}, "class_id": 1}
    return [
        photo,
        photo[:, :, 0],
        random.random((48, 40, 3), np.float32),
        random.integers(0, 1 << 16, (48, 40), np.uint16),
        classes.astype(bool),
        np.full((8, 8), np.nan, np.float32),
        Image.fromarray(photo),
        Image.fromarray(classes).convert("P"),
        pixlog.Image(photo, caption="a caption", file_type="jpg", quality=80),
        pixlog.Image(random.integers(0, 1 << 16, (9, 9), np.uint16), depth="keep"),
        pixlog.Image(
            photo,
            masks={"truth": {"mask_data": classes, "class_labels": {0: "sky", 1: "road", 2: "car"}}},
            boxes={"found": {"box_data": [boxes], "class_labels": {1: "car"}}},
        ),
        [photo, pixlog.Image(photo[:20], caption="second")],
    ]


def entry_for(client: ClientRecord, seq: int, picture: Any, key: str = "k") -> Entry:
    """Return a call with a picture, as the server would hand it to the workers."""
    described = describe(picture, contract="pixlog")
    payload, extents = b"", []
    for buffer in described.buffers:
        data = buffer.tobytes() if isinstance(buffer, np.ndarray) else bytes(buffer)
        extents.append([len(payload), len(data)])
        payload += data
    header = log_header(
        seq, key=key, items=described.items, buffers=extents, list=isinstance(picture, list) or ...
    )
    return entry_of(client, header, payload)


def test_worker_renders_what_a_thread_renders(client: ClientRecord, worker: WorkerProcess) -> None:
    """Rows are the same byte for byte, and name files with the same content, whoever rendered them."""
    kinds = pictures()
    here = process([entry_for(client, seq, picture) for seq, picture in enumerate(kinds)], DAEMON)
    files = {path: path.read_bytes() for path in client.run.run_dir.rglob("media/**/*.*")}
    for path in files:
        path.unlink()
    batch = [entry_for(client, seq, picture) for seq, picture in enumerate(kinds)]
    there = process(batch, DAEMON, worker.lanes[0])
    assert [item.line for item in there.finished] == [item.line for item in here.finished]
    assert [item.ack for item in there.finished] == [item.ack for item in here.finished]
    assert {row_of(item)["state"] for item in there.finished} == {"saved"}
    assert {path: path.read_bytes() for path in files} == files


def test_worker_leaves_none_of_the_usual_kinds_to_a_thread(
    client: ClientRecord, worker: WorkerProcess
) -> None:
    """Each kind of picture is really rendered over there."""
    for picture in pictures():
        entry = entry_for(client, 0, picture)
        assert isinstance(entry.payload, memoryview)
        views = [entry.payload[begin : begin + size] for begin, size in entry.log.header["buffers"]]
        (ready,) = worker.lanes[1].render([(entry.log.header, views, EncodeDefaults())])
        assert ready is not None, entry.log.header["items"]


def test_lanes_are_used_in_turn_without_mixing(client: ClientRecord, worker: WorkerProcess) -> None:
    """What lies in one lane stays while the other is used, however often."""
    for round_number in range(20):
        batch = [
            entry_for(client, seq, np.full((16, 16), seq + round_number, np.uint8))
            for seq in range(10 * round_number, 10 * round_number + 10)
        ]
        outcome = process(batch, DAEMON, worker.lanes[round_number % 2])
        assert [item.ack[0] for item in outcome.finished] == [entry.log.seq for entry in batch]
        for item in outcome.finished:
            (file,) = row_of(item)["files"]
            with Image.open(client.run.run_dir / file["path"]) as image:
                assert np.asarray(image)[0, 0] == (row_of(item)["seq"] + round_number) % 256


def test_what_does_not_fit_is_rendered_here(client: ClientRecord, worker: WorkerProcess) -> None:
    """A picture larger than a lane, one behind a full lane, failed calls and malformed ones end as ever."""
    large = np.zeros((LARGEST_NBYTES // 64 + 1, 64), np.uint8)
    small = np.zeros((1024, 1024), np.uint8)
    batch = [entry_for(client, seq, picture) for seq, picture in enumerate([large, small, small, small])]
    batch.append(entry_of(client, log_header(4, items=[{"data": {"kind": "array", "buffer": 9}}])))
    batch.append(entry_of(client, log_header(5, state="dropped", reason="memory", items=[], buffers=...)))
    states = [item.ack[1] for item in process(batch, DAEMON, worker.lanes[0]).finished]
    assert states == ["saved"] * 4 + ["failed", "dropped"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=lambda number: number.name)
def test_killed_worker_loses_nothing(
    client: ClientRecord, worker: WorkerProcess, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed or stopped before or during a batch, a worker is given up, and the batch is rendered here."""
    monkeypatch.setattr("pixlogd.rendering.worker_process._STUCK_S", 0.2)
    monkeypatch.setattr("pixlogd.rendering.worker_process._LOOK_EVERY_S", 0.1)
    os.kill(worker.pid, number)
    batch = [entry_for(client, seq, picture) for seq, picture in enumerate(pictures())]
    outcome = process(batch, DAEMON, worker.lanes[0])
    assert [item.ack[:2] for item in outcome.finished] == [(seq, "saved") for seq in range(len(batch))]
    assert outcome.gone is not None
    assert (outcome.gone.how, outcome.gone.number, outcome.suspects) == ("SIGKILL", None, [])
    assert worker.has_ended


def test_job_signals_do_not_end_a_worker(client: ClientRecord, worker: WorkerProcess) -> None:
    """SIGINT, SIGTERM and SIGHUP, which a whole job gets, leave it to the daemon when to end."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(worker.pid, number)
    outcome = process([entry_for(client, 0, pictures()[0])], DAEMON, worker.lanes[0])
    assert outcome.gone is None
    assert outcome.finished[0].ack[1] == "saved"


def test_call_that_crashes_worker_is_told_from_those_beside_it(
    client: ClientRecord, odd: WorkerProcess
) -> None:
    """The others of its batch are saved, and it is kept for another try, with a word of how it ended."""
    photo = pictures()[0]
    keys = ["a", "b", "SIGSEGV", "c"]
    batch = [entry_for(client, seq, photo, key) for seq, key in enumerate(keys)]
    outcome = process(batch, DAEMON, odd.lanes[0])
    assert [item.ack[:2] for item in outcome.finished] == [(0, "saved"), (1, "saved"), (3, "saved")]
    assert [(entry.log.seq, entry.crashes) for entry in outcome.suspects] == [(2, ("SIGSEGV",))]


def test_worker_ended_by_a_signal_without_a_name_loses_nothing(
    client: ClientRecord, odd: WorkerProcess
) -> None:
    """Most real-time signals have a number only; the batch is rendered here, and the number is told."""
    batch = [entry_for(client, seq, pictures()[0], key) for seq, key in enumerate(["a", "SIG36", "b"])]
    outcome = process(batch, DAEMON, odd.lanes[0])
    assert outcome.gone is not None
    assert (outcome.gone.how, outcome.gone.number) == ("signal 36", None)
    assert [item.ack[:2] for item in outcome.finished] == [(0, "saved"), (1, "saved"), (2, "saved")]


def test_worker_whose_answer_is_rubbish_is_given_up(
    client: ClientRecord, odd: WorkerProcess, caplog: pytest.LogCaptureFixture
) -> None:
    """What nobody can make sense of is told in the log, and costs the worker, not the batch."""
    batch = [entry_for(client, seq, pictures()[0], key) for seq, key in enumerate(["a", "rubbish", "b"])]
    outcome = process(batch, DAEMON, odd.lanes[0])
    assert [item.ack[:2] for item in outcome.finished] == [(0, "saved"), (1, "saved"), (2, "saved")]
    assert outcome.gone is not None
    assert f"worker process {odd.pid}: internal error" in caplog.text
    wait_until(lambda: odd.has_ended, what="the end of the worker")


def test_call_that_crashes_two_workers_fails(client: ClientRecord) -> None:
    """It gets its row and its reason, and is not rendered in the daemon."""
    (entry,) = batch = [entry_for(client, 0, pictures()[0], "SIGABRT")]
    for _ in range(2):
        for worker in started(*ODD_WORKER):
            outcome = process(batch, DAEMON, worker.lanes[0])
    assert (outcome.suspects, len(entry.crashes)) == ([], 2)
    (finished,) = outcome.finished
    assert finished.ack[1:3] == ("failed", "rendering it ended a worker process: SIGABRT, then SIGABRT")


def test_call_that_crashed_a_worker_fails_when_others_are_killed_with_it(client: ClientRecord) -> None:
    """Three are ended from outside while they have it, by the kernel that finds no memory perhaps; then it fails."""
    (entry,) = batch = [entry_for(client, 0, pictures()[0], "SIGKILL")]
    entry.crashes = ("SIGSEGV",)
    for still_tried in (True, True, False):
        for worker in started(*ODD_WORKER):
            outcome = process(batch, DAEMON, worker.lanes[0])
        assert (outcome.suspects == batch) == still_tried
    (finished,) = outcome.finished
    assert finished.ack[2] == (
        "rendering it ended a worker process: SIGSEGV, then SIGKILL, then SIGKILL, then SIGKILL"
    )


def test_closed_worker_ends_by_itself(worker: WorkerProcess) -> None:
    """The end of the stream ends it, without a signal."""
    for lane in worker.lanes:
        lane.close()
    wait_until(lambda: worker.has_ended, what="the end of the worker")
    assert worker.end() == ("exit code 0", False)


def test_worker_that_cannot_work_is_not_ready() -> None:
    """One that ends before it is ready says so, and leaves no process."""
    worker = WorkerProcess([sys.executable, "-c", "raise SystemExit(3)"])
    assert not worker.wait_until_ready()
    assert worker.end() == ("exit code 3", True)
    worker.close()
    assert worker.pid not in [process.pid for process in processes.children()]


def test_worker_that_cannot_be_started_is_an_error() -> None:
    """What the system says is raised, and no descriptor is left."""
    before = sorted(os.listdir("/proc/self/fd"))
    with pytest.raises(FileNotFoundError):
        WorkerProcess(["/nonexistent/python"])
    assert sorted(os.listdir("/proc/self/fd")) == before
