"""Programs of trainers that fork while they log: raw forks and children of ``multiprocessing``."""

from __future__ import annotations

import gc
import multiprocessing
import os
import random
import sys
import threading
import time
from collections.abc import Callable

import pixlog
from nursery import Plan, Speaker
from pictures import numbered
from pixlog.client import Client
from training import connect, say_stats
from waiting import scaled_s

_PER_CHILD = 4


class TrainingError(Exception):
    """What a child ends by."""


def log_some(client: Client, speaker: Speaker, first: int) -> None:
    """Log a few pictures in a child and say which."""
    for number in range(first, first + _PER_CHILD):
        receipt = client.log_image("child", numbered(number), step=number)
        speaker.say("logged", receipt.client, receipt.seq)


def do_nothing(client: Client, speaker: Speaker, first: int) -> None:
    """End at once."""


def log_and_return(client: Client, speaker: Speaker, first: int) -> None:
    """Log and reach the end."""
    log_some(client, speaker, first)


def log_and_raise(client: Client, speaker: Speaker, first: int) -> None:
    """Log and fail."""
    log_some(client, speaker, first)
    raise TrainingError


def log_and_exit(client: Client, speaker: Speaker, first: int) -> None:
    """Log and leave by ``sys.exit``."""
    log_some(client, speaker, first)
    sys.exit(3)


def log_and_vanish(client: Client, speaker: Speaker, first: int) -> None:
    """Log and leave by ``os._exit``."""
    log_some(client, speaker, first)
    os._exit(7)


def log_and_close(client: Client, speaker: Speaker, first: int) -> None:
    """Log, close, and use the client once more, which is dropped."""
    log_some(client, speaker, first)
    client.close(scaled_s(60))
    assert client.log_image("child", numbered(first)).state == "dropped"


KINDS: dict[Callable[[Client, Speaker, int], None], int] = {
    do_nothing: 0,
    log_and_return: 0,
    log_and_raise: 1,
    log_and_exit: 3,
    log_and_vanish: 7,
    log_and_close: 0,
}
"""What children do, and the exit code that each must have."""
WAITING = log_and_close
"""What alone waits for the daemon: that is what ``close`` is for."""
_MOST_PENDING = 1000


def _be_child(
    kind: Callable[[Client, Speaker, int], None], client: Client, speaker: Speaker, first: int
) -> None:
    gc.collect()
    try:
        kind(client, speaker, first)
    finally:
        gc.collect()


def fork_many(plan: Plan, speaker: Speaker) -> None:
    """Fork ``forks`` children while two threads log, no faster than is saved; say what became of each child."""
    client = connect(plan, speaker)
    stop = threading.Event()

    def load(first: int) -> None:
        number = first
        while not stop.is_set():
            client.log_image("load", numbered(number, (64, 64, 3)), step=number)
            number += 1
            time.sleep(0.002)
            while client.stats().pending >= _MOST_PENDING and not stop.is_set():
                time.sleep(0.005)

    threads = [threading.Thread(target=load, args=(index << 24,)) for index in range(2)]
    for thread in threads:
        thread.start()
    chance = random.Random(plan["seed"])
    for number in range(plan["forks"]):
        kind = chance.choice(list(KINDS))
        raw = chance.random() < 0.5 and kind is not log_and_exit
        _fork_one(kind, client, speaker, (number + 8) << 20, raw=raw)
        time.sleep(chance.uniform(0.0, 0.005))
    stop.set()
    for thread in threads:
        thread.join()
    say_stats(client, speaker, client.close(scaled_s(60)))


def fork_each(plan: Plan, speaker: Speaker) -> None:
    """When the file ``go`` exists, fork children of each kind but the one that waits; close when ``stop`` exists."""
    client = connect(plan, speaker)
    client.log_image("load", numbered(0), step=0)
    client.flush(scaled_s(60))
    speaker.say("ready")
    while not os.path.exists(plan["go"]):
        time.sleep(0.005)
    for number in range(plan["rounds"]):
        for index, kind in enumerate(KINDS):
            if kind is not WAITING:
                first = (len(KINDS) * number + index) << 4
                _fork_one(kind, client, speaker, first, raw=number % 2 == 0 and kind is not log_and_exit)
    speaker.say("forked")
    while not os.path.exists(plan["stop"]):
        time.sleep(0.005)
    say_stats(client, speaker, client.close(scaled_s(60)))


def _fork_one(
    kind: Callable[[Client, Speaker, int], None], client: Client, speaker: Speaker, first: int, *, raw: bool
) -> None:
    """Fork a child, by ``os.fork`` or by ``multiprocessing``; say its kind, its exit code and how long it lived."""
    began = time.monotonic()
    if raw:
        pid = os.fork()
        if not pid:
            _end_raw_child(kind, client, speaker, first)
        code: int | None = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    else:
        fork = multiprocessing.get_context("fork")
        process = fork.Process(target=_be_child, args=(kind, client, speaker, first))
        process.start()
        process.join()
        code = process.exitcode
        process.close()
    speaker.say("child", kind.__name__, code, time.monotonic() - began)


def _end_raw_child(
    kind: Callable[[Client, Speaker, int], None], client: Client, speaker: Speaker, first: int
) -> None:
    """Be a child of a plain ``os.fork``: no handler at exit, no finaliser."""
    code = 0
    try:
        _be_child(kind, client, speaker, first)
    except TrainingError:
        code = 1
    finally:
        os._exit(code)


def start_with(plan: Plan, speaker: Speaker) -> None:
    """Start children by ``method``, "spawn" or "forkserver", that connect themselves, one of each kind."""
    context = multiprocessing.get_context(plan["method"])
    for number, kind in enumerate(KINDS):
        process = context.Process(
            target=_connect_and, args=(kind.__name__, plan["run_dir"], plan["said"], number << 20)
        )
        began = time.monotonic()
        process.start()
        process.join()
        speaker.say("child", kind.__name__, process.exitcode, time.monotonic() - began)
        process.close()
    speaker.say("done")


def _connect_and(kind: str, run_dir: str, said: str, first: int) -> None:
    client = pixlog.connect(run_dir)
    speaker = Speaker(os.open(said, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC))
    _be_child(globals()[kind], client, speaker, first)


def load_data(plan: Plan, speaker: Speaker) -> None:
    """Iterate over a DataLoader whose workers log each sample that they load, while the parent logs too."""
    from torch.utils.data import DataLoader, Dataset

    client = connect(plan, speaker)

    class Samples(Dataset):  # type: ignore[misc]
        epoch = 0

        def __len__(self) -> int:
            return 64

        def __getitem__(self, index: int) -> int:
            client.log_image("sample", numbered(index), step=index, meta={"epoch": self.epoch})
            return index

    samples = Samples()
    for epoch in range(plan["epochs"]):
        samples.epoch = epoch
        for batch in DataLoader(samples, batch_size=8, num_workers=plan["workers"]):
            client.log_image("batch", numbered(int(batch[0])), step=int(batch[0]), meta={"epoch": epoch})
    say_stats(client, speaker, client.close(scaled_s(60)))
